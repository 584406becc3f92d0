//! Verdicts between sweeps: what changed, how sure that is, and whether it may. Everything but the reading of runs is pure.

mod change;
mod drift;
mod follow;
mod frontier;
mod gate;
mod pooled;
mod sides;
mod trend;

pub use change::{Change, Judge, LEAST_RUNS, Overall, Pair, Verdict, judge, runs_needed};
pub use drift::{Drift, Ordered, drift};
pub use follow::{Followed, Trends};
pub use frontier::{Configuration, FrontierChange, compare_frontiers, frontier, hypervolume};
pub use gate::{Gate, Passage};
pub use pooled::{Pooled, pooled};
pub use sides::{Matched, Question, Side, Sides, Success};
pub use trend::{ChangePoint, change_points};
