//! What the user says of files that say less: `--set`, `--set-from-path` and `--repeats-of`.

use super::sources::Source;
use crate::formats::Run;
use crate::id::is_same_key;
use crate::table::{Kind, Table, is_reserved};
use regex::Regex;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What is told of all files.
#[derive(Clone, Debug, Default)]
pub struct Told {
    set: Vec<(String, Value)>,
    from_path: Option<Regex>,
    repeats_of: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum ToldError {
    #[error("{text:?} is not of the form KEY=VALUE")]
    NoPair { text: String },
    #[error("{key} is given twice")]
    Twice { key: String },
    #[error("{key} is measured or recorded by sweeplake, and cannot be set")]
    NoSetting { key: String },
    #[error("{key}: {value} is not a valid number of GPUs")]
    NoCount { key: String, value: String },
    #[error("{reason}")]
    BadPattern { reason: String },
    #[error("the pattern has no named groups; name them: (?<tensor_parallel_size>\\d+)")]
    NoGroups,
    #[error("none of the paths of {files} file(s) matches {pattern}; the first is {first}")]
    NoMatch { pattern: String, files: usize, first: String },
    #[error("{} is not among the imported files", path.display())]
    NotImported { path: PathBuf },
}

/// What is told of the files of an import.
#[derive(Debug)]
pub struct ForFiles<'a> {
    told: &'a Told,
    unmatched: usize,
    /// The place that stands for those of all files.
    place: Option<String>,
}

/// Parameters of the load that no table declares.
const OF_LOAD: [&str; 9] = [
    "input_len",
    "output_len",
    "prefix_len",
    "seed",
    "max_seconds",
    "benchmark_duration",
    "request_count",
    "goodput",
    "concurrency",
];
const BEGINNINGS_OF_LOAD: [&str; 7] = ["random_", "dataset", "sharegpt_", "sonnet_", "hf_", "ramp_up_", "workload"];

impl Told {
    /// From `KEY=VALUE` pairs, a pattern with named groups, and a file.
    pub fn parse(set: &[String], from_path: Option<&str>, repeats_of: Option<PathBuf>) -> Result<Self, ToldError> {
        let mut pairs: Vec<(String, Value)> = Vec::new();
        for text in set {
            let pair = text.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
            let Some((key, value)) = pair.filter(|(key, value)| !key.is_empty() && !value.is_empty()) else {
                return Err(ToldError::NoPair { text: text.clone() });
            };
            if pairs.iter().any(|(known, _)| is_same_key(known, key)) {
                return Err(ToldError::Twice { key: key.into() });
            }
            let value = scalar(value);
            check(key, &value)?;
            pairs.push((key.to_owned(), value));
        }
        let from_path = from_path.map(|pattern| {
            let regex = Regex::new(pattern).map_err(|error| ToldError::BadPattern { reason: error.to_string() })?;
            let names: Vec<&str> = regex.capture_names().flatten().collect();
            if names.is_empty() {
                return Err(ToldError::NoGroups);
            }
            if let Some(key) = names.iter().find(|name| !is_setting(name)) {
                return Err(ToldError::NoSetting { key: (*key).to_owned() });
            }
            match names.iter().find(|name| pairs.iter().any(|(key, _)| is_same_key(key, name))) {
                Some(key) => Err(ToldError::Twice { key: (*key).to_owned() }),
                None => Ok(regex),
            }
        });
        Ok(Self { set: pairs, from_path: from_path.transpose()?, repeats_of })
    }

    /// What is told, checked against the files that there are.
    pub(super) fn for_files(&self, sources: &[Source]) -> Result<ForFiles<'_>, ToldError> {
        let files: Vec<&PathBuf> = sources.iter().flat_map(|source| &source.files).collect();
        let mut unmatched = 0;
        if let Some(pattern) = &self.from_path {
            unmatched = files.iter().filter(|path| !pattern.is_match(&path.to_string_lossy())).count();
            if let Some(first) = files.first().filter(|_| unmatched == files.len()) {
                let (pattern, first) = (pattern.to_string(), first.display().to_string());
                return Err(ToldError::NoMatch { pattern, files: files.len(), first });
            }
        }
        let place = self.repeats_of.as_ref().map(|path| {
            let is_it = |file: &&PathBuf| file.canonicalize().ok() == path.canonicalize().ok();
            let source = sources.iter().find(|source| source.files.iter().any(|file| is_it(&file)));
            source.map(|source| source.relative(path)).ok_or_else(|| ToldError::NotImported { path: path.clone() })
        });
        Ok(ForFiles { told: self, unmatched, place: place.transpose()? })
    }
}

impl ForFiles<'_> {
    pub fn unmatched(&self) -> usize {
        self.unmatched
    }

    /// Adds what is told to what the file says. What contradicts it is an error, in words.
    pub fn add_to(&self, run: &mut Run, path: &Path) -> Result<(), String> {
        let path = path.to_string_lossy();
        let found = self.told.from_path.as_ref().and_then(|pattern| Some((pattern, pattern.captures(&path)?)));
        let of_path = found.iter().flat_map(|(pattern, groups)| {
            let named = pattern.capture_names().flatten();
            named.filter_map(|name| Some((name.to_owned(), scalar(groups.name(name)?.as_str()))))
        });
        for (key, value) in of_path.chain(self.told.set.iter().cloned()) {
            add(run, &key, value)?;
        }
        Ok(())
    }

    /// By what a file is told from others whose workload is not known either: its path, or that of the file it repeats.
    pub fn place_of(&self, path: &Path, source: &Source) -> String {
        self.place.clone().unwrap_or_else(|| source.relative(path))
    }
}

