//! Which runs a combination gets, decided run by run.

use crate::plan::{BenchPlan, Level};
use crate::record::{Cell, Field, RunRecord, Status, shortfall};
use crate::store::{StoreError, SweepWriter};
use crate::table::Kind;
use serde_json::{Map, Value};

/// A run of a combination, maybe at a level that the course chose.
#[derive(Clone, Debug)]
pub struct Made {
    pub level: Option<Level>,
    pub number: i64,
    pub status: Status,
    /// The metrics of a run that did not fail, by their columns.
    pub metrics: Option<Map<String, Value>>,
    /// When the benchmark says that it began: runs are told apart in time by it.
    pub date: String,
    /// Why the run meets no SLA, whatever its numbers say.
    pub obstacle: Option<String>,
    /// Requests in flight at most, where that was limited.
    pub max_concurrency: Option<f64>,
}

impl Made {
    /// Courses look at what the run's row says: known metrics as numbers, failed requests counted.
    pub fn of(record: &RunRecord, level: Option<Level>) -> Self {
        let result = record.result();
        let date = result.and_then(|result| result.get("date")).and_then(Value::as_str).unwrap_or_default().to_owned();
        let is_metric = |field: &Field| field.kind == Kind::Metric && field.cell != Cell::Null;
        let row = record.to_row();
        let number = |name: &str| row.iter().find(|field| field.name == name).and_then(|field| field.cell.as_f64());
        let max_concurrency = number("max_concurrency");
        let status = record.status();
        let success_rate = number("success_rate").filter(|_| status == Status::Degraded);
        let shortfall = result
            .and_then(|result| shortfall(&|key: &str| result.get(key).or_else(|| record.combination.bench.get(key))));
        let metrics = row.into_iter().filter(is_metric);
        let metrics = metrics.map(|field| (field.name.into_owned(), field.cell.to_json())).collect();
        Self {
            level,
            number: record.run_number,
            status,
            metrics: (status != Status::Failed).then_some(metrics),
            date,
            obstacle: success_rate.map(too_few_succeeded).or(shortfall),
            max_concurrency,
        }
    }
}

/// Why a degraded run meets no SLA.
pub fn too_few_succeeded(success_rate: f64) -> String {
    format!("only {:.1} % of the requests succeeded", success_rate * 100.0)
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Run(Option<Level>),
    Enough,
}

/// Decides what is measured of each combination, from what was measured so far.
pub trait Course {
    /// How many runs each combination gets, where that is known beforehand.
    fn runs_of_each(&self) -> Option<usize>;

    /// The next run of a combination. An error ends the sweep.
    fn next(&mut self, bench: &BenchPlan, made: &[Made]) -> Result<Next, String>;

    /// Keeps what was found out about a combination.
    fn conclude(&mut self, bench: &BenchPlan, made: &[Made], writer: &SweepWriter) -> Result<(), StoreError>;
}

/// Each combination as it is, so many times.
pub struct Repeats {
    pub num_runs: usize,
}

impl Course for Repeats {
    fn runs_of_each(&self) -> Option<usize> {
        Some(self.num_runs)
    }

    fn next(&mut self, _: &BenchPlan, made: &[Made]) -> Result<Next, String> {
        Ok(if made.len() < self.num_runs { Next::Run(None) } else { Next::Enough })
    }

    fn conclude(&mut self, _: &BenchPlan, _: &[Made], _: &SweepWriter) -> Result<(), StoreError> {
        Ok(())
    }
}
