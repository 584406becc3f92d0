//! Metrics over many sweeps: where they changed for good.
//!
//! What a change must exceed is the scatter of the sweeps themselves. Whether there is any is asked of all combinations
//! together: the largest step of each series, in units of the scatter about it, is compared with what remains of it when the
//! sweeps are rotated at random (Langsrud 2005), all series in the same way, so that what they share, a slow night, is shared in
//! the rotations too. A series has a change where fewer than one in twenty rotations has a larger step in any series.

use super::{mean, median};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};
use std::collections::BTreeMap;

/// What happened at a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// From this sweep on the metric is another one than before.
    Step,
    /// It moves little by little, from the first sweep to the last.
    Drift,
    /// One sweep is off, and the next is as before.
    Outlier,
}

impl Shape {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Drift => "drift",
            Self::Outlier => "outlier",
        }
    }
}

/// Where a series changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangePoint {
    pub shape: Shape,
    /// The index of the first sweep after the change, or of the odd one.
    pub at: usize,
    /// After over before, less one; of a drift the last over the first.
    pub change: f64,
    /// Corrected for all series and all places.
    pub p_value: f64,
}

/// The level of a combination in each sweep, as a logarithm, in the order of time; nothing where the sweep lacks it.
pub type Series = Vec<Option<f64>>;

/// Fewer sweeps than these tell nothing of their scatter.
pub const LEAST_SWEEPS: usize = 4;
/// Sweeps on each side of a step: one alone may be odd.
const LEAST_SEGMENT: usize = 2;
const ROTATIONS: usize = 999;
const LEVEL: f64 = 0.04;
/// Further from its neighbours than so many standard deviations of them, a sweep is odd.
const ODD: f64 = 5.0;
/// The median absolute deviation of a normal, in standard deviations, turned round.
const NORMAL_MAD: f64 = 1.4826;

/// The change points of each series; `threshold` is the least change that matters.
pub fn change_points(series: &[Series], threshold: f64) -> Vec<Vec<ChangePoint>> {
    let mut found = vec![Vec::new(); series.len()];
    // Series that lack the same sweeps can be rotated together.
    let mut patterns: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    for (index, one) in series.iter().enumerate() {
        let present: Vec<usize> = (0..one.len()).filter(|at| one[*at].is_some()).collect();
        patterns.entry(present).or_default().push(index);
    }
    for (present, members) in patterns.into_iter().filter(|(present, _)| present.len() >= LEAST_SWEEPS) {
        let values = |index: &usize| present.iter().map(|at| series[*index][*at].unwrap_or(0.0)).collect::<Vec<f64>>();
        let tamed: Vec<Tamed> = members.iter().map(|index| Tamed::of(values(index))).collect();
        // Each group of series gets its share of the error rate.
        let level = LEVEL * members.len() as f64 / series.len() as f64;
        let corrected = p_values(&tamed.iter().map(|one| one.values.as_slice()).collect::<Vec<_>>());
        for ((index, one), p_value) in members.iter().zip(&tamed).zip(corrected) {
            let mut points = one.outliers(threshold);
            if p_value <= level {
                points.extend(one.changes(p_value, level, threshold));
            }
            points.sort_by_key(|point| point.at);
            found[*index] = points.into_iter().map(|point| ChangePoint { at: present[point.at], ..point }).collect();
        }
    }
    found
}

/// A series whose odd values were brought to the level of their neighbours.
struct Tamed {
    values: Vec<f64>,
    /// Where, by how much, and how unlikely.
    odd: Vec<(usize, f64)>,
}

impl Tamed {
    fn of(mut values: Vec<f64>) -> Self {
        let mut odd = Vec::new();
        if values.len() < 2 * LEAST_SWEEPS {
            return Self { values, odd };
        }
        let steps: Vec<f64> = values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
        let scatter = NORMAL_MAD * median(&steps) / std::f64::consts::SQRT_2;
        for at in 1..values.len() - 1 {
            let around: Vec<f64> = (at.saturating_sub(3)..=(at + 3).min(values.len() - 1))
                .filter(|other| *other != at)
                .map(|other| values[other])
                .collect();
            let (before, after) = (values[at - 1], values[at + 1]);
            let off = values[at] - median(&around);
            // Both neighbours must agree: else it is the edge of a step.
            let is_alone = (values[at] - before) * off > 0.0 && (values[at] - after) * off > 0.0;
            let nearest = (values[at] - before).abs().min((values[at] - after).abs());
            if scatter > 0.0 && is_alone && nearest > ODD * scatter {
                odd.push((at, off));
                values[at] -= off;
            }
        }
        Self { values, odd }
    }

    fn outliers(&self, threshold: f64) -> Vec<ChangePoint> {
        let matters = |(_, off): &&(usize, f64)| off.abs() >= threshold.ln_1p();
        let point = |(at, off): &(usize, f64)| ChangePoint {
            shape: Shape::Outlier,
            at: *at,
            change: off.exp_m1(),
            p_value: f64::NAN,
        };
        self.odd.iter().filter(matters).map(point).collect()
    }

