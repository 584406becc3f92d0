//! One value of a table row, before it has a column type.

use serde_json::{Map, Value};
use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Microseconds since 1970, UTC.
    Time(i64),
    Floats(Vec<f64>),
    /// Texts by key.
    Map(Vec<(String, String)>),
}

/// A row by column name, in the order in which the columns should stand.
pub type Row = Vec<(Cow<'static, str>, Cell)>;

impl Cell {
    /// A JSON value as a cell. The texts by which Python and vLLM write infinite numbers, which JSON lacks (`inf`, `Infinity`),
    /// become those numbers, and `nan` nothing; lists and objects become their JSON text.
    pub fn of_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => Self::Int(integer),
                None => number.as_f64().map_or(Self::Null, Self::Float),
            },
            Value::String(text) => non_finite(text).map_or_else(|| Self::Text(text.clone()), Self::from),
            compound => Self::Text(compound.to_string()),
        }
    }

    /// The cell as a JSON value; numbers that JSON lacks as the texts that Python writes.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) | Self::Time(value) => (*value).into(),
            Self::Float(value) if value.is_finite() => (*value).into(),
            Self::Float(value) => value.to_string().to_lowercase().into(),
            Self::Text(text) => text.as_str().into(),
            Self::Floats(values) => values.as_slice().into(),
            Self::Map(entries) => {
                entries.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect::<Map<_, _>>().into()
            }
        }
    }

    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }
}

/// What is no number is none that could be reckoned with: one among many would make a mean of nothing.
impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        if value.is_nan() { Self::Null } else { Self::Float(value) }
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The number that a text like `inf` stands for.
fn non_finite(text: &str) -> Option<f64> {
    match text {
        "inf" | "Infinity" | "+inf" => Some(f64::INFINITY),
        "-inf" | "-Infinity" => Some(f64::NEG_INFINITY),
        "nan" | "NaN" => Some(f64::NAN),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_becomes_cells() {
        assert_eq!(Cell::of_json(&json!(6)), Cell::Int(6));
        assert_eq!(Cell::of_json(&json!("inf")), Cell::Float(f64::INFINITY));
        assert_eq!(Cell::of_json(&json!("info")), Cell::Text("info".into()));
        assert_eq!(Cell::of_json(&json!({"a": [1]})), Cell::Text(r#"{"a":[1]}"#.into()));
        assert_eq!((Cell::of_json(&json!("nan")), Cell::from(f64::NAN)), (Cell::Null, Cell::Null));
    }
}
