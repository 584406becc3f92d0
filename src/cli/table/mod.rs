//! Answers as text: a table for a terminal, markdown, and the formats that other programs read.

mod digits;
mod grid;

use super::color::{Ink, ink};
use super::pager::page;
use super::terminal::terminal_width;
use super::{Failure, query_failure, say};
use crate::metric::{self, Better, Metric};
use crate::query::{Answer, Format, QueryError, Rows, Value};
use crate::stats::with_interval;
use crate::table::is_interval_of;
use crate::words::{params_text, printable, printable_line};
use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets};
use digits::Digits;
pub use grid::cut;
use grid::{Column, Grid, Holds, Weight};
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
    /// Arrow's IPC stream.
    Arrow,
}

/// Where an answer goes, and how.
#[derive(clap::Args)]
pub struct Output {
    /// Output format; default: inferred from the name of FILE, else table on a terminal and csv elsewhere.
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<OutputFormat>,
    /// Write to a file.
    #[arg(long, short, value_name = "FILE", value_parser = super::lake::local_path)]
    pub output: Option<PathBuf>,
}

impl Output {
    pub fn write(&self, answer: &Answer) -> Result<(), Failure> {
        self.write_headed(answer, Headings::Names)
    }

    /// With headings for people, if it is for them.
    pub fn write_headed(&self, answer: &Answer, headings: Headings) -> Result<(), Failure> {
        let kind = self.kind()?;
        let is_screen = self.output.is_none() && kind == OutputFormat::Table;
        match &self.output {
            None if is_screen => {
                let text = screen_table(answer, headings, ink()).map_err(query_failure)?;
                if std::io::stdout().is_terminal() {
                    page(&text)
                } else {
                    write_text(&mut *say::styled_stdout(), &text)
                }
            }
            None => write_answer(answer, kind, &mut *say::stdout()),
            Some(path) => write_answer(answer, kind, &mut create(path)?),
        }
    }

    /// Whether the answer is laid out for people, and so must be known as a whole first.
    pub fn is_for_reading(&self) -> bool {
        matches!(self.kind(), Ok(OutputFormat::Table | OutputFormat::Markdown))
    }

    /// The format; an ending of the file that says none is an error, before anything is done.
    pub fn kind(&self) -> Result<OutputFormat, Failure> {
        let of_stdout = || if std::io::stdout().is_terminal() { OutputFormat::Table } else { OutputFormat::Csv };
        match (self.format, self.output.as_deref()) {
            (Some(format), _) => Ok(format),
            (None, None) => Ok(of_stdout()),
            (None, Some(path)) => Ok(format_of(path)?.unwrap_or(OutputFormat::Csv)),
        }
    }

