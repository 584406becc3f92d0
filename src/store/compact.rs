//! All runs of a sweep in one file.
//!
//! The rule that readers rely on: `runs.parquet`, where it is there, holds every run of the sweep; the loose
//! files are read only where it is not. So it is written last, by rename, and removed before the first run is
//! added to a finished sweep. The same holds for `requests.parquet`.

use super::atomic::remove_if_there;
use super::layout::{REQUESTS, RUNS, run_number_of};
use super::{StoreError, read_parquet, unite, unite_schemas, write_parquet};
use arrow::array::{AsArray, RecordBatch};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// What a sweep holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub runs: usize,
    pub failed: usize,
}

/// Writes `requests.parquet` and `runs.parquet` from the loose files.
pub fn compact(folder: &Path) -> Result<Counted, StoreError> {
    let loose = LooseFiles::of(folder);
    if let Some(requests) = united(&loose.requests)? {
        write_parquet(&folder.join(REQUESTS), &requests)?;
    }
    let Some(runs) = united(&loose.runs)? else { return Ok(Counted { runs: 0, failed: 0 }) };
    write_parquet(&folder.join(RUNS), &runs)?;
    let status = runs.column_by_name("status").and_then(|column| column.as_string_opt::<i32>());
    let failed = status.map_or(0, |status| status.iter().filter(|status| *status == Some("failed")).count());
    Ok(Counted { runs: runs.num_rows(), failed })
}

/// Makes the loose files the truth again.
pub fn remove_compacted(folder: &Path) -> Result<(), StoreError> {
    [RUNS, REQUESTS].iter().try_for_each(|name| remove_if_there(&folder.join(name)))
}

/// The Parquet files of single runs below a sweep's folder.
pub struct LooseFiles {
    pub runs: Vec<PathBuf>,
    pub requests: Vec<PathBuf>,
}

impl LooseFiles {
    pub fn of(folder: &Path) -> Self {
        let mut files = Self { runs: Vec::new(), requests: Vec::new() };
        let entries = WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
        for entry in entries {
            let Some(name) = entry.file_name().to_str() else { continue };
            if run_number_of(name, ".parquet").is_some() {
                files.runs.push(entry.into_path());
            } else if run_number_of(name, ".requests.parquet").is_some() {
                files.requests.push(entry.into_path());
            }
        }
        files
    }
}

fn united(files: &[PathBuf]) -> Result<Option<RecordBatch>, StoreError> {
    let Some(first) = files.first() else { return Ok(None) };
    let batches = files.par_iter().map(|path| read_parquet(path)).collect::<Result<Vec<_>, _>>()?;
    let schema = unite_schemas(batches.iter().map(|batch| batch.schema_ref().as_ref()));
    unite(&schema, &batches, first).map(Some)
}
