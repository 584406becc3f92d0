//! A metric of each combination over the sweeps of a lake, in the order of time.

use super::sides::value_of;
use super::{ChangePoint, Judge, change_points};
use crate::query::{Filter, Lake, QueryError};
use std::collections::BTreeMap;

/// A metric over the sweeps of a lake.
#[derive(Clone, Debug)]
pub struct Trends {
    /// The names of the sweeps, the oldest first.
    pub sweeps: Vec<String>,
    /// The combinations that more than one sweep has, those that changed most first.
    pub followed: Vec<Followed>,
    /// What was asked.
    pub sql: String,
}

/// A combination over the sweeps.
#[derive(Clone, Debug)]
pub struct Followed {
    pub label: String,
    /// Its runs, by the index of their sweep.
    pub runs: Vec<Vec<f64>>,
    pub changes: Vec<ChangePoint>,
}

crate::query::typed_row! {
    struct Run {
        sweep: String,
        combination: String,
        label: Option<String>,
        value: f64,
    }
}

impl Trends {
    pub async fn of(lake: &Lake, metric: &str, filter_by: &str, judge: &Judge) -> Result<Self, QueryError> {
        let columns = lake.columns("runs").await?;
        let filter = Filter::parse(filter_by, &columns)?;
        let metric = value_of(columns.find(metric)?.0, &columns);
        let sql = format!(
            "SELECT sweep, combination, label, {metric} AS value FROM runs WHERE status <> 'failed' AND {metric} IS NOT NULL AND {} ORDER BY started_at, run_number",
            filter.to_sql()
        );
        let runs: Vec<Run> = lake.sql(&sql).await?.typed("trend")?;
        let mut sweeps: Vec<String> = Vec::new();
        let mut combinations: BTreeMap<String, Followed> = BTreeMap::new();
        for run in runs {
            let sweep = sweeps.iter().position(|known| *known == run.sweep).unwrap_or_else(|| {
                sweeps.push(run.sweep);
                sweeps.len() - 1
            });
            let followed = combinations.entry(run.combination).or_insert_with(|| Followed {
                label: run.label.unwrap_or_default(),
                runs: Vec::new(),
                changes: Vec::new(),
            });
            if followed.runs.len() <= sweep {
                followed.runs.resize(sweep + 1, Vec::new());
            }
            followed.runs[sweep].push(run.value);
        }
        let is_followed = |one: &Followed| one.runs.iter().filter(|runs| !runs.is_empty()).count() > 1;
        let mut followed: Vec<Followed> = combinations.into_values().filter(is_followed).collect();
        for one in &mut followed {
            one.runs.resize(sweeps.len(), Vec::new());
            one.changes = change_points(&one.runs, judge);
        }
        followed.sort_by(|left, right| right.moved().total_cmp(&left.moved()));
        Ok(Self { sweeps, followed, sql })
    }
}

impl Followed {
    /// The mean of the first and of the last sweep that have it.
    pub fn ends(&self) -> Option<(f64, f64)> {
        let mut means = self.runs.iter().filter(|runs| !runs.is_empty()).map(|runs| crate::stats::mean(runs));
        Some((means.next()?, means.next_back()?))
    }

    /// How far it moved: its largest step, else from its first to its last.
    fn moved(&self) -> f64 {
        let step = self.changes.iter().map(|point| point.change.abs()).fold(0.0, f64::max);
        let whole = self.ends().map_or(0.0, |(first, last)| (last / first - 1.0).abs());
        // A step that was seen counts for more than any drift that was not.
        if step > 0.0 { 1e6 + step } else { whole }
    }
}
