//! The arrows between modules are those of ARCHITECTURE.md, and each heavy dependency has one owner.

use crate::scratch::repository;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Module to the modules that it may import, from the table in ARCHITECTURE.md.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let table = text.split("<!-- arrows -->").nth(1).expect("the table stands between two <!-- arrows --> marks");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
        (names(cells[1]).into_iter().next().unwrap(), names(cells[3]))
    })
    .collect()
}

pub fn source_files(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    entries
        .filter(|entry| entry.path().extension().is_some_and(|kind| kind == "rs"))
        .map(|entry| entry.into_path())
        .collect()
}

fn module_of(path: &Path) -> String {
    let inner = path.strip_prefix(repository().join("src")).unwrap();
    inner.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Source without its tests and comments: what counts as the program.
pub fn program(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let allowed = allowed();
    for path in source_files(&repository().join("src")) {
        let module = module_of(&path);
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let may = allowed.get(&module).unwrap_or_else(|| panic!("`{module}` is not in the table of ARCHITECTURE.md"));
        for part in program(&path).split("crate::").skip(1) {
            let used: String = part.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
            let is_fine = used == module || may.contains(&used);
            assert!(is_fine, "{}: `{module}` imports `{used}`, which ARCHITECTURE.md does not allow", path.display());
        }
    }
}

#[test]
fn every_module_of_the_table_exists_and_uses_all_its_arrows() {
    for (module, may) in allowed() {
        let files = source_files(&repository().join("src")).into_iter().filter(|path| module_of(path) == module);
        let text: String = files.map(|path| program(&path)).collect();
        assert!(!text.is_empty(), "`{module}` is in ARCHITECTURE.md and not in src/");
        for used in may {
            assert!(
                text.contains(&format!("crate::{used}")),
                "ARCHITECTURE.md allows `{module}` to import `{used}`, and it does not"
            );
        }
    }
}

#[test]
fn each_heavy_dependency_has_one_owner() {
    let owners: [(&str, &[&str]); 18] = [
        ("procfs", &["os"]),
        ("object_store", &["store", "query"]),
        ("rustyline", &["cli"]),
        ("clap", &["cli"]),
        ("indicatif", &["cli"]),
        ("comfy_table", &["cli"]),
        ("datafusion", &["query"]),
        ("arrow", &["store", "query", "load"]),
        ("parquet", &["store", "query", "load"]),
        ("plotters", &["plot"]),
        ("resvg", &["plot"]),
        ("askama", &["report"]),
        ("axum", &["sim"]),
        ("splines", &["sla"]),
        ("walkdir", &["store", "load", "exec"]),
        ("sysinfo", &["record"]),
        ("tokenizers", &["load", "sim"]),
        ("tokio_rustls", &["load"]),
    ];
    for path in source_files(&repository().join("src")) {
        let (module, text) = (module_of(&path), program(&path));
        for (dependency, may) in &owners {
            let is_used = text.contains(&format!("use {dependency}::"))
                || text.contains(&format!(" {dependency}::"))
                || text.contains(&format!("({dependency}::"));
            assert!(
                !is_used || may.contains(&module.as_str()),
                "{}: `{dependency}` belongs to {may:?}",
                path.display()
            );
        }
    }
}

#[test]
fn flags_are_named_by_the_command_line_alone() {
    // These write commands of other programs, or tell readers of a page what to type next.
    let writes_commands = [
        "sweep/commands.rs",
        "record/environment.rs",
        "exec/gpu_memory.rs",
        "telemetry/amd.rs",
        "report/facts.rs",
        "table/markdown.rs",
        "report/comparison/words.rs",
        "params/command.rs",
        "params/address.rs",
        "redact",
    ];
    for path in source_files(&repository().join("src")) {
        let inner = path.strip_prefix(repository().join("src")).unwrap().to_string_lossy().into_owned();
        if inner.starts_with("cli/")
            || inner.ends_with("/tests.rs")
            || inner.ends_with("/side_by_side.rs")
            || writes_commands.iter().any(|known| inner.starts_with(known))
        {
            continue;
        }
        let program = program(&path);
        let texts = program.split('"').skip(1).step_by(2);
        for text in texts {
            let names_a_flag = text.match_indices("--").any(|(at, _)| {
                let before =
                    text[..at].chars().next_back().is_none_or(|letter| !letter.is_alphanumeric() && letter != '-');
                before && text[at + 2..].starts_with(|letter: char| letter.is_ascii_lowercase())
            });
            assert!(
                !names_a_flag,
                "{inner}: {text:?} names a flag; tell a fact, and let src/cli/advice.rs say the flag"
            );
        }
    }
}
