//! A metric of each combination over the sweeps of a lake, in the order of time. Sweeps of another model, engine, load or kind of
//! hardware are other series.

use super::Judge;
use super::noise::{self, SweepRuns};
use super::reading::{Cells, Reading, SweepRead};
use crate::query::{Lake, QueryError, SweepKind, kind_of_sweep, names_of};
use crate::stats::{ChangePoint, Series, change_points, mean};
use std::collections::BTreeMap;

/// A metric over the sweeps of a lake.
#[derive(Clone, Debug)]
pub struct Trends {
    /// The oldest first.
    pub sweeps: Vec<Followable>,
    /// The series that more than one sweep has, those that changed most first.
    pub followed: Vec<Followed>,
    /// What was asked.
    pub sql: String,
}

/// A sweep in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followable {
    pub name: String,
    /// When it began, as SQL writes it; empty where that is not known.
    pub started_at: String,
}

/// A combination over the sweeps.
#[derive(Clone, Debug)]
pub struct Followed {
    pub label: String,
    /// Its runs, by the index of their sweep.
    pub runs: Vec<Vec<f64>>,
    /// Its level in each sweep that has it.
    pub levels: Vec<Option<f64>>,
    pub changes: Vec<ChangePoint>,
}

impl Trends {
    pub async fn of(lake: &Lake, metric: &str, filter_by: &str, judge: &Judge) -> Result<Self, QueryError> {
        let reading =
            Reading { metrics: vec![metric.to_owned()], filter_by: filter_by.to_owned(), ..Reading::default() };
        let mut cells = Cells::default();
        let mut sweeps = reading.read(lake, &mut cells).await?;
        sweeps.retain(|sweep| !sweep.metrics[0].cells.is_empty());
        sweeps.sort_by(|left, right| started_at(left).cmp(started_at(right)).then(left.name.cmp(&right.name)));
        let mut followed = series_of(&sweeps, &cells);
        let logs: Vec<Series> =
            followed.iter().map(|one| one.levels.iter().map(|level| level.map(f64::ln)).collect()).collect();
        for (one, changes) in followed.iter_mut().zip(change_points(&logs, judge.threshold)) {
            one.changes = changes;
        }
        followed.sort_by(|left, right| right.moved().total_cmp(&left.moved()));
        let sweeps =
            sweeps.iter().map(|sweep| Followable { name: sweep.name.clone(), started_at: started_at(sweep).into() });
        Ok(Self { sweeps: sweeps.collect(), followed, sql: reading.sql(lake).await? })
    }
}

fn started_at(sweep: &SweepRead) -> &str {
    sweep.fact("started_at").or_else(|| sweep.days.first().map(String::as_str)).unwrap_or_default()
}

/// The series that more than one sweep has.
fn series_of(sweeps: &[SweepRead], cells: &Cells) -> Vec<Followed> {
    let of = |sweep: &SweepRead| kind_of_sweep(|name| sweep.fact(name).map(str::to_owned));
    let kinds: Vec<SweepKind> = sweeps.iter().map(of).collect();
    let named = names_of(&kinds);
    let spread = noise::spread(sweeps.iter().map(|sweep| &sweep.metrics[0]));
    let mut series: BTreeMap<(&SweepKind, usize), Followed> = BTreeMap::new();
    for (index, sweep) in sweeps.iter().enumerate() {
        let runs: &SweepRuns = &sweep.metrics[0];
        let levels = noise::unit(runs, spread);
        for (cell, runs) in &runs.cells {
            let label = [cells.labels[*cell].as_str(), &named[index]].into_iter().filter(|part| !part.is_empty());
            let one = series.entry((&kinds[index], *cell)).or_insert_with(|| Followed {
                label: label.collect::<Vec<_>>().join(" · "),
                runs: vec![Vec::new(); sweeps.len()],
                levels: vec![None; sweeps.len()],
                changes: Vec::new(),
            });
            one.runs[index] = runs.iter().map(|run| run.value).collect();
            one.levels[index] = levels.get(cell).map(|level| level.exp());
        }
    }
    let is_followed = |one: &Followed| one.runs.iter().filter(|runs| !runs.is_empty()).count() > 1;
    series.into_values().filter(is_followed).collect()
}

impl Followed {
    /// The level of the first and of the last sweep that have it.
    pub fn ends(&self) -> Option<(f64, f64)> {
        let mut levels = self.runs.iter().filter(|runs| !runs.is_empty()).map(|runs| mean(runs));
        Some((levels.next()?, levels.next_back()?))
    }

    /// How far it moved: its largest step, else from its first to its last.
    fn moved(&self) -> f64 {
        let step = self.changes.iter().map(|point| point.change.abs()).fold(0.0, f64::max);
        let whole = self.ends().map_or(0.0, |(first, last)| (last / first - 1.0).abs());
        // A change that was seen counts for more than any that was not.
        if step > 0.0 { 1e6 + step } else { whole }
    }
}
