//! Which runs a combination gets, decided run by run.

use crate::plan::{BenchPlan, Level};
use crate::record::REQUEST_ARRAYS;
use crate::store::{StoreError, SweepWriter};
use serde_json::{Map, Value};

/// A run of a combination, maybe at a level that the course chose.
#[derive(Clone, Debug)]
pub struct Made {
    pub level: Option<Level>,
    pub number: i64,
    /// `None` when the run failed.
    pub result: Option<Map<String, Value>>,
}

impl Made {
    /// Courses look at metrics: what a result says of single requests, most of its bytes, is not held.
    pub fn new(level: Option<Level>, number: i64, result: Option<Map<String, Value>>) -> Self {
        let result = result.map(|mut result| {
            result.retain(|key, _| !REQUEST_ARRAYS.contains(&key.as_str()));
            result
        });
        Self { level, number, result }
    }
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
