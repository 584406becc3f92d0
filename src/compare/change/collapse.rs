//! Values of which no ratio can be made.

use super::Verdict;
use crate::metric::Better;

/// Values of which no ratio can be made: from or to 0, infinite, or not a number. What became so is worse, if that is the wrong
/// way; the same on both sides is the same. With the middle value of each side.
pub fn collapse(base: &[f64], candidate: &[f64], better: Option<Better>) -> Option<(Verdict, f64, f64)> {
    let is_usable = |values: &[f64]| values.iter().all(|value| *value > 0.0 && value.is_finite());
    if base.is_empty() || candidate.is_empty() || (is_usable(base) && is_usable(candidate)) {
        return None;
    }
    let counts_as = |value: f64| match (value.is_nan(), better) {
        // What can't be computed is no better than the worst.
        (true, Some(Better::Higher)) => 0.0,
        (true, _) => f64::INFINITY,
        (false, _) => value,
    };
    let (was, is) = (counts_as(middle(base)), counts_as(middle(candidate)));
    let (lowest, highest) =
        base.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let verdict = match () {
        () if was == is => Verdict::Same,
        // A value between those of the base is no change that can be told.
        () if is >= lowest && is <= highest => Verdict::Unclear,
        () => Verdict::of_direction(if is > was { 1.0 } else { -1.0 }, better),
    };
    Some((verdict, was, is))
}

/// The median; of infinite ones too.
pub(super) fn middle(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
