//! What was sampled during runs, on disk: of a run that ended beside its row, of one that goes on beside those of failed attempts, where the
//! row's file takes its place.

use super::folder::SweepFolder;
use super::layout;
use crate::plan::Combination;
use crate::record::RunRecord;
use crate::store::StoreError;
use crate::store::file::{Sampled, remove_if_there, samples_to_batch, write_parquet};
use crate::telemetry::Samples;
use std::path::Path;

/// Stores what was sampled during a run that ended.
pub fn save(folder: &Path, record: &RunRecord) -> Result<(), StoreError> {
    let (sweep, run_id, run_number) = (&record.sweep, &record.run_id, record.run_number);
    let path = layout::telemetry_parquet(folder, run_number);
    match record.samples() {
        None => remove_if_there(&path)?,
        Some(samples) => {
            let run = Sampled { sweep, combination: &record.combination_name(), run_id, run_number };
            write(&path, run, samples)?;
        }
    }
    let attempt = record.place.map_or(1, |place| place.attempt);
    remove_if_there(&layout::attempt_telemetry(folder, run_number, attempt))
}

/// Stores what was sampled so far of a run that goes on.
pub fn keep(
    at: &SweepFolder,
    combination: &Combination,
    run: (i64, &str),
    samples: &Samples,
) -> Result<(), StoreError> {
    let folder = at.combination_folder(combination);
    std::fs::create_dir_all(&folder).map_err(StoreError::io(&folder))?;
    let (run_number, run_id) = run;
    let id = combination.id.as_str();
    let name = at.manifest().under().map_or(id.to_owned(), |under| under.name_of(id));
    let path = layout::attempt_telemetry(&folder, run_number, at.next_attempt(combination, run_number));
    write(&path, Sampled { sweep: &at.manifest().sweep, combination: &name, run_id, run_number }, samples)
}

/// Moves what was sampled during a failed attempt out of the way of the next one.
pub fn set_aside(folder: &Path, run_number: i64, attempt: u32) -> Result<(), StoreError> {
    let path = layout::telemetry_parquet(folder, run_number);
    if !path.is_file() {
        return Ok(());
    }
    let aside = layout::attempt_telemetry(folder, run_number, attempt);
    std::fs::rename(&path, &aside).map_err(StoreError::io(&aside))
}

fn write(path: &Path, run: Sampled<'_>, samples: &Samples) -> Result<(), StoreError> {
    write_parquet(path, &samples_to_batch(run, samples).map_err(StoreError::parquet(path))?)
}
