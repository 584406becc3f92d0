//! Verdicts between sweeps: what changed, how sure that is, and whether it may. Everything but the reading of runs is pure.

mod alike;
mod change;
mod comparison;
mod drift;
mod follow;
mod frontier;
mod gate;
mod history;
mod noise;
mod paired;
mod pairs;
mod parts;
mod pooled;
mod read;
mod reading;
mod request;
mod within;

pub use alike::{Difference, DifferenceKind};
pub use change::{Change, Judge, JudgedMetric, MetricRuns, OddRun, Overall, Reason, Verdict, judge, sweeps_needed};
pub use comparison::{Comparison, DRIFT_P, Word};
pub use drift::{Drift, drift};
pub use follow::{Followable, Followed, Trends};
pub use frontier::{Configuration, Moves, frontier, hypervolume, moves};
pub use gate::{Gate, Passage, Why};
pub use noise::{Noise, Run, ServerOf, SideOf, SweepRuns};
pub use paired::SIDES;
pub use pairs::{PairedRuns, is_decided, judge_pairs};
pub use parts::{Design, FrontierChange, GateReason, GateResult, Needed, OddRunTold, Side};
pub use pooled::{Pooled, Requests, pooled};
pub use reading::{Reading, RunTold, Success};
pub use request::{CompareError, CompareRequest, DEFAULT_METRICS, Likeness, Sources};
pub use within::{Drifted, drifted};
