//! Values of which no ratio can be made.

use super::{Reason, Verdict};
use crate::metric::Better;

/// Values of which no ratio can be made: 0, negative, infinite, or not a number. A metric that always had a value and now has
/// none in half of the runs or more (0 where higher is better, infinity or no number where lower is) has collapsed, and so has a
/// count that was always 0 and is now at least [`MANY`] in every run. Of all others it can't be told: counts of a few are as often
/// more as less. With the middle value of each side.
pub fn collapse(base: &[f64], candidate: &[f64], better: Option<Better>) -> Option<(Verdict, Reason, f64, f64)> {
    let is_usable = |value: &f64| *value > 0.0 && value.is_finite();
    if base.is_empty() || candidate.is_empty() || base.iter().chain(candidate).all(is_usable) {
        return None;
    }
    let is_lost = |value: &&f64| match better {
        Some(Better::Higher) => **value <= 0.0 || value.is_nan(),
        _ => **value == f64::INFINITY || value.is_nan(),
    };
    let lost = candidate.iter().filter(is_lost).count();
    let (was, is) = (middle(base), middle(candidate));
    let is_constant = base.iter().chain(candidate).all(|value| *value == base[0]);
    let (verdict, reason) = match better {
        _ if is_constant => (Verdict::Same, Reason::NoRatio),
        Some(_) if base.iter().all(is_usable) && 2 * lost >= candidate.len() => (Verdict::Worse, Reason::Collapsed),
        _ if base.iter().all(|value| *value == 0.0) && candidate.iter().all(|value| *value >= MANY) => {
            (Verdict::of_direction(1.0, better), Reason::Collapsed)
        }
        _ => (Verdict::Unclear, Reason::NoRatio),
    };
    Some((verdict, reason, was, is))
}

/// What is counted in no run of many equal ones is not counted so often in each of others.
const MANY: f64 = 10.0;

/// The median; of infinite ones too.
pub(super) fn middle(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
