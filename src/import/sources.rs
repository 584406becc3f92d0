//! Which files are imported, and into which sweeps.

use crate::formats::is_result_file;
use crate::store::{StoreError, files_below, find_sweeps, result_files};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// Files that become one sweep.
#[derive(Debug)]
pub struct Source {
    pub name: String,
    pub origin: PathBuf,
    pub files: Vec<PathBuf>,
    /// Whether it is a folder that `vllm bench sweep` made.
    pub is_sweep: bool,
}

impl Source {
    fn of_files(origin: PathBuf, files: Vec<PathBuf>) -> Self {
        Self { name: name_of(&origin), origin, files, is_sweep: false }
    }

    /// A file's path inside the source.
    pub fn relative(&self, path: &Path) -> String {
        let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        absolute.strip_prefix(&self.origin).unwrap_or(path).to_string_lossy().into_owned()
    }
}

/// What is at the paths, as the sweeps that it becomes: each folder that `vllm bench sweep` made is one, and all other
/// files below a path are one together.
pub fn sources(paths: &[PathBuf], lake: &Path) -> Result<Vec<Source>, StoreError> {
    let mut sources = Vec::new();
    let mut single: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for path in paths {
        let origin = absolute(path)?;
        if origin.is_file() {
            single.entry(origin.parent().unwrap_or(&origin).to_owned()).or_default().push(path.clone());
            continue;
        }
        let mut taken = HashSet::new();
        for sweep in find_sweeps(std::slice::from_ref(path)).map(|found| found.all().to_vec()).unwrap_or_default() {
            let folder = absolute(&sweep.folder)?;
            if sweep.is_own() {
                taken.insert(folder);
                continue;
            }
            if lake.canonicalize().is_ok_and(|lake| folder.starts_with(lake)) {
                return Err(StoreError::InLake { path: sweep.folder });
            }
            let files = result_files(&sweep.folder);
            sources.push(Source { name: sweep.name, origin: folder.clone(), files, is_sweep: true });
            taken.insert(folder);
        }
        let is_taken = |file: &PathBuf| file.ancestors().any(|folder| taken.contains(folder));
        let files: Vec<PathBuf> = result_files_at(&origin).into_iter().filter(|file| !is_taken(file)).collect();
        if !files.is_empty() {
            sources.push(Source::of_files(origin, files));
        }
    }
    sources.extend(single.into_iter().map(|(folder, files)| Source::of_files(folder, files)));
    Ok(sources)
}

/// A file, or all files below a folder that may hold results.
pub fn result_files_at(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    files_below(path).into_iter().filter(|path| is_result_file(path)).collect()
}

fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    path.canonicalize().map_err(|_| StoreError::Missing { path: path.into() })
}

fn name_of(folder: &Path) -> String {
    folder.file_name().map_or("imported".into(), |name| name.to_string_lossy().into_owned())
}
