//! Folders that `vllm bench sweep` made: read in place and in parallel, nothing written into them.

use super::StoreError;
use super::layout::{SUMMARY, local_date, run_number_of};
use crate::id::{column_name, text_hash};
use crate::params::{BENCHMARK_NAME, ParamSet};
use crate::plan::Combination;
use crate::record::{LeanResult, Outcome, RunRecord, gpu_count_of, parse_result};
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Settings of the load that a result repeats: parameters wherever they come from.
const LOAD_KEYS: [&str; 4] = ["num_prompts", "max_concurrency", "request_rate", "burstiness"];

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
    let files = result_files(folder);
    let records = files.par_iter().map(|path| {
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

fn result_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut covered: Option<PathBuf> = None;
    let walk = WalkDir::new(folder).sort_by(|left, right| {
        // The summary first, so that the runs beside it are known to be covered.
        let is_run = |name: &std::ffi::OsStr| name != SUMMARY;
        (is_run(left.file_name()), left.file_name()).cmp(&(is_run(right.file_name()), right.file_name()))
    });
    for entry in walk.into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file()) {
        let Some(name) = entry.file_name().to_str() else { continue };
        let parent = entry.path().parent();
        if name == SUMMARY {
            covered = parent.map(Path::to_owned);
            files.push(entry.into_path());
        } else if run_number_of(name, ".json").is_some() && parent != covered.as_deref() {
            files.push(entry.into_path());
        }
    }
    files
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
    let files = WalkDir::new(folder).max_depth(1).sort_by_file_name().into_iter().filter_map(Result::ok);
    let runs =
        files.filter(|file| file.file_name().to_str().is_some_and(|name| run_number_of(name, ".json").is_some()));
    runs.map(|file| file.into_path()).collect()
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
    let load = result.iter().filter(|(key, _)| LOAD_KEYS.contains(&column_name(key).as_str()));
    let mut params: Map<String, Value> = load.map(|(key, value)| (key.clone(), value.clone())).collect();
    params.extend(behind.map(|(key, value)| (key.clone(), value.clone())));
    let name = match params.shift_remove(BENCHMARK_NAME) {
        Some(Value::String(name)) => Some(name),
        _ => None,
    };
    ParamSet { name, params }
}
