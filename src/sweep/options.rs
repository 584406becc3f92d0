//! How a plan is driven: order, failures, budget.

use super::agenda::Order;
use super::commands::BenchKind;
use crate::params::Command;
use crate::record::Demands;
use crate::redact::Redactor;
use std::collections::HashMap;
use std::time::Duration;

/// How to drive a plan.
#[derive(Clone, Debug)]
pub struct Options {
    pub bench: BenchKind,
    pub order: Order,
    pub on_failure: OnFailure,
    /// How often a failed run is tried again.
    pub retries: u32,
    /// How much is run at most.
    pub limit: Option<Limit>,
    /// How long runs of combinations took before this sweep, by their identity.
    pub usual: HashMap<String, Duration>,
    /// What is run once on each server after its loads: a command that scores its answers.
    pub evaluation: Option<Command>,
    /// What a run must be to count.
    pub demands: Demands,
    /// Takes secrets out of all that is kept.
    pub redactor: Redactor,
}

impl Options {
    /// Each run once, until one fails, without limits.
    pub fn new(bench: BenchKind, order: Order, redactor: Redactor) -> Self {
        Self {
            bench,
            order,
            on_failure: OnFailure::Stop,
            retries: 0,
            limit: None,
            usual: HashMap::new(),
            evaluation: None,
            demands: Demands::default(),
            redactor,
        }
    }
}

/// What a failed run means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The sweep ends.
    Stop,
    /// The sweep goes on, and has failed in the end.
    Continue,
    /// It is an answer like others.
    Accept,
}

/// How much is run at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// After the start; no run is begun that would end too late.
    Time(Duration),
    /// All runs of the sweep.
    Runs(usize),
}
