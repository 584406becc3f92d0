//! What the folders of sweeps are called, and how one is made that nobody else has.

use super::layout;
use crate::files::holds_only;
use crate::store::StoreError;
use chrono::DateTime;
use std::path::{Path, PathBuf};

pub fn make_named(lake: &Path, name: &str) -> Result<PathBuf, StoreError> {
    check_name(name)?;
    let folder = lake.join(name);
    make_lake(lake)?;
    std::fs::create_dir(&folder).or_else(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => match folder.join(layout::MANIFEST).is_file() {
            true => Err(StoreError::Exists { path: folder.clone() }),
            // One that was killed before it wrote anything left no more than its lock.
            false if holds_only(&folder, layout::LOCK) => Ok(()),
            false => Err(StoreError::Occupied { path: folder.clone() }),
        },
        _ => Err(StoreError::Unwritable { path: folder.clone(), source }),
    })?;
    Ok(folder)
}

pub fn make_timestamped(lake: &Path, now: DateTime<chrono::Local>) -> Result<PathBuf, StoreError> {
    make_lake(lake)?;
    let timestamp = now.format("%Y%m%d_%H%M%S").to_string();
    let mut name = timestamp.clone();
    for attempt in 2.. {
        let folder = lake.join(&name);
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => name = format!("{timestamp}_{attempt}"),
            Err(source) => return Err(StoreError::Unwritable { path: folder, source }),
        }
    }
    unreachable!("the loop ends only by returning")
}

fn make_lake(lake: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(lake).map_err(|source| StoreError::Unwritable { path: lake.into(), source })
}

/// What names of sweeps are not, because something else is called so in a lake.
const RESERVED: [&str; 6] = ["latest", "latest-any", "yesterday", "last-week", "last-month", "compacted"];

/// A name that is one folder, and that everybody finds as a sweep.
pub fn check_name(name: &str) -> Result<(), StoreError> {
    let why = if name.is_empty() || name.contains('/') {
        "is not a valid folder name"
    } else if name.starts_with('.') {
        "begins with a dot, which would hide it"
    } else if name.contains(char::is_control) {
        "contains control characters"
    } else if RESERVED.contains(&name) || name.starts_with("latest~") || name.starts_with('@') {
        "is a reserved sweep name"
    } else {
        return Ok(());
    };
    Err(StoreError::BadName { name: name.into(), why })
}

pub fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
