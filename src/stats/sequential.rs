//! A test that may be looked at after every observation.
//!
//! The observations are differences of pairs, normal with unknown mean and spread. The e-value is the Bayes factor of the
//! t-test with a normal prior on the standardised effect and the right Haar prior on the spread (Gönen et al. 2005; Rouder et
//! al. 2009). It is a test martingale under no effect (Hendriksen, de Heide and Grünwald 2021), so by Ville's inequality it ever
//! exceeds 1/α with a probability of at most α, whenever and for whatever reason one stops. The confidence sequence is what it
//! does not refuse.

use super::{Summary, mean};

/// The variance of the standardised effect in the prior. A server's flags change a metric by several times what two starts of
/// one and the same server differ by, or not at all: large effects are bet on. Fixed before any data is seen.
const PRIOR_VARIANCE: f64 = 10.0;

/// The logarithm of the e-value against a mean of 0; 0 for fewer than two observations.
pub fn log_e_value(differences: &[f64]) -> f64 {
    let Some((t, free)) = t_statistic(differences, 0.0) else { return 0.0 };
    if t.is_infinite() {
        return f64::INFINITY;
    }
    let inflation = 1.0 + (free + 1.0) * PRIOR_VARIANCE;
    let square = t * t;
    (free + 1.0) / 2.0 * ((square / free).ln_1p() - (square / (free * inflation)).ln_1p()) - 0.5 * inflation.ln()
}

/// Half the width of the confidence sequence around the mean of the differences: all of it, at all times, holds the true mean
/// with a probability of at least 1 - α. Infinite while nothing is excluded.
pub fn half_width(differences: &[f64], alpha: f64) -> f64 {
    let spread = Summary::of(differences).and_then(|summary| summary.std);
    spread.map_or(f64::INFINITY, |spread| half_width_of(spread, differences.len(), alpha))
}

/// How many differences of this spread make the confidence sequence so narrow.
pub fn needed(spread: f64, half_width: f64, alpha: f64) -> usize {
    (2..MOST).find(|count| half_width_of(spread, *count, alpha) <= half_width).unwrap_or(MOST)
}

/// Nobody measures more pairs.
const MOST: usize = 10_000;

fn half_width_of(spread: f64, count: usize, alpha: f64) -> f64 {
    let count = count as f64;
    let free = count - 1.0;
    let inflation = 1.0 + count * PRIOR_VARIANCE;
    let bound = (inflation.sqrt() / alpha).powf(2.0 / count);
    if bound >= inflation {
        return f64::INFINITY;
    }
    (free * (bound - 1.0) / (1.0 - bound / inflation)).sqrt() * spread / count.sqrt()
}

fn t_statistic(differences: &[f64], from: f64) -> Option<(f64, f64)> {
    let summary = Summary::of(differences)?;
    let error = summary.std? / (summary.n as f64).sqrt();
    let off = mean(differences) - from;
    let t = match error > 0.0 {
        true => off / error,
        false if off == 0.0 => 0.0,
        false => f64::INFINITY,
    };
    Some((t, (summary.n - 1) as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use rand_distr::{Distribution, StandardNormal};

    fn draw(mean: f64, random: &mut StdRng) -> f64 {
        let error: f64 = StandardNormal.sample(random);
        mean + error
    }

    // The Bayes factor by numerical integration (scipy.integrate.quad over the effect size, noncentral t over central t), for
    // n = 6 and t = 4.0.
    #[test]
    fn the_e_value_is_the_bayes_factor() {
        let base = [-1.0, -0.5, 0.0, 0.0, 0.5, 1.0];
        let summary = Summary::of(&base).unwrap();
        let error = summary.std.unwrap() / 6f64.sqrt();
        let differences: Vec<f64> = base.iter().map(|value| value + 4.0 * error).collect();
        let found = log_e_value(&differences).exp();
        assert!((found / SCIPY_BAYES_FACTOR - 1.0).abs() < 1e-4, "{found}");
    }

    const SCIPY_BAYES_FACTOR: f64 = 8.137057;

    #[test]
    fn looking_after_every_pair_keeps_the_error_rate() {
        let mut random = StdRng::seed_from_u64(3);
        let (mut said, mut missed) = (0, 0);
        for _ in 0..1000 {
            let mut differences = Vec::new();
            let (mut is_said, mut is_missed) = (false, false);
            for _ in 0..60 {
                differences.push(draw(0.0, &mut random));
                is_said |= log_e_value(&differences) >= (1.0f64 / 0.05).ln();
                is_missed |= mean(&differences).abs() > half_width(&differences, 0.05);
            }
            said += u32::from(is_said);
            missed += u32::from(is_missed);
        }
        assert!(said <= 50 && missed <= 50, "{said} and {missed} of 1000");
    }

    #[test]
    fn an_effect_is_seen_in_a_few_pairs() {
        let mut random = StdRng::seed_from_u64(4);
        let pairs_until_said = |effect: f64, random: &mut StdRng| {
            let mut differences = Vec::new();
            (1..200).find(|_| {
                differences.push(draw(effect, random));
                log_e_value(&differences) >= (1.0f64 / 0.05).ln()
            })
        };
        let mut counts: Vec<usize> = (0..200).filter_map(|_| pairs_until_said(2.0, &mut random)).collect();
        counts.sort_unstable();
        assert!(counts.len() == 200 && counts[100] <= 7, "{:?}", counts.get(100));
    }

    #[test]
    fn the_sequence_excludes_zero_exactly_when_the_e_value_does() {
        let mut random = StdRng::seed_from_u64(5);
        for effect in [0.0, 0.5, 1.0, 2.0] {
            let differences: Vec<f64> = (0..12).map(|_| draw(effect, &mut random)).collect();
            let is_excluded = mean(&differences).abs() > half_width(&differences, 0.05);
            assert_eq!(is_excluded, log_e_value(&differences) >= (1.0f64 / 0.05).ln());
        }
        assert_eq!((log_e_value(&[1.0]), half_width(&[1.0], 0.05)), (0.0, f64::INFINITY));
        assert_eq!(log_e_value(&[1.0, 1.0]), f64::INFINITY);
        assert!(log_e_value(&[0.0, 0.0]) < 0.0);
        let differences: Vec<f64> =
            (0..needed(1.0, 0.5, 0.05)).map(|at| if at % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let width = half_width(&differences, 0.05);
        assert!((0.4..0.55).contains(&width), "{width} of {}", differences.len());
    }
}
