//! `summary.json` of a combination and `summary.csv` of a sweep, as vLLM writes them.

use super::layout::{SUMMARY, SUMMARY_CSV, run_number_of};
use crate::record::{LeanResult, parse_result, read_result, without_request_numbers};
use crate::store::StoreError;
use crate::store::file::{write_atomically, write_bytes_atomically};
use rayon::prelude::*;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A result file above this size gives its summary no values of single requests: it would be as large again.
const LARGEST_WHOLE: u64 = 16 << 20;

/// What stands in a summary instead of the values of single requests.
const LEFT_OUT: &str = "left_out";

/// What is read of result files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lists {
    /// Values of single requests too, unless the file is large.
    UnlessLarge,
    None,
}

/// The result files in a combination's folder, in the order of their run numbers.
fn result_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<(i64, PathBuf)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| Some((run_number_of(entry.file_name().to_str()?, ".json")?, entry.path())))
        .collect();
    files.sort();
    files.into_iter().map(|(_, path)| path).collect()
}

/// A result, if it is readable.
fn read(path: &Path, lists: Lists) -> Option<Map<String, Value>> {
    let is_large = path.metadata().is_ok_and(|metadata| metadata.len() > LARGEST_WHOLE);
    if lists == Lists::UnlessLarge && !is_large {
        return read_result(path).ok();
    }
    let text = crate::files::text(path, crate::files::Links::Refuse).ok()?;
    let LeanResult(mut result) = parse_result(&without_request_numbers(&text)).ok()?;
    if lists == Lists::UnlessLarge {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        result.insert(LEFT_OUT.into(), format!("per-request values; see {name}").into());
    }
    Some(result)
}

/// Writes `summary.json` into a combination's folder, if there is a result.
pub fn write_summary(folder: &Path) -> Result<(), StoreError> {
    let results: Vec<_> = result_files(folder).iter().filter_map(|path| read(path, Lists::UnlessLarge)).collect();
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
    let files: Vec<PathBuf> = folders.flat_map(|folder| result_files(&folder)).collect();
    let results: Vec<_> = files.par_iter().filter_map(|path| read(path, Lists::None)).collect();
    if results.is_empty() {
        return Ok(());
    }
    let mut seen = HashSet::new();
    let keys = results.iter().flat_map(|result| result.keys()).map(String::as_str);
    let columns: Vec<&str> = keys.filter(|key| seen.insert(*key)).collect();
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
