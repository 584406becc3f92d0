//! The runs that were made of a plan, as courses and agendas see them.

use super::steady::{Steady, requests_of};
use super::variable::{Variable, loop_of};
use crate::id::CombinationId;
use crate::plan::{BenchPlan, Combination, Level, Plan, ServerPlan};
use crate::record::{Cell, Demands, Field, RunRecord, Status, gpu_count_of, request_times, shortfall, stopped_early};
use crate::redact::Redactor;
use crate::sla::Standing;
use crate::store::{StoreError, SweepFolder, Terms};
use crate::table::Kind;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// A run of a combination, maybe at a level that the course chose.
#[derive(Clone, Debug)]
pub struct Made {
    pub level: Option<Level>,
    pub number: i64,
    /// The round that it was made in; 0 where that is not known.
    pub round: u32,
    pub status: Status,
    /// The metrics of a run that did not fail, by their columns.
    pub metrics: Option<Map<String, Value>>,
    /// Why the run meets no SLA, whatever its numbers say.
    pub obstacle: Option<String>,
    /// Requests in flight at most, where that was limited.
    pub max_concurrency: Option<f64>,
    /// The part without ramp-up and drain, where the course looks at single requests and the run tells of them.
    pub steady: Option<Steady>,
    pub gpu_count: Option<f64>,
    /// On which server start it was made, and as the how many-th run there.
    pub order: Option<(u32, u32)>,
    /// Whether it failed because its server did not start, or was lost.
    pub lost_server: bool,
    pub wall_time_s: Option<f64>,
    pub startup_time_s: Option<f64>,
    /// Whether the benchmark ended it because it could meet no SLA any more.
    pub is_stopped_early: bool,
}

/// How closely a course looks at runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    Row,
    Requests,
}

impl Made {
    /// Courses look at what the run's row says: known metrics as numbers, failed requests counted.
    pub fn of(record: &RunRecord, level: Option<Level>, detail: Detail) -> Self {
        let result = record.result();
        let is_metric = |field: &Field| field.kind == Kind::Metric && field.cell != Cell::Null;
        let row = record.to_row();
        let number = |name: &str| row.iter().find(|field| field.name == name).and_then(|field| field.cell.as_f64());
        let (max_concurrency, rate) = (number("max_concurrency"), number("request_rate"));
        let status = record.status();
        let success_rate = number("success_rate").filter(|_| status == Status::Degraded);
        let shortfall = result
            .and_then(|result| shortfall(&|key: &str| result.get(key).or_else(|| record.combination.bench.get(key))));
        let metrics = row.into_iter().filter(is_metric);
        let metrics: Map<String, Value> =
            metrics.map(|field| (field.name.into_owned(), field.cell.to_json())).collect();
        let kind = loop_of(level.as_ref().and_then(Variable::of), rate);
        let times = result
            .filter(|_| detail == Detail::Requests && status != Status::Failed)
            .and_then(|result| request_times(&|key: &str| result.get(key)));
        let steady = times.and_then(|times| Steady::of(&requests_of(times, kind), kind, metrics.keys()));
        Self {
            level,
            number: record.run_number,
            round: record.place.map_or(0, |place| place.round),
            status,
            metrics: (status != Status::Failed).then_some(metrics),
            obstacle: success_rate.map(too_few_succeeded).or(shortfall),
            max_concurrency,
            steady,
            gpu_count: record.gpu_count,
            order: record.place.map(|place| (place.server_start, place.run_order)),
            lost_server: record.startup_time_s.is_none()
                && record.failure().is_some_and(|failure| failure.kind.needs_new_server()),
            wall_time_s: record.wall_time_s,
            startup_time_s: record.startup_time_s,
            is_stopped_early: result.is_some_and(|result| stopped_early(&|key: &str| result.get(key)).is_some()),
        }
    }

    /// A run that a dry run takes for made.
    pub fn planned(level: Option<Level>, number: i64, round: u32) -> Self {
        Self {
            level,
            number,
            round,
            status: Status::Completed,
            metrics: None,
            obstacle: None,
            max_concurrency: None,
            steady: None,
            gpu_count: None,
            order: None,
            lost_server: false,
            wall_time_s: None,
            startup_time_s: None,
            is_stopped_early: false,
        }
    }

    /// Whether what was offered was borne; nothing of runs that do not tell of single requests.
    pub fn backlog(&self) -> Option<Standing> {
        self.steady.as_ref().map(|steady| steady.backlog)
    }
}

