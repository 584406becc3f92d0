//! The result of a benchmark that writes many files into a folder of its own.

use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// A file somewhere below a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    pub folder: PathBuf,
    pub file: String,
}

impl Artifact {
    /// Takes away what a run left there.
    pub fn clear(&self) {
        // What can't be removed is told when it is in the way.
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    /// Puts the file where the result belongs.
    pub fn put(&self, result_path: &Path) -> Result<(), String> {
        let files = WalkDir::new(&self.folder).sort_by_file_name().into_iter().filter_map(Result::ok);
        let found = files
            .map(walkdir::DirEntry::into_path)
            .find(|path| path.file_name().is_some_and(|name| *name == *self.file));
        let found = found.ok_or_else(|| format!("wrote no {} below {}", self.file, self.folder.display()))?;
        std::fs::rename(&found, result_path).map_err(|error| format!("{}: {error}", found.display()))
    }
}
