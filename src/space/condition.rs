//! Which combinations are meant, and what follows from their parameters: expressions of SQL over both sides.

use super::link::Link;
use super::values::written;
use super::{Removed, SpaceError};
use crate::id::column_name;
use crate::params::{Command, ParamSet, is_flag_name};
use crate::query::{Expression, Value};
use crate::record::{Cell, Row};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet};

/// A parameter that follows from others: `num_prompts = greatest(10 * max_concurrency, 100)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Derived {
    key: String,
    text: String,
    expression: Expression,
}

impl Derived {
    pub fn parse(text: &str) -> Result<Self, SpaceError> {
        let wrong = || SpaceError::BadDerived { text: text.to_owned() };
        let (key, expression) = text.split_once('=').ok_or_else(wrong)?;
        let key = key.trim();
        if !is_flag_name(key) {
            return Err(wrong());
        }
        let parsed = Expression::parse(expression).map_err(SpaceError::of(text))?;
        Ok(Self { key: key.to_owned(), text: text.to_owned(), expression: parsed })
    }

    async fn values(&self, rows: &[Row], known: &[Row]) -> Result<Vec<Value>, SpaceError> {
        self.expression.over(rows, known).await.map_err(SpaceError::of(&self.text))
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
        let expression = Expression::parse(text).map_err(SpaceError::of(text))?;
        Ok(Self { text: text.to_owned(), expression })
    }