    /// Writes rows as they come.
    pub async fn write_rows(&self, rows: Rows) -> Result<(), Failure> {
        let Some(format) = self.kind()?.for_programs() else {
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
            Self::Arrow => Some(Format::Arrow),
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
    screen_table(answer, Headings::Names, Ink::Plain)
}

/// The same, with headings for people.
pub fn headed_table(answer: &Answer) -> Result<String, QueryError> {
    screen_table(answer, Headings::Short, Ink::Plain)
}

fn screen_table(answer: &Answer, headings: Headings, ink: Ink) -> Result<String, QueryError> {
    let is_terminal = std::io::stdout().is_terminal();
    let width = is_terminal.then(terminal_width);
    Ok(sized(&grid(answer, headings)?, answer.num_rows(), width, ink))
}

/// A table for reading, as wide as it is.
pub fn wide_table(answer: &Answer) -> Result<String, QueryError> {
    Ok(sized(&grid(answer, Headings::Names)?, answer.num_rows(), None, Ink::Plain))
}

/// The table, how many rows it has, and what it has no room for.
fn sized(grid: &Grid, rows: usize, width: Option<usize>, ink: Ink) -> String {
    let fitted = grid.fitted(width, ink);
    let more = elided(&fitted.left_out, width.unwrap_or(80));
    let lines = [fitted.text, format!("{rows} row{}", if rows == 1 { "" } else { "s" })].into_iter().chain(more);
    lines.collect::<Vec<_>>().join("\n")
}

/// Which columns are left out, as far as a line goes, and how to see them.
fn elided(names: &[String], width: usize) -> Option<String> {
    let (count, mut named) = (names.len(), String::new());
    for name in names {
        if named.len() + name.len() + 4 > width {
            named.push_str(", …");
            break;
        }
        let comma = if named.is_empty() { "" } else { ", " };
        named.push_str(&format!("{comma}{name}"));
    }
    let plural = if count == 1 { "" } else { "s" };
    (count > 0).then(|| {
        format!("… {count} more column{plural} not shown for lack of room; use --columns A,B or --format csv, or \\x in the shell\n  {named}")
    })
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

/// A table that fits the terminal, and is as wide as it needs elsewhere.
pub fn new_table() -> Table {
    let mut table = Table::new();
    if table.width() == Some(0) {
        table.set_width(80);
    }
    table
}

fn markdown(answer: &Answer) -> Result<String, QueryError> {
    let grid = grid(answer, Headings::Names)?;
    // A bar or a line break would end the cell.
    let escaped = |text: &str| text.replace('|', "\\|").replace('\n', "<br>");
    let mut table = new_table();
    table.set_header(grid.columns.iter().map(|column| escaped(&column.heading)));
    grid.rows.iter().for_each(|row| {
        table.add_row(row.iter().map(|(text, _)| escaped(text)));
    });
    for (index, column) in grid.columns.iter().enumerate() {
        if let Some(drawn) = table.column_mut(index).filter(|_| column.holds == Holds::Numbers) {
            drawn.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.load_preset(presets::ASCII_MARKDOWN);
    Ok(table.to_string())
}

/// What stands above columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headings {
    /// The columns' own names, by which SQL knows them.
    Names,
    /// Short ones, with units.
    Short,
}

/// Texts of a column all of which are shorter are names: they are not cut.
const LONGEST_NAME: usize = 24;
/// What rows are called may be longer: cut, one says as much as the other.
const LONGEST_LABEL: usize = 60;

/// An answer as texts. Half the width of an interval goes into the cell of its mean.
fn grid(answer: &Answer, headings: Headings) -> Result<Grid, QueryError> {
    let columns = answer.columns();
    let rows = answer.rows()?;
    let is_interval =
        |index: usize| index > 0 && columns.get(index).is_some_and(|name| is_interval_of(name, &columns[index - 1]));
    let shown: Vec<usize> = (0..columns.len()).filter(|index| !is_interval(*index)).collect();
    let heading = |index: usize| match headings {
        Headings::Names => printable_line(&columns[index]).into_owned(),
        Headings::Short => printable_line(&metric::short(&columns[index])).into_owned(),
    };
    let holds = |index: usize| {
        let known: Vec<&Value> = rows.iter().map(|row| &row[index]).filter(|value| **value != Value::Null).collect();
        let is_number = |value: &&Value| matches!(value, Value::Int(_) | Value::Float(_));
        if !known.is_empty() && known.iter().all(is_number) {
            return Holds::Numbers;
        }
        let longest = if columns[index] == "label" { LONGEST_LABEL } else { LONGEST_NAME };
        let is_short = |value: &&Value| text_of(value).chars().count() <= longest;
        if known.iter().all(is_short) { Holds::Names } else { Holds::Texts }
    };
    let digits: Vec<Digits> = (0..columns.len()).map(|index| Digits::of(rows.iter().map(|row| &row[index]))).collect();
    let text = |row: &[Value], index: usize| match (&row[index], row.get(index + 1)) {
        (Value::Float(mean), Some(Value::Float(half))) if is_interval(index + 1) => with_interval(*mean, *half),
        (Value::Float(number), _) => digits[index].write(*number),
        (value, _) => text_of(value),
    };
    let best: Vec<Option<f64>> = shown.iter().map(|index| best_of(&columns[*index], *index, &rows)).collect();
    let weight = |row: &[Value], place: usize| match &row[shown[place]] {
        Value::Text(text) if ["failed", "degraded"].contains(&text.as_str()) => Weight::Bad,
        value if best[place].is_some() && value.as_f64() == best[place] => Weight::Best,
        _ => Weight::Plain,
    };
    Ok(Grid {
        columns: shown
            .iter()
            .map(|index| Column {
                name: printable_line(&columns[*index]).into_owned(),
                heading: heading(*index),
                holds: holds(*index),
            })
            .collect(),
        rows: rows
            .iter()
            .map(|row| (0..shown.len()).map(|place| (text(row, shown[place]), weight(row, place))).collect())
            .collect(),
    })
}

/// The best value of a column of measurements; nothing where there is nothing to choose from.
fn best_of(name: &str, index: usize, rows: &[Vec<Value>]) -> Option<f64> {
    let better = Metric::of(name)?.better;
    let values = || rows.iter().filter_map(|row| row[index].as_f64()).filter(|number| number.is_finite());
    let best = match better {
        Better::Higher => values().reduce(f64::max)?,
        Better::Lower => values().reduce(f64::min)?,
    };
    values().any(|value| value != best).then_some(best)
}

/// Floats to six significant digits: what is measured is not known better. Parameters as `a=1 b=2`.
fn text_of(value: &Value) -> String {
    match value {
        Value::Float(number) => short_number(*number),
        Value::Text(text) if text.starts_with('{') => printable(&params_text(text)).into_owned(),
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

/// What the ending of a file says, if it has one; one that says something else is refused.
pub fn format_of(path: &Path) -> Result<Option<OutputFormat>, Failure> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    Ok(Some(match ending.as_deref() {
        None => return Ok(None),
        Some("csv") => OutputFormat::Csv,
        Some("json") => OutputFormat::Json,
        Some("jsonl" | "ndjson") => OutputFormat::Jsonl,
        Some("md") => OutputFormat::Markdown,
        Some("parquet") => OutputFormat::Parquet,
        Some("arrow" | "arrows") => OutputFormat::Arrow,
        Some("txt") => OutputFormat::Table,
        Some(other) => {
            let known = "csv, json, jsonl, parquet, arrow, md, txt";
            return Err(Failure::input(format!(
                "--output: {}: unknown format .{other}; use one of {known}, or --format",
                path.display()
            )));
        }
    }))
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
