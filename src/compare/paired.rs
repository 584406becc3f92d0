//! A sweep of `ab` as a comparison: what its pairs say.

use super::comparison::Comparison;
use super::pairs::{PairedRuns, judge_pairs};
use super::parts::{Design, Needed, Side};
use super::reading::{Success, TOOK, value_of};
use super::request::{CompareError, CompareRequest};
use crate::metric::Metric;
use crate::query::{Columns, Filter, Lake, QueryError};
use crate::stats::sequential;
use crate::words::params_text;
use std::collections::BTreeMap;

/// The names of the two servers of such a sweep.
pub const SIDES: [&str; 2] = ["base", "candidate"];

crate::query::typed_row! {
    struct Row {
        side: String,
        key: String,
        round: Option<i64>,
        server_start: Option<i64>,
        status: String,
        completed: Option<f64>,
        failed_requests: Option<f64>,
        day: Option<String>,
    }
}

/// What was read of one side.
#[derive(Default)]
struct Read {
    success: BTreeMap<usize, Success>,
    failed: BTreeMap<usize, usize>,
    /// Pairs in which it has a run that did not fail.
    pairs: std::collections::BTreeSet<i64>,
    starts: std::collections::BTreeSet<i64>,
    days: std::collections::BTreeSet<String>,
}

/// The query for the runs of both sides, in their order.
fn runs_of_pairs(metrics: &[String], columns: &Columns, filter: &Filter) -> Result<String, QueryError> {
    let values = metrics
        .iter()
        .enumerate()
        .map(|(index, metric)| Ok(format!(", {} AS metric_{index}", value_of(columns.find(metric)?.0, columns))));
    let values = values.collect::<Result<Vec<_>, QueryError>>()?.concat();
    Ok(format!(
        "SELECT serve_name AS side, coalesce(bench_name, bench_params) AS key, round, server_start, status, completed, \
         failed_requests, CAST(CAST(started_at AS DATE) AS VARCHAR) AS day{values} FROM runs \
         WHERE serve_name IN ('{}', '{}') AND status <> 'retried' AND {} ORDER BY started_at, run_number",
        SIDES[0],
        SIDES[1],
        filter.to_sql()
    ))
}

impl Comparison {
    /// Of the one sweep of a lake, in which base and candidate were measured in turn.
    pub async fn of_pairs(lake: &Lake, request: &CompareRequest) -> Result<Self, CompareError> {
        let columns = lake.columns("runs").await?;
        let filter = Filter::parse(&request.reading.filter_by, &columns)?;
        let names = &request.reading.metrics;
        let sql = runs_of_pairs(names, &columns, &filter)?;
        let answer = lake.sql(&sql).await?;
        let rows: Vec<Row> = answer.typed("compare: pairs")?;
        let values = (0..names.len()).map(|index| answer.numbers(&format!("metric_{index}")));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let better = |name: &String| {
            let own = request.directions.get(name).copied();
            own.or_else(|| Metric::of(name).map(|metric| metric.better))
        };
        let mut metrics: Vec<PairedRuns> =
            names.iter().map(|name| PairedRuns { better: better(name), ..PairedRuns::default() }).collect();
        let mut cells: Vec<String> = Vec::new();
        let mut sides = [Read::default(), Read::default()];
        for (index, row) in rows.iter().enumerate() {
            let side = usize::from(row.side == SIDES[1]);
            let cell = cells.iter().position(|known| *known == row.key).unwrap_or_else(|| {
                cells.push(row.key.clone());
                cells.len() - 1
            });
            sides[side].add(cell, row);
            let pair = row.round.unwrap_or(0) as u32;
            for (metric, values) in metrics.iter_mut().zip(&values) {
                if let Some(value) = values[index].filter(|_| row.status != "failed") {
                    metric.add(pair, side, cell, value);
                }
            }
        }
        if cells.is_empty() {
            return Err(CompareError::NoSweep);
        }
        let whole = sides[0].pairs.intersection(&sides[1].pairs).count();
        // One that fails now and then fails more often than before.
        let failures = |side: usize, cell: &usize| sides[side].failed.get(cell).copied().unwrap_or(0);
        let lost = |cell: &usize| failures(1, cell) > failures(0, cell);
        let label =
            |cell: usize| Some(params_text(&cells[cell])).filter(|text| !text.is_empty()).unwrap_or("all".into());
        let all = 0..cells.len();
        let mut comparison = Self {
            design: Design::Pairs(whole),
            judged: judge_pairs(&metrics, cells.len(), &request.judge),
            better: metrics.iter().map(|metric| metric.better).collect(),
            metrics: names.clone(),
            labels: all.clone().map(label).collect(),
            pooled: vec![vec![None; cells.len()]; names.len()],
            only_base: Vec::new(),
            only_candidate: Vec::new(),
            lost: all.filter(lost).map(label).collect(),
            differences: Vec::new(),
            frontier: None,
            drifts: vec![[None, None]; names.len()],
            odd: Vec::new(),
            gates: Vec::new(),
            needed: Vec::new(),
            judge: request.judge,
            base: sides[0].side(SIDES[0], cells.len()),
            candidate: sides[1].side(SIDES[1], cells.len()),
            sql,
        };
        comparison.candidate.unfinished = unfinished(lake).await?;
        comparison.judge_gates(&request.gates);
        let seconds = seconds_of(lake).await?.map(|seconds| seconds / whole.max(1) as f64);
        comparison.needed = (0..names.len()).map(|metric| comparison.pairs_needed(metric, seconds)).collect();
        Ok(comparison)
    }

