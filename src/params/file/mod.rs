//! Parameter files: JSON, JSON Lines, CSV, TOML or YAML, by the file's ending. Each holds a list of sets, or sets by name.

mod delimited;
mod strict;

use super::{BENCHMARK_NAME, ParamSet, ParamsError, with_nul};
use crate::id::column_name;
use serde_json::Value;
use std::collections::HashSet;
use std::path::Path;

pub use delimited::scalar;

/// The key of a set that stands for many: parameters, each with the values that it takes.
pub const GRID: &str = "_grid";
/// The key of a condition on such a set.
pub const WHERE: &str = "_where";

/// The key of an SLA that names it instead of constraining a metric.
pub const SLA_NAME: &str = "_sla_name";

/// Reads a file as its ending says.
pub fn read_document(path: &Path) -> Result<Value, ParamsError> {
    let text = std::fs::read_to_string(path).map_err(|source| ParamsError::Unreadable { path: path.into(), source })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let value = match ending.as_str() {
        "jsonl" | "ndjson" => strict::json_lines(text),
        "csv" => delimited::sets(text),
        "toml" => strict::toml(text),
        "yaml" | "yml" => strict::yaml(text),
        _ => strict::json(text),
    };
    value.map_err(|Wrong { line, column, reason }| ParamsError::Malformed { path: path.into(), line, column, reason })
}

/// The value of a YAML text.
pub fn yaml_document(text: &str) -> Result<Value, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    strict::yaml(text).map_err(|Wrong { line, column, reason }| {
        format!("is not valid YAML at line {line}, column {column}: {reason}")
    })
}

/// Reads and checks a params file.
pub fn read_params_file(path: &Path) -> Result<Vec<ParamSet>, ParamsError> {
    let sets = match read_document(path)? {
        Value::Array(items) => items.into_iter().map(|item| (None, item)).collect::<Vec<_>>(),
        Value::Object(grid) if grid.contains_key(GRID) => vec![(None, Value::Object(grid))],
        Value::Object(named) => named.into_iter().map(|(name, item)| (Some(name), item)).collect(),
        other => return Err(ParamsError::WrongShape { path: path.into(), found: kind(&other).into() }),
    };
    if sets.is_empty() {
        return Err(ParamsError::Empty { path: path.into() });
    }
    let sets = sets
        .into_iter()
        .enumerate()
        .map(|(index, (name, item))| param_set(path, index + 1, name, item))
        .collect::<Result<Vec<_>, _>>()?;
    check_names(path, &sets)?;
    Ok(sets)
}

/// What is wrong with a text, and where.
struct Wrong {
    line: usize,
    column: usize,
    reason: String,
}

fn param_set(path: &Path, position: usize, name: Option<String>, item: Value) -> Result<ParamSet, ParamsError> {
    let Value::Object(mut params) = item else {
        let found = match name {
            Some(name) => format!("{} under the name {name:?}", kind(&item)),
            None => format!("{} at position {position}", kind(&item)),
        };
        return Err(ParamsError::WrongShape { path: path.into(), found });
    };
    let bad = |reason: String| ParamsError::BadSet { path: path.into(), position, reason };
    // As in vLLM, a `_benchmark_name` inside the object wins over the object's own key.
    let name = match params.shift_remove(BENCHMARK_NAME) {
        Some(Value::String(inner)) => Some(inner),
        Some(other) => return Err(bad(format!("`{BENCHMARK_NAME}` must be a string, found {}", kind(&other)))),
        None => name,
    };
    let mut seen = HashSet::new();
    for key in params.keys() {
        if key.is_empty() || key.starts_with('-') || key.contains(char::is_whitespace) {
            return Err(bad(format!("{key:?} is not a flag name; write it without leading dashes")));
        }
        if key.starts_with('_') && ![GRID, WHERE, SLA_NAME].contains(&key.as_str()) {
            return Err(bad(format!(
                "{key:?} is not known; names that begin with `_` are {BENCHMARK_NAME}, {GRID} and {WHERE}"
            )));
        }
        if !seen.insert(column_name(key)) {
            return Err(bad(format!("{key:?} is given in both its `-` and its `_` spelling")));
        }
    }
    let set = ParamSet { name, params };
    match with_nul(&set) {
        Some(key) => Err(bad(format!("{key:?}: a NUL character can't stand in a command line"))),
        None => Ok(set),
    }
}

fn check_names(path: &Path, sets: &[ParamSet]) -> Result<(), ParamsError> {
    match name_used_twice(sets) {
        Some(name) => Err(ParamsError::DuplicateName { path: path.into(), name: name.to_owned() }),
        None => Ok(()),
    }
}

/// A name that more than one set has.
pub fn name_used_twice(sets: &[ParamSet]) -> Option<&str> {
    let mut seen = HashSet::new();
    sets.iter().filter_map(|set| set.name.as_deref()).find(|name| !seen.insert(*name))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<ParamSet>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read_params_file(file.path())
            .map_err(|error| error.to_string().replace(&file.path().display().to_string(), "FILE"))
    }

    #[test]
    fn list_and_named_objects_are_read() {
        let list = read(r#"[{"a": 1}, {"_benchmark_name": "x", "a": 65536}]"#).unwrap();
        assert_eq!(list[0].name, None);
        assert_eq!((list[1].name.as_deref(), list[1].get("a").unwrap().to_string()), (Some("x"), "65536".into()));
        let named = read(r#"{"slow": {"a": 1}, "fast": {"a": 2}}"#).unwrap();
        assert_eq!(named.iter().filter_map(|set| set.name.as_deref()).collect::<Vec<_>>(), ["slow", "fast"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let cases = [
            ("[{\"a\": 1},\n {\"b\": }]", "FILE: line 2, column 8: expected value"),
            ("42", "FILE: expected a list of objects or an object of named objects, found a number"),
            ("[1]", "FILE: expected a list of objects or an object of named objects, found a number at position 1"),
            (
                r#"{"a": 3}"#,
                "FILE: expected a list of objects or an object of named objects, found a number under the name \"a\"",
            ),
            ("[]", "FILE: contains no parameter set; omit the flag to run the command unmodified"),
            (
                r#"[{"_benchmark_name": "x"}, {"_benchmark_name": "x"}]"#,
                "FILE: `_benchmark_name` \"x\" is used by more than one parameter set; names must be unique",
            ),
            (r#"{"x": {}, "x": {}}"#, "FILE: line 1, column 13: the key \"x\" is given twice in one object"),
            (
                r#"[{"a-b": 1, "a_b": 2}]"#,
                "FILE: parameter set 1: \"a_b\" is given in both its `-` and its `_` spelling",
            ),
            (
                r#"[{"a": 1}, {"b": "c\u0000"}]"#,
                "FILE: parameter set 2: \"b\": a NUL character can't stand in a command line",
            ),
            (r#"[{"--a": 1}]"#, "FILE: parameter set 1: \"--a\" is not a flag name; write it without leading dashes"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).unwrap_err(), expected, "for {text}");
        }
    }
}
