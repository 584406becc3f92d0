//! What a sweep tells while it runs.

use super::ledger::Ledger;
use crate::params::ParamSet;
use crate::plan::Combination;
use crate::record::RunRecord;
use std::path::Path;
use std::time::Duration;

pub enum Event<'a> {
    SweepStarted {
        folder: &'a Path,
        /// Servers to start and runs to make, where that is known beforehand.
        servers: usize,
        runs: Option<usize>,
        /// The runs that were there already.
        ledger: &'a Ledger,
    },
    ServerStarting {
        serve: &'a ParamSet,
    },
    ServerReady {
        after: Duration,
    },
    WarmingUp {
        num_prompts: u32,
    },
    RunStarted {
        combination: &'a Combination,
        run_number: i64,
    },
    RunEnded {
        record: &'a RunRecord,
    },
    /// What a search knows after a run.
    Searched {
        combination: &'a Combination,
        state: &'a SearchState,
    },
    /// A combination has all the runs that it gets on this start of its server, or the sweep ends without them.
    CombinationEnded {
        combination: &'a Combination,
    },
    /// A run failed and is tried again.
    RunRetried {
        record: &'a RunRecord,
    },
    /// The server is scored.
    Evaluating,
    ServerStopping,
    Warning {
        message: &'a str,
    },
}

/// How far a search has come.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchState {
    pub sla: String,
    /// What is turned.
    pub variable: &'static str,
    /// The greatest value that passed so far, and the least above it that failed.
    pub passed: Option<f64>,
    pub failed: Option<f64>,
    /// The margin of the last run: the logarithm of how many times its worst metric is beyond its target.
    pub last_margin: Option<f64>,
    /// Runs that the search may still make for this SLA, and about how many seconds each takes.
    pub most_runs: usize,
    pub run_seconds: Option<f64>,
}

/// Listens to a sweep.
pub trait Observer {
    /// What happens on a lane: servers that run side by side have one each.
    fn event(&mut self, lane: usize, event: Event<'_>);
}
