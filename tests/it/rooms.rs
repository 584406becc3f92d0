//! Inside a folder, too, arrows go one way: no circle of files that need each other.

use crate::architecture::{program, source_files};
use crate::scratch::repository;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

type Module = Vec<String>;

/// Modules, with the names that each hands on from another one: `pub use child::{A, B}`.
#[derive(Default)]
struct Tree {
    modules: BTreeMap<Module, String>,
}

impl Tree {
    fn read() -> Self {
        let source = repository().join("src");
        let mut tree = Self::default();
        for path in source_files(&source) {
            tree.modules.insert(module_of(path.strip_prefix(&source).unwrap()), program(&path));
        }
        tree
    }

    /// The child of a folder that a path below the folder leads to, through what its `mod.rs` hands on.
    fn child(&self, folder: &[String], name: &str) -> Option<String> {
        let child = [folder, &[name.to_owned()]].concat();
        if self.modules.contains_key(&child) {
            return Some(name.to_owned());
        }
        let text = self.modules.get(folder)?;
        let handed_on =
            text.split("use ").skip(1).flat_map(|statement| paths(statement.split(';').next().unwrap_or("")));
        let origin =
            handed_on.into_iter().find(|path| path.len() > 1 && path.last().is_some_and(|last| last == name))?;
        let first = origin.first()?;
        self.modules.contains_key(&[folder, std::slice::from_ref(first)].concat()).then(|| first.clone())
    }

    /// For each folder which of its children need which.
    fn arrows(&self) -> BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> {
        let mut arrows: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (module, text) in &self.modules {
            for target in targets(module, text) {
                let common = module.iter().zip(&target).take_while(|(left, right)| left == right).count();
                let (Some(from), Some(to)) = (module.get(common), target.get(common)) else { continue };
                let folder = &module[..common];
                if folder.is_empty() {
                    continue;
                }
                if let Some(to) = self.child(folder, to).filter(|to| to != from) {
                    arrows.entry(folder.to_vec()).or_default().entry(from.clone()).or_default().insert(to);
                }
            }
        }
        arrows
    }
}

fn module_of(path: &Path) -> Module {
    let parts = path.with_extension("");
    let parts = parts.iter().map(|part| part.to_string_lossy().into_owned());
    parts.filter(|part| !["mod", "lib", "main"].contains(&part.as_str())).collect()
}

/// The paths of a use tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(tree: &str) -> Vec<Module> {
    let tree = tree.trim();
    let head: String = tree.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    let rest = tree[head.len()..].trim_start();
    let below = match rest.strip_prefix("::") {
        Some(rest) => paths(rest),
        None if head.is_empty() && rest.starts_with('{') => {
            let (mut depth, mut start, mut all) = (0, 1, Vec::new());
            for (index, letter) in rest.char_indices() {
                match letter {
                    '{' => depth += 1,
                    ',' | '}' if depth == 1 => {
                        all.extend(paths(&rest[start..index]));
                        start = index + 1;
                        depth -= i32::from(letter == '}');
                    }
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
            return all;
        }
        None => Vec::new(),
    };
    match (head.is_empty(), below.is_empty()) {
        (true, _) => below,
        (false, true) => vec![vec![head]],
        (false, false) => below.into_iter().map(|path| [vec![head.clone()], path].concat()).collect(),
    }
}

/// The absolute paths that a module names with `super::` and `crate::`.
fn targets(module: &[String], text: &str) -> Vec<Module> {
    let mut all = Vec::new();
    for word in ["super::", "crate::"] {
        for (index, _) in text.match_indices(word) {
            let is_inner = text[..index].ends_with("super::");
            let before = text[..index].chars().next_back();
            if is_inner || before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == '$') {
                continue;
            }
            for path in paths(&text[index..]) {
                let ups = path.iter().take_while(|part| *part == "super").count();
                let base = if word == "crate::" { &[][..] } else { &module[..module.len().saturating_sub(ups)] };
                all.push([base, &path[ups.max(1)..]].concat());
            }
        }
    }
    all
}

/// A circle among the children, if there is one.
fn circle(arrows: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(
        at: &str,
        arrows: &BTreeMap<String, BTreeSet<String>>,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = way.iter().position(|step| step == at) {
            return Some(way[start..].to_vec());
        }
        if !done.insert(at.to_owned()) {
            return None;
        }
        way.push(at.to_owned());
        let found = arrows.get(at).into_iter().flatten().find_map(|next| walk(next, arrows, way, done));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    arrows.keys().find_map(|start| walk(start, arrows, &mut Vec::new(), &mut done))
}

#[test]
fn no_folder_has_a_circle() {
    let arrows = Tree::read().arrows();
    assert!(arrows.len() > 10, "the imports are not found any more");
    let circles: Vec<String> = arrows
        .iter()
        .filter_map(|(folder, arrows)| Some(format!("{}: {}", folder.join("/"), circle(arrows)?.join(" → "))))
        .collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn a_circle_is_found_through_names_that_are_handed_on() {
    let mut tree = Tree::default();
    let module = |path: &str| path.split('/').map(str::to_owned).collect::<Module>();
    tree.modules.insert(module("a"), "mod b; mod c; pub use b::{self, B}; pub use c::C;".into());
    tree.modules.insert(module("a/b"), "use super::{C, D};".into());
    tree.modules.insert(module("a/c"), "fn f() { crate::a::B::new() }".into());
    assert_eq!(circle(&tree.arrows()[&module("a")]), Some(vec!["b".into(), "c".into()]));
}
