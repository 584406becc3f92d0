//! Files: written whole or not at all, Parquet and the schemas of it, and many small files read as one.

mod atomic;
mod checksum;
mod columns;
mod loose;
mod parquet;
mod samples;
mod schema;
mod version_1;

pub use atomic::{is_part, remove_if_there, remove_parts, write_atomically, write_bytes_atomically};
pub use checksum::check_whole;
pub use columns::{list_of, map_type, rows_to_batch, runs_to_batch};
pub use loose::{LooseRows, OpenedRows, is_small};
pub use parquet::{
    FORMAT_VERSION, check_version, is_version_1, parquet_schema, read_batches, read_parquet, version_of,
    without_metadata, write_batches, write_parquet, write_rows,
};
pub use samples::{Sampled, samples_to_batch};
pub use schema::{
    converted, field_of, fit_all, is_metric, is_mixed, kind_of, result_name, source_of, spelled, unite, unite_schemas,
    with_column, with_text,
};
pub use version_1::read_runs;
