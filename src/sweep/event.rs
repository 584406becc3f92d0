//! What a sweep tells while it runs.

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
        /// Runs that were there already.
        skipped: usize,
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
    /// A run failed and is tried again.
    RunRetried {
        record: &'a RunRecord,
    },
    ServerStopping,
    Warning {
        message: &'a str,
    },
}

/// Listens to a sweep.
pub trait Observer {
    fn event(&mut self, event: Event<'_>);
}
