//! Failed runs, those that failed alike together.

use super::ReportError;
use crate::query::{Lake, shipped};
use crate::words::params_text;
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
    Ok(grouped(&shipped::FAILED_RUNS.rows(lake, &[]).await?))
}

crate::query::typed_row! {
    struct FailedRun {
        sweep: String,
        serve: Option<String>,
        bench: Option<String>,
        run_number: i64,
        error_kind: Option<String>,
        error: Option<String>,
        log_tail: Option<String>,
    }
}

fn grouped(rows: &[FailedRun]) -> Failures {
    let mut group_of: HashMap<_, usize> = HashMap::new();
    let mut groups: Vec<Vec<&FailedRun>> = Vec::new();
    for row in rows {
        let cause = (&row.sweep, &row.serve, &row.error_kind, &row.error, &row.log_tail);
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
fn failure(alike: &[&FailedRun]) -> Failure {
    let first = alike[0];
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let of_bench = alike.chunk_by(|left, right| left.bench == right.bench).map(|runs| {
        let numbers: Vec<String> = runs.iter().map(|run| run.run_number.to_string()).collect();
        format!("{}: run {}", named(&text(&runs[0].bench)), numbers.join(", "))
    });
    let count = if alike.len() > 1 { format!(" × {}", alike.len()) } else { String::new() };
    Failure {
        kind: text(&first.error_kind) + &count,
        title: format!("{} · {}: {}", first.sweep, named(&text(&first.serve)), text(&first.error)),
        runs: of_bench.collect(),
        log_tail: text(&first.log_tail),
    }
}

fn named(params: &str) -> String {
    let text = params_text(params);
    if text.is_empty() { "unmodified command".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_failed_alike_are_told_once() {
        let row = |serve: &str, bench: &str, run_number: i64| FailedRun {
            sweep: "s".into(),
            serve: Some(serve.into()),
            bench: Some(bench.into()),
            run_number,
            error_kind: Some("oom".into()),
            error: Some("it ended".into()),
            log_tail: Some("log".into()),
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
