//! When each request is sent.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Gamma};
use std::time::Duration;

/// Arrivals in the open loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Requests per second; infinite for all at once.
    pub request_rate: f64,
    /// The shape of the gamma distribution of intervals: 1 is a Poisson process, less is burstier, infinite is even.
    pub burstiness: f64,
    /// A rate that changes, instead of `request_rate`.
    pub ramp: Option<Ramp>,
}

/// A rate that changes from the first request to the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    pub strategy: RampStrategy,
    pub start_rps: f64,
    pub end_rps: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RampStrategy {
    Linear,
    Exponential,
}

impl RampStrategy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Exponential => "exponential",
        }
    }
}

/// How much is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extent {
    Prompts(usize),
    /// Until so much time has passed.
    Time(Duration),
}

/// Arrivals are drawn from another stream than prompts, so that neither depends on the other.
const STREAM: u64 = 0x6172_7269_7661_6c73;

impl Default for Traffic {
    fn default() -> Self {
        Self { request_rate: f64::INFINITY, burstiness: 1.0, ramp: None }
    }
}

impl Traffic {
    /// Whether requests come by the clock and not by the end of others.
    pub fn is_open(&self) -> bool {
        self.request_rate.is_finite() || self.ramp.is_some()
    }

    /// The arrivals, since the start. Of a given number at a steady rate the last is sent after exactly `count / rate` seconds, as vLLM does to
    /// take the sampling error out of the rate.
    pub fn arrivals(&self, extent: Extent, seed: u64) -> Vec<Duration> {
        let mut random = StdRng::seed_from_u64(seed ^ STREAM);
        let gamma =
            self.burstiness.is_finite().then(|| Gamma::new(self.burstiness, 1.0 / self.burstiness).ok()).flatten();
        let mut interval = || gamma.map_or(1.0, |gamma| gamma.sample(&mut random));
        match extent {
            Extent::Prompts(count) if !self.is_open() => vec![Duration::ZERO; count],
            Extent::Prompts(count) => {
                let mut at = 0.0;
                let mut all: Vec<f64> = Vec::with_capacity(count);
                for index in 0..count {
                    at += interval() / self.rate(index as f64 / (count - 1).max(1) as f64);
                    all.push(at);
                }
                let scale = if self.ramp.is_none() && at > 0.0 { count as f64 / self.request_rate / at } else { 1.0 };
                all.into_iter().map(|at| Duration::from_secs_f64(at * scale)).collect()
            }
            Extent::Time(_) if !self.is_open() => Vec::new(),
            Extent::Time(time) => {
                let (mut at, mut all) = (0.0, Vec::new());
                loop {
                    at += interval() / self.rate(at / time.as_secs_f64());
                    if at >= time.as_secs_f64() {
                        return all;
                    }
                    all.push(Duration::from_secs_f64(at));
                }
            }
        }
    }

    /// The rate after a share of the run.
    fn rate(&self, share: f64) -> f64 {
        match self.ramp {
            None => self.request_rate,
            Some(Ramp { strategy: RampStrategy::Linear, start_rps, end_rps }) => {
                start_rps + (end_rps - start_rps) * share
            }
            Some(Ramp { strategy: RampStrategy::Exponential, start_rps, end_rps }) => {
                start_rps * (end_rps / start_rps).powf(share)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady(request_rate: f64, burstiness: f64) -> Traffic {
        Traffic { request_rate, burstiness, ramp: None }
    }

    fn intervals(burstiness: f64) -> Vec<f64> {
        let arrivals = steady(50.0, burstiness).arrivals(Extent::Prompts(2000), 3);
        assert!((arrivals[1999].as_secs_f64() - 40.0).abs() < 1e-6);
        arrivals.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
    }

    fn variation(values: &[f64]) -> f64 {
        crate::stats::population_std(values) / crate::stats::mean(values)
    }

    #[test]
    fn burstiness_is_the_shape_of_the_intervals() {
        // The coefficient of variation of a gamma distribution is 1/√shape.
        for (burstiness, expected) in [(1.0, 1.0), (0.25, 2.0), (4.0, 0.5)] {
            let found = variation(&intervals(burstiness));
            assert!((found / expected - 1.0).abs() < 0.1, "burstiness {burstiness}: {found}");
        }
        assert!(variation(&intervals(f64::INFINITY)) < 1e-6);
    }

    #[test]
    fn an_infinite_rate_sends_all_at_once() {
        assert_eq!(Traffic::default().arrivals(Extent::Prompts(3), 0), [Duration::ZERO; 3]);
    }

    #[test]
    fn a_ramp_goes_from_one_rate_to_the_other() {
        for strategy in [RampStrategy::Linear, RampStrategy::Exponential] {
            let ramp = Some(Ramp { strategy, start_rps: 10.0, end_rps: 1000.0 });
            let traffic = Traffic { burstiness: f64::INFINITY, ramp, ..Traffic::default() };
            let arrivals = traffic.arrivals(Extent::Prompts(500), 0);
            let gap = |index: usize| (arrivals[index + 1] - arrivals[index]).as_secs_f64();
            let middle = if strategy == RampStrategy::Linear { 505.0 } else { 100.0 };
            assert!((1.0 / gap(0) / 10.0 - 1.0).abs() < 0.25, "{}", 1.0 / gap(0));
            assert!((1.0 / gap(249) / middle - 1.0).abs() < 0.05, "{}", 1.0 / gap(249));
            assert!((1.0 / gap(498) / 1000.0 - 1.0).abs() < 0.05, "{}", 1.0 / gap(498));
        }
    }

    #[test]
    fn a_time_is_filled_and_not_exceeded() {
        let arrivals = steady(200.0, 1.0).arrivals(Extent::Time(Duration::from_secs(30)), 1);
        assert!((5600..6400).contains(&arrivals.len()), "{}", arrivals.len());
        assert!(*arrivals.last().unwrap() < Duration::from_secs(30));
    }

    /// The distance of Kolmogorov and Smirnov between intervals and the gamma distribution that they are to have.
    fn distance(rate: f64, burstiness: f64) -> f64 {
        use statrs::distribution::{ContinuousCDF, Gamma};
        let arrivals = steady(rate, burstiness).arrivals(Extent::Prompts(20_000), 11);
        let mut gaps: Vec<f64> = arrivals.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        gaps.sort_by(f64::total_cmp);
        let expected = Gamma::new(burstiness, rate * burstiness).unwrap();
        let count = gaps.len() as f64;
        let far = gaps.iter().enumerate().map(|(rank, gap)| {
            let cdf = expected.cdf(*gap);
            (cdf - rank as f64 / count).abs().max(((rank + 1) as f64 / count - cdf).abs())
        });
        far.fold(0.0, f64::max)
    }

    #[test]
    fn intervals_follow_their_distribution_at_any_rate() {
        for rate in [1.0, 200.0, 2000.0] {
            for burstiness in [0.5, 1.0, 4.0] {
                // At 20,000 intervals a distance of 0.0115 has a p-value of one percent.
                let found = distance(rate, burstiness);
                assert!(found < 0.0115, "rate {rate}, burstiness {burstiness}: {found}");
            }
        }
    }
}
