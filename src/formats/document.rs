//! Finding values in a parsed document by the paths of their keys.

use crate::files::{self, Links};
use crate::params::yaml_document;
use crate::record::parse_results;
use chrono::{DateTime, Utc};
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The value at a path of keys and of indices of lists: `input_config.phases.0.name`.
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

/// A value that is there and is not null.
pub fn known_at<'a>(value: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    at(value, path).filter(|value| !value.is_null())
}

pub fn number_at(value: &Map<String, Value>, path: &str) -> Option<f64> {
    at(value, path).and_then(Value::as_f64)
}

pub fn text_at<'a>(value: &'a Map<String, Value>, path: &str) -> Option<&'a str> {
    at(value, path).and_then(Value::as_str)
}

pub fn list_at<'a>(value: &'a Map<String, Value>, path: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    at(value, path).and_then(Value::as_array).into_iter().flatten()
}

/// All values below a value, by their paths: `config.backend.model`. Lists are one text.
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

/// The documents of a file beside another one, JSON or YAML, packed or not: none where it is not there, and why it can't be read.
pub fn beside(path: &Path, name: &str) -> Result<Vec<Value>, String> {
    let Some(text) = text_beside(path, name)? else { return Ok(Vec::new()) };
    let read = match is_yaml(name) {
        true => yaml_document(&text).map(|document| vec![document]),
        false => parse_results(&text).map_err(|error| format!("is not valid JSON: {error}")),
    };
    read.map_err(|why| format!("{name} {why}"))
}

/// The text of a file beside another one, packed or not.
pub fn text_beside(path: &Path, name: &str) -> Result<Option<String>, String> {
    match names_beside(path, name).iter().find(|file| file.symlink_metadata().is_ok()) {
        Some(file) => text_of(file).map(Some).map_err(|why| format!("{name} {why}")),
        None => Ok(None),
    }
}

/// Where a file beside another one is, as it is and packed.
pub fn names_beside(path: &Path, name: &str) -> [PathBuf; 2] {
    [name.to_owned(), format!("{name}{GZIP}")].map(|name| path.with_file_name(name))
}

/// A name without the ending that says that it is packed.
pub fn unpacked(name: &str) -> &str {
    name.strip_suffix(GZIP).unwrap_or(name)
}

/// The ending of what is packed.
const GZIP: &str = ".gz";
/// What unpacks to more than this was made to fill a machine's memory.
const LARGEST_UNPACKED: u64 = 4 << 30;

/// The text of a file, unpacked where it is packed with gzip.
pub fn text_of(path: &Path) -> Result<String, String> {
    let bytes = files::bytes(path, Links::Follow).map_err(|error| error.to_string())?;
    let bytes = match bytes.starts_with(&[0x1f, 0x8b]) {
        true => {
            let mut unpacked = Vec::new();
            let mut decoder = MultiGzDecoder::new(bytes.as_slice()).take(LARGEST_UNPACKED + 1);
            decoder.read_to_end(&mut unpacked).map_err(|error| format!("can't be unpacked: {error}"))?;
            if unpacked.len() as u64 > LARGEST_UNPACKED {
                return Err(format!("is larger than {} GiB when unpacked", LARGEST_UNPACKED >> 30));
            }
            unpacked
        }
        false => bytes,
    };
    String::from_utf8(bytes).map(files::without_mark).map_err(|error| files::no_text(&error))
}

pub fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}

/// Seconds since 1970 as an instant.
pub fn instant(seconds: f64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros((seconds * 1e6) as i64)
}

/// A count that a tool summed up as a float: 233.99999999999994 is 234. What is too large to be a count stays as it is.
pub fn rounded(count: f64) -> Value {
    match count.round() {
        whole if whole.abs() < 9e15 => Value::from(whole as i64),
        _ => Value::from(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_through_objects_and_lists() {
        let document = json!({"a": {"b": [{"c": 1}, {"c": null}]}});
        let document = document.as_object().unwrap();
        assert_eq!(number_at(document, "a.b.0.c"), Some(1.0));
        assert_eq!((known_at(document, "a.b.1.c"), at(document, "a.b.2.c"), at(document, "a.x")), (None, None, None));
        let mut all = Vec::new();
        flatten(&json!({"a": {"b": [1, 2], "c": "x", "d": null}}), "", &mut all);
        assert_eq!(all, [("a.b".to_owned(), "[1,2]".to_owned()), ("a.c".to_owned(), "x".to_owned())]);
    }

    #[test]
    fn counts_are_rounded() {
        assert_eq!(rounded(233.99999999999994), json!(234));
    }
}
