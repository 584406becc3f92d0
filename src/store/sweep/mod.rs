//! A sweep's folder: what it is called and where things lie in it, its manifest, its one writer; folders of vLLM besides.

mod checksums;
mod claims;
mod compact;
mod folder;
mod folder_params;
mod foreign;
mod going_on;
mod kind;
mod layout;
mod lock;
mod manifest;
mod names;
mod sampled;
mod shared;
mod summary;
mod table;
mod watched;
mod writer;

pub use checksums::{
    CHECKSUMS, checksum_of, checksum_of_list, is_claim, is_kept, is_passing, kept_files, read_checksums,
};
pub use claims::{Claimed, Claims, Lease, Mix, Standing};
pub use compact::{Counted, LooseFiles, compact};
pub use folder::{FailedRun, FinishedRun, SweepFolder, Terms};
pub use folder_params::{FoundParams, params_of_run};
pub use foreign::{Detail, foreign_start, read_rows, result_files, vllm_serve};
pub use going_on::{OnChange, conditions_after};
pub use kind::{SweepKind, SweepState};
pub use layout::{
    LOCK, LOOSE_REQUESTS, LOOSE_TELEMETRY, MANIFEST, MANIFEST_LOCK, PARETO_FIGURE, REPORT, REQUESTS, RUNS, SLA_FIGURES,
    SUMMARY, TUNE_FIGURES, figure_name, is_of_run, is_row, run_number_of,
};
pub use lock::{is_written, lock};
pub use manifest::{Asked, Manifest, MeasuredUnder, Note, StoredCombination};
pub use names::check_name;
pub use table::{Stored, Table};
pub use watched::{Look, latest_log};
pub use writer::SweepWriter;
