//! Statistics on plain slices: moments, quantiles and intervals. Pure functions; nothing here reads a clock.

use statrs::distribution::{ContinuousCDF, StudentsT};
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
    *found.entry((confidence.to_bits(), degrees_of_freedom)).or_insert_with(|| {
        let t = StudentsT::new(0.0, 1.0, degrees_of_freedom as f64);
        t.map_or(f64::NAN, |t| t.inverse_cdf(0.5 + confidence / 2.0))
    })
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
