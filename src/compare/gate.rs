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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Verdict;

    fn change(low: f64, ratio: f64, high: f64, q_value: f64) -> Change {
        Change {
            base_mean: 1.0,
            candidate_mean: 1.0 + ratio,
            base_runs: 3,
            candidate_runs: 3,
            ratio,
            interval: Some((low, high)),
            p_value: Some(q_value),
            q_value: Some(q_value),
            detectable: None,
            verdict: Verdict::Unclear,
        }
    }

    #[test]
    fn a_gate_fails_passes_or_can_not_tell() {
        let growth = Gate::parse("p99_e2el_ms > 5%").unwrap();
        assert_eq!((growth.metric.as_str(), growth.is_growth, growth.limit), ("p99_e2el_ms", true, 0.05));
        assert_eq!(growth.judge(&change(0.04, 0.08, 0.12, 0.001), 0.05), Passage::Fails);
        assert_eq!(growth.judge(&change(-0.02, 0.08, 0.2, 0.2), 0.05), Passage::Unclear);
        assert_eq!(growth.judge(&change(0.01, 0.03, 0.05, 0.001), 0.05), Passage::Passes);
        assert_eq!(growth.judge(&change(0.01, 0.04, 0.07, 0.001), 0.05), Passage::Unclear);
        let fall = Gate::parse("output_throughput<-3%").unwrap();
        assert_eq!(fall.judge(&change(-0.06, -0.04, -0.02, 0.001), 0.05), Passage::Fails);
        assert_eq!(fall.judge(&change(-0.02, 0.1, 0.2, 0.001), 0.05), Passage::Passes);
        let few = Change { interval: None, q_value: None, ..change(0.0, 0.5, 0.0, 1.0) };
        assert_eq!(growth.judge(&few, 0.05), Passage::Unclear);
    }

    #[test]
    fn what_is_no_gate_is_told() {
        for text in ["p99_e2el_ms", "p99_e2el_ms>5", ">5%", "a>x%", "a<-100%"] {
            assert!(Gate::parse(text).unwrap_err().contains("expected METRIC>5%"), "{text}");
        }
    }
}
