//! Running things: process groups, the server's life, one benchmark run. Nothing here knows how results are
//! stored.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

mod artifact;
mod benchmark;
mod counters;
mod evaluation;
mod executor;
mod family;
mod gpu_memory;
mod http;
mod interrupt;
mod keeper;
mod log;
mod pauses;
mod process;
mod ready;
mod remote;
mod reset;
mod sampler;
mod server;
mod to_end;

pub use artifact::Artifact;
pub use benchmark::{Against, Benched, Benchmark};
pub use evaluation::{EvalJob, Scores};
pub use executor::{BenchJob, Executor, ProcessOptions, Processes, Ready, ServerJob, Standalone, Waiting};
pub use family::Member;
pub use interrupt::{Interrupt, Interrupter};
pub use keeper::{Keeper, keep};
pub use process::{Logs, Output, find_program};
pub use ready::{Readiness, ReadyUrl, ReadyUrlError};
pub use remote::Remote;
pub use reset::{Reset, ResetUnknown};
pub use sampler::{Sampling, Slot, seen_so_far};
pub use server::{Server, ServerSpec};
pub use to_end::{Lived, Sampled, Task, run_to_end};

use crate::record::Failure;

/// Ends what sweeps left that were killed together with their keepers; returns what that was.
pub fn end_leftovers() -> Vec<Member> {
    family::end_leftovers(|name| name == keeper::NAME)
}

/// Why something that was started did not end well.
#[derive(Debug)]
pub enum Stop {
    Failed(Failure),
    /// The user asked to stop.
    Interrupted,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
