//! Failed runs, those that failed alike together.

use super::ReportError;
use crate::plan::params_text;
use crate::query::{FAILURES, Lake, Value};
use std::collections::HashMap;

/// A failure, and every run that it befell.
pub struct Failure {
    pub kind: String,
    pub title: String,
    pub runs: Vec<String>,
    pub log_tail: String,
}

/// The failures that a page has room for, and how many runs failed in other ways.
pub struct Failures {
    pub shown: Vec<Failure>,
    pub others: usize,
}

/// More than these nobody reads, and their logs would be most of the page.
const MOST_SHOWN: usize = 50;

pub async fn failures(lake: &Lake) -> Result<Failures, ReportError> {
    Ok(grouped(&lake.sql(FAILURES).await?.rows()))
}

/// Columns: sweep, serve, bench, run_number, error_kind, error, exit_code, log_tail.
fn grouped(rows: &[Vec<Value>]) -> Failures {
    let mut group_of: HashMap<[String; 5], usize> = HashMap::new();
    let mut groups: Vec<Vec<&Vec<Value>>> = Vec::new();
    for row in rows {
        let cause = [&row[0], &row[1], &row[4], &row[5], &row[7]].map(Value::to_text);
        let group = *group_of.entry(cause).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(row);
    }
    let others = groups.iter().skip(MOST_SHOWN).map(Vec::len).sum();
    groups.truncate(MOST_SHOWN);
    Failures { shown: groups.iter().map(|runs| failure(runs)).collect(), others }
}

/// Runs that failed alike, at least one, as one failure.
fn failure(alike: &[&Vec<Value>]) -> Failure {
    let text = |index: usize| alike[0][index].to_text();
    let of_bench = alike.chunk_by(|left, right| left[2] == right[2]).map(|runs| {
        let numbers: Vec<String> = runs.iter().map(|run| run[3].to_text()).collect();
        format!("{}: run {}", named(&runs[0][2].to_text()), numbers.join(", "))
    });
    let count = if alike.len() > 1 { format!(" × {}", alike.len()) } else { String::new() };
    Failure {
        kind: text(4) + &count,
        title: format!("{} · {}: {}", text(0), named(&text(1)), text(5)),
        runs: of_bench.collect(),
        log_tail: text(7),
    }
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
        let found = grouped(&rows).shown;
        assert_eq!(found.iter().map(|failure| failure.kind.as_str()).collect::<Vec<_>>(), ["oom × 3", "oom"]);
        assert_eq!(found[0].runs, ["x: run 0, 1", "y: run 0"]);
        assert_eq!(found[1].title, "s · b: it ended");
        let rows: Vec<_> = (0..120).map(|index| row(&format!("server {}", index % 60), "x", index)).collect();
        let found = grouped(&rows);
        assert_eq!((found.shown.len(), found.others), (50, 20));
    }
}
