//! What is known of one value of the load.

/// All runs at one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    pub value: f64,
    /// Mean of the runs' margins.
    pub margin: f64,
    pub runs: usize,
    /// Sum of the squared deviations from that mean.
    pub squares: f64,
}

impl Level {
    pub fn place(&self) -> f64 {
        self.value.ln()
    }

    pub fn passes(&self) -> bool {
        self.margin <= 0.0
    }

    /// Whether its mean is so many standard errors from zero; `std` is that of one run.
    pub fn is_clear(&self, std_errors: f64, std: f64) -> bool {
        self.margin.abs() * (self.runs as f64).sqrt() >= std_errors * std
    }
}
