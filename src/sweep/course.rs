//! Which runs a combination gets, decided run by run.

use super::ledger::{Ledger, Made, count_of};
use crate::plan::{BenchPlan, Level};
use crate::store::{StoreError, SweepWriter};

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

    /// The seed of a run, where each is to draw its own prompts and arrival times.
    fn seed(&self, _: &BenchPlan, _: i64) -> Option<u32> {
        None
    }

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
