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
    #[error("{}: {}", path.display(), why_no_json(.error))]
    Malformed { path: PathBuf, error: serde_json::Error },
    #[error("{}: expected one JSON object", path.display())]
    NotAnObject { path: PathBuf },
}

/// Reads a result file of one JSON object.
pub fn read_result(path: &Path) -> Result<Map<String, Value>, BadResult> {
    let text = crate::files::text(path, crate::files::Links::Refuse)
        .map_err(|source| BadResult::Unreadable { path: path.into(), source })?;
    match parse_result(&text) {
        Ok(Value::Object(result)) => Ok(result),
        Ok(_) => Err(BadResult::NotAnObject { path: path.into() }),
        Err(error) => Err(BadResult::Malformed { path: path.into(), error }),
    }
}

/// Why a text is no JSON, and what may have happened to it.
fn why_no_json(error: &serde_json::Error) -> String {
    match error.is_eof() {
        true => format!(
            "is not valid JSON: it ends prematurely at line {}, probably cut off while it was being written",
            error.line()
        ),
        false => format!("is not valid JSON: {error}"),
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

/// A result's text without the numbers of single requests. Finding where a list of numbers ends is many times as fast
/// as parsing it only to throw it away; lists of lists and of texts are left to the parser.
#[expect(clippy::indexing_slicing, clippy::string_slice, reason = "at places that were found in this text")]
pub fn without_request_numbers(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut lean = String::with_capacity(text.len().min(LEAN_CAPACITY));
    let mut copied = 0;
    let mut from = 0;
    while let Some(open) = memchr::memchr(b'[', &bytes[from..]).map(|offset| from + offset) {
        from = open + 1;
        let is_of_requests = || key_before(&text[..open]).is_some_and(|key| REQUEST_ARRAYS.contains(&key));
        let end = || memchr::memchr3(b']', b'[', b'"', &bytes[from..]).map(|offset| from + offset);
        if let Some(close) = end().filter(|end| bytes[*end] == b']' && is_of_requests()) {
            lean.push_str(&text[copied..from]);
            (copied, from) = (close, close + 1);
        }
    }
    lean.push_str(&text[copied..]);
    lean
}

/// Room for a few runs without their lists.
const LEAN_CAPACITY: usize = 16 * 1024;

/// The key in front of a value that begins where this text ends. Inside a JSON string no bare quote stands before a
/// colon, so what looks like a key is one.
fn key_before(text: &str) -> Option<&str> {
    let (before, key) = text.trim_end().strip_suffix(':')?.trim_end().strip_suffix('"')?.rsplit_once('"')?;
    (!before.ends_with('\\')).then_some(key)
}

/// Parses JSON as Python writes it: `NaN` and `Infinity` stand for the texts `nan` and `inf`.
pub fn parse_result<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_str(text).or_else(|error| match quoted_non_finite(text) {
        Cow::Borrowed(_) => Err(error),
        Cow::Owned(repaired) => serde_json::from_str(&repaired),
    })
}

/// Parses all JSON values of a text: one, JSON lines, or objects one behind the other as vLLM's `--append-result` writes them.
pub fn parse_results(text: &str) -> serde_json::Result<Vec<Value>> {
    match results_before_error(text) {
        (_, Some(error)) => Err(error),
        (values, None) => Ok(values),
    }
}

/// The JSON values of a text up to where it is none: a file that is appended to may end in the middle of one.
pub fn results_before_error(text: &str) -> (Vec<Value>, Option<serde_json::Error>) {
    let read = |text: &str| {
        let mut values = Vec::new();
        for value in serde_json::Deserializer::from_str(text).into_iter() {
            match value {
                Ok(value) => values.push(value),
                Err(error) => return (values, Some(error)),
            }
        }
        (values, None)
    };
    let found = read(text);
    match quoted_non_finite(text) {
        Cow::Owned(repaired) if found.1.is_some() => read(&repaired),
        _ => found,
    }
}

/// Puts quotes around the bare words that Python's `json.dump` writes for numbers that JSON lacks.
#[expect(clippy::indexing_slicing, clippy::string_slice, reason = "at places that were found in this text")]
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
    fn lists_of_numbers_are_cut_out_by_their_key() {
        let text = r#"[{"ttfts": [1, 2.5e-3, NaN], "a": [1], "itls": [[1], [2]], "errors": ["[", "]"], "latencies" :[ ]},
            {"b": "\"latencies\": [7]", "latencies": [3], "output_lens":[4"#;
        let lean = r#"[{"ttfts": [], "a": [1], "itls": [[1], [2]], "errors": ["[", "]"], "latencies" :[]},
            {"b": "\"latencies\": [7]", "latencies": [], "output_lens":[4"#;
        assert_eq!(without_request_numbers(text), lean);
    }

    #[test]
    fn a_file_that_was_cut_off_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\"a\": 1,\n \"b\"").unwrap();
        let error = read_result(file.path()).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains(&*file.path().display().to_string()), "{error}");
    }
}
