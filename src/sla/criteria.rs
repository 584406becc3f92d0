//! SLAs: constraints on metrics, and how far a result is from meeting them.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

use std::fmt;

/// Constraints that must all hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Sla {
    pub name: Option<String>,
    pub constraints: Vec<Constraint>,
}

/// A metric and its target: `p99_e2el_ms <= 500`.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    pub metric: String,
    pub operator: Operator,
    pub target: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    AtMost,
    Below,
    AtLeast,
    Above,
}

/// How far a result is from an SLA: not positive when it is met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    pub margin: f64,
    /// The index of the constraint with the greatest margin: the one that binds.
    pub binding: usize,
}

/// The margin of a result that has no number for a metric: nothing is met by it.
const HOPELESS: f64 = 50.0;

impl Operator {
    /// The longer ones first: `<=5` is not `<` with a target of `=5`.
    const ALL: [Self; 4] = [Self::AtMost, Self::AtLeast, Self::Below, Self::Above];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtMost => "<=",
            Self::Below => "<",
            Self::AtLeast => ">=",
            Self::Above => ">",
        }
    }

    /// The relation of a value that breaks the constraint.
    fn broken(self) -> &'static str {
        match self {
            Self::AtMost => ">",
            Self::Below => ">=",
            Self::AtLeast => "<",
            Self::Above => "<=",
        }
    }
}

impl Constraint {
    /// Parses `<=500`.
    pub fn parse(metric: &str, text: &str) -> Result<Self, String> {
        let text = text.trim();
        let found =
            Operator::ALL.into_iter().find_map(|operator| Some((operator, text.strip_prefix(operator.as_str())?)));
        let (operator, number) =
            found.ok_or_else(|| format!("`{metric}`: {text:?} must begin with <=, <, >= or > (as in \"<=500\")"))?;
        match number.trim().parse::<f64>() {
            Ok(target) if target.is_finite() => Ok(Self { metric: metric.to_owned(), operator, target }),
            _ => Err(format!("`{metric}`: {:?} is not a number in {text:?}", number.trim())),
        }
    }

    /// The logarithm of how many times the metric is beyond its target, so that a latency that explodes stays
    /// comparable; where there is no ratio (zero, negative numbers), the difference in units of the target.
    pub fn margin(&self, value: f64) -> f64 {
        let (worse, better) = match self.operator {
            Operator::AtMost | Operator::Below => (value, self.target),
            Operator::AtLeast | Operator::Above => (self.target, value),
        };
        let margin = if worse > 0.0 && better > 0.0 {
            (worse / better).ln()
        } else {
            (worse - better) / self.target.abs().max(1.0)
        };
        match self.operator {
            _ if margin.is_nan() => HOPELESS,
            Operator::Below | Operator::Above if margin == 0.0 => f64::MIN_POSITIVE,
            _ => margin.clamp(-HOPELESS, HOPELESS),
        }
    }

    /// The value of the metric at a margin: the way back from [`Constraint::margin`].
    pub fn value_at(&self, margin: f64) -> f64 {
        match self.operator {
            Operator::AtMost | Operator::Below => self.target * margin.exp(),
            Operator::AtLeast | Operator::Above => self.target * (-margin).exp(),
        }
    }

    /// `p99_e2el_ms 812 > 500`: what broke the constraint.
    pub fn breach(&self, value: f64) -> String {
        format!("{} {} {} {}", self.metric, short(value), self.operator.broken(), self.target)
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.metric, self.operator.as_str(), self.target)
    }
}

impl fmt::Display for Sla {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.constraints.iter().map(Constraint::to_string).collect();
        f.write_str(&texts.join(", "))
    }
}

