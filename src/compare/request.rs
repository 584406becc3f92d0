//! What to compare, where it comes from, and why it can't be compared.

use super::Judge;
use super::alike::Difference;
use super::gate::Gate;
use super::reading::Reading;
use crate::metric::Better;
use crate::query::{Lake, QueryError};
use std::collections::BTreeMap;

/// What to compare, and how to judge it.
#[derive(Clone, Debug, Default)]
pub struct CompareRequest {
    pub reading: Reading,
    /// Which way is better, of metrics of which it is not known or meant otherwise.
    pub directions: BTreeMap<String, Better>,
    pub judge: Judge,
    pub gates: Vec<Gate>,
    pub likeness: Likeness,
}

/// Whether what is compared must be of one load, model and number of GPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Likeness {
    #[default]
    Required,
    /// Whatever it is.
    Any,
}

/// The metrics that are compared unless others are asked for.
pub const DEFAULT_METRICS: [&str; 4] = ["output_throughput", "median_ttft_ms", "median_tpot_ms", "p99_e2el_ms"];

/// Where the sweeps come from.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    pub base: &'a Lake,
    pub candidate: &'a Lake,
    /// The lake whose equal sweeps tell how much such differ.
    pub history: Option<&'a Lake>,
}

#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("{base} and {candidate} are not comparable: {} is {} in one and {} in the other", first.fact, first.base, first.candidate)]
    Unlike { base: String, candidate: String, first: Difference },
    #[error("{base} and {candidate} have no combination in common")]
    NothingInCommon { base: String, candidate: String, only_base: Vec<String>, only_candidate: Vec<String> },
    #[error("{sweep} is both base and candidate; compare two different sweeps")]
    Itself { sweep: String },
    #[error("every run of {candidate} failed; there is nothing to compare")]
    AllFailed { candidate: String },
    #[error("no sweep to compare")]
    NoSweep,
}
