//! `summary.json` of a combination and `summary.csv` of a sweep, as vLLM writes them.

use super::layout::{SUMMARY, SUMMARY_CSV, run_number_of};
use crate::record::{REQUEST_ARRAYS, read_result};
use crate::store::StoreError;
use crate::store::file::{write_atomically, write_bytes_atomically};
use serde_json::{Map, Value};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The readable results of a combination's folder, in the order of their run numbers.
pub fn results_of(folder: &Path) -> Vec<Map<String, Value>> {
    let mut files: Vec<(i64, PathBuf)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| Some((run_number_of(entry.file_name().to_str()?, ".json")?, entry.path())))
        .collect();
    files.sort();
    files.iter().filter_map(|(_, path)| read_result(path).ok()).collect()
}

/// Writes `summary.json` into a combination's folder, if there is a result.
pub fn write_summary(folder: &Path) -> Result<(), StoreError> {
    let results = results_of(folder);
    if results.is_empty() {
        return Ok(());
    }
    let path = folder.join(SUMMARY);
    let text = serde_json::to_string_pretty(&results).map_err(StoreError::data(&path))?;
    write_bytes_atomically(&path, text.as_bytes())
}

/// Writes `summary.csv`: a row for each result, the union of the columns, an index in front. Values of single
/// requests stay out: they would make cells of half a megabyte.
pub fn write_summary_csv(sweep: &Path, folders: impl Iterator<Item = PathBuf>) -> Result<(), StoreError> {
    let results: Vec<_> = folders.flat_map(|folder| results_of(&folder)).collect();
    if results.is_empty() {
        return Ok(());
    }
    let mut columns: Vec<&str> = Vec::new();
    for key in results.iter().flat_map(|result| result.keys()) {
        if !columns.contains(&key.as_str()) && !REQUEST_ARRAYS.contains(&key.as_str()) {
            columns.push(key);
        }
    }
    let path = sweep.join(SUMMARY_CSV);
    write_atomically(&path, |file| {
        let header = std::iter::once(String::new()).chain(columns.iter().map(|name| csv_field(name)));
        let mut text = header.collect::<Vec<_>>().join(",") + "\n";
        for (index, result) in results.iter().enumerate() {
            let cells = columns.iter().map(|name| result.get(*name).map(csv_value).unwrap_or_default());
            text += &std::iter::once(index.to_string()).chain(cells).collect::<Vec<_>>().join(",");
            text.push('\n');
        }
        file.write_all(text.as_bytes()).map_err(StoreError::io(&path))
    })
}

fn csv_value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::String(text) => csv_field(text),
        other => csv_field(&other.to_string()),
    }
}

fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
