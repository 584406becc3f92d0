//! Which runs a combination gets, decided run by run.

use super::event::SearchState;
use super::ledger::{Detail, Ledger, Made, count_of};
use crate::plan::{BenchPlan, Level};
use crate::store::{StoreError, SweepWriter};
use crate::words::nearest_name;
use serde_json::{Map, Value};

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Run(Wanted),
    Enough,
}

/// Which server is started next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// The next one of the plan.
    Planned,
    Server(usize),
    /// None: it is enough.
    Over,
}

/// A run that a course asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    pub level: Option<Level>,
    /// Where the course chooses how much is measured.
    pub num_prompts: Option<u32>,
    /// It may end early when none of these SLAs can be met any more.
    pub stop_when_missed: Vec<String>,
}

impl Wanted {
    pub fn at(level: Level) -> Self {
        Self { level: Some(level), ..Self::default() }
    }
}

/// Why a course can't go on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CourseError {
    #[error("the benchmark does not report `{metric}`")]
    NotReported { metric: String, nearest: Option<String> },
    #[error("the run at an unlimited request rate has no request_throughput")]
    NoHighestRate,
    #[error("the lowest value to try, {min}, is above the highest, {max}")]
    NothingBetween { min: f64, max: f64 },
    #[error("cannot estimate the levels, because the benchmark reports no request_throughput and mean_e2el_ms")]
    NoLevels,
}

impl CourseError {
    /// That a result does not have a metric that is looked at.
    pub fn not_reported(metric: &str, result: &Map<String, Value>) -> Self {
        let nearest = nearest_name(metric, result.keys().map(String::as_str));
        Self::NotReported { metric: metric.to_owned(), nearest }
    }
}

/// Decides what is measured of each combination, from what was measured so far.
pub trait Course {
    /// How many runs each combination gets on each start of its server, where that is known beforehand.
    fn runs_of_each(&self) -> Option<usize>;

    /// The next run of a combination in a round, given all runs so far. An error ends the sweep.
    fn next(&mut self, bench: &BenchPlan, ledger: &Ledger, round: u32) -> Result<Next, CourseError>;

    /// The seed of a run, where each is to draw its own prompts and arrival times.
    fn seed(&self, _: &BenchPlan, _: i64) -> Option<u32> {
        None
    }

    /// How far it has come with a combination, where it searches.
    fn state(&self, _: &BenchPlan, _: &[Made]) -> Option<SearchState> {
        None
    }

    /// How closely it looks at runs.
    fn detail(&self) -> Detail {
        Detail::Row
    }

    /// Keeps what was found out about a combination.
    fn conclude(&mut self, _: &BenchPlan, _: &[Made], _: &SweepWriter) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether another round would tell nothing new.
    fn is_decided(&mut self, _: &Ledger) -> bool {
        false
    }

    /// Which server is started next, where the course decides that; `busy` are those that run.
    fn visit(&mut self, _: &Ledger, _busy: &[usize]) -> Visit {
        Visit::Planned
    }

    /// Keeps what was found out about all combinations, whether the sweep came to its end or not.
    fn end(&mut self, _: &Ledger, _: &SweepWriter) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Each combination as it is, so many times on each start of its server.
pub struct Repeats {
    pub num_runs: usize,
}

impl Course for Repeats {
    fn runs_of_each(&self) -> Option<usize> {
        Some(self.num_runs)
    }

    fn next(&mut self, bench: &BenchPlan, ledger: &Ledger, round: u32) -> Result<Next, CourseError> {
        Ok(if count_of(ledger.of(bench), round) < self.num_runs { Next::Run(Wanted::default()) } else { Next::Enough })
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

    fn next(&mut self, bench: &BenchPlan, ledger: &Ledger, round: u32) -> Result<Next, CourseError> {
        Repeats { num_runs: self.num_runs }.next(bench, ledger, round)
    }

    fn is_decided(&mut self, ledger: &Ledger) -> bool {
        (self.decide)(ledger)
    }
}
