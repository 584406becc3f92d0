//! Looks through all files of a lake: what is damaged, what belongs to nobody, and what was left behind.

use super::discover::{Sweep, find_sweeps};
use super::imported::{UNFINISHED, files_below};
use super::keep::TAKEN_AWAY;
use super::places::{COMPACTED, LATEST};
use crate::files::holds_only;
use crate::record::read_result;
use crate::store::StoreError;
use crate::store::file::{check_whole, read_batches, remove_if_there};
use crate::store::sweep::{
    LOCK, Manifest, SweepState, checksum_of, checksum_of_list, is_kept, is_passing, is_written, kept_files,
    read_checksums,
};
use rayon::prelude::*;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What was found.
#[derive(Debug, Default)]
pub struct Verified {
    pub sweeps: usize,
    pub files: usize,
    /// Files that are not as they were written, or can't be read, and why.
    pub damaged: Vec<(PathBuf, String)>,
    /// Files that no manifest knows.
    pub orphans: Vec<PathBuf>,
    /// What a program that was killed left behind.
    pub leftovers: Vec<PathBuf>,
    /// Sweeps that are being written, and were not looked through.
    pub running: Vec<PathBuf>,
}

/// Looks through a sweep, or through all sweeps of a lake.
pub fn verify(path: &Path) -> Result<Verified, StoreError> {
    let mut verified = Verified::default();
    verified.leftovers.extend(leftovers_of_lake(path));
    let found = match find_sweeps(&[path.to_owned()]) {
        Err(StoreError::NoSweeps { .. }) => return Ok(verified),
        found => found?,
    };
    verified.damaged.extend(found.left_out().iter().map(|left| (left.path.clone(), left.error.to_string())));
    for sweep in found.all() {
        verified.sweeps += 1;
        if is_written(&sweep.folder) {
            verified.running.push(sweep.folder.clone());
        } else {
            verified.look_at(sweep)?;
        }
    }
    let compacted = files_below(&path.join(COMPACTED).join(LATEST)).into_iter();
    verified.read_all(compacted.filter(|file| is_kept(file)).collect());
    Ok(verified)
}

/// Takes leftovers away; nothing else.
pub fn repair(verified: &Verified) -> Result<(), StoreError> {
    verified.leftovers.iter().try_for_each(|path| remove_if_there(path))
}

impl Verified {
    fn look_at(&mut self, sweep: &Sweep) -> Result<(), StoreError> {
        let folder = &sweep.folder;
        let files = kept_files(folder);
        self.read_all(files.iter().map(|file| folder.join(file)).collect());
        let Some(manifest) = sweep.manifest()? else { return Ok(()) };
        self.leftovers.extend(files_below(folder).into_iter().filter(|path| is_left(path)));
        self.orphans.extend(orphans(folder, &manifest, &files));
        if manifest.state != SweepState::Running {
            self.compare(folder, &manifest, &files);
        }
        Ok(())
    }

    /// Whether files are as they were when the sweep ended.
    fn compare(&mut self, folder: &Path, manifest: &Manifest, files: &[String]) {
        let Some(wanted) = &manifest.checksums else { return };
        let list = folder.join(crate::store::sweep::CHECKSUMS);
        if checksum_of_list(folder).as_ref() != Some(wanted) {
            self.damaged.push((list, "is not the one that the manifest tells of".into()));
            return;
        }
        let known = read_checksums(folder).unwrap_or_default();
        let there: HashSet<&str> = files.iter().map(String::as_str).collect();
        let missing = known.keys().filter(|file| !there.contains(file.as_str()));
        self.damaged.extend(missing.map(|file| (folder.join(file), "is gone".to_owned())));
        let changed: Vec<(PathBuf, String)> = files
            .par_iter()
            .filter_map(|file| {
                let path = folder.join(file);
                let now = checksum_of(&path).ok()?;
                (known.get(file).is_some_and(|sum| *sum != now))
                    .then(|| (path, "was changed after the sweep had ended".to_owned()))
            })
            .collect();
        // A file that can't be read was named as such.
        let named: HashSet<PathBuf> = self.damaged.iter().map(|(path, _)| path.clone()).collect();
        self.damaged.extend(changed.into_iter().filter(|(path, _)| !named.contains(path)));
    }

    fn read_all(&mut self, paths: Vec<PathBuf>) {
        self.files += paths.len();
        let damaged = paths.into_par_iter().filter_map(|path| damage(&path).map(|why| (path, why)));
        self.damaged.extend(damaged.collect::<Vec<_>>());
    }
}

/// Why a file can't be read, if it can't.
fn damage(path: &Path) -> Option<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let read = if name.ends_with(".parquet") {
        check_whole(path).and_then(|()| read_batches(path)?.1.try_for_each(|batch| batch.map(|_| ())))
    } else if name.starts_with("run=") && name.ends_with(".json") {
        read_result(path).map(|_| ()).map_err(|error| StoreError::data(path)(error))
    } else {
        crate::files::bytes(path, crate::files::Links::Refuse).map(|_| ()).map_err(StoreError::io(path))
    };
    read.err().map(|error| {
        let text = error.to_string();
        text.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&text).to_owned()
    })
}

/// Files in folders of no combination.
fn orphans(folder: &Path, manifest: &Manifest, files: &[String]) -> Vec<PathBuf> {
    let known: HashSet<&str> = manifest.combinations.iter().map(|stored| stored.folder.as_str()).collect();
    let is_known =
        |file: &String| known.contains(Path::new(file).parent().unwrap_or(Path::new("")).to_string_lossy().as_ref());
    let is_run =
        |file: &String| Path::new(file).file_name().is_some_and(|name| name.to_string_lossy().starts_with("run="));
    files.iter().filter(|file| is_run(file) && !is_known(file)).map(|file| folder.join(file)).collect()
}

/// Whether a file of a sweep that nobody writes was left behind. What a benchmark had ended with is none: a resume stores it.
fn is_left(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    is_passing(&name) && !name.ends_with(".ended.json")
}

/// What killed programs left beside sweeps: imports, removals and compactions that did not end, folders with nothing but a lock.
fn leftovers_of_lake(lake: &Path) -> Vec<PathBuf> {
    let below = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_begun = |path: &PathBuf| [UNFINISHED, TAKEN_AWAY].iter().any(|start| name(path).starts_with(start));
    let is_lock_alone = |path: &PathBuf| path.join(LOCK).is_file() && holds_only(path, LOCK) && !is_written(path);
    let in_lake = below(lake.to_owned()).into_iter().filter(|path| is_begun(path) || is_lock_alone(path));
    let compactions = below(lake.join(COMPACTED)).into_iter().filter(|path| name(path).starts_with(".tmp-"));
    in_lake.chain(compactions).collect()
}
