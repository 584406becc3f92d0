//! CSV: parameters in its header, a set a line. An empty cell sets nothing.

use super::Wrong;
use crate::params::BENCHMARK_NAME;
use serde_json::{Map, Value};

pub fn sets(text: &str) -> Result<Value, Wrong> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| wrong(&error))?.clone();
    for (index, name) in header.iter().enumerate() {
        if header.iter().take(index).any(|earlier| earlier == name) {
            return Err(Wrong { line: 1, column: 1, reason: format!("the column {name:?} is there twice") });
        }
    }
    let sets = reader.records().map(|record| {
        let record = record.map_err(|error| wrong(&error))?;
        let cells = header.iter().zip(&record).filter(|(_, cell)| !cell.is_empty());
        let value = |name: &str, cell: &str| if name == BENCHMARK_NAME { cell.into() } else { scalar(cell) };
        let set: Map<String, Value> = cells.map(|(name, cell)| (name.to_owned(), value(name, cell))).collect();
        Ok(Value::Object(set))
    });
    sets.collect::<Result<Vec<_>, _>>().map(Value::Array)
}

/// A word as the value that it spells: a number, `true`, `false` or `null`, else a text. A number that would be written otherwise
/// than it is, `1e3` or `1.50`, stays the word.
pub fn scalar(word: &str) -> Value {
    match serde_json::from_str(word) {
        Ok(value @ (Value::Null | Value::Bool(_))) => value,
        Ok(Value::Number(number)) if number.to_string() == word => Value::Number(number),
        _ => word.into(),
    }
}

fn wrong(error: &csv::Error) -> Wrong {
    let line = error.position().map_or(1, |place| place.line() as usize);
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} cells where the header has {expected_len}")
        }
        _ => error.to_string(),
    };
    Wrong { line, column: 1, reason }
}
