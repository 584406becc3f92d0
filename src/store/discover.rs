//! Finding sweeps: ours by their manifest, vLLM's by their run files.

use super::StoreError;
use super::compact::LooseFiles;
use super::foreign::{Detail, read_rows};
use super::layout::{LOCK, MANIFEST, REQUESTS, RUNS, SLA, SLA_HISTORY, SUMMARY, run_number_of};
use super::manifest::{Manifest, SweepState};
use arrow::array::RecordBatch;
use nix::fcntl::{Flock, FlockArg};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// How deep below a lake its sweeps may lie.
const DEPTH: usize = 8;

/// A sweep on disk.
#[derive(Clone, Debug)]
pub struct Sweep {
    pub folder: PathBuf,
    pub name: String,
    /// `None` for a folder that `vllm bench sweep` made.
    pub manifest: Option<Manifest>,
}

impl Sweep {
    /// Whether its rows on disk carry another name than the one that tells it apart here.
    pub fn is_renamed(&self) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| manifest.sweep != self.name)
    }

    /// The compacted table of runs, where there is one.
    pub fn compacted_runs(&self) -> Option<PathBuf> {
        self.own_file(RUNS)
    }

    /// The Parquet files that hold this sweep's requests.
    pub fn request_files(&self) -> Vec<PathBuf> {
        // Requests are compacted before runs: only with runs.parquet is requests.parquet known to be whole.
        match (self.manifest.is_some(), self.own_file(RUNS), self.own_file(REQUESTS)) {
            (false, ..) => Vec::new(),
            (true, Some(_), Some(requests)) => vec![requests],
            (true, Some(_), None) => Vec::new(),
            (true, None, _) => LooseFiles::of(&self.folder).requests,
        }
    }

    /// The Parquet files of single runs: what to read while there is no compacted table.
    pub fn loose_runs(&self) -> Vec<PathBuf> {
        match self.manifest {
            Some(_) => LooseFiles::of(&self.folder).runs,
            None => Vec::new(),
        }
    }

    /// The tables of answers to SLAs, and of what was measured for them.
    pub fn sla_file(&self) -> Option<PathBuf> {
        self.own_file(SLA)
    }

    pub fn sla_history_file(&self) -> Option<PathBuf> {
        self.own_file(SLA_HISTORY)
    }

    /// The rows of a folder that vLLM made, read in place.
    pub fn foreign_rows(&self, detail: Detail) -> Result<Vec<RecordBatch>, StoreError> {
        match self.manifest {
            Some(_) => Ok(Vec::new()),
            None => read_rows(&self.folder, &self.name, detail),
        }
    }

    /// The state: a manifest that says running without a writer holding the folder was left by one that died.
    pub fn state(&self) -> SweepState {
        match &self.manifest {
            Some(manifest) if manifest.state == SweepState::Running && !self.is_locked() => SweepState::Interrupted,
            Some(manifest) => manifest.state,
            None => SweepState::Completed,
        }
    }

    fn is_locked(&self) -> bool {
        let Ok(file) = File::open(self.folder.join(LOCK)) else { return false };
        Flock::lock(file, FlockArg::LockSharedNonblock).is_err()
    }

    fn own_file(&self, name: &str) -> Option<PathBuf> {
        let path = self.folder.join(name);
        (self.manifest.is_some() && path.is_file()).then_some(path)
    }
}

/// The sweeps at the given paths: each a sweep, or a lake that holds sweeps. In the order of their names.
pub fn find_sweeps(paths: &[PathBuf]) -> Result<Vec<Sweep>, StoreError> {
    let mut folders = BTreeMap::new();
    for path in paths {
        if !path.exists() {
            return Err(StoreError::Missing { path: path.clone() });
        }
        let found = folders_below(path);
        if found.is_empty() {
            return Err(StoreError::NoSweeps { path: path.clone() });
        }
        // One sweep reached by two ways is one sweep.
        folders
            .extend(found.into_iter().map(|folder| (folder.canonicalize().unwrap_or_else(|_| folder.clone()), folder)));
    }
    let mut sweeps = folders.into_values().map(open).collect::<Result<Vec<_>, _>>()?;
    tell_apart(&mut sweeps);
    Ok(sweeps)
}

/// Sweeps of one name, from two machines for example, are not repeats of each other: the folder above tells them apart.
fn tell_apart(sweeps: &mut [Sweep]) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    sweeps.iter().for_each(|sweep| *counts.entry(sweep.name.clone()).or_default() += 1);
    let mut taken = BTreeSet::new();
    for sweep in sweeps.iter_mut().filter(|sweep| counts[&sweep.name] > 1) {
        let folder = sweep.folder.canonicalize().unwrap_or_else(|_| sweep.folder.clone());
        for parent in folder.ancestors().skip(1).filter_map(|folder| folder.file_name()) {
            sweep.name = format!("{}/{}", parent.to_string_lossy(), sweep.name);
            if taken.insert(sweep.name.clone()) {
                break;
            }
        }
    }
}

fn open(folder: PathBuf) -> Result<Sweep, StoreError> {
    let manifest = match folder.join(MANIFEST).is_file() {
        true => Some(Manifest::read(&folder)?),
        false => None,
    };
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.clone());
    let name = match &manifest {
        Some(manifest) => manifest.sweep.clone(),
        None => absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
    };
    Ok(Sweep { folder, name, manifest })
}

fn folders_below(path: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let mut walk = WalkDir::new(path).max_depth(DEPTH).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        let Ok(entry) = entry else { continue };
        if entry.file_type().is_dir() {
            // The other combinations of a sweep that is found already need no look inside.
            if is_inside_sweep(entry.path()) && folders.contains(&foreign_sweep_of(entry.path(), path)) {
                walk.skip_current_dir();
            } else if entry.path().join(MANIFEST).is_file() {
                folders.insert(entry.into_path());
                walk.skip_current_dir();
            }
        } else if is_result(entry.path()) {
            let combination = entry.path().parent().unwrap_or(path);
            folders.insert(foreign_sweep_of(combination, path));
        }
    }
    folders
}

/// Whether a file is one that only a sweep has: a run's, or a summary that is a list.
fn is_result(path: &Path) -> bool {
    match path.file_name().and_then(|name| name.to_str()) {
        Some(SUMMARY) => begins_with_bracket(path),
        Some(name) => run_number_of(name, ".json").is_some(),
        None => false,
    }
}

fn begins_with_bracket(path: &Path) -> bool {
    let mut start = [0; 16];
    let read = File::open(path).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
    start[..read].trim_ascii_start().starts_with(b"[")
}

/// The sweep's folder above a combination's (or a level's, as `max_concurrency=4`), but not above `top`.
fn foreign_sweep_of(combination: &Path, top: &Path) -> PathBuf {
    let mut folder = combination;
    while folder != top && is_inside_sweep(folder) {
        folder = folder.parent().unwrap_or(top);
    }
    folder.to_owned()
}

fn is_inside_sweep(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ["SERVE-", "BENCH-", "STARTUP-", "WL-", "request_rate=", "max_concurrency="]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}
