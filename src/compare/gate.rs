//! The gate for CI: changes that must not be.

use super::change::Change;

/// `p99_e2el_ms>5%`: fails where the metric grew by more than that share.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    pub metric: String,
    pub is_growth: bool,
    /// As a ratio less one: 0.05, -0.03.
    pub limit: f64,
}

/// What a gate says of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    Passes,
    Fails,
    Unclear,
}

impl Gate {
    /// Parses `METRIC>N%` and `METRIC<-N%`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?}: expected METRIC>5% or METRIC<-3%");
        let at = text.find(['>', '<']).ok_or_else(bad)?;
        let (metric, rest) = text.split_at(at);
        let number = rest[1..].trim().strip_suffix('%').ok_or_else(bad)?.trim().parse::<f64>().map_err(|_| bad())?;
        let is_possible = number.is_finite() && number > -100.0 && !metric.trim().is_empty();
        let gate = Self { metric: metric.trim().to_owned(), is_growth: rest.starts_with('>'), limit: number / 100.0 };
        if is_possible { Ok(gate) } else { Err(bad()) }
    }

    /// A change fails when it is significant and beyond the limit, and passes when its interval is not; in between the runs
    /// can't tell.
    pub fn judge(&self, change: &Change, false_discovery_rate: f64) -> Passage {
        let (Some((low, high)), Some(q_value)) = (change.interval, change.q_value) else { return Passage::Unclear };
        let (is_beyond, is_within) = match self.is_growth {
            true => (change.ratio > self.limit, high <= self.limit),
            false => (change.ratio < self.limit, low >= self.limit),
        };
        match (is_beyond && q_value <= false_discovery_rate, is_within) {
            (true, _) => Passage::Fails,
            (_, true) => Passage::Passes,
            _ => Passage::Unclear,
        }
    }
}
