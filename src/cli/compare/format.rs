//! In which format a comparison is written.

use crate::cli::Failure;
use crate::cli::table::{OutputFormat, format_of};
use clap::ValueEnum;
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompareFormat {
    Text,
    Csv,
    Json,
    /// A change on each line.
    Jsonl,
    Markdown,
    Parquet,
    /// Arrow's IPC stream.
    Arrow,
}

impl CompareFormat {
    /// The format of a table that says the same.
    pub fn of_table(self) -> OutputFormat {
        match self {
            Self::Text => OutputFormat::Table,
            Self::Csv => OutputFormat::Csv,
            Self::Json => OutputFormat::Json,
            Self::Jsonl => OutputFormat::Jsonl,
            Self::Markdown => OutputFormat::Markdown,
            Self::Parquet => OutputFormat::Parquet,
            Self::Arrow => OutputFormat::Arrow,
        }
    }
}

/// What was asked for, or else what the name of the file says; text where neither says anything.
pub fn chosen(asked: Option<CompareFormat>, output: Option<&Path>) -> Result<CompareFormat, Failure> {
    if let Some(format) = asked {
        return Ok(format);
    }
    let told = output.map(format_of).transpose()?.flatten();
    let same = |format: &&CompareFormat| Some(format.of_table()) == told;
    Ok(CompareFormat::value_variants().iter().find(same).copied().unwrap_or(CompareFormat::Text))
}
