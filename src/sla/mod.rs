//! SLAs, and the search for the greatest load that meets them. Pure: it proposes a value and is told the margin.

mod backlog;
mod boundary;
mod criteria;
mod curve;
mod fit;
mod lead;
mod level;
mod search;
mod shape;
mod watch;
mod window;

pub use backlog::Standing;
pub use criteria::{Constraint, Distance, Operator, Sla};
pub use curve::{Curve, Scales};
pub use level::Measured;
pub use search::{Answer, Domain, Status, Step, next_step, passing, rounded, standing};
pub use watch::Watch;
pub use window::{Loop, Request, Window, is_of_requests, metric_of};
