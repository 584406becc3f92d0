//! What is known of one run: its parameters, its result or its failure, and the machine it ran on.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

mod cell;
mod conditions;
mod environment;
mod failure;
mod field;
mod gpus;
mod observed;
mod origin;
mod result;
mod result_fields;
mod row;
mod soundness;
mod steady;
mod times;

pub use cell::{Cell, Row, spelled_number};
pub use conditions::{Change, Conditions, Under, combination_parts};
pub use environment::{Environment, Gpu, engine_of, output_of, total_memory};
pub use failure::{ErrorKind, Failure};
pub use field::{Field, REQUEST_ARRAYS, RunRow, TPOTS};
pub use gpus::{gpu_count_of, is_one_gpu_by_default};
pub use observed::{Observed, UsualHits};
pub use origin::{Origin, local_date, local_time, params_of, time_in_zone_of};
pub use result::{
    BadResult, LeanResult, parse_result, parse_results, read_result, results_before_error, without_request_numbers,
};
pub use row::{USERS, without_requests};
pub use soundness::{BOUND_CONFIDENCE, Lookup, Success, absurdities, shortfall, stopped_early, success, too_few_sent};
pub use steady::steady_window;
pub use times::{RequestTimes, request_times};

use crate::plan::Combination;
use crate::redact::Redactor;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// One execution of the benchmark for a combination; a failed one too.
#[derive(Clone, Debug)]
pub struct RunRecord {
    pub sweep: String,
    pub combination: Combination,
    pub run_id: String,
    pub run_number: i64,
    pub started_at: Option<DateTime<Utc>>,
    /// How long the benchmark's process lived.
    pub wall_time_s: Option<f64>,
    /// From the start of the server's process until it was ready.
    pub startup_time_s: Option<f64>,
    /// Nothing for a run that no sweep of ours made.
    pub place: Option<Place>,
    pub machine: Option<Machine>,
    /// Who else ran there meanwhile; nothing of a run that no sweep of ours made.
    pub company: Option<Company>,
    /// What the server's command says, parameters and command together; nothing where that is not known.
    pub gpu_count: Option<f64>,
    pub outcome: Outcome,
    /// Fewer requests succeeded than must.
    pub is_degraded: bool,
    /// What its prompts and arrival times were drawn by, where the sweep chose that.
    pub seed: Option<u32>,
    /// Under which conditions it was measured; nothing where that is not known.
    pub under: Option<Under>,
    /// What was seen of the server and the client meanwhile; nothing of a run that no sweep of ours made.
    pub observed: Option<Observed>,
    /// What is to be said of the run besides what its result tells.
    pub cautions: Vec<String>,
    /// Where it was imported from; nothing for a run that sweeplake made or reads in place.
    pub source: Option<Origin>,
}

/// Where a run stands in its sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which round over all servers.
    pub round: u32,
    /// Which start of a server, counted over the sweep.
    pub server_start: u32,
    /// Which run of that start.
    pub run_order: u32,
    /// Which attempt at the run, from 1.
    pub attempt: u32,
}

/// What of its machine the server of a run was given, and which other servers of the sweep were up meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Company {
    /// Names of its GPUs; none where GPUs were not given out.
    pub gpus: Vec<String>,
    /// The most at a time.
    pub neighbours: usize,
    pub beside: Vec<String>,
}

/// The machine that a run was made on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub host: String,
    pub gpu_uuids: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The benchmark's own result in vLLM's form, without the parameters that vLLM writes into it.
    Completed(Map<String, Value>),
    Failed {
        failure: Failure,
        /// What the benchmark counted, if it left a result.
        result: Map<String, Value>,
    },
}

/// What a run is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Completed,
    /// It has numbers, of a server that did not answer all.
    Degraded,
    Failed,
    /// It failed, and was tried again: the last attempt counts.
    Retried,
}

impl Status {
    pub const ALL: [Self; 4] = [Self::Completed, Self::Degraded, Self::Failed, Self::Retried];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Retried => "retried",
        }
    }
}

/// What a run must be to count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demands {
    /// The share of requests that must succeed.
    pub min_success: f64,
    pub strictness: Strictness,
}

/// What to do with numbers that no benchmark can measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// Keep them and say so.
    #[default]
    Caution,
    /// The run failed.
    Fail,
}

impl Default for Demands {
    fn default() -> Self {
        Self { min_success: 1.0, strictness: Strictness::Caution }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::Failed { failure, result: Map::new() }
    }
}

impl RunRecord {
    /// A run of which nothing else is known.
    pub fn new(combination: Combination, outcome: Outcome) -> Self {
        Self {
            sweep: String::new(),
            combination,
            run_id: String::new(),
            run_number: 0,
            started_at: None,
            wall_time_s: None,
            startup_time_s: None,
            place: None,
            machine: None,
            company: None,
            gpu_count: None,
            outcome,
            is_degraded: false,
            seed: None,
            under: None,
            observed: None,
            cautions: Vec::new(),
            source: None,
        }
    }

    pub fn failure(&self) -> Option<&Failure> {
        match &self.outcome {
            Outcome::Failed { failure, .. } => Some(failure),
            Outcome::Completed(_) => None,
        }
    }

    /// The name of its combination in tables.
    pub fn combination_name(&self) -> String {
        let id = self.combination.id.as_str();
        self.under.as_ref().map_or(id.to_owned(), |under| under.name_of(id))
    }

