//! Verdicts between sweeps: what changed, how sure that is, and whether it may. Pure: numbers in, numbers out.

mod change;
mod drift;
mod frontier;
mod gate;

pub use change::{Change, Judge, LEAST_RUNS, Overall, Pair, Verdict, judge, runs_needed};
pub use drift::{Drift, Ordered, drift};
pub use frontier::{Configuration, FrontierChange, compare_frontiers, frontier, hypervolume};
pub use gate::{Gate, Passage};
