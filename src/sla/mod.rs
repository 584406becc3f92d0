//! SLAs, and the search for the greatest load that meets them. Pure: it proposes a value and is told the margin.

mod criteria;
mod curve;
mod level;
mod posterior;
mod search;

pub use criteria::{Constraint, Distance, Operator, Sla};
pub use curve::{Curve, Scales};
pub use search::{Answer, Domain, Measured, Status, Step, next_step, rounded, standing};
