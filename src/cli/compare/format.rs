//! In which format a comparison is written.

use crate::cli::Failure;
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
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

/// What was asked for, or else what the name of the file says.
pub fn chosen(asked: Option<CompareFormat>, output: Option<&Path>) -> Result<CompareFormat, Failure> {
    let ending = output.and_then(Path::extension).and_then(|ending| ending.to_str());
    Ok(match (asked, ending) {
        (Some(format), _) => format,
        (None, Some("json")) => CompareFormat::Json,
        (None, Some("jsonl" | "ndjson")) => CompareFormat::Jsonl,
        (None, Some("csv")) => CompareFormat::Csv,
        (None, Some("md")) => CompareFormat::Markdown,
        (None, Some("parquet")) => CompareFormat::Parquet,
        (None, Some("arrow" | "arrows")) => CompareFormat::Arrow,
        (None, None | Some("txt")) => CompareFormat::Text,
        (None, Some(other)) => {
            let known = "txt, md, csv, json, jsonl, parquet, arrow";
            return Err(Failure::input(format!("--output: unknown format .{other}; use one of {known}, or --format")));
        }
    })
}
