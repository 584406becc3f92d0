//! Folders that `vllm bench sweep` made: read in place and in parallel, nothing written into them.

use super::folder_params::params_of_run;
use super::layout::{MANIFEST, SUMMARY, run_number_of};
use crate::id::text_hash;
use crate::params::Command;
use crate::plan::Combination;
use crate::record::{
    Demands, LeanResult, Outcome, Row, RunRecord, gpu_count_of, local_date, own_result, parse_result, success,
    without_request_numbers,
};
use crate::redact::Redactor;
use crate::store::StoreError;
use crate::store::file::{rows_to_batch, runs_to_batch};
use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use rayon::prelude::*;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// What is wanted of each run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Its row of `runs`.
    Runs,
    /// Its rows of `requests`.
    Requests,
}

/// Files that one thread turns into columns at a time: what they hold as JSON takes many times the room.
const FILES_IN_A_BATCH: usize = 64;

/// The rows of the runs below a sweep's folder, in the order of their paths. A folder's `summary.json` holds them all;
/// the run files are read only where it is missing.
pub fn read_rows(folder: &Path, sweep: &str, detail: Detail) -> Result<Vec<RecordBatch>, StoreError> {
    let files = result_files(folder);
    let redactor = Redactor::of_environment();
    let batches = files.par_chunks(FILES_IN_A_BATCH).map(|files| {
        let mut records: Vec<RunRecord> = Vec::new();
        for path in files {
            let origin = path.strip_prefix(folder).unwrap_or(path).to_string_lossy();
            let place = Place { path, origin: &origin, sweep, redactor: &redactor };
            let results = read_results(path, detail)?.into_iter().enumerate();
            records.extend(results.map(|(index, result)| record_of(result, &place, index)));
        }
        Ok(match detail {
            Detail::Runs => runs_to_batch(&records.iter().map(RunRecord::to_row).collect::<Vec<_>>()),
            Detail::Requests => {
                rows_to_batch(&records.iter().flat_map(RunRecord::to_request_rows).collect::<Vec<Row>>())
            }
        })
    });
    let batches: Vec<RecordBatch> = batches.collect::<Result<_, StoreError>>()?;
    Ok(batches.into_iter().filter(|batch| batch.num_rows() > 0).collect())
}

/// The result files of a sweep that vLLM made, in the order of their paths. There may be thousands of folders: listing them is worth
/// all cores.
pub fn result_files(folder: &Path) -> Vec<PathBuf> {
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

fn read_results(path: &Path, detail: Detail) -> Result<Vec<Map<String, Value>>, StoreError> {
    let text = crate::files::text(path, crate::files::Links::Refuse).map_err(StoreError::io(path))?;
    if path.file_name().is_none_or(|name| name != SUMMARY) {
        // vLLM writes a run's file in place: one that was cut off is a run that did not finish.
        return Ok(detail.parse_run(&text).into_iter().collect());
    }
    detail.parse_summary(&text).or_else(|_| {
        // A summary that was cut off, or that is somebody else's: the runs beside it are what there is.
        let runs = run_files(path.parent().unwrap_or(path));
        let results = runs.iter().map(|run| read_results(run, detail)).collect::<Result<Vec<_>, _>>()?;
        Ok(results.into_iter().flatten().collect())
    })
}

impl Detail {
    fn parse_run(self, text: &str) -> serde_json::Result<Map<String, Value>> {
        match self {
            Self::Runs => match parse_result(&without_request_numbers(text)) {
                Ok(LeanResult(result)) if !has_failures(&result) => Ok(result),
                // What failed requests do to percentiles only the single requests tell.
                _ => parse_result(text),
            },
            Self::Requests => parse_result(text),
        }
    }

    fn parse_summary(self, text: &str) -> serde_json::Result<Vec<Map<String, Value>>> {
        match self {
            Self::Runs => {
                let results: Vec<LeanResult> = parse_result(&without_request_numbers(text))?;
                match results.iter().any(|LeanResult(result)| has_failures(result)) {
                    true => parse_result(text),
                    false => Ok(results.into_iter().map(|LeanResult(result)| result).collect()),
                }
            }
            Self::Requests => parse_result(text),
        }
    }
}

fn has_failures(result: &Map<String, Value>) -> bool {
    success(&|key: &str| result.get(key)).is_some_and(|success| success.failed > 0)
}

fn run_files(folder: &Path) -> Vec<PathBuf> {
    let is_run =
        |entry: &DirEntry| entry.file_name().to_str().is_some_and(|name| run_number_of(name, ".json").is_some());
    let mut runs: Vec<PathBuf> = entries(folder).filter(is_run).map(DirEntry::into_path).collect();
    runs.sort();
    runs
}

fn record_of(result: Map<String, Value>, place: &Place<'_>, index: usize) -> RunRecord {
    let found = params_of_run(place.path.parent().unwrap_or(place.path), &result);
    let gpu_count = gpu_count_of(Some(&vllm_serve()), &result);
    let combination = Combination::new(found.serve.redacted(place.redactor), found.bench.redacted(place.redactor));
    let run_number = result.get("run_number").and_then(Value::as_i64).unwrap_or(0);
    let started_at = result.get("date").and_then(Value::as_str).and_then(local_date);
    let wall_time_s = result.get("duration").and_then(Value::as_f64);
    let outcome = Outcome::Completed(own_result(result, &combination));
    let record = RunRecord {
        run_id: text_hash(&format!("{}\0{}\0{index}", place.sweep, place.origin)),
        sweep: place.sweep.to_owned(),
        gpu_count,
        run_number,
        started_at,
        wall_time_s,
        cautions: found.caution.into_iter().collect(),
        ..RunRecord::new(combination, outcome)
    };
    record.redacted(place.redactor).judged(&Demands::default())
}

/// When the first run of a folder of vLLM's began, as its results tell.
pub fn foreign_start(folder: &Path) -> Option<DateTime<Utc>> {
    let dates = result_files(folder).into_iter().filter_map(|path| {
        let results = read_results(&path, Detail::Runs).ok()?;
        results.iter().filter_map(|result| result.get("date").and_then(Value::as_str).and_then(local_date)).min()
    });
    dates.min()
}

/// What `vllm bench sweep` starts, as far as its folders tell.
pub fn vllm_serve() -> Command {
    Command::new(["vllm", "serve"])
}

/// Where a result lies, and in which sweep.
struct Place<'a> {
    path: &'a Path,
    /// The path inside the sweep.
    origin: &'a str,
    sweep: &'a str,
    redactor: &'a Redactor,
}
