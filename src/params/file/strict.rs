//! JSON, TOML and YAML as one kind of value.

use super::Wrong;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

pub fn json(text: &str) -> Result<Value, Wrong> {
    serde_json::from_str(text).map(|Strict(value)| value).map_err(|error| of_json(&error, 0))
}

/// A value a line; empty lines are none.
pub fn json_lines(text: &str) -> Result<Value, Wrong> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let values = lines.map(|(index, line)| {
        serde_json::from_str(line).map(|Strict(value)| value).map_err(|error| of_json(&error, index))
    });
    values.collect::<Result<Vec<_>, _>>().map(Value::Array)
}

/// Tables by name, or one list of tables under any name: TOML has no list at its top.
pub fn toml(text: &str) -> Result<Value, Wrong> {
    let Strict(value) = ::toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let column = before.chars().rev().take_while(|letter| *letter != '\n').count() + 1;
        Wrong { line: before.matches('\n').count() + 1, column, reason: error.message().to_owned() }
    })?;
    Ok(match value {
        Value::Object(mut only) if only.len() == 1 && only.values().all(Value::is_array) => {
            only.values_mut().next().map_or(Value::Null, Value::take)
        }
        value => value,
    })
}

pub fn yaml(text: &str) -> Result<Value, Wrong> {
    serde_saphyr::from_str(text).map(|Strict(value)| value).map_err(|error| {
        let place = error.location();
        let (line, column) = place.map_or((1, 1), |place| (place.line() as usize, place.column() as usize));
        let whole = error.to_string();
        Wrong { line, column, reason: yaml_reason(whole.lines().next().unwrap_or_default()).to_owned() }
    })
}

/// What is wrong, without where, and without what a program could set.
fn yaml_reason(text: &str) -> &str {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let text = text.strip_prefix("line ").and_then(|rest| Some(rest.split_once(": ")?.1)).unwrap_or(text);
    let text = text.split("; ").next().unwrap_or(text);
    text.split(", set ").next().and_then(|text| text.split(", use ").next()).unwrap_or(text)
}

fn of_json(error: &serde_json::Error, lines_before: usize) -> Wrong {
    let message = error.to_string();
    let reason = message.split(" at line ").next().unwrap_or(&message).to_owned();
    Wrong { line: error.line() + lines_before, column: error.column(), reason }
}

/// A document in which a key given twice is an error: the second value would silently win.
pub struct Strict(pub Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

const TOML_DATE: &str = "$__toml_private_datetime";

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
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
        // JSON has no infinite numbers; commands take them as words.
        Ok(serde_json::Number::from_f64(value).map_or_else(|| value.to_string().to_lowercase().into(), Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
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
            let Strict(value) = fields.next_value()?;
            object.insert(key, value);
        }
        // A date of TOML comes as an object with one key of the library's.
        match object.remove(TOML_DATE) {
            Some(date) => Ok(date),
            None => Ok(Value::Object(object)),
        }
    }
}
