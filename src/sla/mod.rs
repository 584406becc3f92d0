//! SLAs, and the search for the greatest load that meets them.

mod curve;
mod posterior;
mod search;

pub use curve::Curve;
pub use search::{Answer, Domain, Level, Measured, Status, Step, next_step};
