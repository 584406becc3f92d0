//! The space of a sweep: which sets of parameters are meant by grids, ranges, files, conditions and samples.

mod axis;
mod condition;
mod dimension;
mod link;
mod sample;
mod side;
mod values;

pub use axis::Axis;
pub use condition::{Condition, Derived, Flags, Rules, setting};
pub use link::Link;
pub use sample::{Method, Sample};
pub use side::{Side, expand};

use crate::id::{column_name, is_same_key};
use crate::params::{BENCHMARK_NAME, Command, ParamSet, is_flag_name, name_used_twice, value_text, with_nul};
use crate::query::{Answer, QueryError};
use condition::{Pair, Universe};
use dimension::Dimension;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sample::Draws;
use serde_json::Value;
use std::collections::HashSet;

/// Everything that was said of what to run.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub serve: Side,
    pub bench: Side,
    pub rules: Rules,
    pub sample: Option<Sample>,
    /// More combinations than these are refused.
    pub most: usize,
}

/// What is to be run: servers, each with its loads.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    pub servers: Vec<(ParamSet, Vec<ParamSet>)>,
    /// The whole product.
    pub size: u128,
    pub removed: Vec<Removed>,
    pub drawn: Option<Drawn>,
}

/// Combinations that are not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The condition.
    pub by: String,
    pub count: usize,
    /// Those of them for which it is NULL.
    pub unknown: usize,
}

/// What a sample was drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Points that were looked at.
    pub tried: usize,
    pub wanted: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum SpaceError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("{text:?}: {source}")]
    In { text: String, source: QueryError },
    #[error("{given} combinations to sample are more than {most}")]
    SampleTooLarge { given: usize, most: usize },
    #[error("{name:?} names more than one row of the query")]
    NamedTwice { name: String },
    #[error(transparent)]
    TooMany(#[from] sample::TooMany),
    #[error("{text:?} is not of the form SERVE_KEY=BENCH_KEY")]
    BadLink { text: String },
    #[error("no {side} parameter set has the key {key:?}{}", did_you_mean(nearest))]
    UnknownLink { side: &'static str, key: String, nearest: Option<String> },
    #[error("{text:?} is not of the form NAME = EXPRESSION, such as num_prompts = 10 * max_concurrency")]
    BadDerived { text: String },
    #[error("{text:?} is not a condition: it is neither true nor false")]
    NoCondition { text: String },
    #[error("parameter set {position}: {reason}")]
    BadGrid { position: usize, reason: String },
    #[error("{key:?} is set twice for the {side}: by a grid and by a parameter set, or by two grids")]
    SetTwice { side: &'static str, key: String },
    #[error("{size} combinations are more than {most}")]
    TooLarge { size: u128, most: usize },
    #[error("no combination is left{}", told(removed))]
    Empty { removed: Vec<Removed> },
    #[error("{key:?}: a NUL character can't stand in a command line")]
    WithNul { key: String },
    #[error("the query returns no row")]
    NoRow,
    #[error("column {column:?} of the query {reason}")]
    BadColumn { column: String, reason: &'static str },
}

impl SpaceError {
    /// What is wrong with an expression, with its text.
    fn of(text: &str) -> impl FnOnce(QueryError) -> Self + '_ {
        |source| Self::In { text: text.trim().to_owned(), source }
    }
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

fn told(removed: &[Removed]) -> String {
    let each: Vec<String> = removed.iter().filter(|removed| removed.count > 0).map(ToString::to_string).collect();
    if each.is_empty() { String::new() } else { format!(": {}", each.join("; ")) }
}

impl std::fmt::Display for Removed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} removed by {:?}", self.count, self.by)?;
        match self.unknown {
            0 => Ok(()),
            unknown => write!(f, " ({unknown} of them because a parameter is not set)"),
        }
    }
}

