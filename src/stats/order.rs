//! How sure a percentile of a sample is, whatever the distribution: bounds that are order statistics.
//!
//! The number of values above the true percentile is binomial. So a value with `t` others above it is an upper bound, unless no
//! more than `t` of all lie above the true one, whose probability is known. As in MLPerf's early stopping, at least one value must
//! lie above an upper bound: the largest value alone is none.

use statrs::distribution::{Binomial, DiscreteCDF};

/// Bounds of the true percentile, each of which holds with the confidence; nothing where the sample is too small for one.
/// `sorted` ascends.
pub fn percentile_bounds(sorted: &[f64], percent: f64, confidence: f64) -> (Option<f64>, Option<f64>) {
    let (n, share) = (sorted.len(), percent / 100.0);
    let above = most_within(n, 1.0 - share, 1.0 - confidence).filter(|above| *above >= 1);
    let below = most_within(n, share, 1.0 - confidence);
    let high = above.and_then(|above| sorted.get(n.checked_sub(above + 1)?));
    (below.and_then(|below| sorted.get(below)).copied(), high.copied())
}

/// How many values it takes for an upper bound of a percentile.
pub fn values_for_bound(percent: f64, confidence: f64) -> usize {
    let share = 1.0 - percent / 100.0;
    if share <= 0.0 {
        return usize::MAX;
    }
    let is_enough = |n: usize| most_within(n, share, 1.0 - confidence).is_some_and(|above| above >= 1);
    let mut high = 1;
    while !is_enough(high) {
        high *= 2;
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = (low + high) / 2;
        if is_enough(middle) { high = middle } else { low = middle }
    }
    high
}

/// The greatest count that is not exceeded with at most this probability, in `n` trials that each succeed with `share`.
fn most_within(n: usize, share: f64, probability: f64) -> Option<usize> {
    let binomial = Binomial::new(share, n as u64).ok()?;
    let (mut low, mut high) = (0, n as u64 + 1);
    while low < high {
        let middle = (low + high) / 2;
        if binomial.cdf(middle) <= probability { low = middle + 1 } else { high = middle }
    }
    (low as usize).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::prelude::*;

    #[test]
    fn a_bound_takes_as_many_values_as_mlperf_says() {
        let needed = |percent: f64| values_for_bound(percent, 0.99);
        assert_eq!([90.0, 95.0, 97.0, 99.0].map(needed), [64, 130, 219, 662]);
        assert_eq!(needed(100.0), usize::MAX);
        let ascending = |n: usize| (0..n).map(|value| value as f64).collect::<Vec<_>>();
        assert_eq!(percentile_bounds(&ascending(661), 99.0, 0.99).1, None);
        // One value lies above it.
        assert_eq!(percentile_bounds(&ascending(662), 99.0, 0.99).1, Some(660.0));
        assert_eq!(percentile_bounds(&[], 50.0, 0.99), (None, None));
    }

    #[test]
    fn each_bound_holds_as_often_as_it_says_whatever_the_distribution() {
        let mut random = StdRng::seed_from_u64(3);
        // Exponential, to the power of three: a heavy tail.
        let truth = |percent: f64| (-(1.0 - percent / 100.0_f64).ln()).powi(3);
        for (percent, n) in [(50.0, 40), (90.0, 300), (99.0, 1500)] {
            let samples = 4000;
            let (mut low, mut high) = (0, 0);
            for _ in 0..samples {
                let mut values: Vec<f64> = (0..n).map(|_| (-(1.0 - random.random::<f64>()).ln()).powi(3)).collect();
                values.sort_by(f64::total_cmp);
                let (below, above) = percentile_bounds(&values, percent, 0.99);
                low += usize::from(below.unwrap() <= truth(percent));
                high += usize::from(above.unwrap() >= truth(percent));
            }
            for held in [low, high] {
                let share = held as f64 / f64::from(samples);
                assert!(share > 0.985, "P{percent} of {n}: {share}");
            }
        }
    }
}
