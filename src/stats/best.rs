//! Which of several uncertain values is the greatest.

use super::normal_cdf;
use std::f64::consts::PI;

/// A value that is normally distributed about its mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Uncertain {
    pub mean: f64,
    pub std: f64,
}

/// Points at which the integral over a distribution is taken, and to how many standard deviations.
const POINTS: usize = 400;
const REACH: f64 = 6.0;

/// How likely each is the greatest of all, where they know nothing of each other: the integral of its density times the
/// probabilities that the others lie below. Values that are known and alike share it.
pub fn greatest(values: &[Uncertain]) -> Vec<f64> {
    let spread = values.iter().map(|value| value.mean.abs() + value.std).fold(0.0, f64::max);
    // What is known exactly lies in so narrow a range that only its likes are in it.
    let values: Vec<Uncertain> =
        values.iter().map(|value| Uncertain { std: value.std.max(1e-9 * spread.max(1e-9)), ..*value }).collect();
    let of = |(index, value): (usize, &Uncertain)| {
        let step = 2.0 * REACH / POINTS as f64;
        let at = |point: usize| {
            let z = -REACH + (point as f64 + 0.5) * step;
            let x = value.mean + z * value.std;
            let density = (-z * z / 2.0).exp() / (2.0 * PI).sqrt();
            let others = values.iter().enumerate().filter(|(other, _)| *other != index);
            others.map(|(_, other)| normal_cdf((x - other.mean) / other.std)).product::<f64>() * density * step
        };
        (0..POINTS).map(at).sum::<f64>()
    };
    let shares: Vec<f64> = values.iter().enumerate().map(of).collect();
    let whole: f64 = shares.iter().sum();
    shares.into_iter().map(|share| if whole > 0.0 { share / whole } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::prelude::*;
    use rand_distr::{Distribution, Normal};

    fn of(pairs: &[(f64, f64)]) -> Vec<Uncertain> {
        pairs.iter().map(|(mean, std)| Uncertain { mean: *mean, std: *std }).collect()
    }

    #[test]
    fn two_values_are_told_apart_by_their_difference() {
        let found = greatest(&of(&[(1.0, 0.3), (0.0, 0.4)]));
        assert!((found[0] - normal_cdf(2.0)).abs() < 1e-4 && (found[0] + found[1] - 1.0).abs() < 1e-12, "{found:?}");
        assert_eq!(greatest(&of(&[(5.0, 1.0)])), [1.0]);
        assert!(greatest(&[]).is_empty());
    }

    #[test]
    fn what_is_known_beats_what_is_lower_and_shares_with_its_like() {
        let found = greatest(&of(&[(2.0, 0.0), (1.0, 0.0), (2.0, 0.0)]));
        assert!((found[0] - 0.5).abs() < 1e-6 && found[1] < 1e-9 && (found[2] - 0.5).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn many_values_agree_with_draws() {
        let values = of(&[(1.0, 0.5), (1.2, 0.1), (0.3, 1.0), (1.1, 0.4)]);
        let mut random = StdRng::seed_from_u64(5);
        let mut wins = [0.0; 4];
        for _ in 0..40_000 {
            let draws = values.iter().map(|value| Normal::new(value.mean, value.std).unwrap().sample(&mut random));
            let best = draws.enumerate().max_by(|left, right| left.1.total_cmp(&right.1)).unwrap().0;
            wins[best] += 1.0 / 40_000.0;
        }
        for (found, drawn) in greatest(&values).iter().zip(wins) {
            assert!((found - drawn).abs() < 0.01, "{found} {drawn}");
        }
    }
}