/// So many points are looked at together.
const BATCH: usize = 8192;
/// A larger product is not gone through.
const MOST_LOOKED_AT: u128 = 1_000_000;
/// A sample gives up after so many draws for each point that is wanted; of a space that can be gone through, after few.
const DRAWS: usize = 200;
const FEW_DRAWS: usize = 4;

/// Lays out the space.
pub async fn lay_out(wanted: &Wanted, flags: &Flags) -> Result<Points, SpaceError> {
    let serve = side::dimensions_of("server", &wanted.serve, wanted.most).await?;
    let bench = side::dimensions_of("benchmark", &wanted.bench, wanted.most).await?;
    if let Some(sample) = wanted.sample.filter(|sample| sample.count > wanted.most) {
        return Err(SpaceError::SampleTooLarge { given: sample.count, most: wanted.most });
    }
    let space = Space { servers: serve.len(), dimensions: serve.into_iter().chain(bench).collect() };
    let size = dimension::size_of(&space.dimensions);
    let choices = space.choices();
    let universe = Universe::new(flags, &choices, &wanted.rules);
    wanted.rules.check(&universe, &choices).await?;
    let mut layout = Layout { space: &space, wanted, universe: &universe, kept: Vec::new(), removed: Vec::new() };
    let drawn = match wanted.sample {
        Some(sample) if size > sample.count as u128 => Some(layout.draw(sample, size).await?),
        _ => {
            layout.all(size).await?;
            None
        }
    };
    let Layout { mut kept, removed, .. } = layout;
    if kept.len() > wanted.most {
        return Err(SpaceError::TooLarge { size: kept.len() as u128, most: wanted.most });
    }
    if let Some(key) = kept.iter().flat_map(|(_, pair)| pair).find_map(with_nul) {
        return Err(SpaceError::WithNul { key: key.to_owned() });
    }
    kept.sort_by(|left, right| left.0.cmp(&right.0));
    // A server's points follow each other.
    let servers = kept.chunk_by(|left, right| left.1[0] == right.1[0]).map(|points| {
        let benches = points.iter().map(|(_, [_, bench])| bench.clone());
        (points[0].1[0].clone(), benches.collect())
    });
    let servers: Vec<(ParamSet, Vec<ParamSet>)> = servers.collect();
    match servers.is_empty() {
        true => Err(SpaceError::Empty { removed }),
        false => Ok(Points { servers, size, removed, drawn }),
    }
}

struct Space {
    dimensions: Vec<Dimension>,
    /// So many of them, the first, are the server's.
    servers: usize,
}

impl Space {
    /// Of each side all sets of its dimensions.
    fn choices(&self) -> [Vec<&ParamSet>; 2] {
        let (serve, bench) = self.dimensions.split_at(self.servers);
        [serve, bench].map(|dimensions| dimensions.iter().flat_map(|dimension| &dimension.choices).collect())
    }

    fn pair(&self, point: &[usize]) -> Pair {
        let (serve, bench) = self.dimensions.split_at(self.servers);
        let (at_serve, at_bench) = point.split_at(self.servers);
        [dimension::compose(serve, at_serve), dimension::compose(bench, at_bench)]
    }

    fn point(&self, number: u128) -> Vec<usize> {
        dimension::point_of(&self.dimensions, number)
    }
}

struct Layout<'a> {
    space: &'a Space,
    wanted: &'a Wanted,
    universe: &'a Universe<'a>,
    kept: Vec<(Vec<usize>, Pair)>,
    removed: Vec<Removed>,
}

