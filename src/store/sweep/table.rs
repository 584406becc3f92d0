//! The tables that a sweep's folder holds, and where their rows lie.

use super::layout;
use crate::store::file::is_small;
use arrow::array::RecordBatch;
use std::path::PathBuf;
use url::Url;

/// A table that is stored as Parquet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    Runs,
    Requests,
    /// What was sampled while runs were measured.
    Telemetry,
    /// Answers to SLAs.
    Slas,
    /// What was measured for them.
    SlaHistory,
    /// Combinations that a race gave no further runs.
    Dropped,
    /// What a tune proposed, and what came of it.
    TuneHistory,
}

impl Table {
    pub const ALL: [Self; 7] =
        [Self::Requests, Self::Telemetry, Self::Slas, Self::SlaHistory, Self::Dropped, Self::TuneHistory, Self::Runs];

    /// What its columns are.
    pub fn declared(self) -> crate::table::Table {
        match self {
            Self::Runs => crate::table::Table::Runs,
            Self::Requests => crate::table::Table::Requests,
            Self::Telemetry => crate::table::Table::Telemetry,
            Self::Slas => crate::table::Table::Sla,
            Self::SlaHistory => crate::table::Table::SlaHistory,
            Self::Dropped => crate::table::Table::Dropped,
            Self::TuneHistory => crate::table::Table::TuneHistory,
        }
    }

    /// Its file, in a sweep and in a compacted lake.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Runs => layout::RUNS,
            Self::Requests => layout::REQUESTS,
            Self::Telemetry => layout::TELEMETRY,
            Self::Slas => layout::SLA,
            Self::SlaHistory => layout::SLA_HISTORY,
            Self::Dropped => layout::DROPPED,
            Self::TuneHistory => layout::TUNE_HISTORY,
        }
    }
}

/// Rows of a table: in files that are read when they are needed, and in memory what lay about in small pieces.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub files: Vec<Url>,
    /// Files of few rows each.
    pub loose: Vec<PathBuf>,
    pub rows: Vec<RecordBatch>,
}

impl Stored {
    /// Rows in files, the small ones by themselves.
    pub fn of_files(files: Vec<Url>) -> Self {
        let mut stored = Self::default();
        for file in files {
            match file.to_file_path() {
                Ok(path) if is_small(&path) => stored.loose.push(path),
                _ => stored.files.push(file),
            }
        }
        stored
    }
}
