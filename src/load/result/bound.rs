//! Whether the client was the bottleneck: a number that it could not take in time is about the client and not about the server.

use crate::load::Measured;
use crate::stats::{mean, percentile};
use std::time::Duration;

/// What the client needed, beside what was measured.
pub struct Verdict {
    /// CPU time over wall time of the thread that was busiest.
    pub busiest: Option<f64>,
    /// How late a thread came to what was due.
    pub p99_delay_ms: Option<f64>,
    /// Of the mean time to first token, how much the client's own delay may be.
    pub share_of_ttft: Option<f64>,
    /// Nothing of a run that is too short to tell.
    is_bound: Option<bool>,
}

/// A thread that is so busy can't keep up.
const BUSY: f64 = 0.9;
/// The client's own delay may be so much of the time to first token.
const SHARE: f64 = 0.05;
/// A delay of a tenth of a millisecond is no one's concern.
const LEAST_DELAY_MS: f64 = 0.1;
/// The 99th percentile of the delay may be so much of the median time to first token, and so much at all.
const TAIL: f64 = 0.15;
const TAIL_MS: f64 = 0.5;
/// From fewer looks nothing can be said.
const FEWEST: usize = 20;

impl Verdict {
    pub fn of(measured: &Measured) -> Self {
        let wall = measured.duration.as_secs_f64();
        let shares = measured.spent.iter().map(|spent| spent.cpu.as_secs_f64() / wall);
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        let delays = sorted(measured.spent.iter().flat_map(|spent| &spent.delays).map(|delay| millis(*delay)));
        let ok = measured.requests.iter().filter(|request| request.is_ok());
        let ttfts = sorted(ok.map(|request| millis(request.ttft.unwrap_or(request.latency))));
        let lags: Vec<f64> = measured.requests.iter().map(|request| millis(request.send_lag)).collect();
        let busiest = shares.reduce(f64::max).filter(|_| wall > 0.0);
        let p99_delay_ms = (!delays.is_empty()).then(|| percentile(&delays, 99.0));
        let tail = p99_delay_ms.filter(|_| delays.len() >= FEWEST && !ttfts.is_empty());
        let share_of_ttft = tail.map(|_| (mean(&delays) / mean(&ttfts)).min(1.0));
        let is_bound = tail.zip(share_of_ttft).map(|(tail, share)| {
            // Of a mean a few long waits for the server's connections are the most.
            let (usual, lag) = (percentile(&ttfts, 50.0), mean(&lags));
            let is_busy = busiest.is_some_and(|share| share > BUSY);
            let is_slow = share > SHARE && tail > LEAST_DELAY_MS;
            let is_late = lag > LEAST_DELAY_MS && lag > SHARE * usual || tail > TAIL_MS && tail > TAIL * usual;
            is_busy || is_slow || is_late
        });
        Self { busiest, p99_delay_ms, share_of_ttft, is_bound }
    }

    /// `yes`, `no`, or `unknown`.
    pub fn word(&self) -> &'static str {
        match self.is_bound {
            None => "unknown",
            Some(true) => "yes",
            Some(false) => "no",
        }
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Measurement, Spent};

    fn verdict(cpu_share: f64, delay_ms: f64, lag_ms: f64, ttft_ms: f64) -> &'static str {
        let millis = |value: f64| Duration::from_secs_f64(value / 1000.0);
        let request = Measurement { ttft: Some(millis(ttft_ms)), send_lag: millis(lag_ms), ..Measurement::default() };
        let spent = Spent {
            cpu: Duration::from_secs_f64(10.0 * cpu_share),
            delays: vec![millis(delay_ms); 100],
            ..Spent::default()
        };
        let measured = Measured {
            requests: vec![request; 10],
            duration: Duration::from_secs(10),
            spent: vec![spent],
            ..Measured::of_model("m")
        };
        Verdict::of(&measured).word()
    }

    #[test]
    fn a_client_is_the_bottleneck_where_it_is_busy_late_or_slow() {
        assert_eq!(verdict(0.2, 0.05, 0.1, 50.0), "no");
        assert_eq!(verdict(0.95, 0.05, 0.1, 50.0), "yes", "its thread has no time left");
        assert_eq!(verdict(0.2, 5.0, 0.1, 50.0), "yes", "a tenth of the TTFT is its own");
        assert_eq!(verdict(0.2, 0.05, 9.0, 50.0), "yes", "requests left late");
        assert_eq!(verdict(0.2, 0.06, 0.1, 0.5), "no", "nobody cares for tens of microseconds");
    }

    #[test]
    fn a_run_that_is_too_short_tells_nothing() {
        assert_eq!(Verdict::of(&Measured::of_model("m")).word(), "unknown");
    }
}
