//! A sweep as its files tell of it at a moment.

use crate::cli::board::{Board, METRICS, Ran, counts};
use crate::cli::{Failure, block_on, query_failure};
use crate::params::ParamSet;
use crate::plan::Combination;
use crate::query::{Answer, Lake};
use crate::record::Status;
use crate::store::{Look, Manifest, SweepState, is_written};
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

pub struct Snapshot {
    pub manifest: Manifest,
    pub standing: Standing,
    pub board: Board,
    pub runs: Vec<Run>,
    look: Look,
}

/// Who is at work on a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Running,
    /// Its manifest says that it runs, and nobody writes it.
    Killed,
    Ended(SweepState),
}

impl Standing {
    pub fn of(folder: &Path, manifest: &Manifest) -> Self {
        match manifest.state {
            SweepState::Running if is_written(folder) => Self::Running,
            SweepState::Running => Self::Killed,
            ended => Self::Ended(ended),
        }
    }
}

/// A run that has ended.
pub struct Run {
    pub id: String,
    pub label: String,
    pub number: i64,
    /// What it failed of.
    pub failure: Option<String>,
    /// What it measured, by metric.
    pub metrics: HashMap<String, f64>,
    ended_s: Option<f64>,
}

crate::query::typed_row! {
    struct Row {
        run_id: String,
        combination: String,
        run_number: i64,
        status: String,
        error_kind: Option<String>,
        error: Option<String>,
        ended_s: Option<f64>,
    }
}

impl Snapshot {
    /// A later look, which reads nothing again if nothing has changed.
    pub fn after(before: Option<Self>, folder: &Path) -> Result<Self, Failure> {
        match before {
            Some(before) if before.look == Look::at(folder) && is_written(folder) => Ok(before),
            _ => Self::read(folder),
        }
    }

    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let look = Look::at(folder);
        let manifest = Manifest::read(folder).map_err(Failure::input)?;
        let standing = Standing::of(folder, &manifest);
        let combinations = combinations_of(&manifest);
        let own: Vec<Combination> = combinations.values().cloned().collect();
        let mut board = Board::new(&own, manifest.variable.as_deref(), runs_of_each(&manifest, own.len()));
        let mut runs = Vec::new();
        if let Some((answer, rows)) = rows_of(folder)? {
            let metrics = metrics_of(&answer)?;
            for (row, metrics) in rows.into_iter().zip(metrics) {
                // What was measured under changed conditions is a combination of its own, with the same parameters.
                let id = row.combination.split('@').next().unwrap_or_default();
                let (Some(combination), Some(status)) = (combinations.get(id), Status::parse(&row.status)) else {
                    continue;
                };
                let metric = |name: &str| metrics.get(name).copied();
                board.add(combination, &Ran { status, metric: &metric });
                let failure = row.error_kind.map(|kind| format!("{kind}: {}", row.error.unwrap_or_default()));
                runs.push(Run {
                    id: row.run_id,
                    label: board.label(combination),
                    number: row.run_number,
                    failure: failure.filter(|_| status == Status::Failed),
                    metrics,
                    ended_s: row.ended_s,
                });
            }
        }
        if standing == Standing::Ended(SweepState::Completed) {
            (0..board.len()).for_each(|line| board.end(line));
        }
        Ok(Self { manifest, standing, board, runs, look })
    }

    /// How many runs are done and failed, and about how long the others take.
    pub fn counts(&self) -> String {
        let failed = self.runs.iter().filter(|run| run.failure.is_some()).count();
        let left = self.time_left().filter(|_| self.standing == Standing::Running);
        counts(self.runs.len(), self.manifest.planned_runs, failed, left)
    }

    /// From the time between the ends of runs; pauses of the whole sweep, before it was resumed, are no such time.
    fn time_left(&self) -> Option<Duration> {
        let left = self.manifest.planned_runs?.saturating_sub(self.runs.len());
        let mut ends: Vec<f64> = self.runs.iter().filter_map(|run| run.ended_s).collect();
        ends.sort_by(f64::total_cmp);
        let mut gaps: Vec<f64> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort_by(f64::total_cmp);
        let usual = *gaps.get(gaps.len() / 2)?;
        let kept: Vec<f64> = gaps.into_iter().filter(|gap| *gap <= LONGEST_GAP * usual).collect();
        Some(Duration::from_secs_f64(crate::stats::mean(&kept).max(0.0) * left as f64))
    }

    /// When the last run ended.
    pub fn latest(&self) -> Option<DateTime<Utc>> {
        let ends = self.runs.iter().filter_map(|run| run.ended_s);
        DateTime::from_timestamp(ends.reduce(f64::max)? as i64, 0)
    }
}

/// A longer gap between two runs than so many usual ones is a pause.
const LONGEST_GAP: f64 = 10.0;

/// Combinations by their identity; where the sweep chooses levels itself, its levels.
fn combinations_of(manifest: &Manifest) -> HashMap<String, Combination> {
    let set = ParamSet::of_record;
    let stored = manifest.combinations.iter();
    stored.map(|stored| (stored.id.clone(), Combination::new(set(&stored.serve), set(&stored.bench)))).collect()
}

/// Known where all combinations get as many.
fn runs_of_each(manifest: &Manifest, combinations: usize) -> Option<usize> {
    let planned = manifest.planned_runs.filter(|_| manifest.variable.is_none() && combinations > 0)?;
    (planned % combinations == 0).then_some(planned / combinations)
}

/// The runs that have ended, in the order in which they did; nothing before the first.
fn rows_of(folder: &Path) -> Result<Option<(Answer, Vec<Row>)>, Failure> {
    let lake = Lake::open(&[folder.to_owned()]).map_err(query_failure)?;
    let sql = "SELECT *, date_part('epoch', started_at) + wall_time_s AS ended_s FROM runs \
               WHERE status <> 'retried' ORDER BY started_at, run_id";
    let answer = block_on(lake.sql(sql))?.map_err(query_failure)?;
    if answer.num_rows() == 0 {
        return Ok(None);
    }
    let rows = answer.typed("watch").map_err(query_failure)?;
    Ok(Some((answer, rows)))
}

/// What each run measured of what a board shows.
fn metrics_of(answer: &Answer) -> Result<Vec<HashMap<String, f64>>, Failure> {
    let mut metrics = vec![HashMap::new(); answer.num_rows()];
    let known = answer.columns();
    for name in METRICS.iter().flat_map(|names| names.iter()).filter(|name| known.iter().any(|known| known == **name)) {
        for (row, value) in metrics.iter_mut().zip(answer.numbers(name).map_err(query_failure)?) {
            row.extend(value.map(|value| ((*name).to_owned(), value)));
        }
    }
    Ok(metrics)
}