    /// Which of the rows it is true for; `None` where it can't be told.
    pub(super) async fn over(&self, rows: &[Row], known: &[Row]) -> Result<Vec<Option<bool>>, SpaceError> {
        let values = self.expression.over(rows, known).await.map_err(SpaceError::of(&self.text))?;
        let values = values.into_iter().map(|value| match value {
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
}

/// What all combinations together have: a condition means the same in each part of them.
pub struct Universe<'a> {
    flags: &'a Flags,
    /// Of each side, parameters with values of each kind that they take.
    kinds: [BTreeMap<String, Vec<Json>>; 2],
    /// Names that both sides have, with different values.
    ambiguous: BTreeSet<String>,
}

/// Kinds of values: numbers, texts, truths.
fn kind_of(value: &Json) -> u8 {
    match Cell::of_setting(value) {
        Cell::Int(_) | Cell::Float(_) => 0,
        Cell::Bool(_) => 1,
        Cell::Null => 2,
        _ => 3,
    }
}

impl<'a> Universe<'a> {
    /// `choices`: of each side all sets of its dimensions.
    pub fn new(flags: &'a Flags, choices: &[Vec<&ParamSet>; 2], rules: &Rules) -> Self {
        let mut values: [BTreeMap<String, BTreeSet<String>>; 2] = Default::default();
        let mut kinds: [BTreeMap<String, Vec<Json>>; 2] = Default::default();
        let mut add = |side: usize, name: &str, value: &Json| {
            values[side].entry(column_name(name)).or_default().insert(value.to_string());
            let known = kinds[side].entry(column_name(name)).or_default();
            if known.iter().all(|other| kind_of(other) != kind_of(value)) {
                known.push(value.clone());
            }
        };
        for side in [SERVE, BENCH] {
            flags.0[side].iter().for_each(|(name, value)| add(side, name, value));
            let set = choices[side].iter().flat_map(|set| &set.params);
            set.for_each(|(name, value)| add(side, name, value));
        }
        for (side, derived) in [(SERVE, &rules.serve_set), (BENCH, &rules.bench_set)] {
            derived.iter().for_each(|derived| add(side, &derived.key, &Json::Null));
        }
        let is_one = |name: &String| {
            values[SERVE].get(name).is_some_and(|one| one.len() == 1 && values[BENCH].get(name) == Some(one))
        };
        let shared = values[SERVE].keys().filter(|name| values[BENCH].contains_key(*name));
        let ambiguous = shared.filter(|name| !is_one(name)).cloned().collect();
        Self { flags, kinds, ambiguous }
    }

    /// A row for each pair: `serve.NAME`, `bench.NAME`, and `NAME` where only one is meant.
    fn rows(&self, pairs: &[Pair], sides: &[usize]) -> Vec<Row> {
        pairs.iter().map(|pair| self.row(sides, |side| self.flags.side(side, &pair[side]))).collect()
    }

    /// Rows that have all parameters with all kinds of their values.
    fn known(&self, sides: &[usize]) -> Vec<Row> {
        let most = self.kinds.iter().flat_map(BTreeMap::values).map(Vec::len).max().unwrap_or(0);
        let of_kind = |index: usize| {
            self.row(sides, |side| {
                let named = self.kinds[side].iter().map(|(name, kinds)| (name.clone(), kinds.get(index).cloned()));
                named.map(|(name, value)| (name, value.unwrap_or(Json::Null))).collect()
            })
        };
        (0..most).map(of_kind).collect()
    }

    fn row(&self, sides: &[usize], values: impl Fn(usize) -> Map<String, Json>) -> Row {
        let mut row: Row = Vec::new();
        let mut bare: BTreeSet<String> = BTreeSet::new();
        for side in sides {
            for (name, value) in values(*side) {
                let cell = Cell::of_setting(&value);
                row.push((format!("{}.{name}", SIDES[*side]).into(), cell.clone()));
                let is_meant = sides.len() == 1 || !self.ambiguous.contains(&name);
                if is_meant && bare.insert(name.clone()) {
                    row.push((name.into(), cell));
                }
            }
        }
        row
    }
}

impl Rules {
    /// Refuses what can't be said of any combination.
    pub async fn check(&self, universe: &Universe<'_>, choices: &[Vec<&ParamSet>; 2]) -> Result<(), SpaceError> {
        let own = |derived: &[Derived]| {
            derived.iter().fold(ParamSet::unchanged(), |set, derived| set.with(&derived.key, Json::Null))
        };
        let (serve, bench) = (own(&self.serve_set), own(&self.bench_set));
        for link in &self.links {
            link.check(choices[SERVE].iter().copied().chain([&serve]), choices[BENCH].iter().copied().chain([&bench]))?;
        }
        for (derived, sides) in self
            .serve_set
            .iter()
            .map(|derived| (derived, &[SERVE][..]))
            .chain(self.bench_set.iter().map(|derived| (derived, &[SERVE, BENCH][..])))
        {
            derived.values(&[], &universe.known(sides)).await?;
        }
        let known = universe.known(&[SERVE, BENCH]);
        for condition in &self.conditions {
            condition.over(&[], &known).await?;
        }
        Ok(())
    }

    /// Gives the pairs what follows from their parameters, and keeps those that are meant.
    pub async fn apply(
        &self,
        universe: &Universe<'_>,
        mut pairs: Vec<Pair>,
        removed: &mut Vec<Removed>,
    ) -> Result<Vec<Option<Pair>>, SpaceError> {
        for derived in &self.serve_set {
            derive(universe, &mut pairs, derived, SERVE).await?;
        }
        for derived in &self.bench_set {
            derive(universe, &mut pairs, derived, BENCH).await?;
        }
        let mut kept: Vec<Option<Pair>> = pairs.into_iter().map(Some).collect();
        for link in &self.links {
            let holds = kept.iter().flatten().map(|[serve, bench]| Some(link.holds(serve, bench))).collect();
            keep(&mut kept, holds, &link.to_string(), removed);
        }
        let known = universe.known(&[SERVE, BENCH]);
        for condition in &self.conditions {
            let left: Vec<Pair> = kept.iter().flatten().cloned().collect();
            let rows = universe.rows(&left, &[SERVE, BENCH]);
            keep(&mut kept, condition.over(&rows, &known).await?, &condition.text, removed);
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
    condition.over(&rows, &[]).await
}

async fn derive(universe: &Universe<'_>, pairs: &mut [Pair], derived: &Derived, side: usize) -> Result<(), SpaceError> {
    // A server is started before its loads are known.
    let sides: &[usize] = if side == SERVE { &[SERVE] } else { &[SERVE, BENCH] };
    let values = derived.values(&universe.rows(pairs, sides), &universe.known(sides)).await?;
    let is_flag = universe.flags.0[side].contains_key(&column_name(&derived.key));
    for (pair, value) in pairs.iter_mut().zip(values) {
        pair[side] = match setting(value) {
            // What the command has itself is taken out.
            Json::Null if is_flag => pair[side].with(&derived.key, Json::Null),
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
    for (pair, holds) in kept.iter_mut().filter(|pair| pair.is_some()).zip(holds) {
        if holds != Some(true) {
            *pair = None;
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
