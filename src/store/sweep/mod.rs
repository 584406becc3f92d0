//! A sweep's folder: what it is called and where things lie in it, its manifest, its one writer; folders of vLLM besides.

mod compact;
mod folder;
mod folder_params;
mod foreign;
mod going_on;
mod kind;
mod layout;
mod lock;
mod manifest;
mod summary;
mod table;
mod writer;

pub use compact::{Counted, LooseFiles, compact};
pub use folder::{FinishedRun, SweepFolder, Terms};
pub use folder_params::{FoundParams, params_of_run};
pub use foreign::{Detail, foreign_start, read_rows, result_files, vllm_serve};
pub use going_on::{OnChange, conditions_after};
pub use kind::{SweepKind, SweepState};
pub use layout::{
    LOCK, MANIFEST, PARETO_FIGURE, REPORT, REQUESTS, RUNS, SLA_FIGURES, SUMMARY, figure_name, is_row, run_number_of,
};
pub use lock::lock;
pub use manifest::{Manifest, MeasuredUnder, StoredCombination};
pub use table::{Stored, Table};
pub use writer::SweepWriter;