/// Whether a name is one of those that a user may tell: what we or the benchmark tell is not.
fn is_setting(key: &str) -> bool {
    let name = crate::id::column_name(key);
    ["gpu_count", "model_id"].contains(&name.as_str()) || !is_reserved(&name)
}

fn check(key: &str, value: &Value) -> Result<(), ToldError> {
    if !is_setting(key) {
        return Err(ToldError::NoSetting { key: key.into() });
    }
    let is_count = ["gpu_count", "num_gpus"].contains(&crate::id::column_name(key).as_str());
    match is_count && value.as_f64().is_none_or(|count| count < 1.0) {
        true => Err(ToldError::NoCount { key: key.into(), value: text_of(value) }),
        false => Ok(()),
    }
}

fn add(run: &mut Run, key: &str, value: Value) -> Result<(), String> {
    let key = if key == "model_id" { "model" } else { key };
    let is_equal = |known: &Value| text_of(known) == text_of(&value);
    match run.serve.get(key).or_else(|| run.bench.get(key)) {
        Some(known) if is_equal(known) => return Ok(()),
        Some(known) => return Err(format!("the file says that {key} is {}, not {}", text_of(known), text_of(&value))),
        None => {}
    }
    if key == "model" {
        run.result.entry("model_id").or_insert_with(|| value.clone());
    }
    // What it measured under that name is kept: the setting is shown.
    let side = if is_of_load(key) { &mut run.bench } else { &mut run.serve };
    side.params.insert(key.to_owned(), value);
    Ok(())
}

fn is_of_load(key: &str) -> bool {
    let name = crate::id::column_name(key);
    let declared = Table::Runs.column(&name).is_some_and(|column| column.kind == Kind::BenchParameter);
    declared
        || OF_LOAD.contains(&name.as_str())
        || BEGINNINGS_OF_LOAD.iter().any(|beginning| name.starts_with(beginning))
}

/// Numbers and truth values as such, everything else as text.
fn scalar(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        // `007` is no JSON number and yet 7 in a folder's name.
        _ => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
    }
}

fn text_of(value: &Value) -> String {
    match (value.as_str(), value.as_f64()) {
        (Some(text), _) => text.to_owned(),
        (None, Some(number)) => crate::record::spelled_number(number),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(set: &[&str], pattern: Option<&str>) -> Result<Told, ToldError> {
        Told::parse(&set.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), pattern, None)
    }

    fn added(told: &Told, path: &str, bench: Value) -> Result<(Value, Value), String> {
        let mut run = Run::default();
        run.bench.params = bench.as_object().unwrap().clone();
        ForFiles { told, unmatched: 0, place: None }.add_to(&mut run, Path::new(path))?;
        Ok((Value::Object(run.serve.params), Value::Object(run.bench.params)))
    }

    #[test]
    fn what_is_told_joins_the_side_that_it_is_of() {
        let told = told(
            &["gpu_count=16", "random_input_len=1024"],
            Some(r"tp(?<tensor_parallel_size>\d+)_conc(?<max_concurrency>\d+)"),
        );
        let told = told.unwrap();
        let expected = (
            json!({"tensor_parallel_size": 8, "gpu_count": 16}),
            json!({"max_concurrency": 64, "random_input_len": 1024}),
        );
        assert_eq!(added(&told, "a/tp8_conc064/r.json", json!({})), Ok(expected));
        // What the file says already is not said again, and not contradicted.
        let (_, bench) = added(&told, "tp8_conc4/r.json", json!({"max-concurrency": 4.0})).unwrap();
        assert_eq!(bench, json!({"max-concurrency": 4.0, "random_input_len": 1024}));
        let error = added(&told, "tp8_conc8/r.json", json!({"max_concurrency": 4})).unwrap_err();
        assert_eq!(error, "the file says that max_concurrency is 4, not 8");
    }

    #[test]
    fn what_can_not_be_told_is_refused() {
        for (set, pattern, message) in [
            (&["gpu_count"][..], None, "\"gpu_count\" is not of the form KEY=VALUE"),
            (&["a=1", "a=2"], None, "a is given twice"),
            (&["gpu_count=sixteen"], None, "gpu_count: sixteen is not a valid number of GPUs"),
            (&["gpu_count=0"], None, "gpu_count: 0 is not a valid number of GPUs"),
            (
                &["output_throughput=9"],
                None,
                "output_throughput is measured or recorded by sweeplake, and cannot be set",
            ),
            (&[], Some("(?<status>x)"), "status is measured or recorded by sweeplake, and cannot be set"),
            (&["a=1"], Some("(?<a>x)"), "a is given twice"),
            (&[], Some(r"tp(\d+)"), "the pattern has no named groups; name them: (?<tensor_parallel_size>\\d+)"),
        ] {
            assert_eq!(told(set, pattern).unwrap_err().to_string(), message);
        }
        assert!(told(&[], Some("(")).unwrap_err().to_string().starts_with("regex parse error"));
    }
}
