//! Reading a benchmark's result file.

use super::REQUEST_ARRAYS;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a result file is no result.
#[derive(Debug, thiserror::Error)]
pub enum BadResult {
    #[error("{}: can't be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}: is no JSON (line {line}, column {column}); it may have been cut off while it was written", path.display())]
    Malformed { path: PathBuf, line: usize, column: usize },
    #[error("{}: expected one JSON object", path.display())]
    NotAnObject { path: PathBuf },
}

/// Reads a result file of one JSON object.
pub fn read_result(path: &Path) -> Result<Map<String, Value>, BadResult> {
    let text = std::fs::read_to_string(path).map_err(|source| BadResult::Unreadable { path: path.into(), source })?;
    match parse_result(&text) {
        Ok(Value::Object(result)) => Ok(result),
        Ok(_) => Err(BadResult::NotAnObject { path: path.into() }),
        Err(error) => Err(BadResult::Malformed { path: path.into(), line: error.line(), column: error.column() }),
    }
}

/// A result without what it says of single requests: most of its bytes, and not needed for a row of `runs`.
pub struct LeanResult(pub Map<String, Value>);

impl<'de> Deserialize<'de> for LeanResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LeanVisitor).map(LeanResult)
    }
}

struct LeanVisitor;

impl<'de> Visitor<'de> for LeanVisitor {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a result")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut result = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            if REQUEST_ARRAYS.contains(&key.as_str()) {
                fields.next_value::<IgnoredAny>()?;
            } else {
                result.insert(key, fields.next_value()?);
            }
        }
        Ok(result)
    }
}

/// Parses JSON as Python writes it: `NaN` and `Infinity` stand for the texts `nan` and `inf`.
pub fn parse_result<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_str(text).or_else(|error| match quoted_non_finite(text) {
        Cow::Borrowed(_) => Err(error),
        Cow::Owned(repaired) => serde_json::from_str(&repaired),
    })
}

/// Puts quotes around the bare words that Python's `json.dump` writes for numbers that JSON lacks.
fn quoted_non_finite(text: &str) -> Cow<'_, str> {
    let words = [("-Infinity", "\"-inf\""), ("Infinity", "\"inf\""), ("NaN", "\"nan\"")];
    let mut repaired = String::new();
    let mut copied = 0;
    let (mut in_string, mut escaped) = (false, false);
    let mut index = 0;
    while index < text.len() {
        let byte = text.as_bytes()[index];
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'-' | b'I' | b'N' if !in_string => {
                let rest = &text.as_bytes()[index..];
                if let Some((word, quoted)) = words.iter().find(|(word, _)| rest.starts_with(word.as_bytes())) {
                    repaired.push_str(&text[copied..index]);
                    repaired.push_str(quoted);
                    index += word.len();
                    copied = index;
                    continue;
                }
            }
            _ => {}
        }
        index += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    repaired.push_str(&text[copied..]);
    Cow::Owned(repaired)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pythons_non_finite_numbers_are_read() {
        let text = r#"{"a": NaN, "b": [-Infinity, 1], "c": "NaN, \" Infinity", "d": Infinity}"#;
        let expected = json!({"a": "nan", "b": ["-inf", 1], "c": "NaN, \" Infinity", "d": "inf"});
        assert_eq!(parse_result::<Value>(text).unwrap(), expected);
    }

    #[test]
    fn a_lean_result_lacks_only_what_is_of_single_requests() {
        let LeanResult(lean) = parse_result(r#"{"a": NaN, "itls": [[1.0, NaN]], "latencies": [2], "b": [3]}"#).unwrap();
        assert_eq!(Value::Object(lean), json!({"a": "nan", "b": [3]}));
    }

    #[test]
    fn a_file_that_was_cut_off_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\"a\": 1,\n \"b\"").unwrap();
        let error = read_result(file.path()).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains(&*file.path().display().to_string()), "{error}");
    }
}
