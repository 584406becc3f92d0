//! Looks through all files of a lake: what is damaged, what belongs to nobody, and what was left behind.

use super::compact::LOCK_FILE as COMPACTION_LOCK;
use super::discover::{Sweep, find_sweeps};
use super::imported::{IMPORT_LOCK, UNFINISHED, files_below};
use super::keep::TAKEN_AWAY;
use super::places::{COMPACTED, LATEST};
use crate::files::holds_only;
use crate::record::read_result;
use crate::store::StoreError;
use crate::store::file::{check_whole, read_batches, remove_if_there};
use crate::store::sweep::{
    CHECKSUMS, LOCK, MANIFEST, MANIFEST_LOCK, Manifest, SweepState, checksum_of, checksum_of_list, is_claim, is_kept,
    is_passing, is_written, kept_files, read_checksums,
};
use nix::fcntl::{Flock, FlockArg};
use rayon::prelude::*;
use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// What was found.
#[derive(Debug, Default)]
pub struct Verified {
    pub sweeps: usize,
    pub files: usize,
    /// Files that are not as they were written, or can't be read, and why.
    pub damaged: Vec<(PathBuf, String)>,
    /// Files in sweeps' folders that are no part of them.
    pub orphans: Vec<PathBuf>,
    /// What a program that was killed left behind.
    pub leftovers: Vec<PathBuf>,
    /// Sweeps that are being written, and were not looked through.
    pub running: Vec<PathBuf>,
    /// Keep others from beginning anew what was found left behind.
    locks: Vec<Flock<File>>,
}

/// Looks through a sweep, or through all sweeps of a lake.
pub fn verify(path: &Path) -> Result<Verified, StoreError> {
    let mut verified = Verified::default();
    verified.look_for_leftovers(path);
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
    /// What killed programs left beside sweeps: imports, removals and compactions that did not end, folders with nothing but a lock. What
    /// is going on at the moment is none.
    fn look_for_leftovers(&mut self, lake: &Path) {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if self.holds(&lake.join(IMPORT_LOCK)) {
            self.leftovers.extend(entries(lake).filter(|path| name(path).starts_with(UNFINISHED)));
        }
        if self.holds(&lake.join(COMPACTED).join(COMPACTION_LOCK)) {
            self.leftovers.extend(entries(&lake.join(COMPACTED)).filter(|path| name(path).starts_with(".tmp-")));
        }
        let is_taken_away = |path: &PathBuf| name(path).starts_with(TAKEN_AWAY);
        let is_lock_alone = |path: &PathBuf| path.join(LOCK).is_file() && holds_only(path, LOCK);
        let is_left = |path: &PathBuf| (is_taken_away(path) || is_lock_alone(path)) && !is_written(path);
        self.leftovers.extend(entries(lake).filter(is_left));
    }

    /// Whether nobody else holds a lock, which is held from now on.
    fn holds(&mut self, lock: &Path) -> bool {
        let Ok(file) = File::open(lock) else { return true };
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).ok();
        let is_ours = lock.is_some();
        self.locks.extend(lock);
        is_ours
    }

    fn look_at(&mut self, sweep: &Sweep) -> Result<(), StoreError> {
        let folder = &sweep.folder;
        let files = kept_files(folder);
        self.read_all(files.iter().map(|file| folder.join(file)).collect());
        let Some(manifest) = sweep.manifest()? else { return Ok(()) };
        self.leftovers.extend(files_below(folder).into_iter().filter(|path| is_left(path)));
        self.orphans.extend(orphans(folder, &manifest));
        if manifest.state != SweepState::Running {
            self.compare(folder, &manifest, &files);
        }
        Ok(())
    }

    /// Whether files are as they were when the sweep ended.
    fn compare(&mut self, folder: &Path, manifest: &Manifest, files: &[String]) {
        let Some(wanted) = &manifest.checksums else { return };
        let list = folder.join(CHECKSUMS);
        if checksum_of_list(folder).as_ref() != Some(wanted) {
            self.damaged.push((list, "does not match the manifest".into()));
            return;
        }
        let known = read_checksums(folder).unwrap_or_default();
        let there: HashSet<&str> = files.iter().map(String::as_str).collect();
        let missing = known.keys().filter(|file| !there.contains(file.as_str()));
        self.damaged.extend(missing.map(|file| (folder.join(file), "is missing".to_owned())));
        let changed: Vec<(PathBuf, String)> = files
            .par_iter()
            .filter_map(|file| {
                let path = folder.join(file);
                let now = checksum_of(&path).ok()?;
                (known.get(file).is_some_and(|sum| *sum != now))
                    .then(|| (path, "was changed after the sweep ended".to_owned()))
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
        text.trim_start_matches(&format!("{}: ", path.display())).to_owned()
    })
}

/// What lies in a sweep's folder and is no part of the sweep.
pub fn orphans(folder: &Path, manifest: &Manifest) -> Vec<PathBuf> {
    let folders: HashSet<&str> = manifest.combinations.iter().map(|stored| stored.folder.as_str()).collect();
    // Of a sweep that has ended it is known which files it has.
    let listed = manifest.checksums.as_ref().and_then(|_| read_checksums(folder));
    let is_own = |entry: &DirEntry| {
        let path = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let name = entry.file_name().to_string_lossy();
        let of = path.parent().unwrap_or(Path::new("")).to_string_lossy();
        let is_named = [MANIFEST, CHECKSUMS, LOCK, MANIFEST_LOCK].contains(&name.as_ref())
            || is_passing(&name)
            || is_claim(entry.path());
        match (is_kept(entry.path()), &listed) {
            _ if entry.path_is_symlink() => false,
            _ if is_named => true,
            (true, Some(listed)) => listed.contains_key(path.to_string_lossy().as_ref()),
            (true, None) => !name.starts_with("run=") || folders.contains(of.as_ref()),
            (false, _) => SHOWN.iter().any(|end| name.ends_with(end)),
        }
    };
    let entries = WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
    let others = entries.filter(|entry| !entry.file_type().is_dir() && !is_own(entry));
    others.map(DirEntry::into_path).collect()
}

/// Endings of logs, pages and pictures, which may be made anew at any time.
const SHOWN: [&str; 5] = [".log", ".html", ".png", ".svg", ".md"];

/// Whether a file of a sweep that nobody writes was left behind. What a benchmark had ended with is none: a resume stores it.
fn is_left(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    is_passing(&name) && !name.ends_with(".ended.json")
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path())
}
