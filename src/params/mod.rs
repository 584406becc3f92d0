//! Parameter sets: reading a params file, and turning a set into flags of a command.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

mod address;
mod command;
mod file;

pub use address::{Address, BASE_URL, PORT, Takes};
pub use command::{Command, RESULT, with_nul};
pub use file::{GRID, SLA_NAME, WHERE, name_used_twice, read_document, read_params_file, scalar, yaml_document};

use crate::id::column_name;
use crate::redact::Redactor;
use serde_json::{Map, Value};
use std::path::PathBuf;

/// One object of a params file: flag name to value, and maybe a name of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParamSet {
    pub name: Option<String>,
    pub params: Map<String, Value>,
}

/// A value as people write it: a text without its quotes, anything else as JSON.
pub fn value_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl ParamSet {
    /// The set under which a command runs unchanged.
    pub fn unchanged() -> Self {
        Self::default()
    }

    pub fn is_unchanged(&self) -> bool {
        self.name.is_none() && self.params.is_empty()
    }

    /// Finds a parameter whatever its `-`/`_` spelling.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let wanted = column_name(key);
        self.params.iter().find(|(key, _)| column_name(key) == wanted).map(|(_, value)| value)
    }

    /// The parameters as vLLM writes them into a record: as typed, with `_benchmark_name` where there is one.
    pub fn to_record(&self) -> Map<String, Value> {
        let name = self.name.iter().map(|name| (BENCHMARK_NAME.to_owned(), Value::String(name.clone())));
        name.chain(self.params.iter().map(|(key, value)| (key.clone(), value.clone()))).collect()
    }

    /// The parameters of such a record.
    pub fn of_record(record: &Map<String, Value>) -> Self {
        let name = record.get(BENCHMARK_NAME).and_then(Value::as_str).map(str::to_owned);
        let params = record.iter().filter(|(key, _)| *key != BENCHMARK_NAME);
        Self { name, params: params.map(|(key, value)| (key.clone(), value.clone())).collect() }
    }

    /// The set as it may be stored.
    pub fn redacted(&self, redactor: &Redactor) -> Self {
        Self {
            name: self.name.as_ref().map(|name| redactor.text(name).into_owned()),
            params: redactor.fields(&self.params),
        }
    }

    /// The set without a parameter, whatever its spelling.
    pub fn without(&self, key: &str) -> Self {
        let mut changed = self.clone();
        changed.params.retain(|own, _| column_name(own) != column_name(key));
        changed
    }

    /// The set with one parameter replaced or added, under the spelling that is already there.
    pub fn with(&self, key: &str, value: Value) -> Self {
        let mut changed = self.clone();
        let wanted = column_name(key);
        let spelled = self.params.keys().find(|key| column_name(key) == wanted).cloned();
        changed.params.insert(spelled.unwrap_or(wanted), value);
        changed
    }
}

/// Whether a key can be a flag: letters, digits and `_`, `-`, `.` between them.
pub fn is_flag_name(key: &str) -> bool {
    key.starts_with(char::is_alphanumeric)
        && key.chars().all(|letter| letter.is_alphanumeric() || "_-.".contains(letter))
}

/// The key of a params file that names a set instead of setting a flag.
pub const BENCHMARK_NAME: &str = "_benchmark_name";

/// What can be wrong with a params file or a command.
#[derive(Debug, thiserror::Error)]
pub enum ParamsError {
    #[error("{}: can't be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}: line {line}, column {column}: {reason}", path.display())]
    Malformed { path: PathBuf, line: usize, column: usize, reason: String },
    #[error("{}: expected a list of objects or an object of named objects, found {found}", path.display())]
    WrongShape { path: PathBuf, found: String },
    #[error("{}: contains no parameter set; omit the flag to run the command unmodified", path.display())]
    Empty { path: PathBuf },
    #[error("{}: `_benchmark_name` {name:?} is used by more than one parameter set; names must be unique", path.display())]
    DuplicateName { path: PathBuf, name: String },
    #[error("{}: parameter set {position}: {reason}", path.display())]
    BadSet { path: PathBuf, position: usize, reason: String },
    #[error("{flag}: {reason} in {text:?}")]
    BadCommand { flag: String, text: String, reason: String },
}
