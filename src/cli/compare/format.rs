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
    /// JUnit's XML, for programs that show tests: gates are the tests that can fail.
    Junit,
    /// Annotations of a GitHub workflow.
    Github,
}

impl CompareFormat {
    /// The format of a table that says the same; none where only a comparison has one.
    pub fn of_table(self) -> Option<OutputFormat> {
        Some(match self {
            Self::Text => OutputFormat::Table,
            Self::Csv => OutputFormat::Csv,
            Self::Json => OutputFormat::Json,
            Self::Jsonl => OutputFormat::Jsonl,
            Self::Markdown => OutputFormat::Markdown,
            Self::Parquet => OutputFormat::Parquet,
            Self::Arrow => OutputFormat::Arrow,
            Self::Junit | Self::Github => return None,
        })
    }
}

/// What was asked for, or else what the name of the file says; text where neither says anything.
pub fn chosen(asked: Option<CompareFormat>, output: Option<&Path>) -> Result<CompareFormat, Failure> {
    if let Some(format) = asked {
        return Ok(format);
    }
    if output.and_then(Path::extension).is_some_and(|ending| ending.eq_ignore_ascii_case("xml")) {
        return Ok(CompareFormat::Junit);
    }
    let told = output.map(format_of).transpose()?.flatten();
    let same = |format: &&CompareFormat| told.is_some() && format.of_table() == told;
    Ok(CompareFormat::value_variants().iter().find(same).copied().unwrap_or(CompareFormat::Text))
}
