//! What is known of a run, by the names of its columns.

use crate::query::Value;
use std::collections::HashMap;

#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub(super) values: HashMap<String, Value>,
    /// Median time per output token of the first requests, and of the later half.
    pub early_tpot_ms: Option<f64>,
    pub late_tpot_ms: Option<f64>,
    /// What held the clocks down, and for what share of the run.
    pub throttled_by: Vec<(String, f64)>,
    /// Other runs of the combination.
    pub siblings: Vec<Sibling>,
}

/// Another run of the same combination.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sibling {
    pub prefix_cache_hit_rate: Option<f64>,
    /// How much longer the first requests took for a token than the later ones.
    pub slow_start: Option<f64>,
}

impl Facts {
    pub fn of(values: HashMap<String, Value>) -> Self {
        Self { values, ..Self::default() }
    }

    pub fn number(&self, name: &str) -> Option<f64> {
        self.values.get(name).and_then(Value::as_f64).filter(|value| value.is_finite())
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.values.get(name).filter(|value| **value != Value::Null).map(Value::to_text)
    }

    pub fn run_id(&self) -> &str {
        match self.values.get("run_id") {
            Some(Value::Text(id)) => id,
            _ => "",
        }
    }

    /// What its repeats have in common with it.
    pub fn key(&self) -> (Option<String>, Option<String>) {
        (self.text("sweep"), self.text("combination"))
    }

    /// How much longer the first requests took for a token than the later ones.
    pub fn slow_start(&self) -> Option<f64> {
        Some(self.early_tpot_ms? / self.late_tpot_ms.filter(|tpot| *tpot > 0.0)?)
    }

    pub fn as_sibling(&self) -> Sibling {
        Sibling { prefix_cache_hit_rate: self.number("prefix_cache_hit_rate"), slow_start: self.slow_start() }
    }
}
