//! The heart: drives servers and benchmarks through a plan, hands each record to the store at once, and resumes.

mod accompanied;
mod agenda;
mod amount;
mod clients;
mod commands;
mod company;
mod conditions;
mod core;
mod course;
mod draw;
mod driver;
mod event;
mod finding;
mod goals;
mod lane;
mod ledger;
mod measuring;
mod narrow;
mod options;
pub mod race;
mod rota;
mod runs;
#[cfg(test)]
mod scripted;
mod seated;
mod sending;
mod shared;
#[cfg(test)]
mod side_by_side;
mod steady;
pub mod tune;
mod tuner;
mod variable;
mod workload;

pub use accompanied::{Accompanied, Company};
pub use agenda::{Agenda, Job, Order, Step, any_seed};
pub use clients::Client;
pub use commands::{BenchKind, DEFAULT_PERCENTILES, ProgramNotFound, check_program, is_known_client, known_flags};
pub use conditions::Setting;
pub use course::{Course, CourseError, Next, Pairs, Repeats, Visit, Wanted};
pub use draw::Draw;
pub use driver::{Crew, run};
pub use event::{Event, Observer, SearchState};
pub use finding::Finding;
pub use goals::{Goals, Objective};
pub use ledger::{Detail, Ledger, Made, too_few_succeeded};
pub use narrow::{FEWEST, Narrow};
pub use options::{Limit, OnFailure, Options};
pub use rota::Need;
pub use runs::{EXTENSIONS, Runs, Search};
pub use seated::{GPUS, takes};
pub use sending::{Outbox, Sending};
pub use shared::{Patience, Sharing};
pub use steady::{Steady, requests_of};
pub use tuner::{NEAR_TIMES, Seeds, Tuner, TunerOptions};
pub use variable::{Variable, loop_of};
pub use workload::{Spacing, Workload};

use crate::store::{StoreError, SweepState};

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub state: SweepState,
    /// Runs that were to be made, where that was known beforehand.
    pub planned: Option<usize>,
    /// Runs made now, failed ones included.
    pub runs: usize,
    pub failed: usize,
    /// Runs in which too many requests failed.
    pub degraded: usize,
    /// Attempts that failed and were made again.
    pub retried: usize,
    /// Servers whose evaluation failed.
    pub unscored: usize,
    /// Runs that were there already.
    pub skipped: usize,
    /// Whether it ended because its time was up.
    pub is_over_budget: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Course(#[from] CourseError),
}
