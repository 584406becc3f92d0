//! Dashes.

use super::super::theme::Dash;
use super::text::POINT;

/// Cuts a path into the strokes of its dash.
pub fn dashed(path: &[(f64, f64)], dash: Dash, scale: f64) -> Vec<Vec<(f64, f64)>> {
    let pattern: &[f64] = match dash {
        Dash::Solid => return vec![path.to_vec()],
        Dash::Dashed => &[8.0, 4.0],
        Dash::Dotted => &[2.0, 3.0],
        Dash::Mixed => &[8.0, 3.0, 2.0, 3.0],
    };
    let mut lengths = pattern.iter().map(|points| points * POINT * scale).cycle();
    let mut strokes = Vec::new();
    let mut is_on = true;
    let mut left = lengths.next().unwrap_or(1.0);
    let mut stroke: Vec<(f64, f64)> = path.first().copied().into_iter().collect();
    for pair in path.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        loop {
            let distance = (to.0 - from.0).hypot(to.1 - from.1);
            if distance <= left {
                left -= distance;
                stroke.push(to);
                break;
            }
            let share = left / distance;
            from = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            stroke.push(from);
            if is_on {
                strokes.push(std::mem::take(&mut stroke));
            }
            is_on = !is_on;
            stroke = vec![from];
            left = lengths.next().unwrap_or(1.0);
        }
    }
    if is_on && stroke.len() > 1 {
        strokes.push(stroke);
    }
    strokes
}
