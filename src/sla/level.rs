//! What is known of one value of the load.

use crate::stats::mean;

/// A margin so large is no luck.
pub const CLEAR: f64 = 1.2;

/// A run at a value: how far its metrics are from their targets, not positive when all are met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub value: f64,
    pub margin: f64,
    /// How long it took, where that is known.
    pub seconds: Option<f64>,
}

impl Measured {
    pub fn new(value: f64, margin: f64) -> Self {
        Self { value, margin, seconds: None }
    }
}

/// All runs at one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    pub value: f64,
    /// Mean of the runs' margins.
    pub margin: f64,
    pub runs: usize,
    /// Whether the runs agree to the last digit.
    pub is_exact: bool,
    /// How long a run takes, where that is known.
    pub seconds: Option<f64>,
}

impl Level {
    /// The logarithm of the value.
    pub fn place(&self) -> f64 {
        self.value.ln()
    }

    /// Whether another run can tell how much runs scatter near the boundary.
    pub fn is_worth_a_repeat(&self) -> bool {
        self.margin.abs() < CLEAR && !self.is_exact
    }
}

/// The runs by value, in ascending order.
pub fn levels_of(measured: &[Measured]) -> Vec<Level> {
    let mut values: Vec<f64> = measured.iter().map(|run| run.value).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let level = |value: f64| {
        let margins: Vec<f64> = measured.iter().filter(|run| run.value == value).map(|run| run.margin).collect();
        let margin = mean(&margins);
        let is_exact = margins.len() > 1 && margins.iter().all(|other| *other == margins[0]);
        let seconds: Vec<f64> =
            measured.iter().filter(|run| run.value == value).filter_map(|run| run.seconds).collect();
        let seconds = (!seconds.is_empty()).then(|| mean(&seconds));
        Level { value, margin, runs: margins.len(), is_exact, seconds }
    };
    values.into_iter().map(level).collect()
}
