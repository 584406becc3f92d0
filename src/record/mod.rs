//! What is known of one run: its parameters, its result or its failure, and the machine it ran on.

mod cell;
mod environment;
mod failure;
mod origin;
mod result;
mod row;

pub use cell::{Cell, Row};
pub use environment::{Environment, Gpu, engine_of, total_memory};
pub use failure::{ErrorKind, Failure};
pub use origin::{Origin, local_date, local_time, params_of};
pub use result::{
    BadResult, LeanResult, parse_result, parse_results, read_result, results_before_error, without_request_numbers,
};
pub use row::{REQUEST_ARRAYS, gpu_count_of};

use crate::plan::Combination;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// One execution of the benchmark for a combination; a failed one too.
#[derive(Clone, Debug)]
pub struct RunRecord {
    pub sweep: String,
    pub combination: Combination,
    pub run_id: String,
    pub run_number: i64,
    pub started_at: DateTime<Utc>,
    /// How long the benchmark's process lived.
    pub wall_time_s: f64,
    /// From the start of the server's process until it was ready.
    pub startup_time_s: Option<f64>,
    /// What the server's command says; parameters and command together.
    pub gpu_count: f64,
    pub outcome: Outcome,
    /// Where it was imported from; nothing for a run that sweeplake made or reads in place.
    pub source: Option<Origin>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The benchmark's result in vLLM's form, with `run_number` and the parameters in it.
    Completed(Map<String, Value>),
    Failed(Failure),
}

impl RunRecord {
    pub fn failure(&self) -> Option<&Failure> {
        match &self.outcome {
            Outcome::Failed(failure) => Some(failure),
            Outcome::Completed(_) => None,
        }
    }

    pub fn result(&self) -> Option<&Map<String, Value>> {
        match &self.outcome {
            Outcome::Completed(result) => Some(result),
            Outcome::Failed(_) => None,
        }
    }
}

/// Completes a benchmark's result as vLLM does: `run_number`, then the serve and the bench parameters.
pub fn complete_result(
    mut result: Map<String, Value>,
    run_number: i64,
    combination: &Combination,
) -> Map<String, Value> {
    result.insert("run_number".into(), run_number.into());
    result.extend(combination.serve.to_record());
    result.extend(combination.bench.to_record());
    result
}
