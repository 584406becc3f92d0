//! A metric over many sweeps: where it changed for good.

use super::change::Judge;
use crate::stats::{mean, t_p_value};

/// From this sweep on the metric is another one than before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangePoint {
    /// The index of the first sweep after the change.
    pub at: usize,
    /// After over before, less one.
    pub change: f64,
    pub p_value: f64,
}

/// Binary segmentation: the split of a stretch at which both sides differ most is a change point if that is significant
/// (against the noise of repeats, corrected for the number of splits that were tried) and matters; then both sides are
/// looked at in the same way. `series` holds the runs of each sweep, in the order of time.
pub fn change_points(series: &[Vec<f64>], judge: &Judge) -> Vec<ChangePoint> {
    let logs: Vec<Vec<f64>> = series
        .iter()
        .map(|runs| runs.iter().filter(|value| **value > 0.0 && value.is_finite()).map(|value| value.ln()).collect())
        .collect();
    let squares = |runs: &Vec<f64>| {
        let centre = mean(runs);
        runs.iter().map(|value| (value - centre).powi(2)).sum::<f64>()
    };
    let repeated: Vec<&Vec<f64>> = logs.iter().filter(|runs| runs.len() > 1).collect();
    let degrees_of_freedom: usize = repeated.iter().map(|runs| runs.len() - 1).sum();
    if degrees_of_freedom < LEAST_DEGREES {
        return Vec::new();
    }
    let variance = repeated.into_iter().map(squares).sum::<f64>() / degrees_of_freedom as f64;
    let mut points = Vec::new();
    let search = Segmentation { logs: &logs, variance, degrees_of_freedom: degrees_of_freedom as f64, judge };
    search.split(0, logs.len(), &mut points);
    points.sort_by_key(|point: &ChangePoint| point.at);
    points
}

/// With fewer degrees of freedom the noise is not known.
const LEAST_DEGREES: usize = 4;

struct Segmentation<'a> {
    logs: &'a [Vec<f64>],
    variance: f64,
    degrees_of_freedom: f64,
    judge: &'a Judge,
}

impl Segmentation<'_> {
    fn split(&self, from: usize, to: usize, points: &mut Vec<ChangePoint>) {
        let splits = (from + 1..to).filter_map(|at| self.change_at(from, at, to));
        let Some((_, best)) = splits.max_by(|left, right| left.0.total_cmp(&right.0)) else { return };
        let corrected = (best.p_value * (to - from - 1) as f64).min(1.0);
        if corrected > self.judge.false_discovery_rate || best.change.ln_1p().abs() < self.judge.threshold.ln_1p() {
            return;
        }
        points.push(ChangePoint { p_value: corrected, ..best });
        self.split(from, best.at, points);
        self.split(best.at, to, points);
    }

    /// How far both sides of a split are apart, in units that do not depend on the noise, and what that is worth.
    fn change_at(&self, from: usize, at: usize, to: usize) -> Option<(f64, ChangePoint)> {
        let all = |range: std::ops::Range<usize>| self.logs[range].iter().flatten().copied().collect::<Vec<f64>>();
        let (before, after) = (all(from..at), all(at..to));
        if before.is_empty() || self.logs[at].is_empty() {
            return None;
        }
        let difference = mean(&after) - mean(&before);
        let weight = (1.0 / before.len() as f64 + 1.0 / after.len() as f64).sqrt();
        let std_error = self.variance.sqrt() * weight;
        let p_value = match std_error > 0.0 {
            true => t_p_value(difference / std_error, self.degrees_of_freedom),
            false => f64::from(u8::from(difference == 0.0)),
        };
        Some((difference.abs() / weight, ChangePoint { at, change: difference.exp_m1(), p_value }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JUDGE: Judge = Judge { threshold: 0.02, false_discovery_rate: 0.05 };

    /// Sweeps at these levels, three runs each with an error of half a percent.
    fn series(levels: &[f64]) -> Vec<Vec<f64>> {
        levels.iter().map(|level| [0.995, 1.0, 1.005].iter().map(|error| level * error).collect()).collect()
    }

    #[test]
    fn a_step_up_and_a_step_down_are_two_change_points() {
        let found = change_points(&series(&[100.0, 100.2, 99.9, 110.0, 110.1, 109.8, 90.0, 90.2]), &JUDGE);
        assert_eq!(found.iter().map(|point| point.at).collect::<Vec<_>>(), [3, 6]);
        assert!((found[0].change - 0.1).abs() < 0.01 && found[1].change < -0.1, "{found:?}");
    }

    #[test]
    fn noise_and_changes_that_do_not_matter_are_none() {
        assert!(change_points(&series(&[100.0, 100.3, 99.7, 100.1, 99.9]), &JUDGE).is_empty());
        assert!(change_points(&series(&[100.0, 100.0, 101.5, 101.5]), &JUDGE).is_empty());
        // A metric without any noise changes once; a sweep without runs is not where it changed.
        let exact = [vec![1.0; 3], vec![1.0; 3], vec![], vec![2.0; 3], vec![2.0; 3]];
        assert_eq!(change_points(&exact, &JUDGE).iter().map(|point| point.at).collect::<Vec<_>>(), [3]);
        // Single runs tell nothing of their noise.
        assert!(change_points(&[vec![1.0], vec![2.0], vec![2.0]], &JUDGE).is_empty());
    }
}
