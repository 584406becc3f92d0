//! Answers as text: a table for a terminal, markdown, and the formats that other programs read.

use super::{Failure, query_failure, say};
use crate::query::{Answer, Format, QueryError, Rows, Value};
use crate::stats::with_interval;
use crate::table::is_interval_of;
use crate::words::{params_text, printable, printable_line};
use clap::ValueEnum;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
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
    #[arg(long, short, value_name = "FILE", value_parser = super::lake::local_path)]
    pub output: Option<PathBuf>,
}

impl Output {
    pub fn write(&self, answer: &Answer) -> Result<(), Failure> {
        match &self.output {
            Some(path) => write_answer(answer, self.kind(), &mut create(path)?),
            None => write_answer(answer, self.kind(), &mut *say::stdout()),
        }
    }

    /// Whether the answer is laid out for people, and so must be known as a whole first.
    pub fn is_for_reading(&self) -> bool {
        matches!(self.kind(), OutputFormat::Table | OutputFormat::Markdown)
    }

    fn kind(&self) -> OutputFormat {
        let of_stdout = || if std::io::stdout().is_terminal() { OutputFormat::Table } else { OutputFormat::Csv };
        self.format.unwrap_or_else(|| self.output.as_deref().map_or_else(of_stdout, format_of))
    }

    /// Writes rows as they come.
    pub async fn write_rows(&self, rows: Rows) -> Result<(), Failure> {
        let Some(format) = self.kind().for_programs() else {
            return self.write(&rows.collect().await.map_err(query_failure)?);
        };
        match &self.output {
            Some(path) => rows.write(format, &mut create(path)?).await,
            None => rows.write(format, &mut say::stdout()).await,
        }
        .map_err(query_failure)
    }
}

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let file = File::create(path).map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
    Ok(BufWriter::new(file))
}

impl OutputFormat {
    fn for_programs(self) -> Option<Format> {
        match self {
            Self::Table | Self::Markdown => None,
            Self::Csv => Some(Format::Csv),
            Self::Json => Some(Format::Json),
            Self::Jsonl => Some(Format::JsonLines),
            Self::Parquet => Some(Format::Parquet),
        }
    }
}

fn write_answer(answer: &Answer, format: OutputFormat, sink: &mut (dyn Write + Send)) -> Result<(), Failure> {
    let Some(format) = format.for_programs() else {
        let is_table = format == OutputFormat::Table;
        let text = if is_table { plain_table(answer) } else { markdown(answer) };
        return write_text(sink, &text.map_err(query_failure)?);
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

/// A table for reading, no wider than the screen.
pub fn plain_table(answer: &Answer) -> Result<String, QueryError> {
    table_text(answer, std::io::stdout().is_terminal())
}

/// A table for reading, as wide as it is.
pub fn wide_table(answer: &Answer) -> Result<String, QueryError> {
    table_text(answer, false)
}

fn table_text(answer: &Answer, fits_screen: bool) -> Result<String, QueryError> {
    let mut table = filled(answer, text_of)?;
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    if fits_screen {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    let rows = answer.num_rows();
    Ok(format!("{table}\n{rows} row{}", if rows == 1 { "" } else { "s" }))
}

/// Each row as a list of its columns.
pub fn records(answer: &Answer) -> Result<String, QueryError> {
    let columns = answer.columns();
    let width = columns.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let records = answer.rows()?.into_iter().enumerate().map(|(index, row)| {
        let cells = columns.iter().zip(&row).map(|(name, value)| format!("{name:width$} │ {}", text_of(value)));
        format!("─ row {} ─\n{}", index + 1, cells.collect::<Vec<_>>().join("\n"))
    });
    Ok(records.collect::<Vec<_>>().join("\n"))
}

/// The width of the terminal; some don't tell theirs.
pub fn terminal_width() -> Option<u16> {
    Table::new().width().filter(|width| *width > 0)
}

/// A table that fits the terminal, and is as wide as it needs elsewhere.
pub fn new_table() -> Table {
    let mut table = Table::new();
    if table.width() == Some(0) {
        table.set_width(80);
    }
    table
}

fn markdown(answer: &Answer) -> Result<String, QueryError> {
    // A bar or a line break would end the cell.
    let mut table = filled(answer, |value| text_of(value).replace('|', "\\|").replace('\n', "<br>"))?;
    table.load_preset(presets::ASCII_MARKDOWN);
    Ok(table.to_string())
}

fn filled(answer: &Answer, text: impl Fn(&Value) -> String) -> Result<Table, QueryError> {
    let columns = answer.columns();
    let rows = answer.rows()?;
    // Half the width of an interval goes into the cell of its mean.
    let is_interval =
        |index: usize| index > 0 && columns.get(index).is_some_and(|name| is_interval_of(name, &columns[index - 1]));
    let shown: Vec<usize> = (0..columns.len()).filter(|index| !is_interval(*index)).collect();
    let mut table = new_table();
    table.set_header(shown.iter().map(|index| printable_line(&columns[*index])));
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
    Ok(table)
}

/// Floats to six significant digits: what is measured is not known better. Parameters as `a=1 b=2`.
fn text_of(value: &Value) -> String {
    match value {
        Value::Float(number) => short_number(*number),
        Value::Text(text) if text.starts_with('{') => params_text(text),
        other => printable(&other.to_text()).into_owned(),
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
