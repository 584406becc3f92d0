//! All runs of a sweep in one file.
//!
//! The rule that readers rely on: of a sweep whose manifest says that it is not running, `runs.parquet`, where it is there, holds
//! every run; else the loose files do, which are never taken away. So no file that a reader has found goes before it is read:
//! a resume writes the manifest before its first run, and at the end the tables, by rename, before the manifest.

use super::layout::{LOOSE_REQUESTS, LOOSE_TELEMETRY, REQUESTS, RUNS, TELEMETRY, is_of_run, is_row};
use crate::record::Status;
use crate::store::StoreError;
use crate::store::file::{LooseRows, parquet_schema, read_batches, unite_schemas, write_batches};
use arrow::array::AsArray;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// What a sweep holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub runs: usize,
    pub failed: usize,
}

/// Writes `requests.parquet`, `telemetry.parquet` and then `runs.parquet` from the loose files.
pub fn compact(folder: &Path) -> Result<Counted, StoreError> {
    let loose = LooseFiles::of(folder);
    unite_files(&loose.requests, &folder.join(REQUESTS))?;
    unite_files(&loose.telemetry, &folder.join(TELEMETRY))?;
    let mut counted = Counted { runs: 0, failed: 0 };
    let rows = LooseRows::open_runs(loose.runs).whole()?;
    let old = rows.old_runs()?;
    if rows.is_empty() && old.is_empty() {
        return Ok(counted);
    }
    let schema = unite_schemas(rows.schemas().chain(old.iter().map(|batch| batch.schema_ref().as_ref())));
    let batches = rows.read(&schema)?.into_iter().chain(old).map(|runs| {
        let status = runs.column_by_name("status").and_then(|column| column.as_string_opt::<i32>());
        let count = |wanted: Status| {
            status.map_or(0, |all| all.iter().filter(|status| *status == Some(wanted.as_str())).count())
        };
        counted.runs += runs.num_rows() - count(Status::Retried);
        counted.failed += count(Status::Failed);
        Ok(runs)
    });
    write_batches(&folder.join(RUNS), &schema, batches)?;
    Ok(counted)
}

/// Writes the rows of all files, in their order, into one; none, if there is no file.
fn unite_files(files: &[PathBuf], path: &Path) -> Result<(), StoreError> {
    if files.is_empty() {
        return Ok(());
    }
    let batches = files.iter().flat_map(|file| match read_batches(file) {
        Ok((_, batches)) => Box::new(batches) as Box<dyn Iterator<Item = _>>,
        Err(error) => Box::new(std::iter::once(Err(error))),
    });
    write_batches(path, &schema_of_all(files)?, batches)
}

fn schema_of_all(files: &[PathBuf]) -> Result<arrow::datatypes::SchemaRef, StoreError> {
    let schemas = files.par_iter().map(|path| Ok(parquet_schema(path)?.0)).collect::<Result<Vec<_>, _>>()?;
    Ok(unite_schemas(schemas.iter().map(AsRef::as_ref)))
}

/// The Parquet files of single runs below a sweep's folder.
pub struct LooseFiles {
    pub runs: Vec<PathBuf>,
    pub requests: Vec<PathBuf>,
    pub telemetry: Vec<PathBuf>,
}

impl LooseFiles {
    pub fn of(folder: &Path) -> Self {
        let mut files = Self { runs: Vec::new(), requests: Vec::new(), telemetry: Vec::new() };
        let entries = WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
        for entry in entries {
            let Some(name) = entry.file_name().to_str() else { continue };
            if is_row(name) {
                files.runs.push(entry.into_path());
            } else if is_of_run(name, LOOSE_REQUESTS) {
                files.requests.push(entry.into_path());
            } else if is_of_run(name, LOOSE_TELEMETRY) {
                files.telemetry.push(entry.into_path());
            }
        }
        files
    }
}
