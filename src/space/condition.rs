//! Which combinations are meant, and what follows from their parameters: expressions of SQL over both sides.

use super::link::Link;
use super::values::written;
use super::{Removed, SpaceError};
use crate::id::column_name;
use crate::params::{Command, ParamSet};
use crate::query::{Expression, Value};
use crate::record::{Cell, Row};
use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;

/// A parameter that follows from others: `num_prompts = greatest(10 * max_concurrency, 100)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Derived {
    key: String,
    expression: Expression,
}

impl Derived {
    pub fn parse(text: &str) -> Result<Self, SpaceError> {
        let wrong = || SpaceError::BadDerived { text: text.to_owned() };
        let (key, expression) = text.split_once('=').ok_or_else(wrong)?;
        let key = key.trim();
        if key.is_empty() || key.starts_with('-') || key.contains(char::is_whitespace) {
            return Err(wrong());
        }
        Ok(Self { key: key.to_owned(), expression: Expression::parse(expression)? })
    }
}

/// A condition on combinations, as typed.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub text: String,
    expression: Expression,
}

impl Condition {
    pub fn parse(text: &str) -> Result<Self, SpaceError> {
        Ok(Self { text: text.to_owned(), expression: Expression::parse(text)? })
    }

    /// Which of the rows it is true for; `None` where it can't be told.
    pub(super) async fn over(&self, rows: &[Row]) -> Result<Vec<Option<bool>>, SpaceError> {
        let values = self.expression.over(rows).await?.into_iter().map(|value| match value {
            Value::Null => Ok(None),
            Value::Bool(is_true) => Ok(Some(is_true)),
            _ => Err(SpaceError::NoCondition { text: self.text.clone() }),
        });
        values.collect()
    }
}

/// What is said of combinations besides their parameters.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub serve_set: Vec<Derived>,
    pub bench_set: Vec<Derived>,
    pub links: Vec<Link>,
    pub conditions: Vec<Condition>,
}

/// A server's parameters and those of a load on it.
pub type Pair = [ParamSet; 2];

/// The flags that the commands have themselves: of a parameter that no set has.
pub struct Flags([Map<String, Json>; 2]);

const SERVE: usize = 0;
const BENCH: usize = 1;
const SIDES: [&str; 2] = ["serve", "bench"];

impl Flags {
    pub fn of(serve_cmd: &Command, bench_cmd: &Command) -> Self {
        Self([serve_cmd, bench_cmd].map(|command| {
            let value = |text: String| if text.is_empty() { Json::Bool(true) } else { Json::String(text) };
            command.flags().into_iter().map(|(name, text)| (name, value(text))).collect()
        }))
    }

    /// What a side's parameters are, by their columns.
    fn side(&self, side: usize, set: &ParamSet) -> Map<String, Json> {
        let mut all = self.0[side].clone();
        for (key, value) in &set.params {
            match value {
                Json::Null => all.remove(&column_name(key)),
                value => all.insert(column_name(key), value.clone()),
            };
        }
        all
    }

    /// A row for each pair: `serve.NAME`, `bench.NAME`, and `NAME` where only one is meant.
    fn rows(&self, pairs: &[Pair], sides: &[usize]) -> Vec<Row> {
        let told: Vec<Vec<Map<String, Json>>> =
            pairs.iter().map(|pair| sides.iter().map(|side| self.side(*side, &pair[*side])).collect()).collect();
        let names =
            |index: usize| told.iter().flat_map(|sides| sides.get(index)).flat_map(Map::keys).collect::<BTreeSet<_>>();
        let shared: BTreeSet<&String> = names(SERVE).intersection(&names(BENCH)).copied().collect();
        let is_one = |name: &String| told.iter().all(|sides| sides[SERVE].get(name) == sides[BENCH].get(name));
        let ambiguous: BTreeSet<&String> = shared.into_iter().filter(|name| !is_one(name)).collect();
        let rows = told.iter().map(|found| {
            let mut row: Row = Vec::new();
            for (side, values) in sides.iter().zip(found) {
                for (name, value) in values {
                    let cell = Cell::of_setting(value);
                    row.push((format!("{}.{name}", SIDES[*side]).into(), cell.clone()));
                    if !ambiguous.contains(name) && !row.iter().any(|(known, _)| known == name) {
                        row.push((name.clone().into(), cell));
                    }
                }
            }
            row
        });
        rows.collect()
    }
}

impl Rules {
    /// Gives the pairs what follows from their parameters, and keeps those that are meant.
    pub async fn apply(
        &self,
        flags: &Flags,
        mut pairs: Vec<Pair>,
        removed: &mut Vec<Removed>,
    ) -> Result<Vec<Option<Pair>>, SpaceError> {
        for derived in &self.serve_set {
            derive(flags, &mut pairs, derived, SERVE).await?;
        }
        for derived in &self.bench_set {
            derive(flags, &mut pairs, derived, BENCH).await?;
        }
        let mut kept: Vec<Option<Pair>> = pairs.iter().cloned().map(Some).collect();
        for link in &self.links {
            link.check(pairs.iter().map(|pair| &pair[SERVE]), pairs.iter().map(|pair| &pair[BENCH]))?;
            let holds = pairs.iter().map(|[serve, bench]| Some(link.holds(serve, bench))).collect();
            keep(&mut kept, holds, &link.to_string(), removed);
        }
        let rows = if self.conditions.is_empty() { Vec::new() } else { flags.rows(&pairs, &[SERVE, BENCH]) };
        for condition in &self.conditions {
            keep(&mut kept, condition.over(&rows).await?, &condition.text, removed);
        }
        Ok(kept)
    }
}

/// Rows of sets of one side alone.
pub async fn hold_for(condition: &Condition, sets: &[ParamSet]) -> Result<Vec<Option<bool>>, SpaceError> {
    let rows: Vec<Row> = sets
        .iter()
        .map(|set| set.params.iter().map(|(key, value)| (column_name(key).into(), Cell::of_setting(value))).collect())
        .collect();
    condition.over(&rows).await
}

async fn derive(flags: &Flags, pairs: &mut [Pair], derived: &Derived, side: usize) -> Result<(), SpaceError> {
    // A server is started before its loads are known.
    let sides: &[usize] = if side == SERVE { &[SERVE] } else { &[SERVE, BENCH] };
    let values = derived.expression.over(&flags.rows(pairs, sides)).await?;
    for (pair, value) in pairs.iter_mut().zip(values) {
        pair[side] = match setting(value) {
            Json::Null => pair[side].without(&derived.key),
            value => pair[side].with(&derived.key, value),
        };
    }
    Ok(())
}

/// A value as it would have been typed.
pub fn setting(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => value.into(),
        Value::Int(value) => value.into(),
        Value::Float(value) => written(value),
        Value::Text(text) => text.into(),
    }
}

fn keep(kept: &mut [Option<Pair>], holds: Vec<Option<bool>>, by: &str, removed: &mut Vec<Removed>) {
    let mut now = Removed { by: by.to_owned(), count: 0, unknown: 0 };
    for (pair, holds) in kept.iter_mut().zip(holds) {
        if holds != Some(true) && pair.take().is_some() {
            now.count += 1;
            now.unknown += usize::from(holds.is_none());
        }
    }
    match removed.iter_mut().find(|known| known.by == by) {
        Some(known) => {
            known.count += now.count;
            known.unknown += now.unknown;
        }
        None => removed.push(now),
    }
}
