//! What a comparison is made of besides its changes.

use super::OddRun;
use super::change::Overall;
use super::frontier::{Configuration, Moves};
use super::gate::{Gate, Passage, Why};
use super::reading::{RunTold, Success};

/// One side of a comparison.
#[derive(Clone, Debug)]
pub struct Side {
    /// The names of its sweeps.
    pub sweeps: Vec<String>,
    /// Starts of servers that its numbers rest on; nothing where that is not known.
    pub starts: Option<usize>,
    pub days: usize,
    /// Why a sweep of it is not whole: it was interrupted, it failed.
    pub unfinished: Vec<String>,
    /// Reasons not to trust its numbers as they stand.
    pub cautions: Vec<String>,
    pub success: Vec<Success>,
    /// How long a sweep of it took.
    pub seconds: Option<f64>,
}

/// What a gate says, and why.
#[derive(Clone, Debug)]
pub struct GateResult {
    pub gate: Gate,
    pub passage: Passage,
    pub reasons: Vec<GateReason>,
}

/// Why a gate does not pass.
#[derive(Clone, Debug, PartialEq)]
pub enum GateReason {
    /// The change of a cell, by its index.
    Change { cell: usize, why: Why },
    /// The candidate lacks combinations of the base.
    Missing(Vec<String>),
    /// Combinations that failed in the candidate.
    Failed(Vec<String>),
    /// Fewer of a cell's requests succeed.
    Requests { cell: usize },
    /// A sweep of the candidate did not end well.
    Unfinished(String),
}

/// What became of the frontier of tokens per user and tokens per GPU, over the combinations that both sides have.
#[derive(Clone, Debug)]
pub struct FrontierChange {
    /// The dominated area of each side, from the origin.
    pub base_hypervolume: f64,
    pub candidate_hypervolume: f64,
    pub change: Overall,
    pub moves: Moves,
    pub base: Vec<Configuration>,
    pub candidate: Vec<Configuration>,
}

/// An odd run, with what is known of it.
#[derive(Clone, Debug)]
pub struct OddRunTold {
    pub metric: usize,
    pub run: OddRun,
    pub sweep: String,
    pub label: String,
    pub told: Option<RunTold>,
}

/// How many sweeps of each side, or pairs, would show a change, and how long they would take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Needed {
    pub change: f64,
    pub sweeps: usize,
    pub seconds: Option<f64>,
}

/// How base and candidate were measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Design {
    /// In sweeps of their own.
    Sweeps,
    /// In turn, in so many pairs.
    Pairs(usize),
}
