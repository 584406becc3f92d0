//! From what was asked for to what a chart needs: SQL over runs, and its rows.

mod curves;
mod kinds;
mod objective;
mod pareto;
mod shared;
mod since;
mod timeline;
mod variable;

pub use curves::{CurveRequest, Curves, DrawnCurves};
pub use kinds::{KindRequest, Rows};
pub use objective::Objective;
pub use pareto::{Frontier, ParetoRequest};
pub use timeline::{DrawnTimeline, TimelineRequest};
