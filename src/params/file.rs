//! Params files: a list of objects, or an object of named objects.

use super::{BENCHMARK_NAME, ParamSet, ParamsError};
use crate::id::column_name;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::fmt;
use std::path::Path;

/// Reads and checks a params file.
pub fn read_params_file(path: &Path) -> Result<Vec<ParamSet>, ParamsError> {
    let text = std::fs::read_to_string(path).map_err(|source| ParamsError::Unreadable { path: path.into(), source })?;
    let StrictJson(value) = serde_json::from_str(&text).map_err(|error| ParamsError::Malformed {
        path: path.into(),
        line: error.line(),
        column: error.column(),
        reason: without_position(&error.to_string()),
    })?;
    let sets = match value {
        Value::Array(items) => items.into_iter().map(|item| (None, item)).collect::<Vec<_>>(),
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
        if !seen.insert(column_name(key)) {
            return Err(bad(format!("{key:?} is given in both its `-` and its `_` spelling")));
        }
    }
    Ok(ParamSet { name, params })
}

fn check_names(path: &Path, sets: &[ParamSet]) -> Result<(), ParamsError> {
    let mut seen = HashSet::new();
    match sets.iter().filter_map(|set| set.name.as_ref()).find(|name| !seen.insert(name.as_str())) {
        Some(name) => Err(ParamsError::DuplicateName { path: path.into(), name: name.clone() }),
        None => Ok(()),
    }
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

fn without_position(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

/// JSON in which a key given twice is an error: the second value would silently win.
struct StrictJson(Value);

impl<'de> Deserialize<'de> for StrictJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(StrictJson)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(StrictJson(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} is given twice in one object")));
            }
            let StrictJson(value) = fields.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
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
            (r#"[{"--a": 1}]"#, "FILE: parameter set 1: \"--a\" is not a flag name; write it without leading dashes"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).unwrap_err(), expected, "for {text}");
        }
    }
}
