//! The gate for CI: changes that must not be.

use super::change::{Change, Reason, Verdict};

/// `p99_e2el_ms>5%`: fails where the metric grew by more than that share.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    pub metric: String,
    pub is_growth: bool,
    /// As a ratio less one: 0.05, -0.03.
    pub limit: f64,
}

/// What a gate's word rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Change,
    /// The interval is wider than the limit.
    TooWide,
    NoiseUnknown,
    /// Values of which no ratio can be made.
    NoRatio,
    NoValue,
}

/// What a gate says of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    Passes,
    Fails,
    /// It can't be told.
    Unclear,
}

impl Passage {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::Fails => "fails",
            Self::Unclear => "unclear",
        }
    }
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

    /// A change fails when it is real and beyond the limit. It passes where its whole interval is within the limit, and else only
    /// where it could have failed: where the interval's half width is within the limit, a change of twice that fails in 39 of 40
    /// cases, and no change at all in one of 40.
    pub fn judge(&self, change: &Change, false_discovery_rate: f64) -> (Passage, Why) {
        let is_beyond = if self.is_growth { change.ratio > self.limit } else { change.ratio < self.limit };
        match (change.reason, change.interval, change.q_value) {
            (Reason::Collapsed, ..) => self.judge_collapse(change),
            (Reason::BeyondNoise, ..) if is_beyond => (Passage::Fails, Why::Change),
            (Reason::BeyondNoise, ..) => (Passage::Passes, Why::Change),
            (_, Some((low, high)), Some(q)) => {
                let half = (high.ln_1p() - low.ln_1p()) / 2.0;
                let is_within = if self.is_growth { high <= self.limit } else { low >= self.limit };
                match is_beyond {
                    _ if is_within => (Passage::Passes, Why::Change),
                    true if q <= false_discovery_rate => (Passage::Fails, Why::Change),
                    true => (Passage::Unclear, Why::Change),
                    false if half <= self.limit.ln_1p().abs() => (Passage::Passes, Why::Change),
                    false => (Passage::Unclear, Why::TooWide),
                }
            }
            (Reason::NoRatio, ..) if change.verdict == Verdict::Same => (Passage::Passes, Why::Change),
            (Reason::NoRatio, ..) => (Passage::Unclear, Why::NoRatio),
            (Reason::NoValue, ..) => (Passage::Unclear, Why::NoValue),
            _ => (Passage::Unclear, Why::NoiseUnknown),
        }
    }

    /// What collapsed has no ratio, and a direction.
    fn judge_collapse(&self, change: &Change) -> (Passage, Why) {
        let grew = change.candidate > change.base || change.candidate.is_nan();
        match change.verdict == Verdict::Worse || grew == self.is_growth {
            true => (Passage::Fails, Why::Change),
            false => (Passage::Passes, Why::Change),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Verdict;

    fn change(low: f64, ratio: f64, high: f64, q_value: f64) -> Change {
        Change {
            base: 1.0,
            candidate: 1.0 + ratio,
            base_runs: 3,
            candidate_runs: 3,
            ratio,
            interval: Some((low, high)),
            p_value: Some(q_value),
            q_value: Some(q_value),
            detectable: None,
            sweep_sd: None,
            verdict: Verdict::Unclear,
            reason: Reason::Noise,
        }
    }

    #[test]
    fn a_gate_fails_passes_or_can_not_tell() {
        let growth = Gate::parse("p99_e2el_ms > 5%").unwrap();
        assert_eq!((growth.metric.as_str(), growth.is_growth, growth.limit), ("p99_e2el_ms", true, 0.05));
        let says = |gate: &Gate, change: Change| gate.judge(&change, 0.05);
        assert_eq!(says(&growth, change(0.04, 0.08, 0.12, 0.001)), (Passage::Fails, Why::Change));
        assert_eq!(says(&growth, change(-0.02, 0.08, 0.2, 0.2)), (Passage::Unclear, Why::Change));
        assert_eq!(says(&growth, change(-0.01, 0.03, 0.07, 0.2)), (Passage::Passes, Why::Change));
        // An interval that is wider than the limit could have shown nothing.
        assert_eq!(says(&growth, change(-0.09, 0.01, 0.11, 0.9)), (Passage::Unclear, Why::TooWide));
        // One that is wide, and all on the good side, shows that nothing became worse.
        assert_eq!(says(&growth, change(-0.3, -0.2, -0.1, 0.001)), (Passage::Passes, Why::Change));
        let fall = Gate::parse("output_throughput<-3%").unwrap();
        assert_eq!(says(&fall, change(-0.06, -0.04, -0.02, 0.001)), (Passage::Fails, Why::Change));
        assert_eq!(says(&fall, change(-0.01, 0.01, 0.03, 0.001)), (Passage::Passes, Why::Change));
    }

    #[test]
    fn silence_is_no_passing() {
        let growth = Gate::parse("p99_e2el_ms > 5%").unwrap();
        let few = Change { interval: None, q_value: None, ..change(0.0, 0.5, 0.0, 1.0) };
        let says = |reason, verdict, candidate| growth.judge(&Change { reason, verdict, candidate, ..few }, 0.05);
        assert_eq!(
            says(Reason::NoiseUnknown { doubt: 0.1 }, Verdict::Unclear, 1.5),
            (Passage::Unclear, Why::NoiseUnknown)
        );
        assert_eq!(says(Reason::NoValue, Verdict::Unclear, f64::NAN), (Passage::Unclear, Why::NoValue));
        assert_eq!(says(Reason::BeyondNoise, Verdict::Worse, 1.5), (Passage::Fails, Why::Change));
        assert_eq!(says(Reason::Collapsed, Verdict::Worse, f64::INFINITY), (Passage::Fails, Why::Change));
        assert_eq!(says(Reason::NoRatio, Verdict::Unclear, 2.0), (Passage::Unclear, Why::NoRatio));
        assert_eq!(says(Reason::NoRatio, Verdict::Same, 0.0), (Passage::Passes, Why::Change));
    }

    #[test]
    fn what_is_no_gate_is_told() {
        for text in ["p99_e2el_ms", "p99_e2el_ms>5", ">5%", "a>x%", "a<-100%"] {
            assert!(Gate::parse(text).unwrap_err().contains("expected METRIC>5%"), "{text}");
        }
    }
}
