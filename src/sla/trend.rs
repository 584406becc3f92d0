//! The curve that a chart draws through what was measured.

use super::curve::{Curve, Scales};

/// The spline through measured levels.
pub struct Trend {
    curve: Curve,
    first: f64,
    last: f64,
}

impl Trend {
    /// `levels` are values with their margins, in ascending order; `None` for fewer than two.
    pub fn through(levels: &[(f64, f64)]) -> Option<Self> {
        let curve = Curve::through(levels, Scales::all().next()?)?;
        Some(Self { curve, first: levels.first()?.0, last: levels.last()?.0 })
    }

    pub fn first(&self) -> f64 {
        self.first
    }

    pub fn last(&self) -> f64 {
        self.last
    }

    /// The margin at a value.
    pub fn at(&self, value: f64) -> f64 {
        self.curve.at(value)
    }
}
