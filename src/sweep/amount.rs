//! How much a run of a search measures: so many prompts that its steady part lasts long enough to tell of the load, and holds enough
//! requests to tell of its percentiles.

use super::runs::Runs;
use super::variable::Variable;
use crate::metric::percentile_of;
use crate::plan::BenchPlan;
use crate::sla::{Operator, Sla};

/// Requests beyond a percentile that tell where it lies.
const BEYOND: f64 = 2.0;
/// Requests that tell a mean.
const FEWEST: f64 = 20.0;
/// The steady part lasts so many times as long as a request.
const TIMES_A_REQUEST: f64 = 10.0;
/// Rounds of a closed loop at least.
const ROUNDS: f64 = 4.0;

/// What a run at a value is to measure.
pub struct Amount<'a> {
    pub bench: &'a BenchPlan,
    pub slas: &'a [Sla],
    pub runs: &'a Runs<'a>,
    /// Seconds that the steady part lasts at least.
    pub seconds: f64,
}

impl Amount<'_> {
    /// How many prompts a run at a value sends: never fewer than its command says.
    pub fn prompts(&self, value: f64) -> u32 {
        let given = self.bench.command.flag(&["num-prompts"]).and_then(|text| text.parse::<f64>().ok());
        let stay = self.stay(value);
        let seconds = self.seconds.max(TIMES_A_REQUEST * stay);
        // The server fills and empties besides.
        let prompts = match self.runs.variable {
            Variable::RequestRate => (value * seconds).max(self.for_percentiles()) + 2.0 * value * stay,
            Variable::MaxConcurrency => {
                let in_time = self.runs.near(value, "request_throughput").map_or(0.0, |rate| rate * seconds);
                // Those of the first and the last round are no steady part.
                in_time.max(self.for_percentiles()).max(ROUNDS * value) + 2.0 * value
            }
        };
        prompts.max(given.unwrap_or(0.0)).ceil().min(f64::from(u32::MAX)) as u32
    }

    fn for_percentiles(&self) -> f64 {
        let metrics = self.slas.iter().flat_map(|sla| &sla.constraints).map(|constraint| &constraint.metric);
        let percents = metrics.filter_map(|metric| percentile_of(metric)?.parse::<f64>().ok());
        percents
            .filter(|percent| *percent < 100.0)
            .map(|percent| BEYOND / (1.0 - percent / 100.0))
            .fold(FEWEST, f64::max)
    }

    /// How long a request stays in the server: where the SLA is met no longer than it allows.
    fn stay(&self, value: f64) -> f64 {
        let limits = self.slas.iter().flat_map(|sla| &sla.constraints).filter(|constraint| {
            constraint.metric.ends_with("_e2el_ms") && matches!(constraint.operator, Operator::AtMost | Operator::Below)
        });
        let limit = limits.map(|constraint| constraint.target).reduce(f64::max);
        let seen = self.runs.near(value, "mean_e2el_ms");
        let stay = match (seen, limit) {
            (Some(seen), Some(limit)) => seen.min(limit),
            (Some(seen), None) => seen,
            // What nobody has seen makes no run longer.
            (None, limit) => limit.unwrap_or(0.0).min(1000.0 * self.seconds / TIMES_A_REQUEST),
        };
        stay / 1000.0
    }
}