    /// What the benchmark told, of a failed run too.
    pub fn result(&self) -> Option<&Map<String, Value>> {
        match &self.outcome {
            Outcome::Completed(result) | Outcome::Failed { result, .. } => Some(result),
        }
    }

    pub fn status(&self) -> Status {
        match &self.outcome {
            Outcome::Failed { .. } => Status::Failed,
            Outcome::Completed(_) if self.is_degraded => Status::Degraded,
            Outcome::Completed(_) => Status::Completed,
        }
    }

    /// The record without the secrets in what programs told: its result, its failure, and where it came from.
    pub fn redacted(mut self, redactor: &Redactor) -> Self {
        let clean = |text: &mut String| {
            if let Cow::Owned(redacted) = redactor.text(text) {
                *text = redacted;
            }
        };
        match &mut self.outcome {
            Outcome::Completed(result) => redactor.clean(result),
            Outcome::Failed { failure, result } => {
                redactor.clean(result);
                clean(&mut failure.message);
                failure.log_tail.iter_mut().for_each(clean);
            }
        }
        self.cautions.iter_mut().for_each(clean);
        if let Some(source) = &mut self.source {
            clean(&mut source.file);
            for (key, text) in &mut source.extra {
                *text = redactor.named(key, text).into_owned();
            }
        }
        self
    }

    /// The record judged: a run in which nothing succeeded failed, whatever latencies its result tells, and one in which too
    /// little did is degraded.
    pub fn judged(mut self, demands: &Demands) -> Self {
        let Outcome::Completed(result) = &mut self.outcome else { return self };
        let parameters = &self.combination.bench;
        let get = |key: &str| result.get(key).or_else(|| parameters.get(key));
        let success = success(&get);
        let completed = result.get("completed").and_then(Value::as_u64);
        let broken = match demands.strictness {
            Strictness::Fail => absurdities(|name| get(name).and_then(Value::as_f64)),
            Strictness::Caution => Vec::new(),
        };
        // Of a run that was stopped early, those under way are what it tells.
        let is_stopped = stopped_early(&get).is_some();
        let why = match (completed, broken.into_iter().next()) {
            (Some(0), _) if !is_stopped => Some(Failure::new(ErrorKind::BadResult, "no request succeeded")),
            (_, Some(rule)) => Some(Failure::new(ErrorKind::BadResult, format!("the result is impossible: {rule}"))),
            _ => None,
        };
        // Where the count of those that succeeded can't be true, that some failed still is.
        let has_failures = get("failed").and_then(Value::as_f64).is_some_and(|failed| failed > 0.0);
        self.is_degraded = success.map_or(has_failures, |success| success.rate() < demands.min_success);
        if let Some(failure) = why {
            self.outcome = Outcome::Failed { failure, result: std::mem::take(result) };
        }
        self
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

/// A result that vLLM completed, without what it put in: what remains is the benchmark's own.
pub fn own_result(mut result: Map<String, Value>, combination: &Combination) -> Map<String, Value> {
    let is_parameter = |key: &str| combination.serve.get(key).is_some() || combination.bench.get(key).is_some();
    result.retain(|key, _| key != "run_number" && key != crate::params::BENCHMARK_NAME && !is_parameter(key));
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::ParamSet;
    use serde_json::json;

    fn judged(result: Value, demands: Demands) -> RunRecord {
        let combination = Combination::new(ParamSet::unchanged(), ParamSet::unchanged());
        RunRecord::new(combination, Outcome::Completed(result.as_object().unwrap().clone())).judged(&demands)
    }

    #[test]
    fn a_run_is_worth_what_its_server_answered() {
        let status =
            |result: Value, min_success: f64| judged(result, Demands { min_success, ..Demands::default() }).status();
        assert_eq!(status(json!({"completed": 40, "failed": 0}), 1.0), Status::Completed);
        assert_eq!(status(json!({"completed": 39, "failed": 1}), 1.0), Status::Degraded);
        assert_eq!(status(json!({"completed": 39, "failed": 1}), 0.95), Status::Completed);
        assert_eq!(status(json!({"completed": 4, "num_prompts": 40}), 0.95), Status::Degraded);
        assert_eq!(status(json!({"completed": 0, "failed": 40, "mean_ttft_ms": 0.0}), 0.0), Status::Failed);
        assert_eq!(status(json!({"avg_cold_startup_time": 3.0}), 1.0), Status::Completed);
    }

    #[test]
    fn what_can_not_be_true_fails_where_that_is_asked_for() {
        let absurd = || json!({"completed": 4, "failed": 0, "duration": -1.0});
        assert_eq!(judged(absurd(), Demands::default()).status(), Status::Completed);
        let strict = judged(absurd(), Demands { strictness: Strictness::Fail, ..Demands::default() });
        assert_eq!(strict.failure().unwrap().message, "the result is impossible: duration is -1, below 0");
    }

    #[test]
    fn what_vllm_puts_into_a_result_is_taken_out_again() {
        let set = |value: Value| ParamSet { name: Some("n".into()), params: value.as_object().unwrap().clone() };
        let combination = Combination::new(set(json!({"a-b": 1})), set(json!({"request_rate": 2})));
        let own = json!({"duration": 1.0, "request_rate": 2.0});
        let completed = complete_result(own.as_object().unwrap().clone(), 3, &combination);
        assert_eq!(Value::Object(own_result(completed, &combination)), json!({"duration": 1.0}));
    }
}
