//! Percentiles of all requests of a combination, its repeats together.
//!
//! A mean of P99s is no P99; where single requests are stored, the percentile of all of them is, with an interval that
//! supposes no distribution: between two order statistics of the sample.

use crate::stats::{binomial_quantile, percentile};

/// A percentile in both sweeps, and the interval of its change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pooled {
    pub base: f64,
    pub candidate: f64,
    /// Candidate over base, less one.
    pub change: f64,
    /// 95 % confidence interval of the change; `None` with too few requests for it.
    pub interval: Option<(f64, f64)>,
    pub base_requests: usize,
    pub candidate_requests: usize,
}

/// Of each side's interval: both together hold with 95 %.
const SIDE_CONFIDENCE: f64 = 0.975;

/// Compares the `percent`-th percentile of two samples in ascending order; `None` for an empty one.
pub fn pooled(base: &[f64], candidate: &[f64], percent: f64) -> Option<Pooled> {
    if base.is_empty() || candidate.is_empty() {
        return None;
    }
    let (was, is) = (percentile(base, percent), percentile(candidate, percent));
    let ratio = |candidate: f64, base: f64| candidate / base - 1.0;
    let interval = order_interval(base, percent).zip(order_interval(candidate, percent));
    Some(Pooled {
        base: was,
        candidate: is,
        change: ratio(is, was),
        interval: interval.map(|(base, candidate)| (ratio(candidate.0, base.1), ratio(candidate.1, base.0))),
        base_requests: base.len(),
        candidate_requests: candidate.len(),
    })
}

/// The order statistics between which the percentile lies: how many values are below it is binomial.
fn order_interval(sorted: &[f64], percent: f64) -> Option<(f64, f64)> {
    let below = |probability: f64| binomial_quantile(probability, percent / 100.0, sorted.len());
    let tail = (1.0 - SIDE_CONFIDENCE) / 2.0;
    let (low, high) = (below(tail), below(1.0 - tail) + 1);
    (low >= 1 && high <= sorted.len()).then(|| (sorted[low - 1], sorted[high - 1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_lies_between_order_statistics() {
        // scipy: binom.ppf([0.0125, 0.9875], 1000, 0.9) = 878, 921: the 878th value and the one behind the 921th
        let base: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert_eq!(order_interval(&base, 90.0), Some((878.0, 922.0)));
        // The P99 of 50 requests has no upper end.
        assert_eq!(order_interval(&base[..50], 99.0), None);
        let twice: Vec<f64> = base.iter().map(|value| value * 2.0).collect();
        let found = pooled(&base, &twice, 90.0).unwrap();
        assert!(
            (found.change - 1.0).abs() < 1e-12 && found.interval.unwrap().0 < 1.0 && found.interval.unwrap().1 > 1.0
        );
        assert_eq!(pooled(&[], &base, 90.0), None);
    }
}