/// Orders runs as they were measured: by server starts and runs on them, which no clock that is set back can mix up. Of runs that
/// other tools made, only the benchmark's clock is known; they were there before.
fn moment_of(record: &RunRecord) -> (Option<(u32, u32)>, String) {
    let date = record.result().and_then(|result| result.get("date")).and_then(Value::as_str).unwrap_or_default();
    (record.place.map(|place| (place.server_start, place.run_order)), date.to_owned())
}

/// Why a degraded run meets no SLA.
pub fn too_few_succeeded(success_rate: f64) -> String {
    format!("only {:.1} % of the requests succeeded", success_rate * 100.0)
}

/// The runs that are there, by combination.
#[derive(Debug, Default)]
pub struct Ledger {
    made: HashMap<String, Vec<Made>>,
}

impl Ledger {
    /// The finished runs of a plan's combinations and of their levels; `heal` completes those that were left undone.
    pub fn read<H>(
        plan: &Plan,
        folder: &SweepFolder,
        demands: Demands,
        redactor: &Redactor,
        detail: Detail,
        mut heal: H,
    ) -> Result<Self, StoreError>
    where
        H: FnMut(&RunRecord) -> Result<(), StoreError>,
    {
        let mut ledger = Self::default();
        for server in &plan.servers {
            ledger.read_server(server, folder, (demands, redactor, detail), &mut heal)?;
        }
        Ok(ledger)
    }

    /// The same of one server, anew.
    pub fn read_server(
        &mut self,
        server: &ServerPlan,
        folder: &SweepFolder,
        (demands, redactor, detail): (Demands, &Redactor, Detail),
        mut heal: impl FnMut(&RunRecord) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for bench in &server.benches {
            let levels = folder.levels_of(&bench.combination).into_iter().map(Some);
            let mut made = Vec::new();
            for level in std::iter::once(None).chain(levels) {
                let at = bench.at_level(level.as_ref()).combination;
                let terms = Terms { gpu_count: gpu_count(server, &at), demands, redactor: redactor.clone() };
                for run in folder.finished_runs(&at, &terms) {
                    if !run.is_whole {
                        heal(&run.record)?;
                    }
                    made.push((moment_of(&run.record), Made::of(&run.record, level.clone(), detail)));
                }
            }
            made.sort_by(|left, right| left.0.cmp(&right.0));
            let made = made.into_iter().map(|(_, made)| made).collect();
            self.made.insert(bench.combination.id.to_string(), made);
        }
        Ok(())
    }

    /// Takes runs that failed for made: they are not made again.
    pub fn add_failed(&mut self, plan: &Plan, folder: &SweepFolder) {
        for bench in plan.servers.iter().flat_map(|server| &server.benches) {
            for failed in folder.failed_runs(&bench.combination) {
                let made = Made {
                    status: Status::Failed,
                    order: failed.place.map(|place| (place.server_start, place.run_order)),
                    lost_server: failed.lost_server,
                    ..Made::planned(None, failed.number, failed.place.map_or(0, |place| place.round))
                };
                self.add(bench, made);
            }
        }
    }

    /// The runs of a combination.
    pub fn of(&self, bench: &BenchPlan) -> &[Made] {
        self.of_id(&bench.combination.id)
    }

    pub fn of_id(&self, id: &CombinationId) -> &[Made] {
        self.made.get(id.as_str()).map_or(&[], Vec::as_slice)
    }

    pub fn add(&mut self, bench: &BenchPlan, made: Made) {
        let all = self.made.entry(bench.combination.id.to_string()).or_default();
        // Another attempt takes the place of the one before.
        all.retain(|other| other.level != made.level || other.number != made.number);
        all.push(made);
    }

    /// Whether any run did not fail.
    pub fn has_result(&self) -> bool {
        self.made.values().flatten().any(|made| made.status != Status::Failed)
    }

    pub fn count(&self) -> usize {
        self.made.values().map(Vec::len).sum()
    }
}

/// How many of the runs were made in a round.
pub fn count_of(made: &[Made], round: u32) -> usize {
    made.iter().filter(|made| made.round == round).count()
}

pub fn gpu_count(server: &ServerPlan, combination: &Combination) -> Option<f64> {
    gpu_count_of(Some(&server.command), &combination.serve.params)
}
