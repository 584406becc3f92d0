//! Rows of files that hold prompts: JSON, JSON Lines, CSV and Parquet, by their ending.

use crate::files::{self, Links};
use crate::load::LoadError;
use arrow::array::RecordBatch;
use arrow::csv::reader::Format;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};
use std::io::{Cursor, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub type Row = Map<String, Value>;

/// The rows of a file; of a folder those of its files, by name. `split`: of a folder only files whose path has that name in it.
pub fn rows(path: &Path, split: Option<&str>) -> Result<Vec<Row>, LoadError> {
    let is_of_split = |file: &PathBuf| {
        split.is_none_or(|split| file.strip_prefix(path).is_ok_and(|inner| inner.to_string_lossy().contains(split)))
    };
    let files: Vec<PathBuf> = match path.is_dir() {
        false => vec![path.to_owned()],
        true => {
            let entries = walkdir::WalkDir::new(path).sort_by_file_name().into_iter().filter_map(Result::ok);
            let files = entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
            files.filter(|file| reader(file).is_some()).filter(is_of_split).collect()
        }
    };
    let mut all = Vec::new();
    for file in &files {
        let read = reader(file).unwrap_or(json_lines);
        let bad = |reason: String| LoadError::BadDataset { path: file.display().to_string(), reason };
        let bytes = files::bytes(file, Links::Follow).map_err(|error| bad(error.to_string()))?;
        all.extend(read(bytes).map_err(bad)?);
    }
    if all.is_empty() {
        let reason = match path.is_dir() {
            true => "no rows found; expected files ending in .jsonl, .json, .csv or .parquet",
            false => "the file has no rows",
        };
        return Err(LoadError::BadDataset { path: path.display().to_string(), reason: reason.into() });
    }
    Ok(all)
}

type Reader = fn(Vec<u8>) -> Result<Vec<Row>, String>;

fn reader(path: &Path) -> Option<Reader> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "json" => Some(json),
        "jsonl" | "ndjson" => Some(json_lines),
        "csv" => Some(csv),
        "parquet" => Some(of_parquet),
        _ => None,
    }
}

/// A list of objects, or lines of them whatever the file is called.
fn json(bytes: Vec<u8>) -> Result<Vec<Row>, String> {
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Array(rows)) => objects(rows),
        Ok(Value::Object(row)) => Ok(vec![row]),
        Ok(_) => Err("expected a list of objects".into()),
        Err(error) => json_lines(bytes).map_err(|_| format!("not valid JSON: {error}")),
    }
}

fn json_lines(bytes: Vec<u8>) -> Result<Vec<Row>, String> {
    let text = String::from_utf8(bytes).map_err(|error| format!("not UTF-8: {error}"))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let rows = lines.map(|(number, line)| {
        serde_json::from_str::<Row>(line).map_err(|error| format!("line {} is not a JSON object: {error}", number + 1))
    });
    rows.collect()
}

fn csv(bytes: Vec<u8>) -> Result<Vec<Row>, String> {
    let format = Format::default().with_header(true);
    let mut cursor = Cursor::new(&bytes);
    let told = |error: arrow::error::ArrowError| format!("not valid CSV: {error}");
    let (schema, _) = format.infer_schema(&mut cursor, None).map_err(told)?;
    cursor.rewind().map_err(|error| error.to_string())?;
    let reader = arrow::csv::ReaderBuilder::new(Arc::new(schema)).with_format(format).build(cursor).map_err(told)?;
    of_batches(&reader.collect::<Result<Vec<_>, _>>().map_err(told)?)
}

fn of_parquet(bytes: Vec<u8>) -> Result<Vec<Row>, String> {
    let told = |error: String| format!("not valid Parquet: {error}");
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).map_err(|error| told(error.to_string()))?;
    let reader = builder.build().map_err(|error| told(error.to_string()))?;
    of_batches(&reader.collect::<Result<Vec<_>, _>>().map_err(|error| told(error.to_string()))?)
}

fn of_batches(batches: &[RecordBatch]) -> Result<Vec<Row>, String> {
    let mut writer = arrow::json::ArrayWriter::new(Vec::new());
    let written = writer.write_batches(&batches.iter().collect::<Vec<_>>()).and_then(|()| writer.finish());
    written.map_err(|error| error.to_string())?;
    let bytes = writer.into_inner();
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    objects(serde_json::from_slice(&bytes).map_err(|error| error.to_string())?)
}

fn objects(rows: Vec<Value>) -> Result<Vec<Row>, String> {
    let object = |(index, row): (usize, Value)| match row {
        Value::Object(row) => Ok(row),
        _ => Err(format!("element {index} is not an object")),
    };
    rows.into_iter().enumerate().map(object).collect()
}
