//! What a file is, and the documents in it.

use super::document::{at, is_yaml, known_at, text_of, unpacked};
use super::recognize::{Fit, fits};
use super::{Format, Run, aiperf, evalscope, genai_bench, genai_perf, inference_perf, mlperf};
use crate::params::yaml_document;
use crate::record::results_before_error;
use serde_json::{Map, Value};
use std::path::Path;

/// What a file gave.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    pub documents: Vec<Document>,
    /// Why it, or a part of it, gave no runs.
    pub not_read: Option<NotRead>,
}

/// The runs of a document, and the formats that it was compared with, the best first.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it was read as: the best of its fits.
    pub format: &'static Format,
    pub fits: Vec<Fit>,
    pub runs: Vec<Run>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRead {
    /// It belongs to a file that is read.
    Companion,
    Because(String),
}

/// Files that tools write beside their results.
const COMPANIONS: [&str; 10] = [
    "inputs.json",
    "server_metrics_export.json",
    ".aiperf_results_ready.json",
    "checkpoint.json",
    "run_config.json",
    aiperf::PHASES,
    aiperf::REQUESTS,
    genai_perf::RAW,
    genai_bench::METADATA,
    "validation.json",
];

/// The ends of names of files that may hold results.
const READ: [&str; 5] = [".json", ".jsonl", ".yaml", ".yml", mlperf::SUMMARY];
/// Compressions that are only named.
const PACKED: [&str; 6] = [".zst", ".bz2", ".xz", ".zip", ".tar.gz", ".tgz"];

/// Whether a file's name says that it may hold results: they are read, or named where they can't be.
pub fn is_result_file(path: &Path) -> bool {
    let name = name_of(path);
    READ.iter().any(|end| unpacked(&name).ends_with(end))
        || packed(&name).is_some_and(|end| name.contains(".json") || end == ".zip")
}

/// Reads the runs of a file, whichever tool wrote it. What is no run in it, or is cut off, does not stop the rest.
pub fn read_file(path: &Path) -> Contents {
    let not_read = |why| Contents { not_read: Some(why), ..Contents::default() };
    if is_companion(path) {
        return not_read(NotRead::Companion);
    }
    let text = match packed(&name_of(path)) {
        Some(end) => Err(format!("is compressed ({end}); unpack it, or compress it with gzip")),
        None => text_of(path),
    };
    let text = match text {
        Ok(text) => text,
        Err(reason) => return not_read(NotRead::Because(reason)),
    };
    let (values, cut_off) = match values_of(path, &text) {
        Ok(values) => values,
        Err(reason) => return not_read(NotRead::Because(reason)),
    };
    let items = values.iter().flat_map(|value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
    let mut documents = Vec::new();
    let mut reason = None;
    for item in items {
        match document_of(item, path) {
            Ok(document) => documents.push(document),
            Err(why) => reason = reason.or(Some(why)),
        }
    }
    let nothing = || documents.is_empty().then(|| "contains no runs".to_owned());
    let reason = reason.or(cut_off).or_else(nothing);
    Contents { documents, not_read: reason.map(NotRead::Because) }
}

/// The documents of a file by what kind it is, and why what follows them is none.
fn values_of(path: &Path, text: &str) -> Result<(Vec<Value>, Option<String>), String> {
    let name = name_of(path);
    let name = unpacked(&name);
    if name.ends_with(mlperf::SUMMARY) {
        let document = mlperf::document(text).ok_or("is not a whole summary of LoadGen")?;
        return Ok((vec![Value::Object(document)], None));
    }
    if is_yaml(name) {
        return yaml_document(text).map(|document| (vec![document], None));
    }
    let (values, error) = results_before_error(text);
    let cut_off = error
        .map(|error| format!("is not valid JSON from line {}, column {} on: {error}", error.line(), error.column()));
    Ok((values, cut_off))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_lowercase()
}

fn packed(name: &str) -> Option<&'static str> {
    PACKED.into_iter().find(|end| name.ends_with(end))
}

fn is_companion(path: &Path) -> bool {
    let name = name_of(path);
    let name = unpacked(&name);
    COMPANIONS.contains(&name)
        || evalscope::COMPANIONS.contains(&name)
        || name.starts_with(genai_bench::DEBUG)
        || name.ends_with(".pytorch.json")
        || aiperf::is_of_a_phase(path)
        || inference_perf::is_companion(path, name)
}

fn document_of(document: &Value, path: &Path) -> Result<Document, String> {
    let document = document.as_object().ok_or("contains something other than a JSON object")?;
    let fits = fits(document);
    let Some(best) = fits.first().filter(|fit| fit.is_whole()) else { return Err(unknown(document, &fits)) };
    let runs = (best.format.read)(document, path)?;
    Ok(Document { format: best.format, runs, fits })
}

/// Why a document is none that is known.
fn unknown(document: &Map<String, Value>, fits: &[Fit]) -> String {
    let is_summary = |path: &str| known_at(document, path).is_some();
    if is_summary("aggregation_type") || is_summary("metadata.aggregation_type") {
        return "is a summary of runs; import the runs themselves".into();
    }
    if at(document, "task").is_some() && at(document, "score").is_some() {
        return "is an evaluation, not a benchmark".into();
    }
    let nearest = fits.iter().filter(|fit| fit.held.iter().any(is_positive)).max_by_key(|fit| fit.held.len());
    let keys: Vec<&str> = document.keys().take(4).map(String::as_str).collect();
    let keys = keys.join(", ");
    match nearest {
        Some(fit) => {
            let lacking: Vec<String> = fit.lacking().map(|sign| format!("not met: {sign}")).collect();
            format!(
                "is not the result of a known benchmark (its keys: {keys}, …); the closest match is {}: {}",
                fit.format.name,
                lacking.join("; ")
            )
        }
        None => format!("is not the result of a known benchmark (its keys: {keys}, …)"),
    }
}

fn is_positive(sign: &super::Sign) -> bool {
    !matches!(sign, super::Sign::Lacks(..))
}
