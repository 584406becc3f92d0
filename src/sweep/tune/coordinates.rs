//! Where combinations lie: parameters as axes between 0 and 1.

use crate::id::column_name;
use crate::params::{ParamSet, value_text};
use crate::plan::Plan;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Of a parameter that spans more than this times its least value, ratios count and not differences.
const WIDE: f64 = 8.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Serve,
    Bench,
}

/// How the values of a parameter lie.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    Number {
        low: f64,
        high: f64,
        is_log: bool,
    },
    /// Values without an order.
    Choice(Vec<String>),
}

/// A parameter that differs between combinations.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub side: Side,
    pub key: String,
    pub scale: Scale,
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scale {
            Scale::Number { low, high, is_log } => {
                write!(f, "{}: {low} to {high}{}", self.key, if *is_log { ", on a logarithmic axis" } else { "" })
            }
            Scale::Choice(values) => write!(f, "{}: {}", self.key, values.join(", ")),
        }
    }
}

impl Axis {
    fn place(&self, value: Option<&Value>) -> Option<f64> {
        match &self.scale {
            Scale::Number { low, high, is_log } => {
                let value = value.and_then(number)?;
                let along = |value: f64| if *is_log { value.ln() } else { value };
                let place = (along(value) - along(*low)) / (along(*high) - along(*low));
                place.is_finite().then_some(place)
            }
            Scale::Choice(values) => {
                let text = text_of(value);
                values.iter().position(|known| *known == text).map(|index| index as f64)
            }
        }
    }

    /// How far two places are apart, from 0 to 1.
    fn apart(&self, one: f64, other: f64) -> f64 {
        match self.scale {
            Scale::Number { .. } => (one - other).abs(),
            Scale::Choice(_) => f64::from(u8::from(one != other)),
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|value| value.is_finite())
}

fn text_of(value: Option<&Value>) -> String {
    value.map_or_else(|| "not set".to_owned(), value_text)
}

/// The space of a tune.
#[derive(Clone, Debug, PartialEq)]
pub struct Coordinates {
    pub axes: Vec<Axis>,
}

impl Coordinates {
    /// The axes on which these combinations differ. A parameter that follows from a single other one is none.
    pub fn of(combinations: &[(&ParamSet, &ParamSet)]) -> Self {
        let mut columns: Vec<(Side, String, Vec<Option<&Value>>)> = Vec::new();
        for side in [Side::Serve, Side::Bench] {
            let sets: Vec<&ParamSet> =
                combinations.iter().map(|(serve, bench)| if side == Side::Serve { *serve } else { *bench }).collect();
            let mut seen = BTreeSet::new();
            let keys = sets.iter().flat_map(|set| set.params.keys()).filter(|key| seen.insert(column_name(key)));
            for key in keys.collect::<Vec<_>>() {
                columns.push((side, key.clone(), sets.iter().map(|set| set.get(key)).collect()));
            }
        }
        let texts: Vec<Vec<String>> =
            columns.iter().map(|(_, _, values)| values.iter().map(|value| text_of(*value)).collect()).collect();
        let mut kept: Vec<usize> = Vec::new();
        for (index, own) in texts.iter().enumerate() {
            let is_constant = own.windows(2).all(|pair| pair[0] == pair[1]);
            if !is_constant && !kept.iter().any(|other| follows(own, &texts[*other])) {
                kept.push(index);
            }
        }
        let axes = kept.into_iter().map(|index| {
            let (side, key, values) = &columns[index];
            Axis { side: *side, key: key.clone(), scale: scale_of(values) }
        });
        Self { axes: axes.collect() }
    }

    /// The axes of all combinations of a plan.
    pub fn of_plan(plan: &Plan) -> Self {
        let benches = plan.servers.iter().flat_map(|server| &server.benches);
        let sets = benches.map(|bench| (&bench.combination.serve, &bench.combination.bench));
        Self::of(&sets.collect::<Vec<_>>())
    }

    /// Where a combination lies; nothing where it has no place on one of the axes.
    pub fn place(&self, serve: &ParamSet, bench: &ParamSet) -> Option<Vec<f64>> {
        let of = |axis: &Axis| {
            axis.place(if axis.side == Side::Serve { serve.get(&axis.key) } else { bench.get(&axis.key) })
        };
        self.axes.iter().map(of).collect()
    }

