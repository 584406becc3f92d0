//! SLAs, and the search for the greatest load that meets them. Pure: it proposes a value and is told the margin.

mod answer;
mod backlog;
mod boundary;
mod criteria;
mod curve;
mod fit;
mod lead;
mod level;
mod request;
mod search;
mod shape;
mod watch;
mod window;

pub use answer::{Answer, Domain, Status, Step};
pub use backlog::Standing;
pub use criteria::{Constraint, Distance, Operator, Sla};
pub use curve::{Curve, Scales};
pub use level::Measured;
pub use request::Request;
pub use search::{next_step, passing, rounded, standing};
pub use watch::Watch;
pub use window::{Loop, Window, is_of_requests, metric_of};