    /// A drift, or the steps: the largest first, then those on both sides of it.
    fn changes(&self, p_value: f64, level: f64, threshold: f64) -> Vec<ChangePoint> {
        if let Some(change) = drift(&self.values) {
            let point =
                ChangePoint { shape: Shape::Drift, at: self.values.len() - 1, change: change.exp_m1(), p_value };
            return if change.abs() >= threshold.ln_1p() { vec![point] } else { Vec::new() };
        }
        let mut points = Vec::new();
        let mut open = vec![(0, self.values.len(), p_value)];
        while let Some((from, to, p_value)) = open.pop() {
            let segment = &self.values[from..to];
            let Some((at, change, _)) = largest_step(segment) else { continue };
            if change.abs() >= threshold.ln_1p() {
                points.push(ChangePoint { shape: Shape::Step, at: from + at, change: change.exp_m1(), p_value });
            }
            for (from, to) in [(from, from + at), (from + at, to)] {
                if to - from >= LEAST_SWEEPS {
                    // Two sides are asked.
                    let p_value = (2.0 * p_values(&[&self.values[from..to]])[0]).min(1.0);
                    if p_value <= level {
                        open.push((from, to, p_value));
                    }
                }
            }
        }
        points
    }
}

/// The largest step of a series: where, by how much, and in units of the scatter about it.
fn largest_step(values: &[f64]) -> Option<(usize, f64, f64)> {
    let count = values.len();
    let total: f64 = values.iter().sum();
    let squares: f64 = values.iter().map(|value| value * value).sum();
    let mut best: Option<(usize, f64, f64)> = None;
    let mut sum = 0.0;
    for at in 1..count {
        sum += values[at - 1];
        if at < LEAST_SEGMENT || count - at < LEAST_SEGMENT {
            continue;
        }
        let (left, right) = (at as f64, (count - at) as f64);
        let step = (total - sum) / right - sum / left;
        let explained = step * step * left * right / count as f64;
        let rest = (squares - total * total / count as f64 - explained).max(f64::MIN_POSITIVE);
        let size = (explained / rest * (count - 2) as f64).sqrt();
        if best.is_none_or(|(.., largest)| size > largest) {
            best = Some((at, step, size));
        }
    }
    best
}

/// How likely a step as large as that of each series is in any of them, if nothing changed: the share of rotations.
fn p_values(series: &[&[f64]]) -> Vec<f64> {
    let count = series[0].len();
    let centred: Vec<Vec<f64>> = series
        .iter()
        .map(|one| {
            let middle = mean(one);
            one.iter().map(|value| value - middle).collect()
        })
        .collect();
    let sizes: Vec<f64> =
        centred.iter().map(|one| largest_step(one).map_or(0.0, |(.., size)| size * (1.0 - 1e-9))).collect();
    let mut exceeded = vec![1usize; series.len()];
    let mut random = StdRng::seed_from_u64(count as u64);
    for _ in 0..ROTATIONS {
        let rotation = Rotation::draw(count, &mut random);
        let sizes_now = centred.iter().map(|one| largest_step(&rotation.turn(one)).map_or(0.0, |(.., size)| size));
        let largest = sizes_now.fold(0.0, f64::max);
        exceeded.iter_mut().zip(&sizes).for_each(|(count, size)| *count += usize::from(largest >= *size));
    }
    exceeded.into_iter().map(|count| count as f64 / (ROTATIONS + 1) as f64).collect()
}

/// A random rotation: a product of Householder reflections (Stewart 1980), drawn evenly from all.
struct Rotation {
    reflections: Vec<Vec<f64>>,
}

impl Rotation {
    /// Of what deviates from the mean of so many values: one dimension less.
    fn draw(count: usize, random: &mut StdRng) -> Self {
        let normal = |random: &mut StdRng| -> f64 { StandardNormal.sample(random) };
        let reflection = |size: usize| {
            let mut axis: Vec<f64> = (0..size).map(|_| normal(random)).collect();
            let length = axis.iter().map(|value| value * value).sum::<f64>().sqrt();
            axis[0] += length.copysign(axis[0]);
            let length = axis.iter().map(|value| value * value).sum::<f64>().sqrt();
            axis.iter_mut().for_each(|value| *value /= length);
            axis
        };
        Self { reflections: (1..count).map(reflection).collect() }
    }

    /// Turns deviations from a mean.
    fn turn(&self, deviations: &[f64]) -> Vec<f64> {
        let mut turned = to_contrasts(deviations);
        for axis in &self.reflections {
            let tail = turned.len() - axis.len();
            let along: f64 = axis.iter().zip(&turned[tail..]).map(|(axis, value)| axis * value).sum();
            turned[tail..].iter_mut().zip(axis).for_each(|(value, axis)| *value -= 2.0 * along * axis);
        }
        from_contrasts(&turned)
    }
}

