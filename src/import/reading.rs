//! What a file is, and the runs in it.

use super::{aiperf, genai_perf, guidellm, sglang, vllm};
use crate::params::ParamSet;
use crate::record::{Origin, results_before_error};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::path::Path;

/// One run as another tool tells it, under vLLM's names.
#[derive(Clone, Debug)]
pub struct Reading {
    pub result: Map<String, Value>,
    pub serve: ParamSet,
    pub bench: ParamSet,
    pub started_at: Option<DateTime<Utc>>,
    pub source: Origin,
    /// What it was read from, by which it is known again.
    pub text: String,
}

/// What a file gave.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    pub readings: Vec<Reading>,
    /// Why it, or a part of it, gave no runs.
    pub not_read: Option<NotRead>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRead {
    /// It belongs to a file that does.
    Companion,
    Because(String),
}

/// How a tool's results look, and how they are read.
pub struct Format {
    pub tool: &'static str,
    /// vLLM's metric, and what the tool means by it.
    pub definitions: &'static [(&'static str, &'static str)],
    pub is_it: fn(&Map<String, Value>) -> bool,
    pub read: Reader,
}

/// The runs of a document; its file tells where what lies beside it is.
type Reader = fn(&Map<String, Value>, &Path) -> Result<Vec<Run>, String>;

/// A run before it is known where it comes from.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub result: Map<String, Value>,
    pub serve: ParamSet,
    pub bench: ParamSet,
    pub started_at: Option<DateTime<Utc>>,
    pub version: Option<String>,
    /// What has no name of vLLM's, by its path in the file.
    pub extra: Vec<(String, String)>,
    pub text: String,
}

/// The one that knows a document best comes first: vLLM's flat keys are the most common.
const FORMATS: [&Format; 5] = [&guidellm::FORMAT, &aiperf::FORMAT, &genai_perf::FORMAT, &sglang::FORMAT, &vllm::FORMAT];

/// Files that tools write beside their results.
const COMPANIONS: [&str; 6] = [
    "inputs.json",
    "server_metrics_export.json",
    ".aiperf_results_ready.json",
    "checkpoint.json",
    aiperf::REQUESTS,
    genai_perf::RAW,
];

/// Reads the runs of a file, whichever tool wrote it. What is no run in it, or is cut off, does not stop the rest.
pub fn read_file(path: &Path) -> Contents {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let not_read = |why| Contents { not_read: Some(why), ..Contents::default() };
    if COMPANIONS.contains(&name.as_ref()) || name.ends_with(".pytorch.json") {
        return not_read(NotRead::Companion);
    }
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return not_read(NotRead::Because(error.to_string())),
    };
    let (values, error) = results_before_error(&text);
    let documents = values.iter().flat_map(|value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
    let mut readings = Vec::new();
    let mut reason = None;
    for document in documents {
        match read_document(document, path) {
            Ok(runs) => readings.extend(runs),
            Err(why) => reason = reason.or(Some(why)),
        }
    }
    let cut_off =
        error.map(|error| format!("is no JSON from line {}, column {}, on: {error}", error.line(), error.column()));
    let nothing = || readings.is_empty().then(|| "holds no runs".to_owned());
    let reason = reason.or(cut_off).or_else(nothing);
    Contents { readings, not_read: reason.map(NotRead::Because) }
}

fn read_document(document: &Value, path: &Path) -> Result<Vec<Reading>, String> {
    let document = document.as_object().ok_or("holds what is no JSON object")?;
    let format = FORMATS.into_iter().find(|format| (format.is_it)(document)).ok_or_else(|| unknown(document))?;
    let runs = (format.read)(document, path)?;
    Ok(runs.into_iter().map(|run| format.reading(run)).collect())
}

fn unknown(document: &Map<String, Value>) -> String {
    if document.contains_key("aggregation_type")
        || document.get("metadata").is_some_and(|metadata| metadata.get("aggregation_type").is_some())
    {
        return "is a summary of runs; import the runs themselves".into();
    }
    let keys: Vec<&str> = document.keys().take(4).map(String::as_str).collect();
    format!("is no result of a known benchmark (its keys: {}, …)", keys.join(", "))
}

impl Format {
    fn reading(&self, run: Run) -> Reading {
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
        };
        Reading {
            result: run.result,
            serve: run.serve,
            bench: run.bench,
            started_at: run.started_at,
            source: Origin {
                tool: self.tool.into(),
                version: run.version,
                file: String::new(),
                definitions: owned(self.definitions),
                extra: run.extra,
            },
            text: run.text,
        }
    }
}

/// Settings of the load as a parameter set; those that are not known are left out.
pub fn load(settings: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> ParamSet {
    let known = settings.into_iter().filter_map(|(name, value)| Some((name.to_owned(), plain(value?))));
    ParamSet { name: None, params: known.filter(|(_, value)| !value.is_null()).collect() }
}

/// 32.0 tokens are 32: written in two ways they would be two settings.
fn plain(value: Value) -> Value {
    match value.as_f64() {
        Some(number) if value.is_f64() && number.fract() == 0.0 && number.abs() < 1e15 => (number as i64).into(),
        _ => value,
    }
}

/// All values below a value, by their paths: `config.backend.model`. Long lists are one text.
pub fn flatten(value: &Value, path: &str, into: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(value, &path, into);
            }
        }
        Value::String(text) => into.push((path.to_owned(), text.clone())),
        other => into.push((path.to_owned(), other.to_string())),
    }
}

/// The value at a path of keys and of indices of lists.
pub fn at<'a>(value: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let mut found = value.get(first)?;
    for part in rest.split('.').filter(|part| !part.is_empty()) {
        found = match found {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            other => other.get(part)?,
        };
    }
    Some(found)
}

pub fn number_at(value: &Map<String, Value>, path: &str) -> Option<f64> {
    at(value, path).and_then(Value::as_f64)
}
