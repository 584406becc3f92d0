//! What the tuner turns.

use crate::plan::Level;
use crate::sla::Loop;
use serde_json::json;

/// How much load there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    RequestRate,
    MaxConcurrency,
}

impl Variable {
    pub fn key(self) -> &'static str {
        match self {
            Self::RequestRate => "request_rate",
            Self::MaxConcurrency => "max_concurrency",
        }
    }

    /// What a level is one of.
    pub fn of(level: &Level) -> Option<Self> {
        [Self::RequestRate, Self::MaxConcurrency].into_iter().find(|variable| variable.key() == level.variable)
    }

    /// Adjacent integers, or 1 % of a rate.
    pub fn default_tolerance(self) -> f64 {
        match self {
            Self::MaxConcurrency => 0.0,
            Self::RequestRate => 0.01,
        }
    }

    pub fn is_integer(self) -> bool {
        self == Self::MaxConcurrency
    }

    /// The level of a value; an infinite rate is written as vLLM writes it.
    pub fn level(self, value: f64) -> Level {
        let value = match self {
            _ if value.is_infinite() => json!("inf"),
            Self::MaxConcurrency => json!(value as i64),
            Self::RequestRate => json!(value),
        };
        Level { variable: self.key().into(), value }
    }

    /// The value of a level of this variable.
    pub fn value_of(self, level: &Level) -> Option<f64> {
        let value = level.value.as_f64().or_else(|| (level.value == json!("inf")).then_some(f64::INFINITY));
        value.filter(|_| Self::of(level) == Some(self))
    }
}

/// At a finite rate requests come by themselves. Where the concurrency is what is turned, the others wait for their turn,
/// however they come.
pub fn loop_of(turned: Option<Variable>, request_rate: Option<f64>) -> Loop {
    let is_at_a_rate = request_rate.is_some_and(f64::is_finite);
    if is_at_a_rate && turned != Some(Variable::MaxConcurrency) { Loop::Open } else { Loop::Closed }
}
