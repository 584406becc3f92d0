//! Repeats until a metric's mean is known well enough.

use super::course::{Course, CourseError, Next, Wanted};
use super::ledger::Ledger;
use crate::plan::BenchPlan;
use crate::record::Status;
use crate::stats::Summary;

/// Repeats each combination until the 95 % interval of a metric's mean is narrow enough.
///
/// Looking after each run makes an interval that is narrow by chance end the repeats, so that it covers the truth less often than
/// it says: at worst in 93 % of cases, given at least [`FEWEST`] runs (examples/truth/repeat.rs).
#[derive(Clone, Debug, PartialEq)]
pub struct Narrow {
    pub metric: String,
    /// Half the interval's width, as a share of the mean.
    pub width: f64,
    /// More runs than these are not made.
    pub max_runs: usize,
}

/// Below this many runs an interval is narrow by chance too often.
pub const FEWEST: usize = 10;

impl Narrow {
    /// Whether the runs so far are enough.
    pub fn is_enough(&self, values: &[f64]) -> bool {
        let summary = Summary::of(values).filter(|_| values.len() >= FEWEST);
        summary.and_then(|summary| Some(summary.ci95()? <= self.width * summary.mean.abs())).unwrap_or(false)
    }
}

impl Course for Narrow {
    fn runs_of_each(&self) -> Option<usize> {
        None
    }

    fn next(&mut self, bench: &BenchPlan, ledger: &Ledger, _: u32) -> Result<Next, CourseError> {
        let made = ledger.of(bench);
        let sound = made.iter().filter(|made| made.status == Status::Completed);
        let metrics: Vec<_> = sound.filter_map(|made| made.metrics.as_ref()).collect();
        let values: Vec<f64> = metrics.iter().filter_map(|metrics| metrics.get(&self.metric)?.as_f64()).collect();
        if let (Some(first), true) = (metrics.first(), values.is_empty()) {
            return Err(CourseError::not_reported(&self.metric, first));
        }
        let is_enough = made.len() >= self.max_runs || self.is_enough(&values);
        Ok(if is_enough { Next::Enough } else { Next::Run(Wanted::default()) })
    }
}
