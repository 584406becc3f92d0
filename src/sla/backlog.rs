//! Whether a server keeps up with what is offered to it: the requests in it must not grow in number.
//!
//! Where more come than are completed, the number in the server rises by the difference each second. It is averaged over equal parts of
//! the window, and a line fitted to the averages; neighbouring parts are alike, so the error of its slope is that of a first-order
//! autoregression.

use super::request::Request;
use crate::stats::{mean, t_critical};

/// What the window says of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    /// As many are completed as come.
    Steady,
    /// This share of what comes piles up.
    Growing(f64),
    /// The window is too short to tell.
    Unclear,
}

/// The requests of a run by their arrival, and the window that is looked at.
pub struct Backlog<'a> {
    pub requests: &'a [Request],
    pub from: f64,
    pub until: f64,
}

/// Parts of the window whose averages the line is fitted to.
const PARTS: usize = 12;
/// A window with fewer arrivals says nothing.
const FEWEST: usize = 24;
const CONFIDENCE: f64 = 0.95;
/// A share of the load that may pile up without being seen.
const TOLERATED: f64 = 0.05;
/// A backlog that is seen to grow by more than this share is no swing of the traffic.
const LARGE: f64 = 0.02;

impl Backlog<'_> {
    pub fn standing(&self) -> Standing {
        let seconds = self.until - self.from;
        let arrivals = self.requests.iter().filter(|request| request.arrival >= self.from).count();
        if arrivals < FEWEST || seconds <= 0.0 {
            return Standing::Unclear;
        }
        let rate = arrivals as f64 / seconds;
        let (slope, error) = slope(&self.averages());
        let part = seconds / PARTS as f64;
        let (share, error) = (slope / part / rate, t_critical(CONFIDENCE, PARTS - 2) * error / part / rate);
        if share - error > LARGE {
            Standing::Growing(share)
        } else if share + error <= TOLERATED {
            Standing::Steady
        } else {
            Standing::Unclear
        }
    }

    /// The mean number of requests in the server in each part.
    fn averages(&self) -> Vec<f64> {
        let part = (self.until - self.from) / PARTS as f64;
        let mut averages = vec![0.0; PARTS];
        for request in self.requests {
            // A failed request leaves at once.
            let leaves = request.arrival + request.e2el.unwrap_or(0.0);
            for (index, average) in averages.iter_mut().enumerate() {
                let (start, end) = (self.from + part * index as f64, self.from + part * (index + 1) as f64);
                *average += (leaves.min(end) - request.arrival.max(start)).max(0.0) / part;
            }
        }
        averages
    }
}

/// The slope of a line through values at equal distances, and its standard error.
fn slope(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let middle = (count - 1.0) / 2.0;
    let level = mean(values);
    let spread: f64 = (0..values.len()).map(|index| (index as f64 - middle).powi(2)).sum();
    let slope =
        values.iter().enumerate().map(|(index, value)| (index as f64 - middle) * (value - level)).sum::<f64>() / spread;
    let rest: Vec<f64> =
        values.iter().enumerate().map(|(index, value)| value - level - slope * (index as f64 - middle)).collect();
    let square: f64 = rest.iter().map(|rest| rest * rest).sum();
    let products: f64 = rest.iter().zip(rest.iter().skip(1)).map(|(left, right)| left * right).sum();
    let alike = if square > 0.0 { (products / square).clamp(0.0, MOST_ALIKE) } else { 0.0 };
    let variance = square / (count - 2.0) / spread * (1.0 + alike) / (1.0 - alike);
    (slope, variance.sqrt())
}

/// Correlation of neighbouring parts that a line through twelve of them can show.
const MOST_ALIKE: f64 = 0.7;

#[cfg(test)]
mod tests {
    use super::*;
    use rand::prelude::*;
    use rand_distr::{Distribution, Exp};

    /// Poisson arrivals at a server that works on one request after the other, each for an exponential time.
    fn queue(rate: f64, capacity: f64, seconds: f64, seed: u64) -> Vec<Request> {
        let mut random = StdRng::seed_from_u64(seed);
        let (between, service) = (Exp::new(rate).unwrap(), Exp::new(capacity).unwrap());
        let (mut arrival, mut free) = (0.0, 0.0f64);
        let mut requests = Vec::new();
        while arrival < seconds {
            arrival += between.sample(&mut random);
            free = free.max(arrival) + service.sample(&mut random);
            requests.push(Request {
                arrival,
                ttft: None,
                e2el: Some(free - arrival),
                tpot: None,
                itls: Vec::new(),
                output_len: Some(1.0),
            });
        }
        requests
    }

    fn standing(requests: &[Request], seconds: f64) -> Standing {
        Backlog { requests, from: 0.0, until: seconds }.standing()
    }

    fn share(rate: f64, seconds: f64, is: fn(&Standing) -> bool) -> f64 {
        let all = (0..100).map(|seed| standing(&queue(rate, 50.0, seconds, seed), seconds));
        all.filter(is).count() as f64 / 100.0
    }

    #[test]
    fn a_server_that_keeps_up_is_hardly_ever_said_to_fall_behind() {
        let is_growing = |standing: &Standing| matches!(standing, Standing::Growing(_));
        for rate in [10.0, 35.0, 45.0] {
            assert!(share(rate, 30.0, is_growing) <= 0.05, "{rate}");
        }
        assert!(share(35.0, 30.0, |standing| *standing == Standing::Steady) >= 0.9);
    }

    #[test]
    fn a_server_that_falls_behind_is_not_said_to_keep_up() {
        for rate in [60.0, 75.0, 100.0] {
            let growing = share(rate, 30.0, |standing| matches!(standing, Standing::Growing(_)));
            let steady = share(rate, 30.0, |standing| *standing == Standing::Steady);
            assert!(growing >= 0.95 && steady <= 0.01, "{rate}: {growing} growing, {steady} steady");
        }
        // What piles up is the rate without what is completed.
        let Standing::Growing(found) = standing(&queue(100.0, 50.0, 60.0, 1), 60.0) else { panic!() };
        assert!((found - 0.5).abs() < 0.05, "{found}");
    }

    #[test]
    fn what_is_too_short_is_not_judged() {
        // In two seconds a queue has no time to grow: mostly nothing is said of a rate just above what the server completes.
        let steady = |standing: &Standing| *standing == Standing::Steady;
        assert!(share(52.0, 2.2, steady) <= 0.1 && share(60.0, 2.2, steady) <= 0.02);
        assert_eq!(standing(&queue(2.0, 50.0, 5.0, 1), 5.0), Standing::Unclear);
        assert_eq!(standing(&[], 5.0), Standing::Unclear);
    }
}
