//! Failed runs, those that failed alike together.

use super::ReportError;
use crate::plan::params_text;
use crate::query::{FAILURES, Lake, Value};

/// A failure, and every run that it befell.
pub struct Failure {
    pub kind: String,
    pub title: String,
    pub runs: Vec<String>,
    pub log_tail: String,
}

pub async fn failures(lake: &Lake) -> Result<Vec<Failure>, ReportError> {
    Ok(grouped(&lake.sql(FAILURES).await?.rows()))
}

/// Columns: sweep, serve, bench, run_number, error_kind, error, exit_code, log_tail.
fn grouped(rows: &[Vec<Value>]) -> Vec<Failure> {
    let cause = |row: &[Value]| [&row[0], &row[1], &row[4], &row[5], &row[7]].map(Value::to_text);
    let mut order: Vec<&Vec<Value>> = Vec::new();
    for row in rows {
        if !order.iter().any(|known| cause(known) == cause(row)) {
            order.push(row);
        }
    }
    let failure = |first: &Vec<Value>| {
        let [sweep, serve, kind, error, log_tail] = cause(first);
        let alike: Vec<&Vec<Value>> = rows.iter().filter(|row| cause(row) == cause(first)).collect();
        let of_bench = alike.chunk_by(|left, right| left[2] == right[2]).map(|runs| {
            let numbers: Vec<String> = runs.iter().map(|run| run[3].to_text()).collect();
            format!("{}: run {}", named(&runs[0][2].to_text()), numbers.join(", "))
        });
        let count = if alike.len() > 1 { format!(" × {}", alike.len()) } else { String::new() };
        Failure {
            kind: kind + &count,
            title: format!("{sweep} · {}: {error}", named(&serve)),
            runs: of_bench.collect(),
            log_tail,
        }
    };
    order.into_iter().map(failure).collect()
}

fn named(params: &str) -> String {
    let text = params_text(params);
    if text.is_empty() { "the command as it stands".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_failed_alike_are_told_once() {
        let row = |serve: &str, bench: &str, run: i64| {
            let text = |text: &str| Value::Text(text.into());
            vec![
                text("s"),
                text(serve),
                text(bench),
                Value::Int(run),
                text("oom"),
                text("it ended"),
                Value::Int(1),
                text("log"),
            ]
        };
        let rows = [row("a", "x", 0), row("a", "x", 1), row("a", "y", 0), row("b", "x", 0)];
        let found = grouped(&rows);
        assert_eq!(found.iter().map(|failure| failure.kind.as_str()).collect::<Vec<_>>(), ["oom × 3", "oom"]);
        assert_eq!(found[0].runs, ["x: run 0, 1", "y: run 0"]);
        assert_eq!(found[1].title, "s · b: it ended");
    }
}
