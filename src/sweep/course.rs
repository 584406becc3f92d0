//! Which runs a combination gets, decided run by run.

use super::agenda::Ledger;
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
    /// The round that it was made in; 0 where that is not known.
    pub round: u32,
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
            round: record.place.map_or(0, |place| place.round),
            status,
            metrics: (status != Status::Failed).then_some(metrics),
            date,
            obstacle: success_rate.map(too_few_succeeded).or(shortfall),
            max_concurrency,
        }
    }
}

impl Made {
    /// A run that a dry run takes for made.
    pub fn planned(level: Option<Level>, number: i64, round: u32) -> Self {
        Self {
            level,
            number,
            round,
            status: Status::Completed,
            metrics: None,
            date: String::new(),
            obstacle: None,
            max_concurrency: None,
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

/// Why a course can't go on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CourseError {
    #[error("the benchmark reports no `{metric}`")]
    NotReported { metric: String, nearest: Option<String> },
    #[error("the run at an unlimited request rate has no request_throughput")]
    NoHighestRate,
    #[error("the least value to try, {min}, is above the greatest, {max}")]
    NothingBetween { min: f64, max: f64 },
    #[error("the benchmark reports no request_throughput and mean_e2el_ms to estimate the levels from")]
    NoLevels,
}

/// Decides what is measured of each combination, from what was measured so far.
pub trait Course {
    /// How many runs each combination gets on each start of its server, where that is known beforehand.
    fn runs_of_each(&self) -> Option<usize>;

    /// The next run of a combination in a round. An error ends the sweep.
    fn next(&mut self, bench: &BenchPlan, made: &[Made], round: u32) -> Result<Next, CourseError>;

    /// Keeps what was found out about a combination.
    fn conclude(&mut self, _: &BenchPlan, _: &[Made], _: &SweepWriter) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether another round would tell nothing new.
    fn is_decided(&mut self, _: &Ledger) -> bool {
        false
    }
}

/// Each combination as it is, so many times on each start of its server.
pub struct Repeats {
    pub num_runs: usize,
}

/// How many of the runs were made in a round.
pub fn count_of(made: &[Made], round: u32) -> usize {
    made.iter().filter(|made| made.round == round).count()
}

impl Course for Repeats {
    fn runs_of_each(&self) -> Option<usize> {
        Some(self.num_runs)
    }

    fn next(&mut self, _: &BenchPlan, made: &[Made], round: u32) -> Result<Next, CourseError> {
        Ok(if count_of(made, round) < self.num_runs { Next::Run(None) } else { Next::Enough })
    }
}

/// Each combination so many times on each start of its server, round after round, until it is decided.
pub struct Pairs<'a> {
    pub num_runs: usize,
    /// Whether what was measured so far decides it.
    pub decide: Box<dyn FnMut(&Ledger) -> bool + 'a>,
}

impl Course for Pairs<'_> {
    fn runs_of_each(&self) -> Option<usize> {
        Some(self.num_runs)
    }

    fn next(&mut self, bench: &BenchPlan, made: &[Made], round: u32) -> Result<Next, CourseError> {
        Repeats { num_runs: self.num_runs }.next(bench, made, round)
    }

    fn is_decided(&mut self, ledger: &Ledger) -> bool {
        (self.decide)(ledger)
    }
}
