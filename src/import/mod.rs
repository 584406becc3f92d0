//! Results of other tools, brought into a lake under vLLM's names: units and definitions are made one, what has no
//! vLLM name is kept beside them, and what was brought in once is not brought in again.

mod aiperf;
mod distribution;
mod genai_perf;
mod guidellm;
mod reading;
mod requests;
mod sglang;
mod vllm;

pub use reading::{Contents, NotRead, Reading, read_file};

use crate::id::text_hash;
use crate::plan::Combination;
use crate::record::{Outcome, RunRecord, gpu_count_of};
use crate::store::{ImportedSweep, StoreError, add_runs, find_sweeps, imported_run_ids, lock_for_import, result_files};
use chrono::{DateTime, Utc};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// What an import did.
#[derive(Debug, Default)]
pub struct Summary {
    /// The sweeps that got runs, with how many.
    pub sweeps: Vec<(String, usize)>,
    pub runs: usize,
    /// Runs that the lake had.
    pub known: usize,
    /// Files that belong to others, and tell nothing more.
    pub companions: usize,
    /// Files of which something was not read, and why.
    pub not_read: Vec<(PathBuf, String)>,
}

/// Files that become one sweep.
struct Source {
    name: String,
    origin: PathBuf,
    files: Vec<PathBuf>,
}

/// Reads whatever results are at the paths, and adds those runs to the lake that it does not have.
pub fn import(paths: &[PathBuf], lake: &Path) -> Result<Summary, StoreError> {
    let mut summary = Summary::default();
    let _lock = lock_for_import(lake)?;
    let mut known = imported_run_ids(lake)?;
    for source in sources(paths, lake)? {
        let read: Vec<_> = source.files.par_iter().map(|path| (path, read_file(path))).collect();
        let mut records = Vec::new();
        for (path, read) in read {
            records.extend(read.readings.into_iter().map(|reading| record_of(reading, path)));
            match read.not_read {
                Some(NotRead::Companion) => summary.companions += 1,
                Some(NotRead::Because(reason)) => summary.not_read.push((path.clone(), reason)),
                None => {}
            }
        }
        let found = records.len();
        records.retain(|record| known.insert(record.run_id.clone()));
        summary.known += found - records.len();
        if !records.is_empty() {
            let sweep = ImportedSweep { name: source.name, origin: source.origin };
            let name = add_runs(lake, &sweep, number_repeats(records))?;
            summary.runs += name.1;
            summary.sweeps.push(name);
        }
    }
    Ok(summary)
}

/// What is at the paths, as the sweeps that it becomes: each folder that `vllm bench sweep` made is one, and all other
/// files below a path are one together.
fn sources(paths: &[PathBuf], lake: &Path) -> Result<Vec<Source>, StoreError> {
    let mut sources = Vec::new();
    let mut single: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    let absolute = |path: &Path| path.canonicalize().map_err(|_| StoreError::Missing { path: path.into() });
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
            sources.push(Source { name: sweep.name, origin: folder.clone(), files });
            taken.insert(folder);
        }
        let is_taken = |file: &PathBuf| file.ancestors().any(|folder| taken.contains(folder));
        let files: Vec<PathBuf> =
            crate::store::json_files(&origin).into_iter().filter(|file| !is_taken(file)).collect();
        if !files.is_empty() {
            sources.push(Source { name: name_of(&origin), origin, files });
        }
    }
    sources.extend(single.into_iter().map(|(folder, files)| Source { name: name_of(&folder), origin: folder, files }));
    Ok(sources)
}

fn name_of(folder: &Path) -> String {
    folder.file_name().map_or("imported".into(), |name| name.to_string_lossy().into_owned())
}

/// A run's identity is what it says: the same file twice, or at two places, is the same run.
fn record_of(reading: Reading, path: &Path) -> RunRecord {
    let mut result = reading.result;
    for (name, value) in reading.serve.params.iter().chain(&reading.bench.params) {
        result.entry(name).or_insert_with(|| value.clone());
    }
    let run_number = result.get("run_number").and_then(serde_json::Value::as_i64);
    let mut source = reading.source;
    source.file = path.display().to_string();
    RunRecord {
        sweep: String::new(),
        run_id: text_hash(&format!("{}\0{}", source.tool, reading.text)),
        gpu_count: gpu_count_of(None, &result),
        run_number: run_number.unwrap_or(-1),
        started_at: reading.started_at.or_else(|| modified(path)),
        wall_time_s: result.get("duration").and_then(serde_json::Value::as_f64),
        startup_time_s: None,
        combination: Combination::new(reading.serve, reading.bench),
        outcome: Outcome::Completed(result),
        is_degraded: false,
        cautions: Vec::new(),
        source: Some(source),
    }
}

fn modified(path: &Path) -> Option<DateTime<Utc>> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok().map(DateTime::from)
}

/// Runs that were not numbered by their tool are repeats of their combination, in the order of their time.
fn number_repeats(mut records: Vec<RunRecord>) -> Vec<RunRecord> {
    records.sort_by_key(|record| record.started_at);
    let mut next: HashMap<String, i64> = HashMap::new();
    for record in &mut records {
        let number = next.entry(record.combination.id.to_string()).or_default();
        if record.run_number < 0 {
            record.run_number = *number;
        }
        *number = record.run_number.max(*number) + 1;
    }
    records
}
