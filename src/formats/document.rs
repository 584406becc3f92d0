//! Finding values in a parsed document by the paths of their keys.

use crate::files::{self, Links};
use crate::params::yaml_document;
use crate::record::parse_results;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::path::Path;

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

/// The documents of a file beside another one, JSON or YAML; none where it is not there or can't be read.
pub fn beside(path: &Path, name: &str) -> Vec<Value> {
    let Ok(text) = files::text(&path.with_file_name(name), Links::Follow) else { return Vec::new() };
    match is_yaml(name) {
        true => yaml_document(&text).into_iter().collect(),
        false => parse_results(&text).unwrap_or_default(),
    }
}

pub fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}

/// Seconds since 1970 as an instant.
pub fn instant(seconds: f64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros((seconds * 1e6) as i64)
}

/// A count that a tool summed up as a float: 233.99999999999994 is 234.
pub fn rounded(count: f64) -> Value {
    Value::from(count.round() as i64)
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
