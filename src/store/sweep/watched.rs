//! What somebody sees of a sweep's folder from outside while it is written.

use super::layout::{MANIFEST, is_row};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use walkdir::{DirEntry, WalkDir};

/// How the manifest and the rows of runs look: when they were written and how large they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look(BTreeMap<PathBuf, (Option<SystemTime>, u64)>);

impl Look {
    pub fn at(folder: &Path) -> Self {
        let rows = files(folder).filter(|file| {
            let name = file.file_name().to_string_lossy();
            name == MANIFEST || is_row(&name)
        });
        let look = |file: DirEntry| {
            let facts = file.metadata().ok()?;
            Some((file.into_path(), (facts.modified().ok(), facts.len())))
        };
        Self(rows.filter_map(look).collect())
    }
}

/// The log that was written last, unless all are empty.
pub fn latest_log(folder: &Path) -> Option<PathBuf> {
    let logs = files(folder).filter(|file| file.path().extension().is_some_and(|extension| extension == "log"));
    let written = |file: &DirEntry| {
        let facts = file.metadata().ok()?;
        if facts.len() > 0 { facts.modified().ok() } else { None }
    };
    logs.filter_map(|file| Some((written(&file)?, file.into_path()))).max().map(|(_, path)| path)
}

fn files(folder: &Path) -> impl Iterator<Item = DirEntry> {
    WalkDir::new(folder).into_iter().filter_map(Result::ok)
}
