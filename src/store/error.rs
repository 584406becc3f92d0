//! What can be wrong with a lake, a sweep or one of their files.

use crate::record::Change;
use std::path::{Path, PathBuf};

/// What can be wrong with a lake or a sweep's folder.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: can't be written: {source}", path.display())]
    Unwritable { path: PathBuf, source: std::io::Error },
    #[error("{name:?} {why}")]
    BadName { name: String, why: &'static str },
    #[error("{}: already exists", path.display())]
    Exists { path: PathBuf },
    #[error("{}: already exists and is not a sweep", path.display())]
    Occupied { path: PathBuf },
    #[error("{}: already exists and is not an imported sweep; choose another name", path.display())]
    NoImport { path: PathBuf },
    #[error("{}: no such sweep", path.display())]
    NothingToResume { path: PathBuf },
    #[error("which sweep of {} should be resumed?", lake.display())]
    ResumeWhich { lake: PathBuf },
    #[error("{}: another sweeplake process is writing this sweep", path.display())]
    Locked { path: PathBuf },
    #[error("{}: several machines work at this sweep, or did", path.display())]
    Shared { path: PathBuf },
    #[error("{}: was not begun as a sweep that several machines may join", path.display())]
    NotShared { path: PathBuf },
    #[error("{}: conditions have changed since the sweep started; runs from before and after must not mix:\n{}", path.display(), lines(changes))]
    Changed { path: PathBuf, changes: Vec<Change> },
    #[error(
        "{}: line {line}, column {column}: {reason}; fix the file, or move the sweep's folder elsewhere",
        path.display()
    )]
    BadManifest { path: PathBuf, line: usize, column: usize, reason: String },
    #[error(
        "{}: has format version {found}, but this sweeplake only reads up to {newest}; use a newer sweeplake",
        path.display()
    )]
    NewerFormat { path: PathBuf, found: u32, newest: u32 },
    #[error("{}: refers to the folder {folder:?} outside its own; sweeplake never writes that", path.display())]
    Outside { path: PathBuf, folder: String },
    #[error("{}: is a link; a sweep is only written into its own folder", path.display())]
    Link { path: PathBuf },
    #[error("{}: no such file or folder", path.display())]
    Missing { path: PathBuf },
    #[error("{}: no sweeps found: expected folders with a sweep.json, or run=K.json files as `vllm bench sweep` writes them", path.display())]
    NoSweeps { path: PathBuf },
    #[error("{reference}: no such sweep: neither a path, nor a sweep in {}{}", lake.display(), tags_text(tags))]
    NoSuchSweep { reference: String, lake: PathBuf, tags: Vec<String> },
    #[error("{reference}: {} contains only {count} sweep(s)", lake.display())]
    TooOld { reference: String, lake: PathBuf, count: usize },
    #[error("{name:?} can't be a tag: `latest`, `/` and `~` are reserved")]
    BadTag { name: String },
    #[error("{tag}: the tagged sweep is gone: {} not found; tag another sweep, or remove the line from {}", folder.display(), tags.display())]
    TagOfNothing { tag: String, folder: PathBuf, tags: PathBuf },
    #[error("{}: is not the folder of a sweep made by sweeplake", path.display())]
    NotOwn { path: PathBuf },
    #[error("{}: is not a sweep in {}", sweep.display(), lake.display())]
    NotInLake { sweep: PathBuf, lake: PathBuf },
    #[error("{}: is already in this lake, where it is read in place; import it into another lake (-o)", path.display())]
    InLake { path: PathBuf },
    #[error("{url}: {reason}")]
    NoStore { url: String, reason: String },
    #[error(
        "{}: is not a complete Parquet file ({reason}); if you remove it, its contents are read from per-run files where they exist",
        path.display()
    )]
    BadParquet { path: PathBuf, reason: String },
    #[error("{}: {reason}", path.display())]
    BadData { path: PathBuf, reason: String },
}

fn lines(changes: &[Change]) -> String {
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn tags_text(tags: &[String]) -> String {
    if tags.is_empty() { String::new() } else { format!(", nor one of its tags ({})", tags.join(", ")) }
}

impl StoreError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| Self::Io { path: path.into(), source }
    }

    /// Of a file that can't be read.
    pub(crate) fn parquet<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Self + '_ {
        |error| Self::BadParquet {
            path: path.into(),
            reason: error.to_string().trim_start_matches("Parquet error: ").into(),
        }
    }

    /// Of a Parquet file that can't be written: what the disk said, where it was the disk.
    pub(crate) fn written(path: &Path) -> impl FnOnce(parquet::errors::ParquetError) -> Self + '_ {
        |error| match error {
            parquet::errors::ParquetError::External(source) => match source.downcast::<std::io::Error>() {
                Ok(source) => Self::Unwritable { path: path.into(), source: *source },
                Err(source) => Self::BadData { path: path.into(), reason: source.to_string() },
            },
            error => Self::BadData { path: path.into(), reason: error.to_string() },
        }
    }

    pub(crate) fn data<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Self + '_ {
        |error| Self::BadData { path: path.into(), reason: error.to_string() }
    }
}
