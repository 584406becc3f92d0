//! `SHA256SUMS`: the files of a sweep that ended, as `sha256sum -c` reads it. The manifest has the checksum of the list itself.

use super::layout::{CLAIMS, MANIFEST};
use crate::store::StoreError;
use crate::store::file::{is_part, write_bytes_atomically};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use walkdir::WalkDir;

/// Where they stand.
pub const CHECKSUMS: &str = "SHA256SUMS";

/// Checksums by paths relative to the sweep's folder.
pub type Checksums = BTreeMap<String, String>;

/// Files that are finished when a sweep has ended: results and tables, no logs, reports or pictures.
pub fn is_kept(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_table = [".parquet", ".json", ".csv"].iter().any(|end| name.ends_with(end));
    is_table && name != MANIFEST && !name.starts_with('.') && !is_passing(&name) && !is_claim(path)
}

/// Whether a file says who does what, where several machines work: it changes whenever one looks.
pub fn is_claim(path: &Path) -> bool {
    path.parent().and_then(Path::parent).is_some_and(|folder| folder.ends_with(CLAIMS))
}

/// Whether a file is there only while something is being made.
pub fn is_passing(name: &str) -> bool {
    name.ends_with(".partial.json") || name.ends_with(".ended.json") || is_part(name)
}

/// Writes the checksums of all files below the folder; returns the checksum of that list. Files that are older than the list that
/// is there are not read again.
pub fn write_checksums(folder: &Path) -> Result<String, StoreError> {
    let path = folder.join(CHECKSUMS);
    let known = read_checksums(folder).unwrap_or_default();
    let since = path.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let is_older = |file: &Path| file.metadata().and_then(|file| file.modified()).is_ok_and(|time| time < since);
    let sums = kept_files(folder).into_par_iter().map(|relative| {
        let file = folder.join(&relative);
        match known.get(&relative).filter(|_| is_older(&file)) {
            Some(sum) => Ok((relative, sum.clone())),
            None => checksum_of(&file).map(|sum| (relative, sum)).map_err(StoreError::io(&file)),
        }
    });
    let sums: Checksums = sums.collect::<Result<_, StoreError>>()?;
    let text: String = sums.iter().map(|(file, sum)| format!("{sum}  {file}\n")).collect();
    write_bytes_atomically(&path, text.as_bytes())?;
    crate::files::sha256(text.as_bytes()).map_err(StoreError::io(&path))
}

/// The list as it stands; nothing where there is none.
pub fn read_checksums(folder: &Path) -> Option<Checksums> {
    let text = crate::files::text(&folder.join(CHECKSUMS), crate::files::Links::Refuse).ok()?;
    let lines = text.lines().filter_map(|line| line.split_once("  "));
    Some(lines.map(|(sum, file)| (file.to_owned(), sum.to_owned())).collect())
}

/// The files below a folder that are finished when it has ended, relative to it, sorted.
pub fn kept_files(folder: &Path) -> Vec<String> {
    let entries = WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
    let files = entries.filter(|entry| entry.file_type().is_file() && is_kept(entry.path()));
    let relative = |path: PathBuf| path.strip_prefix(folder).map(|path| path.to_string_lossy().into_owned()).ok();
    files.map(walkdir::DirEntry::into_path).filter_map(relative).collect()
}

/// SHA-256 of a file.
pub fn checksum_of(path: &Path) -> std::io::Result<String> {
    crate::files::sha256(crate::files::open(path, crate::files::Links::Refuse)?)
}

/// The checksum of the list, to be compared with the manifest's.
pub fn checksum_of_list(folder: &Path) -> Option<String> {
    checksum_of(&folder.join(CHECKSUMS)).ok()
}
