//! `SUMMARIZE table` and `SUMMARIZE SELECT …`, as DuckDB has it: a row for each column.

use super::answer::Rows;
use super::columns::type_name;
use super::{Lake, QueryError, Value, quoted};
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use std::sync::Arc;

/// What a statement asks to summarize; nothing of other statements.
pub fn subject(sql: &str) -> Option<&str> {
    let (word, rest) = sql.trim().split_once(char::is_whitespace)?;
    word.eq_ignore_ascii_case("summarize").then(|| rest.trim().trim_end_matches(';').trim())
}

/// Numbers have a mean and a standard deviation; of lists and maps only how many there are is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Numbers,
    Others,
    Nested,
}

const AGGREGATES: usize = 6;

impl Holds {
    /// Minimum, maximum, distinct values, mean, standard deviation, values.
    fn aggregates(self, column: &str) -> [String; AGGREGATES] {
        let none = || "NULL".to_owned();
        let text = |function: &str| format!("CAST({function}({column}) AS VARCHAR)");
        let number = |function: &str| if self == Self::Numbers { format!("{function}({column})") } else { none() };
        let (least, most, distinct) = match self {
            Self::Nested => (none(), none(), none()),
            Self::Numbers | Self::Others => {
                (text("min"), text("max"), format!("approx_distinct(CAST({column} AS VARCHAR))"))
            }
        };
        [least, most, distinct, number("avg"), number("stddev"), format!("count({column})")]
    }
}

pub async fn summarize(lake: &Lake, subject: &str) -> Result<Rows, QueryError> {
    let first = subject.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    let from = if ["select", "with", "values"].contains(&first.as_str()) {
        format!("({subject})")
    } else {
        subject.to_owned()
    };
    let schema = lake.rows_of(&format!("SELECT * FROM {from} LIMIT 0")).await?.schema();
    let holds = |holds: &arrow::datatypes::DataType| match holds {
        holds if holds.is_numeric() => Holds::Numbers,
        holds if holds.is_nested() => Holds::Nested,
        _ => Holds::Others,
    };
    let aggregates =
        schema.fields().iter().flat_map(|field| holds(field.data_type()).aggregates(&quoted(field.name())));
    let named = aggregates.enumerate().map(|(index, sql)| format!(", {sql} AS a{index}")).collect::<String>();
    let answer = lake.rows_of(&format!("SELECT count(*) AS n{named} FROM {from}")).await?.collect().await?;
    let row = answer.rows()?.into_iter().next().unwrap_or_default();
    let all = row.first().and_then(Value::as_f64).unwrap_or(0.0);
    let cells = |place: usize| row.iter().skip(1 + place).step_by(AGGREGATES);
    let texts = |place: usize| -> ArrayRef {
        let text = |value: &Value| (*value != Value::Null).then(|| value.to_text());
        Arc::new(cells(place).map(text).collect::<StringArray>())
    };
    let numbers = |place: usize| -> ArrayRef { Arc::new(cells(place).map(Value::as_f64).collect::<Float64Array>()) };
    let counts = |place: usize| -> ArrayRef {
        Arc::new(cells(place).map(|value| value.as_f64().map(|count| count as i64)).collect::<Int64Array>())
    };
    let missing =
        cells(5).map(|value| value.as_f64().map(|count| if all > 0.0 { 100.0 * (1.0 - count / all) } else { 0.0 }));
    let fields = schema.fields();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("column_name", Arc::new(fields.iter().map(|field| Some(field.name().as_str())).collect::<StringArray>())),
        ("column_type", Arc::new(fields.iter().map(|field| Some(type_name(field))).collect::<StringArray>())),
        ("min", texts(0)),
        ("max", texts(1)),
        ("approx_unique", counts(2)),
        ("avg", numbers(3)),
        ("std", numbers(4)),
        ("count", counts(5)),
        ("null_percentage", Arc::new(missing.collect::<Float64Array>())),
    ];
    let batch = RecordBatch::try_from_iter(columns).map_err(|error| QueryError::Failed(error.into()))?;
    lake.rows_of_batch(batch).await
}
