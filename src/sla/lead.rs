//! Where a monotone spline through the levels crosses zero: while little is known it leads the search.

use super::curve::{Curve, Scales};
use super::level::{Level, Measured};

/// Levels by which the scales of the curve are chosen.
const FORETOLD: usize = 2;
/// How wrong a curve may be about a level that it can't foretell.
const UNKNOWN_SURPRISE: f64 = 0.3;
/// A curve that was so wrong is not believed.
const SURPRISED: f64 = 0.3;

/// The place (logarithm of a value) at which the curve crosses zero that foretold the latest levels best; nothing where none did.
pub fn leading(measured: &[Measured], levels: &[Level]) -> Option<f64> {
    let first_fail = levels.iter().position(|level| level.margin > 0.0).filter(|index| *index > 0)?;
    let (pass, fail) = (levels[first_fail - 1].value, levels[first_fail].value);
    let latest = latest_inner_values(measured, levels);
    let foretold = Scales::all().filter_map(|scales| {
        let curve = Curve::through(&points(levels, None), scales)?;
        let surprise = |value: &f64| {
            let others = Curve::through(&points(levels, Some(*value)), scales)?;
            let found = levels.iter().find(|level| level.value == *value)?.margin;
            // Far from the boundary a margin is only large.
            Some((others.at(*value).tanh() - found.tanh()).abs())
        };
        let surprises = latest.iter().map(|value| surprise(value).unwrap_or(UNKNOWN_SURPRISE));
        Some((surprises.sum::<f64>(), curve))
    });
    let (surprise, curve) = foretold.min_by(|left, right| left.0.total_cmp(&right.0))?;
    (surprise < SURPRISED).then(|| curve.root(pass, fail).ln())
}

fn points(levels: &[Level], without: Option<f64>) -> Vec<(f64, f64)> {
    let others = levels.iter().filter(|level| Some(level.value) != without);
    others.map(|level| (level.value, level.margin)).collect()
}

/// The values between the least and the greatest, the latest first.
fn latest_inner_values(measured: &[Measured], levels: &[Level]) -> Vec<f64> {
    let ends = [levels.first(), levels.last()].map(|level| level.map_or(0.0, |level| level.value));
    let mut values: Vec<f64> = Vec::new();
    for run in measured.iter().rev().filter(|run| ends[0] < run.value && run.value < ends[1]) {
        if !values.contains(&run.value) && values.len() < FORETOLD {
            values.push(run.value);
        }
    }
    values
}