impl Sla {
    /// Parses what [`Sla`] is written as: `p99_e2el_ms<=500, output_throughput>=50`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let constraints = text.split(", ").map(|part| {
            let place = part.find(['<', '>']).and_then(|place| part.split_at_checked(place));
            let (metric, bound) = place.ok_or_else(|| format!("{part:?} has no operator"))?;
            Constraint::parse(metric.trim(), bound)
        });
        Ok(Self { name: None, constraints: constraints.collect::<Result<_, _>>()? })
    }

    /// The SLA as vLLM names its file: its name, or `p99_e2el_ms<=500-p99_ttft_ms<=80`.
    pub fn file_text(&self) -> String {
        let texts = || self.constraints.iter().map(Constraint::to_string).collect::<Vec<_>>().join("-");
        self.name.clone().unwrap_or_else(texts)
    }

    /// The distance of a result whose metrics are looked up by their keys.
    pub fn distance(&self, metric: impl Fn(&str) -> Option<f64>) -> Distance {
        let margins = self.constraints.iter().map(|constraint| match metric(&constraint.metric) {
            Some(value) => constraint.margin(value),
            None => HOPELESS,
        });
        let worst = margins.enumerate().max_by(|left, right| left.1.total_cmp(&right.1));
        worst.map_or(Distance::hopeless(), |(binding, margin)| Distance { margin, binding })
    }
}

impl Distance {
    /// Of a run that failed: no constraint is met.
    pub fn hopeless() -> Self {
        Self { margin: HOPELESS, binding: 0 }
    }
}

/// As many digits as a reader compares with a target.
fn short(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constraint(text: &str) -> Constraint {
        Constraint::parse("m", text).unwrap()
    }

    #[test]
    fn a_margin_is_positive_exactly_when_the_constraint_is_broken() {
        let cases = [
            ("<=500", 500.0, true),
            ("<=500", 500.1, false),
            ("<500", 500.0, false),
            ("< 500", 499.9, true),
            (">=20", 20.0, true),
            (">=20", 19.9, false),
            (">20", 20.0, false),
            ("<=0", 0.0, true),
            ("<=0", 3.0, false),
            (">=-1", -2.0, false),
            ("<=500", f64::NAN, false),
            ("<=500", f64::INFINITY, false),
            (">=20", f64::INFINITY, true),
        ];
        for (text, value, is_met) in cases {
            assert_eq!(constraint(text).margin(value) <= 0.0, is_met, "{value} {text}");
        }
        assert_eq!(constraint("<=100").margin(200.0), 2f64.ln());
        assert_eq!(constraint(">=100").margin(50.0), 2f64.ln());
    }

    #[test]
    fn the_constraint_that_binds_is_the_worst() {
        let sla = Sla {
            name: None,
            constraints: vec![
                Constraint::parse("p99_ttft_ms", "<=200").unwrap(),
                Constraint::parse("output_throughput", ">=50").unwrap(),
            ],
        };
        let metrics = |key: &str| Some(if key == "p99_ttft_ms" { 220.0 } else { 25.0 });
        assert_eq!(sla.distance(metrics), Distance { margin: 2f64.ln(), binding: 1 });
        assert_eq!(sla.distance(|key| metrics(key).filter(|_| key != "p99_ttft_ms")).binding, 0);
        assert_eq!(sla.to_string(), "p99_ttft_ms<=200, output_throughput>=50");
        assert_eq!(Sla::parse(&sla.to_string()), Ok(sla.clone()));
        for (constraint, value) in sla.constraints.iter().zip([812.0, 25.0]) {
            assert!((constraint.value_at(constraint.margin(value)) - value).abs() < 1e-9);
        }
        assert_eq!(sla.constraints[0].breach(812.3), "p99_ttft_ms 812 > 200");
    }

    #[test]
    fn what_is_no_constraint_is_told() {
        assert!(Constraint::parse("m", "500").unwrap_err().contains("must begin with <=, <, >= or >"));
        assert!(Constraint::parse("m", "=500").unwrap_err().contains("must begin with <=, <, >= or >"));
        assert!(Constraint::parse("m", "<=abc").unwrap_err().contains("\"abc\" is not a number"));
    }
}