    /// How many pairs would show a change of the size that is asked for, or that there is none.
    fn pairs_needed(&self, metric: usize, seconds_a_pair: Option<f64>) -> Option<Needed> {
        let (sd, _) = self.judged[metric].sweep_sd?;
        let change = self.asked_for(metric);
        let alpha = self.judge.false_discovery_rate / 2.0 / self.metrics.len() as f64;
        let pairs = sequential::needed(sd * std::f64::consts::SQRT_2, change.ln_1p(), alpha);
        Some(Needed { change, sweeps: pairs, seconds: seconds_a_pair.map(|seconds| seconds * pairs as f64) })
    }
}

/// Why the sweep is not whole: what was cut off may have been cut off for a reason.
async fn unfinished(lake: &Lake) -> Result<Vec<String>, CompareError> {
    let states = lake.sql("SELECT sweep, state FROM sweeps").await?;
    let states = states.column("sweep")?.into_iter().zip(states.column("state")?);
    let told = states.map(|(sweep, state)| (sweep.to_text(), state.to_text()));
    Ok(told.filter(|(_, state)| state == "interrupted").map(|(sweep, _)| format!("{sweep} was interrupted")).collect())
}

/// How long the sweep took.
async fn seconds_of(lake: &Lake) -> Result<Option<f64>, CompareError> {
    let sql = format!("SELECT {TOOK} AS seconds FROM sweeps");
    Ok(lake.sql(&sql).await?.numbers("seconds")?.first().copied().flatten())
}

impl Read {
    fn add(&mut self, cell: usize, row: &Row) {
        self.starts.extend(row.server_start);
        self.days.extend(row.day.clone());
        match row.status == "failed" {
            true => *self.failed.entry(cell).or_default() += 1,
            false => {
                self.pairs.extend(row.round);
                self.success.entry(cell).or_default().add(row.completed, row.failed_requests, &row.status);
            }
        }
    }

    fn side(&self, name: &str, cells: usize) -> Side {
        Side {
            sweeps: vec![name.to_owned()],
            starts: Some(self.starts.len()).filter(|starts| *starts > 0),
            days: self.days.len(),
            unfinished: Vec::new(),
            cautions: Vec::new(),
            success: (0..cells).map(|cell| self.success.get(&cell).copied().unwrap_or_default()).collect(),
            seconds: None,
        }
    }
}