/// Helmert's contrasts: each value against the mean of those before it, all of length 1.
fn to_contrasts(deviations: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    let contrasts = deviations.windows(2).enumerate().map(|(before, pair)| {
        sum += pair[0];
        let count = (before + 1) as f64;
        (pair[1] - sum / count) * (count / (count + 1.0)).sqrt()
    });
    contrasts.collect()
}

/// The deviations whose contrasts these are.
fn from_contrasts(contrasts: &[f64]) -> Vec<f64> {
    let mut deviations = vec![0.0; contrasts.len() + 1];
    let mut later = 0.0;
    for (at, contrast) in contrasts.iter().enumerate().rev() {
        let count = (at + 1) as f64;
        let own = contrast / (count * (count + 1.0)).sqrt();
        deviations[at + 1] = count * own - later;
        later += own;
    }
    deviations[0] = -later;
    deviations
}

/// From the first to the last sweep, where a straight line explains a series better than its largest step does.
fn drift(values: &[f64]) -> Option<f64> {
    let (count, middle) = (values.len() as f64, mean(values));
    let centre = (count - 1.0) / 2.0;
    let spans: f64 = (0..values.len()).map(|at| (at as f64 - centre).powi(2)).sum();
    let along: f64 = values.iter().enumerate().map(|(at, value)| (at as f64 - centre) * (value - middle)).sum();
    let slope = along / spans;
    let all: f64 = values.iter().map(|value| (value - middle).powi(2)).sum();
    let by_line = slope * slope * spans;
    let (at, step, _) = largest_step(values)?;
    let by_step = step * step * at as f64 * (count - at as f64) / count;
    // A step has a place to choose besides its height.
    (by_line > by_step && by_line > 0.5 * all).then_some(slope * (count - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A series at these levels, with an error that is the same each time.
    fn series(levels: &[f64]) -> Series {
        let mut random = StdRng::seed_from_u64(7);
        let error = |random: &mut StdRng| -> f64 { StandardNormal.sample(random) };
        levels.iter().map(|level| Some((level * (1.0 + 0.005 * error(&mut random))).ln())).collect()
    }

    fn points(levels: &[f64]) -> Vec<(Shape, usize)> {
        change_points(&[series(levels)], 0.02)[0].iter().map(|point| (point.shape, point.at)).collect()
    }

    #[test]
    fn a_step_up_and_a_step_down_are_two_change_points() {
        let levels = [[100.0; 8], [110.0; 8], [90.0; 8]].concat();
        assert_eq!(points(&levels), [(Shape::Step, 8), (Shape::Step, 16)]);
    }

    #[test]
    fn step_drift_and_outlier_are_told_apart() {
        let drifting: Vec<f64> = (0..20).map(|at| 100.0 * 1.01f64.powi(at)).collect();
        assert_eq!(points(&drifting), [(Shape::Drift, 19)]);
        let mut odd = vec![100.0; 20];
        odd[9] = 150.0;
        assert_eq!(points(&odd), [(Shape::Outlier, 9)]);
        assert_eq!(points(&[100.0; 20]), []);
        // A step that does not matter.
        assert_eq!(points(&[[100.0; 10], [101.5; 10]].concat()), []);
    }

    #[test]
    fn of_few_sweeps_little_is_said() {
        assert_eq!(points(&[100.0, 200.0, 200.0]), []);
        assert_eq!(points(&[100.0, 100.0, 100.0, 200.0, 200.0, 200.0]), [(Shape::Step, 3)]);
        // The last sweep alone may be odd.
        assert_eq!(points(&[100.0, 100.0, 100.0, 100.0, 100.0, 200.0]), []);
    }

    #[test]
    fn a_sweep_without_the_combination_is_passed_over() {
        let mut gap = series(&[[100.0; 8], [120.0; 8]].concat());
        gap[3] = None;
        let found = change_points(&[gap, series(&[50.0; 16])], 0.02);
        assert_eq!(found[0].iter().map(|point| point.at).collect::<Vec<_>>(), [8]);
        assert!(found[1].is_empty() && (found[0][0].change - 0.2).abs() < 0.01);
    }

    #[test]
    fn a_rotation_keeps_the_mean_and_the_length_and_is_drawn_evenly() {
        let mut random = StdRng::seed_from_u64(1);
        let vector = [1.0, -2.0, 0.5, 0.5, 3.0, -3.0];
        let length = |vector: &[f64]| vector.iter().map(|value| value * value).sum::<f64>();
        let mut squares = [0.0; 6];
        for _ in 0..4000 {
            let turned = Rotation::draw(6, &mut random).turn(&vector);
            assert!(turned.iter().sum::<f64>().abs() < 1e-9 && (length(&turned) - length(&vector)).abs() < 1e-9);
            squares.iter_mut().zip(&turned).for_each(|(sum, value)| *sum += value * value / 4000.0);
        }
        // No place is favoured.
        let expected = length(&vector) / 6.0;
        assert!(squares.iter().all(|square| (square / expected - 1.0).abs() < 0.1), "{squares:?}");
    }
}