impl Layout<'_> {
    async fn look_at(&mut self, points: Vec<Vec<usize>>) -> Result<(), SpaceError> {
        let pairs = points.iter().map(|point| self.space.pair(point)).collect();
        let kept = self.wanted.rules.apply(self.universe, pairs, &mut self.removed).await?;
        self.kept.extend(points.into_iter().zip(kept).filter_map(|(point, pair)| Some((point, pair?))));
        Ok(())
    }

    async fn all(&mut self, size: u128) -> Result<(), SpaceError> {
        let most = self.wanted.most;
        let is_limited = !self.wanted.rules.conditions.is_empty() || !self.wanted.rules.links.is_empty();
        if size > if is_limited { MOST_LOOKED_AT } else { most as u128 } {
            return Err(SpaceError::TooLarge { size, most });
        }
        for first in (0..size).step_by(BATCH) {
            let numbers = first..size.min(first + BATCH as u128);
            self.look_at(numbers.map(|number| self.space.point(number)).collect()).await?;
        }
        Ok(())
    }

    /// As many points as are wanted, or as can be found.
    async fn draw(&mut self, sample: Sample, size: u128) -> Result<Drawn, SpaceError> {
        let sizes = self.space.dimensions.iter().map(|dimension| dimension.choices.len()).collect();
        let mut draws = Draws::new(sample, sizes)?;
        let mut seen: HashSet<Vec<usize>> = HashSet::new();
        let is_small = size <= MOST_LOOKED_AT;
        for _ in 0..if is_small { FEW_DRAWS } else { DRAWS } {
            let fresh: Vec<Vec<usize>> = draws.next().into_iter().filter(|point| seen.insert(point.clone())).collect();
            self.look_at(fresh).await?;
            if self.kept.len() >= sample.count || seen.len() as u128 == size {
                break;
            }
        }
        // Where few are meant, the others are looked for one by one, in an order drawn by the seed.
        if is_small && self.kept.len() < sample.count {
            let mut rest: Vec<u128> = (0..size).filter(|number| !seen.contains(&self.space.point(*number))).collect();
            rest.shuffle(&mut StdRng::seed_from_u64(sample.seed));
            for numbers in rest.chunks(BATCH) {
                let points: Vec<Vec<usize>> = numbers.iter().map(|number| self.space.point(*number)).collect();
                seen.extend(points.iter().cloned());
                self.look_at(points).await?;
                if self.kept.len() >= sample.count {
                    break;
                }
            }
        }
        self.kept.truncate(sample.count);
        Ok(Drawn { tried: seen.len(), wanted: sample.count })
    }
}

/// Sets of parameters from the rows of a query: columns are parameters. What is NULL is not set; where the command sets it, the flag is
/// taken out.
pub fn sets_of_rows(answer: &Answer, command: &Command) -> Result<Vec<ParamSet>, SpaceError> {
    let bad = |column: &str, reason| SpaceError::BadColumn { column: column.to_owned(), reason };
    if let Some(column) = answer.nested_column() {
        return Err(bad(column, "is no single value but a list or a structure"));
    }
    let columns = answer.columns();
    for (index, name) in columns.iter().enumerate() {
        if !is_flag_name(name) && name != BENCHMARK_NAME {
            return Err(bad(name, "is no flag name; name it with AS"));
        }
        if columns.iter().take(index).any(|other| is_same_key(other, name)) {
            return Err(bad(name, "is there twice"));
        }
    }
    let rows = answer.rows()?;
    if rows.is_empty() {
        return Err(SpaceError::NoRow);
    }
    let flags = command.flags();
    let sets = rows.into_iter().map(|row| {
        let mut set = ParamSet::unchanged();
        for (name, value) in columns.iter().zip(row) {
            match setting(value) {
                Value::Null if flags.contains_key(&column_name(name)) => {
                    drop(set.params.insert(name.clone(), Value::Null))
                }
                Value::Null => {}
                value if name == BENCHMARK_NAME => set.name = Some(value_text(&value)),
                value => drop(set.params.insert(name.clone(), value)),
            }
        }
        set
    });
    let sets = values::without_repeats(sets.collect::<Vec<ParamSet>>());
    match name_used_twice(&sets) {
        Some(name) => Err(SpaceError::NamedTwice { name: name.to_owned() }),
        None => Ok(sets),
    }
}

#[cfg(test)]
mod tests;
