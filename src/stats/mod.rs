//! Statistics on plain slices: moments, quantiles and intervals. Pure functions; nothing here reads a clock.

mod best;
mod change_points;
mod cholesky;
mod density;
pub mod effects;
mod hypervolume;
mod order;
mod ranking;
pub mod robust;
pub mod sequential;

pub use best::{Uncertain, greatest};
pub use change_points::{ChangePoint, LEAST_SWEEPS, Series, Shape, change_points};
pub use cholesky::Cholesky;
pub use density::kernel_density;
pub use hypervolume::{dominates, hypervolume};
pub use order::{percentile_bounds, values_for_bound};
pub use ranking::{Candidate, Expected, RunNoise, expected};

use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal, StudentsT};
use statrs::function::gamma::digamma;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// A sample, summarised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub n: usize,
    pub mean: f64,
    /// Standard deviation of the sample (n - 1); `None` for a single value.
    pub std: Option<f64>,
    pub min: f64,
    pub max: f64,
}

impl Summary {
    /// Summarises the finite values; `None` when there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        if finite.is_empty() {
            return None;
        }
        let mean = mean(&finite);
        let std = (finite.len() > 1).then(|| {
            let squares: f64 = finite.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / (finite.len() - 1) as f64).sqrt()
        });
        Some(Self {
            n: finite.len(),
            mean,
            std,
            min: finite.iter().copied().fold(f64::INFINITY, f64::min),
            max: finite.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }

    /// Half the width of the 95 % confidence interval of the mean, by Student's t; `None` for a single value.
    pub fn ci95(&self) -> Option<f64> {
        self.std.map(|std| t_critical(0.95, self.n - 1) * std / (self.n as f64).sqrt())
    }
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The middle value, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// The sample standard deviation; nothing for fewer than two values.
pub fn stddev(values: &[f64]) -> Option<f64> {
    Summary::of(values)?.std
}

/// Standard deviation of the population (division by n), as NumPy's `std`.
pub fn population_std(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// The `percent`-th percentile of values in ascending order, linear between ranks, as NumPy's default.
pub fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let rank = percent / 100.0 * (sorted.len() - 1) as f64;
    let below = sorted[rank.floor() as usize];
    let above = sorted[rank.ceil() as usize];
    below + (above - below) * rank.fract()
}

/// The two-sided critical value of Student's t: 12.706 for 95 % and one degree of freedom. Found values are kept: it is
/// a search, and the same few are asked for thousands of times.
pub fn t_critical(confidence: f64, degrees_of_freedom: usize) -> f64 {
    static FOUND: Mutex<BTreeMap<(u64, usize), f64>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    *found
        .entry((confidence.to_bits(), degrees_of_freedom))
        .or_insert_with(|| t_quantile(0.5 + confidence / 2.0, degrees_of_freedom as f64))
}

/// The standard normal distribution.
pub fn normal_cdf(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// The two-sided p-value of a t statistic; infinitely many degrees of freedom make it a normal one.
pub fn t_p_value(t: f64, degrees_of_freedom: f64) -> f64 {
    (2.0 * t_cdf(-t.abs(), degrees_of_freedom)).clamp(0.0, 1.0)
}

/// Student's t distribution; infinitely many degrees of freedom make it the normal one.
pub fn t_cdf(t: f64, degrees_of_freedom: f64) -> f64 {
    match degrees_of_freedom == f64::INFINITY {
        true => normal_cdf(t),
        false => StudentsT::new(0.0, 1.0, degrees_of_freedom).map_or(f64::NAN, |student| student.cdf(t)),
    }
}

/// The quantile of Student's t; infinitely many degrees of freedom make it a normal one, none at all make none. With many it is
/// the expansion around the normal quantile (Abramowitz and Stegun 26.7.5): the search in its distribution takes seconds there.
pub fn t_quantile(probability: f64, degrees_of_freedom: f64) -> f64 {
    let normal = || Normal::standard().inverse_cdf(probability);
    if degrees_of_freedom == f64::INFINITY {
        return normal();
    }
    if degrees_of_freedom >= MANY_DEGREES {
        let (z, v) = (normal(), degrees_of_freedom);
        let first = (z.powi(3) + z) / 4.0;
        let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
        let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
        return z + first / v + second / v.powi(2) + third / v.powi(3);
    }
    StudentsT::new(0.0, 1.0, degrees_of_freedom).map_or(f64::NAN, |student| student.inverse_cdf(probability))
}

const MANY_DEGREES: f64 = 200.0;

/// The least count whose probability of not being exceeded, in `n` trials that each succeed with `share`, is at least
/// `probability`.
pub fn binomial_quantile(probability: f64, share: f64, n: usize) -> usize {
    let Ok(binomial) = Binomial::new(share, n as u64) else { return 0 };
    let (mut low, mut high) = (0, n as u64);
    while low < high {
        let middle = (low + high) / 2;
        if binomial.cdf(middle) >= probability { high = middle } else { low = middle + 1 }
    }
    low as usize
}

/// The probability of at least so many successes in `n` trials that each succeed with `share`.
pub fn binomial_tail(count: usize, share: f64, n: usize) -> f64 {
    let Ok(binomial) = Binomial::new(share, n as u64) else { return 0.0 };
    if count == 0 { 1.0 } else { 1.0 - binomial.cdf(count as u64 - 1) }
}

/// p-values corrected for their number so that of those called significant at most that share is false (Benjamini and
/// Hochberg).
pub fn false_discovery(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|left, right| p_values[*right].total_cmp(&p_values[*left]));
    let mut corrected = vec![1.0; p_values.len()];
    let mut least = 1.0f64;
    for (rank_from_end, index) in order.into_iter().enumerate() {
        let rank = (p_values.len() - rank_from_end) as f64;
        least = least.min(p_values[index] * p_values.len() as f64 / rank);
        corrected[index] = least;
    }
    corrected
}

/// p-values of several families corrected in two steps (Benjamini and Bogomolov 2014): the families by the Simes p-value of
/// each, and the members of those that remain for the number of families that did not. If nothing at all is true, anything is
/// called significant with at most that probability.
pub fn hierarchical_false_discovery(families: &[Vec<f64>], level: f64) -> Vec<Vec<f64>> {
    let within: Vec<Vec<f64>> = families.iter().map(|family| false_discovery(family)).collect();
    // The least corrected p-value of a family is its Simes p-value.
    let simes: Vec<f64> = within.iter().map(|family| family.iter().copied().fold(1.0, f64::min)).collect();
    let between = false_discovery(&simes);
    let kept = between.iter().filter(|q| **q <= level).count().max(1) as f64;
    let factor = families.len() as f64 / kept;
    within
        .into_iter()
        .zip(between)
        .map(|(family, between)| family.into_iter().map(|q| (q * factor).max(between).min(1.0)).collect())
        .collect()
}

/// Variances of many small samples, each moved towards what is usual among them.
#[derive(Clone, Debug, PartialEq)]
pub struct Moderated {
    pub variances: Vec<f64>,
    /// Of each variance: its own, and those that the others lend.
    pub degrees_of_freedom: Vec<f64>,
}

/// Samples that are too few to learn from each other.
const FEW_SAMPLES: usize = 3;
/// A logarithm of a variance so many robust standard deviations above the middle counts as no further up.
const WINSOR: f64 = 2.5;

/// What variances scatter around, and with how many degrees of freedom: a scaled inverse chi-square (Smyth 2004), fitted to
/// their logarithms. Exceptionally large ones are winsorised, as limma's robust mode does (Phipson 2016), so that a single odd
/// sample does not make all others doubtful. `None` for fewer than three.
pub fn variance_prior(variances: &[f64], degrees_of_freedom: &[f64]) -> Option<(f64, f64)> {
    let positive = variances.iter().copied().filter(|variance| *variance > 0.0).fold(f64::INFINITY, f64::min);
    let usable = variances.iter().zip(degrees_of_freedom).filter(|(_, degrees)| **degrees > 0.0);
    let logs: Vec<f64> = usable
        .clone()
        .map(|(variance, degrees)| variance.max(positive * 1e-3).ln() - digamma(degrees / 2.0) + (degrees / 2.0).ln())
        .collect();
    if logs.len() < FEW_SAMPLES || !positive.is_finite() {
        return None;
    }
    let summary = Summary::of(&winsorised(logs))?;
    let expected = mean(&usable.map(|(_, degrees)| trigamma(degrees / 2.0)).collect::<Vec<_>>());
    let excess = summary.std.unwrap_or(0.0).powi(2) - expected;
    Some(match excess > 0.0 {
        true => {
            let half = inverse_trigamma(excess);
            ((summary.mean + digamma(half) - half.ln()).exp(), 2.0 * half)
        }
        false => (summary.mean.exp(), f64::INFINITY),
    })
}

/// The values with those that are far above the middle brought down to where that begins.
fn winsorised(values: Vec<f64>) -> Vec<f64> {
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    let middle = percentile(&sorted, 50.0);
    let mut off: Vec<f64> = sorted.iter().map(|value| (value - middle).abs()).collect();
    off.sort_by(f64::total_cmp);
    let most = middle + WINSOR * NORMAL_MAD * percentile(&off, 50.0);
    match values.len() >= MANY_SAMPLES {
        true => values.into_iter().map(|value| value.min(most)).collect(),
        false => values,
    }
}

/// The standard deviation of a normal, in median absolute deviations.
const NORMAL_MAD: f64 = 1.4826;
/// Of fewer samples nobody can say which is odd.
const MANY_SAMPLES: usize = 8;

/// Empirical Bayes moderation: each variance is moved towards what is usual among them, the more the fewer degrees of freedom
/// it has itself.
pub fn moderate(variances: &[f64], degrees_of_freedom: &[f64]) -> Moderated {
    let Some((prior, prior_degrees)) = variance_prior(variances, degrees_of_freedom) else {
        return Moderated { variances: variances.to_vec(), degrees_of_freedom: degrees_of_freedom.to_vec() };
    };
    // From a few dozen variances their scatter is known roughly: the prior never outweighs a sample by more than this. One that
    // knows nothing of its own has what is usual.
    let lent =
        |degrees: f64| prior_degrees.min(MOST_DEGREES_LENT).min(MOST_LENT * if degrees > 0.0 { degrees } else { 1.0 });
    let moderated = variances
        .iter()
        .zip(degrees_of_freedom)
        .map(|(variance, degrees)| (lent(*degrees) * prior + degrees * variance) / (lent(*degrees) + degrees));
    Moderated {
        variances: moderated.collect(),
        degrees_of_freedom: degrees_of_freedom.iter().map(|degrees| degrees + lent(*degrees)).collect(),
    }
}

/// So many times its own degrees of freedom are lent to a sample at most, and never more than so many.
const MOST_LENT: f64 = 3.0;
const MOST_DEGREES_LENT: f64 = 8.0;

/// The derivative of digamma: by recurrence to where its asymptotic series holds.
fn trigamma(x: f64) -> f64 {
    let (mut x, mut sum) = (x, 0.0);
    while x < 25.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    sum + 1.0 / x + inverse / 2.0 + inverse / x * (1.0 / 6.0 - inverse * (1.0 / 30.0 - inverse / 42.0))
}

fn inverse_trigamma(y: f64) -> f64 {
    let (mut low, mut high) = (1e-6f64, 1e9f64);
    for _ in 0..200 {
        let middle = (low * high).sqrt();
        if trigamma(middle) > y { low = middle } else { high = middle }
    }
    (low * high).sqrt()
}

/// A number to four digits, for people: what was measured a few times is not known better.
pub fn to_four_digits(number: f64) -> f64 {
    format!("{number:.3e}").parse().unwrap_or(number)
}

/// A mean with half the width of its interval, both to the digits that the interval leaves certain:
/// `1465.2 ± 4.4`.
pub fn with_interval(mean: f64, half_width: f64) -> String {
    if !half_width.is_finite() || half_width <= 0.0 {
        return format!("{mean}");
    }
    let decimals = (1 - half_width.log10().floor() as i32).clamp(0, 9) as usize;
    format!("{mean:.decimals$} ± {half_width:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const P_VALUES: [(f64, f64, f64); 4] = [
        (2.5, 4.0, 0.06676654481198814),
        (-1.2, 3.7, 0.3012923781518793),
        (4.6, 44.0, 3.56855512694742e-05),
        (1.96, f64::INFINITY, 0.04999579029644087),
    ];
    const CORRECTED: [f64; 6] = [0.03, 0.048, 0.048, 0.03, 0.5, 0.048];
    const TRIGAMMA: [(f64, f64); 5] = [
        (0.5, 4.93480220054468),
        (1.0, 1.6449340668482266),
        (2.0, 0.6449340668482266),
        (7.25, 0.1478792331589322),
        (40.0, 0.025315103841291032),
    ];

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() <= 1e-9 * right.abs().max(1.0), "{left} is not {right}");
    }

    // scipy.stats.t.ppf(0.975, df)
    #[test]
    fn t_critical_is_scipys() {
        for (df, expected) in
            [(1, 12.706204736432095), (2, 4.302652729911275), (4, 2.7764451051977987), (29, 2.045229642132703)]
        {
            let found = t_critical(0.95, df);
            assert!((found - expected).abs() < 1e-6, "df {df}: {found} is not {expected}");
        }
    }

    // scipy.stats.t.sf(abs(t), df) * 2
    #[test]
    fn p_values_are_scipys() {
        for (t, df, expected) in P_VALUES {
            let found = t_p_value(t, df);
            assert!((found - expected).abs() < 1e-9, "t {t}, df {df}: {found} is not {expected}");
            assert!((t_quantile(1.0 - found / 2.0, df) - t.abs()).abs() < 1e-6);
        }
    }

    // scipy.stats.false_discovery_control
    #[test]
    fn false_discoveries_are_controlled_as_by_scipy() {
        let found = false_discovery(&[0.01, 0.04, 0.03, 0.005, 0.5, 0.04]);
        for (found, expected) in found.iter().zip(CORRECTED) {
            close(*found, expected);
        }
        assert!(false_discovery(&[]).is_empty());
    }

    // scipy.special.polygamma(1, x)
    #[test]
    fn trigamma_and_its_inverse_are_scipys() {
        for (x, expected) in TRIGAMMA {
            assert!((trigamma(x) - expected).abs() < 1e-10 * expected, "{x}: {}", trigamma(x));
            assert!((inverse_trigamma(expected) / x - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn variances_learn_from_each_other_as_far_as_they_are_alike() {
        // They scatter no more than chance: the common variance counts twice as much as the own one.
        let alike = moderate(&[0.8, 1.1, 1.3, 0.9, 1.0], &[4.0; 5]);
        assert_eq!(alike.degrees_of_freedom, [12.0; 5]);
        assert!((alike.variances[2] - alike.variances[0] - 0.5 / 3.0).abs() < 1e-12, "{alike:?}");
        // Of very few degrees of freedom each is lent three times its own.
        assert_eq!(moderate(&[0.8, 1.1, 1.3, 0.9, 1.0], &[1.0; 5]).degrees_of_freedom, [4.0; 5]);
        // One that is a hundred times the others keeps most of itself.
        let mixed = moderate(&[1.0, 0.9, 1.1, 100.0, 1.0, 0.9], &[30.0; 6]);
        assert!(mixed.variances[3] > 50.0 && mixed.variances[0] < 5.0, "{mixed:?}");
        assert_eq!(moderate(&[1.0, 2.0], &[4.0, 4.0]).variances, [1.0, 2.0]);
    }

    // scipy.stats.t.ppf(p, df)
    #[test]
    fn quantiles_of_many_degrees_of_freedom_are_scipys() {
        for (probability, degrees, expected) in SCIPY_QUANTILES {
            let found = t_quantile(probability, degrees);
            assert!((found / expected - 1.0).abs() < 1e-8, "{probability} of {degrees}: {found} is not {expected}");
        }
    }

    const SCIPY_QUANTILES: [(f64, f64, f64); 5] = [
        (0.975, 250.0, 1.9694983934204002),
        (0.9995, 250.0, 3.3298672057510155),
        (0.8, 1000.0, 0.8419808221624286),
        (0.001, 500.5, -3.106595182172764),
        (0.975, 1000000.0, 1.9599663568141066),
    ];

    // numpy.percentile([1, 2, 4, 8, 16], q)
    #[test]
    fn percentile_is_numpys() {
        let values = [1.0, 2.0, 4.0, 8.0, 16.0];
        close(percentile(&values, 0.0), 1.0);
        close(percentile(&values, 50.0), 4.0);
        close(percentile(&values, 90.0), 12.8);
        close(percentile(&values, 99.0), 15.68);
        close(percentile(&[7.0], 99.0), 7.0);
    }

    // numpy: std([2, 4, 4, 4, 5, 5, 7, 9]) = 2, with ddof=1 2.138089935299395;
    // scipy.stats.t.interval(0.95, 7, loc=5, scale=sem) = 5 -+ 1.7874876
    #[test]
    fn spread_and_interval_are_known() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        close(population_std(&values), 2.0);
        let summary = Summary::of(&values).unwrap();
        close(summary.std.unwrap(), 2.138089935299395);
        assert!((summary.ci95().unwrap() - 1.787_487_6).abs() < 1e-6);
    }

    #[test]
    fn a_mean_is_written_to_the_digits_that_are_certain() {
        assert_eq!(with_interval(1465.1512, 4.43), "1465.2 ± 4.4");
        assert_eq!(with_interval(5.84964, 0.0232), "5.850 ± 0.023");
        assert_eq!(with_interval(12345.6, 678.9), "12346 ± 679");
        assert_eq!(with_interval(2.5, 0.0), "2.5");
    }

    #[test]
    fn one_value_has_no_spread_and_no_value_no_summary() {
        let one = Summary::of(&[3.0, f64::NAN]).unwrap();
        assert_eq!((one.n, one.std, one.ci95()), (1, None, None));
        assert_eq!(Summary::of(&[f64::INFINITY, f64::NAN]), None);
    }
}
