//! Whether the client was the bottleneck: a number that it could not take in time is about the client and not about the server.

use crate::load::{Measured, Measurement};
use crate::stats::{mean, percentile};

/// What the client needed, beside what was measured.
pub struct Verdict {
    /// CPU time over wall time of the thread that was busiest.
    pub busiest: Option<f64>,
    /// How late a thread came to what was due.
    pub p99_delay_ms: Option<f64>,
    /// Of the mean time to first token, how much the client's own delay may be.
    pub share_of_ttft: Option<f64>,
    is_known: bool,
}

/// A thread that is so busy can't keep up.
const BUSY: f64 = 0.9;
/// The client's own delay may be so much of the time to first token.
const SHARE: f64 = 0.05;
/// A delay of a tenth of a millisecond is no one's concern.
const LEAST_DELAY_MS: f64 = 0.1;
/// From fewer looks nothing can be said.
const FEWEST: usize = 20;

impl Verdict {
    pub fn of(measured: &Measured) -> Self {
        let wall = measured.duration.as_secs_f64();
        let shares = measured.spent.iter().map(|spent| spent.cpu.as_secs_f64() / wall);
        let mut delays: Vec<f64> =
            measured.spent.iter().flat_map(|spent| &spent.delays).map(|delay| delay.as_secs_f64() * 1000.0).collect();
        delays.sort_by(f64::total_cmp);
        let first = |request: &Measurement| request.ttft.unwrap_or(request.latency).as_secs_f64() * 1000.0;
        let ttfts: Vec<f64> = measured.requests.iter().filter(|request| request.is_ok()).map(first).collect();
        let is_known = delays.len() >= FEWEST && !ttfts.is_empty();
        let delay = is_known.then(|| mean(&delays));
        Self {
            busiest: shares.reduce(f64::max).filter(|_| wall > 0.0),
            p99_delay_ms: (!delays.is_empty()).then(|| percentile(&delays, 99.0)),
            share_of_ttft: delay.map(|delay| (delay / mean(&ttfts)).min(1.0)),
            is_known,
        }
    }

    /// `yes`, `no`, or `unknown`.
    pub fn word(&self) -> &'static str {
        let is_busy = self.busiest.is_some_and(|share| share > BUSY);
        let is_late = self.share_of_ttft.is_some_and(|share| share > SHARE)
            && self.p99_delay_ms.is_some_and(|delay| delay > LEAST_DELAY_MS);
        match (is_busy || is_late, self.is_known) {
            (_, false) => "unknown",
            (true, true) => "yes",
            (false, true) => "no",
        }
    }
}
