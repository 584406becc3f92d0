//! Runs of format version 1, in which parameters and metrics stood side by side with nothing to tell them apart: what each value
//! is, is found out once, here, and from here on they are rows like all others.

#![expect(clippy::indexing_slicing, reason = "places are those of lists that are made here")]

use super::columns::runs_to_batch;
use super::parquet::read_batches;
use crate::id::{CombinationId, column_name};
use crate::params::ParamSet;
use crate::plan::Combination;
use crate::record::{Cell, Demands, ErrorKind, Failure, Origin, Outcome, RunRecord, RunRow, gpu_count_of, own_result};
use crate::store::StoreError;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use chrono::DateTime;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::Path;

/// Columns of version 1 that were sweeplake's own.
const OWN: [&str; 24] = [
    "sweep",
    "combination",
    "run_id",
    "run_number",
    "status",
    "error_kind",
    "error",
    "exit_code",
    "log_tail",
    "started_at",
    "wall_time_s",
    "startup_time_s",
    "serve_params",
    "bench_params",
    "serve_name",
    "bench_name",
    "tokens_per_user",
    "tokens_per_gpu",
    "source_tool",
    "source_version",
    "source_file",
    "source_definitions",
    "extra",
    "gpu_count",
];

/// Reads the runs of a file of version 1 as those of the present one.
pub fn read_runs(path: &Path) -> Result<Vec<RecordBatch>, StoreError> {
    let (_, batches) = read_batches(path)?;
    batches.map(|batch| Ok(runs_to_batch(&upgraded(&batch?)))).collect()
}

fn upgraded(batch: &RecordBatch) -> Vec<RunRow> {
    let schema = batch.schema();
    let columns: Vec<(&str, Vec<Cell>)> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| (field.name().as_str(), cells(column)))
        .collect();
    (0..batch.num_rows())
        .map(|row| record(&columns.iter().map(|(name, cells)| (*name, &cells[row])).collect()).to_row())
        .collect()
}

fn record(row: &HashMap<&str, &Cell>) -> RunRecord {
    let text = |name: &str| match row.get(name) {
        Some(Cell::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let number = |name: &str| row.get(name).and_then(|cell| cell.as_f64());
    let whole = |name: &str| number(name).map(|number| number as i64);
    let set = |params: &str, name: &str| ParamSet {
        name: text(name),
        params: text(params).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
    };
    let id = CombinationId::of_stored(text("combination").unwrap_or_default());
    let combination =
        Combination { id, serve: set("serve_params", "serve_name"), bench: set("bench_params", "bench_name") };
    let result = own_result(result_of(row), &combination);
    let source = source_of(row);
    let failure = || Failure {
        kind: text("error_kind").and_then(|text| ErrorKind::parse(&text)).unwrap_or(ErrorKind::BenchmarkFailed),
        message: text("error").unwrap_or_default(),
        exit_code: whole("exit_code").map(|code| code as i32),
        log_tail: text("log_tail").map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default(),
        samples: None,
    };
    // Version 1 said 1 where nobody had said anything.
    let is_told = source.is_none() || number("gpu_count") != Some(1.0);
    let known: Map<String, Value> =
        combination.serve.params.iter().chain(&result).map(|(key, value)| (key.clone(), value.clone())).collect();
    let outcome = match text("status").as_deref() {
        Some("failed") => failure().into(),
        _ => Outcome::Completed(result),
    };
    let record = RunRecord {
        sweep: text("sweep").unwrap_or_default(),
        run_id: text("run_id").unwrap_or_default(),
        run_number: whole("run_number").unwrap_or(0),
        started_at: match row.get("started_at") {
            Some(Cell::Time(micros)) => DateTime::from_timestamp_micros(*micros),
            _ => None,
        },
        wall_time_s: number("wall_time_s"),
        startup_time_s: number("startup_time_s"),
        gpu_count: number("gpu_count").filter(|_| is_told).or_else(|| gpu_count_of(None, &known)),
        source,
        ..RunRecord::new(combination, outcome)
    };
    record.judged(&Demands::default())
}

/// What the benchmark told: all that is neither sweeplake's own nor a parameter that had to give way.
fn result_of(row: &HashMap<&str, &Cell>) -> Map<String, Value> {
    let told = row.iter().filter(|(name, cell)| {
        !OWN.contains(name) && !name.starts_with("param.") && !matches!(cell, Cell::Null | Cell::Map(_))
    });
    // In the order of names: a table of version 1 united by name had no other.
    let mut told: Vec<(String, Value)> = told.map(|(name, cell)| (column_name(name), cell.to_json())).collect();
    told.sort_by(|left, right| left.0.cmp(&right.0));
    told.into_iter().collect()
}

fn source_of(row: &HashMap<&str, &Cell>) -> Option<Origin> {
    let text = |name: &str| match row.get(name) {
        Some(Cell::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let map = |name: &str| match row.get(name) {
        Some(Cell::Map(entries)) => entries.clone(),
        _ => Vec::new(),
    };
    Some(Origin {
        tool: text("source_tool")?,
        version: text("source_version"),
        file: text("source_file").unwrap_or_default(),
        definitions: map("source_definitions"),
        extra: map("extra"),
    })
}

/// The values of a column that sweeplake wrote.
fn cells(column: &dyn Array) -> Vec<Cell> {
    let each = |value: &dyn Fn(usize) -> Cell| -> Vec<Cell> {
        (0..column.len()).map(|row| if column.is_null(row) { Cell::Null } else { value(row) }).collect()
    };
    match column.data_type() {
        DataType::Boolean => each(&|row| Cell::Bool(column.as_boolean().value(row))),
        DataType::Int64 => each(&|row| Cell::Int(column.as_primitive::<Int64Type>().value(row))),
        DataType::Float64 => each(&|row| Cell::from(column.as_primitive::<Float64Type>().value(row))),
        DataType::Utf8 => each(&|row| Cell::Text(column.as_string::<i32>().value(row).to_owned())),
        DataType::Timestamp(..) => {
            each(&|row| Cell::Time(column.as_primitive::<TimestampMicrosecondType>().value(row)))
        }
        DataType::Map(..) => each(&|row| {
            let entries = column.as_map().value(row);
            let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
            let text = |values: &arrow::array::StringArray, index: usize| values.value(index).to_owned();
            Cell::Map((0..entries.len()).map(|index| (text(keys, index), text(values, index))).collect())
        }),
        holds => match arrow::compute::cast(column, &DataType::Utf8) {
            Ok(texts) if holds != &DataType::Utf8 => cells(texts.as_ref()),
            _ => vec![Cell::Null; column.len()],
        },
    }
}
