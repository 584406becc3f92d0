//! The only code that knows paths and file formats, in three rooms: files, a sweep's folder, a lake. Each may look into those before
//! it, and none into those behind.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

mod error;
mod file;
mod lake;
mod sweep;

pub use error::StoreError;
pub use file::{
    FORMAT_VERSION, LooseRows, OpenedRows, check_version, converted, field_of, fit_all, is_metric, is_mixed,
    is_version_1, kind_of, list_of, map_type, parquet_schema, read_batches, read_parquet, read_runs, result_name,
    rows_to_batch, runs_to_batch, source_of, spelled, unite, unite_schemas, version_of, without_metadata,
    write_atomically, write_batches, write_bytes_atomically, write_parquet, write_rows,
};
pub use lake::{
    Found, Home, ImportedSweep, LeftOut, Source, Sources, Sweep, Upload, Verified, add_runs, before, compact_lake,
    compact_sweep, damage_of, files_below, find_sweeps, imported_run_ids, is_remote, is_uploaded, known_tags, lake_of,
    lock_for_import, note_sweep, open_store, orphans, place_named, remove_sweep, rename_sweep, renamed, repair,
    resolve, resolve_all, tag, verify,
};
pub use sweep::{
    Asked, Claimed, Claims, FailedRun, FinishedRun, FoundParams, Lease, Look, MANIFEST, Manifest, MeasuredUnder, Mix,
    OnChange, PARETO_FIGURE, REPORT, SLA_FIGURES, Standing, StoredCombination, SweepFolder, SweepKind, SweepState,
    SweepWriter, TUNE_FIGURES, Table, Terms, check_name, conditions_after, figure_name, is_written, latest_log,
    params_of_run, result_files, vllm_serve,
};
