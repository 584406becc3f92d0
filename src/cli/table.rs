//! Answers as text: a table for a terminal, markdown, and the formats that other programs read.

use super::Failure;
use crate::plan::params_text;
use crate::query::{Answer, Format, QueryError, Value};
use crate::stats::with_interval;
use clap::ValueEnum;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    Table,
    Csv,
    Json,
    Jsonl,
    Markdown,
    Parquet,
}

/// Where an answer goes, and how.
#[derive(clap::Args)]
pub struct Output {
    /// Default: table on a terminal, csv elsewhere, or what the name of FILE says.
    #[arg(long, value_enum)]
    pub format: Option<OutputFormat>,
    /// Write to a file.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl Output {
    pub fn write(&self, answer: &Answer) -> Result<(), Failure> {
        match &self.output {
            Some(path) => {
                let fail = |error: &dyn std::fmt::Display| Failure::input(format!("{}: {error}", path.display()));
                let mut file = File::create(path).map_err(|error| fail(&error))?;
                write_answer(answer, self.format.unwrap_or_else(|| format_of(path)), &mut file)
            }
            None => {
                let is_terminal = std::io::stdout().is_terminal();
                let default = if is_terminal { OutputFormat::Table } else { OutputFormat::Csv };
                write_answer(answer, self.format.unwrap_or(default), &mut std::io::stdout())
            }
        }
    }
}

fn write_answer(answer: &Answer, format: OutputFormat, sink: &mut (dyn Write + Send)) -> Result<(), Failure> {
    let format = match format {
        OutputFormat::Table => return write_text(sink, &plain_table(answer)),
        OutputFormat::Markdown => return write_text(sink, &markdown(answer)),
        OutputFormat::Csv => Format::Csv,
        OutputFormat::Json => Format::Json,
        OutputFormat::Jsonl => Format::JsonLines,
        OutputFormat::Parquet => Format::Parquet,
    };
    // A reader that went away (`| head`) is no failure.
    match answer.write(format, sink) {
        Err(QueryError::Output(reason)) if !reason.contains("Broken pipe") => Err(Failure::work(reason)),
        _ => Ok(()),
    }
}

fn write_text(sink: &mut dyn Write, text: &str) -> Result<(), Failure> {
    match writeln!(sink, "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::work(error)),
        _ => Ok(()),
    }
}

/// A table for reading.
pub fn plain_table(answer: &Answer) -> String {
    let mut table = filled(answer, text_of);
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    let rows = answer.num_rows();
    format!("{table}\n{rows} row{}", if rows == 1 { "" } else { "s" })
}

fn markdown(answer: &Answer) -> String {
    // A bar or a line break would end the cell.
    let mut table = filled(answer, |value| text_of(value).replace('|', "\\|").replace('\n', "<br>"));
    table.load_preset(presets::ASCII_MARKDOWN);
    table.to_string()
}

fn filled(answer: &Answer, text: impl Fn(&Value) -> String) -> Table {
    let columns = answer.columns();
    let rows = answer.rows();
    // A column named `±…` is the half width of the interval of the column before it: one cell for both.
    let is_interval = |index: usize| columns.get(index).is_some_and(|name| name.starts_with('±'));
    let shown: Vec<usize> = (0..columns.len()).filter(|index| !is_interval(*index)).collect();
    let mut table = Table::new();
    table.set_header(shown.iter().map(|index| &columns[*index]));
    for row in &rows {
        table.add_row(shown.iter().map(|index| match (&row[*index], row.get(index + 1)) {
            (Value::Float(mean), Some(Value::Float(half))) if is_interval(index + 1) => with_interval(*mean, *half),
            (value, _) => text(value),
        }));
    }
    for (position, index) in shown.iter().enumerate() {
        let is_number = rows.iter().any(|row| matches!(row[*index], Value::Int(_) | Value::Float(_)));
        if let Some(column) = table.column_mut(position).filter(|_| is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Floats to six significant digits: what is measured is not known better. Parameters as `a=1 b=2`.
fn text_of(value: &Value) -> String {
    match value {
        Value::Float(number) => short_number(*number),
        Value::Text(text) if text.starts_with('{') => params_text(text),
        other => other.to_text(),
    }
}

pub fn short_number(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return number.to_string();
    }
    let magnitude = number.abs().log10().floor() as i32;
    if !(-5..15).contains(&magnitude) {
        return format!("{number:.5e}");
    }
    let decimals = (5 - magnitude).clamp(0, 9) as usize;
    let text = format!("{number:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn format_of(path: &Path) -> OutputFormat {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => OutputFormat::Json,
        Some("jsonl" | "ndjson") => OutputFormat::Jsonl,
        Some("md") => OutputFormat::Markdown,
        Some("parquet") => OutputFormat::Parquet,
        Some("txt") => OutputFormat::Table,
        _ => OutputFormat::Csv,
    }
}

#[cfg(test)]
mod tests {
    use super::short_number;

    #[test]
    fn numbers_are_short_and_not_rounded_away() {
        let cases = [
            (1234567.891, "1234568"),
            (1234.5678, "1234.57"),
            (0.001234567, "0.00123457"),
            (100.0, "100"),
            (-2.5, "-2.5"),
            (1e-9, "1.00000e-9"),
            (f64::INFINITY, "inf"),
        ];
        for (number, expected) in cases {
            assert_eq!(short_number(number), expected);
        }
    }
}