    /// Whether a place lies within the space.
    pub fn holds(&self, place: &[f64]) -> bool {
        let within = |axis: &Axis, at: f64| match axis.scale {
            Scale::Number { .. } => (-1e-9..=1.0 + 1e-9).contains(&at),
            Scale::Choice(_) => true,
        };
        self.axes.iter().zip(place).all(|(axis, at)| within(axis, *at))
    }

    /// The distance of two places, on the axes of one side or of both.
    pub fn distance(&self, one: &[f64], other: &[f64], side: Option<Side>) -> f64 {
        let axes =
            self.axes.iter().zip(one.iter().zip(other)).filter(|(axis, _)| side.is_none_or(|side| axis.side == side));
        axes.map(|(axis, (one, other))| axis.apart(*one, *other).powi(2)).sum::<f64>().sqrt()
    }
}

/// Whether a value is always the same where that of another is.
fn follows(own: &[String], other: &[String]) -> bool {
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    other.iter().zip(own).all(|(other, own)| *known.entry(other).or_insert(own) == own)
}

fn scale_of(values: &[Option<&Value>]) -> Scale {
    let is_switch = |value: &Value| value.is_boolean();
    let numbers: Option<Vec<f64>> =
        values.iter().map(|value| value.filter(|value| !is_switch(value)).and_then(number)).collect();
    match numbers {
        Some(numbers) => {
            let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            Scale::Number { low, high, is_log: low > 0.0 && high / low >= WIDE }
        }
        None => {
            let mut texts: Vec<String> = Vec::new();
            for text in values.iter().map(|value| text_of(*value)) {
                if !texts.contains(&text) {
                    texts.push(text);
                }
            }
            Scale::Choice(texts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(value: Value) -> ParamSet {
        ParamSet { name: None, params: value.as_object().unwrap().clone() }
    }

    #[test]
    fn what_varies_is_an_axis_unless_it_follows_from_another() {
        let serve = [
            set(json!({"seqs": 16, "mode": "a", "same": 1})),
            set(json!({"seqs": 256, "mode": "b", "same": 1})),
            set(json!({"seqs": 64, "same": 1})),
        ];
        let bench = [set(json!({"users": 1, "prompts": 10})), set(json!({"users": 3, "prompts": 30}))];
        let all: Vec<(&ParamSet, &ParamSet)> =
            serve.iter().flat_map(|serve| bench.iter().map(move |bench| (serve, bench))).collect();
        let found = Coordinates::of(&all);
        // Here each value of `seqs` has its own `mode`.
        let keys: Vec<&str> = found.axes.iter().map(|axis| axis.key.as_str()).collect();
        assert_eq!(keys, ["seqs", "users"]);
        assert_eq!(found.axes[0].scale, Scale::Number { low: 16.0, high: 256.0, is_log: true });
        let place = found.place(&serve[2], &bench[1]).unwrap();
        assert!((place[0] - 0.5).abs() < 1e-9 && place[1] == 1.0, "{place:?}");
        assert_eq!(found.place(&set(json!({})), &bench[0]), None);
    }

    #[test]
    fn texts_and_switches_have_no_order() {
        let serve = [
            set(json!({"mode": "a", "on": true})),
            set(json!({"mode": "b", "on": true})),
            set(json!({"mode": "a"})),
            set(json!({"mode": "c"})),
        ];
        let bench = ParamSet::unchanged();
        let all: Vec<(&ParamSet, &ParamSet)> = serve.iter().map(|serve| (serve, &bench)).collect();
        let found = Coordinates::of(&all);
        assert_eq!(found.axes.len(), 2);
        let places: Vec<Vec<f64>> = serve.iter().map(|serve| found.place(serve, &bench).unwrap()).collect();
        assert_eq!(found.distance(&places[0], &places[1], None), 1.0);
        assert_eq!(found.distance(&places[1], &places[2], Some(Side::Serve)), 2f64.sqrt());
        assert_eq!(found.distance(&places[1], &places[2], Some(Side::Bench)), 0.0);
    }
}
