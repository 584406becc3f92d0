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
    Texts(Vec<String>),
    /// Texts by key.
    Map(Vec<(String, String)>),
}

/// A row by column name, in the order in which the columns should stand.
pub type Row = Vec<(Cow<'static, str>, Cell)>;

impl Cell {
    /// A value of a benchmark's result. The texts by which Python and vLLM write infinite numbers, which JSON lacks (`inf`,
    /// `Infinity`), become those numbers, and `nan` nothing; a text that spells a number (vLLM's `--metadata` writes all as text)
    /// is that number; lists and objects become their JSON text.
    pub fn of_result(value: &Value) -> Self {
        match value {
            Value::String(text) => non_finite(text).map_or_else(|| Self::of_setting(value), Self::from),
            other => Self::of_setting(other),
        }
    }

    /// A parameter's value: a number and its text reach the command line as the same word, so they are one value, and so are
    /// `8` and `8.0`.
    pub fn of_setting(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => of_number(number),
            Value::String(text) if text == "inf" => Self::Float(f64::INFINITY),
            Value::String(text) => match serde_json::from_str::<Value>(text) {
                Ok(Value::Number(number)) => of_number(&number),
                _ => Self::Text(text.clone()),
            },
            compound => Self::Text(compound.to_string()),
        }
    }

    /// The cell as people spell it: whole numbers without a point.
    pub fn spelled(&self) -> Option<String> {
        match self {
            Self::Null | Self::Floats(_) | Self::Texts(_) | Self::Map(_) => None,
            Self::Bool(value) => Some(value.to_string()),
            Self::Int(value) | Self::Time(value) => Some(value.to_string()),
            Self::Float(value) => Some(spelled_number(*value)),
            Self::Text(text) => Some(text.clone()),
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
            Self::Texts(texts) => texts.as_slice().into(),
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

/// A whole number in the range of both is an integer, however it was written.
fn of_number(number: &serde_json::Number) -> Cell {
    match (number.as_i64(), number.as_f64()) {
        (Some(integer), _) => Cell::Int(integer),
        (None, Some(float)) if float.fract() == 0.0 && float.abs() < LARGEST_WHOLE => Cell::Int(float as i64),
        (None, float) => float.map_or(Cell::Null, Cell::from),
    }
}

/// Up to here every whole number has a float of its own.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// A number as people write it, and as it stands in JSON and on a command line: `8` and not `8.0`.
pub fn spelled_number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < LARGEST_WHOLE {
        format!("{value:.0}")
    } else {
        value.to_string().to_lowercase()
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
        assert_eq!(Cell::of_result(&json!(6)), Cell::Int(6));
        assert_eq!(Cell::of_result(&json!("inf")), Cell::Float(f64::INFINITY));
        assert_eq!(Cell::of_result(&json!("info")), Cell::Text("info".into()));
        assert_eq!(Cell::of_result(&json!({"a": [1]})), Cell::Text(r#"{"a":[1]}"#.into()));
        assert_eq!((Cell::of_result(&json!("nan")), Cell::from(f64::NAN)), (Cell::Null, Cell::Null));
    }

    #[test]
    fn a_setting_is_one_value_however_it_is_spelled() {
        for eight in [json!(8), json!("8"), json!(8.0), json!("8.0")] {
            assert_eq!(Cell::of_setting(&eight), Cell::Int(8));
        }
        for (value, spelled) in [
            (json!(0.5), "0.5"),
            (json!(true), "true"),
            (json!("inf"), "inf"),
            (json!("007"), "007"),
            (json!(1e300), "1e300"),
        ] {
            let cell = Cell::of_setting(&value);
            assert_eq!(cell.spelled().unwrap().parse::<f64>().ok(), spelled.parse::<f64>().ok(), "{value}");
        }
        assert_eq!(Cell::of_setting(&json!("007")), Cell::Text("007".into()));
        assert_eq!(Cell::of_setting(&json!("nan")), Cell::Text("nan".into()));
    }
}
