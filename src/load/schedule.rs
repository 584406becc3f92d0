//! When each request is sent.

use nix::time::{ClockId, clock_gettime};
use rand::rngs::StdRng;
use rand_distr::{Distribution, Gamma};
use std::time::Duration;

/// The delay of each request from the start. Intervals are gamma-distributed (burstiness 1: a Poisson process;
/// infinite: even), and scaled so that the last request is sent after exactly `count / rate` seconds, as vLLM
/// does to take the sampling error out of the rate.
pub fn delays(count: usize, rate: f64, burstiness: f64, random: &mut StdRng) -> Vec<Duration> {
    if rate.is_infinite() {
        return vec![Duration::ZERO; count];
    }
    let gamma = burstiness.is_finite().then(|| Gamma::new(burstiness, 1.0 / (rate * burstiness)).ok()).flatten();
    let mut at = 0.0;
    let raw: Vec<f64> = (0..count)
        .map(|_| {
            at += gamma.map_or(1.0 / rate, |gamma| gamma.sample(random));
            at
        })
        .collect();
    let scale = if at > 0.0 { count as f64 / rate / at } else { 0.0 };
    raw.into_iter().map(|delay| Duration::from_secs_f64(delay * scale)).collect()
}

/// Seconds of the monotonic clock, the one that Python's `perf_counter` reads.
pub fn monotonic_seconds() -> f64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0.0, |time| Duration::from(time).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn intervals(burstiness: f64) -> Vec<f64> {
        let delays = delays(2000, 50.0, burstiness, &mut StdRng::seed_from_u64(3));
        assert!((delays[1999].as_secs_f64() - 40.0).abs() < 1e-6);
        delays.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
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
        assert_eq!(delays(3, f64::INFINITY, 1.0, &mut StdRng::seed_from_u64(0)), [Duration::ZERO; 3]);
    }
}
