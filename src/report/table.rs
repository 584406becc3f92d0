//! Answers as tables of finished strings.

use crate::metric::label;
use crate::query::{Answer, QueryError, Value};
use crate::stats::with_interval;
use crate::table::{is_interval_of, usual};
use crate::words::params_text;
use std::collections::HashSet;

/// A table of the page, and the query that it answers.
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
    pub sql: String,
}

impl Table {
    /// The columns of an answer that say something. Half the width of an interval goes into the cells of its mean.
    pub fn of(answer: &Answer, sql: &str) -> Result<Self, QueryError> {
        let rows = answer.rows()?;
        let columns = answer.columns();
        let is_interval = |index: usize| {
            index > 0 && columns.get(index).is_some_and(|name| is_interval_of(name, &columns[index - 1]))
        };
        let kept: Vec<usize> = (0..columns.len())
            .filter(|index| !is_interval(*index) && says_something(&columns[*index], *index, &rows))
            .collect();
        let text = |row: &[Value], index: usize| match (&row[index], row.get(index + 1)) {
            (Value::Float(mean), Some(Value::Float(half))) if is_interval(index + 1) => with_interval(*mean, *half),
            (value, _) => cell(value),
        };
        let texts = rows.iter().map(|row| kept.iter().map(|index| text(row, *index)).collect()).collect();
        let columns = kept.iter().map(|index| head(&columns[*index])).collect();
        Ok(Self { columns, rows: texts, sql: sql.to_owned() })
    }
}

/// A column of nothing says nothing, and neither does the name of the only sweep in every row.
fn says_something(name: &str, index: usize, rows: &[Vec<Value>]) -> bool {
    let texts: HashSet<String> = rows.iter().map(|row| row[index].to_text()).collect();
    let is_empty = texts.iter().all(|text| matches!(text.as_str(), "" | "{}"));
    // That all is well needs no column.
    let is_usual = usual(name).is_some_and(|usual| texts.iter().all(|text| text == usual));
    !is_empty && !is_usual && (name != "sweep" || texts.len() > 1)
}

/// What stands above a column.
pub fn head(name: &str) -> String {
    match name {
        "n" => "Runs".into(),
        "label" => "Combination".into(),
        "gpu" => "GPU".into(),
        "sla" => "SLA".into(),
        name => label(name),
    }
}

pub fn cell(value: &Value) -> String {
    match value {
        Value::Float(value) => number(*value),
        Value::Text(text) => params_text(text),
        other => other.to_text(),
    }
}

/// A number as a table has it: no more decimals than say something, and nothing that keeps a program from reading it.
pub fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 1000.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A mean, and half its interval where there is one.
pub fn estimate(mean: f64, half: Option<f64>) -> String {
    half.map_or_else(|| number(mean), |half| with_interval(mean, half))
}

pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_have_the_decimals_that_say_something() {
        let cases = [(12345.67, "12346"), (123.45, "123.5"), (10.0, "10"), (1.005, "1"), (0.25, "0.25"), (-3.0, "-3")];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
    }
}
