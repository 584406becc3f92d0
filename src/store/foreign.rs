//! Folders that `vllm bench sweep` made: read in place and in parallel, nothing written into them.

use super::StoreError;
use super::layout::{MANIFEST, SUMMARY, local_date, run_number_of};
use crate::id::{is_same_key, text_hash};
use crate::params::{BENCHMARK_NAME, ParamSet};
use crate::plan::Combination;
use crate::record::{LeanResult, Outcome, RunRecord, gpu_count_of, parse_result};
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// Settings of the load that a result repeats: parameters wherever they come from.
const LOAD_KEYS: [&str; 6] = ["num_prompts", "max_concurrency", "request_rate", "burstiness", "backend", "label"];

/// How much of each run is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What a row of `runs` holds.
    Runs,
    /// Also what was measured of each request.
    Requests,
}

/// The runs below a sweep's folder, in the order of their paths. A folder's `summary.json` holds them all; the
/// run files are read only where it is missing.
pub fn read_runs(folder: &Path, sweep: &str, detail: Detail) -> Result<Vec<RunRecord>, StoreError> {
    let records = result_files(folder).into_par_iter().map(|path| {
        let path = path.as_path();
        let results = match detail {
            Detail::Runs => read_results(path, |LeanResult(result)| result),
            Detail::Requests => read_results(path, |result: Map<String, Value>| result),
        }?;
        let origin = path.strip_prefix(folder).unwrap_or(path).to_string_lossy();
        Ok(results.into_iter().enumerate().map(|(index, result)| record_of(result, sweep, &origin, index)).collect())
    });
    let records: Vec<Vec<RunRecord>> = records.collect::<Result<_, StoreError>>()?;
    Ok(records.into_iter().flatten().collect())
}

/// The result files of a sweep, in the order of their paths. There may be thousands of folders: listing them is worth
/// all cores.
fn result_files(folder: &Path) -> Vec<PathBuf> {
    let mut tops: Vec<PathBuf> = entries(folder).filter(is_open_folder).map(DirEntry::into_path).collect();
    tops.sort();
    let below: Vec<Vec<PathBuf>> = tops.par_iter().map(|top| result_files(top)).collect();
    let own = own_result_files(folder);
    own.into_iter().chain(below.into_iter().flatten()).collect()
}

/// The summary of a folder, or its run files where it has none.
fn own_result_files(folder: &Path) -> Vec<PathBuf> {
    let summary = folder.join(SUMMARY);
    if summary.is_file() { vec![summary] } else { run_files(folder) }
}

/// A folder that is not a sweep of ours.
fn is_open_folder(entry: &DirEntry) -> bool {
    entry.file_type().is_dir() && !entry.path().join(MANIFEST).is_file()
}

fn entries(folder: &Path) -> impl Iterator<Item = DirEntry> {
    WalkDir::new(folder).min_depth(1).max_depth(1).into_iter().filter_map(Result::ok)
}

fn read_results<T: DeserializeOwned>(
    path: &Path,
    map: fn(T) -> Map<String, Value>,
) -> Result<Vec<Map<String, Value>>, StoreError> {
    let text = std::fs::read_to_string(path).map_err(StoreError::io(path))?;
    if path.file_name().is_none_or(|name| name != SUMMARY) {
        // vLLM writes a run's file in place: one that was cut off is a run that did not finish.
        return Ok(parse_result(&text).map(map).into_iter().collect());
    }
    match parse_result::<Vec<T>>(&text) {
        Ok(results) => Ok(results.into_iter().map(map).collect()),
        // A summary that was cut off, or that is somebody else's: the runs beside it are what there is.
        Err(_) => {
            let runs = run_files(path.parent().unwrap_or(path));
            let results = runs.iter().map(|run| read_results(run, map)).collect::<Result<Vec<_>, _>>()?;
            Ok(results.into_iter().flatten().collect())
        }
    }
}

fn run_files(folder: &Path) -> Vec<PathBuf> {
    let is_run =
        |entry: &DirEntry| entry.file_name().to_str().is_some_and(|name| run_number_of(name, ".json").is_some());
    let mut runs: Vec<PathBuf> = entries(folder).filter(is_run).map(DirEntry::into_path).collect();
    runs.sort();
    runs
}

fn record_of(result: Map<String, Value>, sweep: &str, origin: &str, index: usize) -> RunRecord {
    let combination = Combination::new(ParamSet::unchanged(), params_of(&result));
    let run_number = result.get("run_number").and_then(Value::as_i64).unwrap_or(0);
    RunRecord {
        run_id: text_hash(&format!("{sweep}\0{origin}\0{index}")),
        sweep: sweep.to_owned(),
        gpu_count: gpu_count_of(None, &result),
        run_number,
        started_at: result.get("date").and_then(Value::as_str).and_then(local_date).unwrap_or_default(),
        wall_time_s: result.get("duration").and_then(Value::as_f64).unwrap_or(f64::NAN),
        startup_time_s: None,
        combination,
        outcome: Outcome::Completed(result),
    }
}

/// The parameters of a record: vLLM puts them behind `run_number`, and those of the load where they were.
fn params_of(result: &Map<String, Value>) -> ParamSet {
    let behind = result.iter().skip_while(|(key, _)| *key != "run_number").skip(1);
    let load = result.iter().filter(|(key, _)| LOAD_KEYS.iter().any(|load| is_same_key(load, key)));
    let load = load.filter(|(_, value)| !value.is_null());
    let mut params: Map<String, Value> = load.map(|(key, value)| (key.clone(), value.clone())).collect();
    params.extend(behind.map(|(key, value)| (key.clone(), value.clone())));
    let name = match params.shift_remove(BENCHMARK_NAME) {
        Some(Value::String(name)) => Some(name),
        _ => None,
    };
    ParamSet { name, params }
}
