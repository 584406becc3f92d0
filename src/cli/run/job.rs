//! What a sweep does with each combination, and what its flags say of it.

use super::checks::Loads;
use crate::cli::sla_params::SLA_NAME;
use crate::compare::{CompareRequest, PairedRuns, is_decided};
use crate::metric::{Better, Metric, percentile_of};
use crate::params::ParamSet;
use crate::plan::{BenchPlan, Plan};
use crate::sla::Sla;
use crate::store::SweepKind;
use crate::sweep::race::{Race, ends_first, rounds_of};
use crate::sweep::tune::{Tune, TuneOptions};
use crate::sweep::{
    BenchKind, Course, Detail, EXTENSIONS, Goals, Ledger, Limit, NEAR_TIMES, Narrow, Objective, OnFailure, Order,
    Pairs, Repeats, Tuner, TunerOptions, Variable, Workload,
};
use crate::words::short_time;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::time::Duration;

/// What a sweep does with each combination.
pub enum Job {
    /// So many repeats, or as many as make a mean known well enough.
    Serve(Option<Narrow>),
    /// Repeats for those that may still win.
    Race(Goals),
    Tune(TunerOptions),
    /// Combinations that an optimizer chooses.
    Optimize(TuneOptions),
    Explore(Workload),
    Startup,
    Ab(AbJob),
}

/// Base and candidate in turn.
pub struct AbJob {
    pub request: CompareRequest,
    pub until: Until,
    /// The benchmarks of each cell: of the base and of the candidate.
    pub cells: Vec<[BenchPlan; 2]>,
}

/// When enough pairs were measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After as many as there are.
    All,
    Decided,
}

impl AbJob {
    fn better(&self, metric: &str) -> Option<Better> {
        self.request.directions.get(metric).copied().or_else(|| Metric::of(metric).map(|metric| metric.better))
    }

    /// Whether what was measured decides it.
    fn is_decided(&self, ledger: &Ledger) -> bool {
        let names = &self.request.reading.metrics;
        let mut metrics: Vec<PairedRuns> =
            names.iter().map(|name| PairedRuns { better: self.better(name), ..PairedRuns::default() }).collect();
        for (cell, benches) in self.cells.iter().enumerate() {
            for (side, bench) in benches.iter().enumerate() {
                for made in ledger.of(bench) {
                    let value = |name: &String| made.metrics.as_ref()?.get(name)?.as_f64();
                    for (metric, name) in metrics.iter_mut().zip(names) {
                        if let Some(value) = value(name) {
                            metric.add(made.round, side, cell, value);
                        }
                    }
                }
            }
        }
        let gates = self.request.gates.iter();
        let gates = gates.filter_map(|gate| Some((names.iter().position(|name| *name == gate.metric)?, gate.clone())));
        is_decided(&metrics, self.cells.len(), &self.request.judge, &gates.collect::<Vec<_>>())
    }
}

impl Job {
    pub fn kind(&self) -> SweepKind {
        match self {
            Self::Serve(_) | Self::Race(_) => SweepKind::Serve,
            Self::Tune(_) => SweepKind::ServeSla,
            Self::Optimize(_) => SweepKind::ServeTune,
            Self::Explore(_) => SweepKind::ServeWorkload,
            Self::Startup => SweepKind::Startup,
            Self::Ab(_) => SweepKind::Ab,
        }
    }

    pub fn default_num_runs(&self) -> u32 {
        match self {
            Self::Tune(_) | Self::Optimize(_) | Self::Startup | Self::Ab(_) => 1,
            Self::Serve(_) | Self::Race(_) | Self::Explore(_) => 3,
        }
    }

    /// A search ends one combination before it begins the next.
    pub fn order(&self, wanted: Order) -> Order {
        if matches!(self, Self::Serve(_) | Self::Race(_) | Self::Ab(_)) { wanted } else { Order::Sequential }
    }

    /// The flag and the name of what the sweep itself turns.
    pub fn turned(&self) -> Option<(&'static str, Variable)> {
        match self {
            Self::Serve(_) | Self::Race(_) | Self::Optimize(_) | Self::Startup | Self::Ab(_) => None,
            Self::Tune(options) => Some(("--sla-variable", options.variable)),
            Self::Explore(workload) => Some(("--workload-var", workload.variable)),
        }
    }

    /// The loads of each server in the order in which they are measured first.
    pub fn arranged(&self, servers: Vec<(ParamSet, Vec<ParamSet>)>) -> Vec<(ParamSet, Vec<ParamSet>)> {
        match self {
            Self::Race(_) => servers.into_iter().map(|(serve, loads)| (serve, ends_first(loads))).collect(),
            _ => servers,
        }
    }

    /// How often each server is started at most.
    pub fn rounds(&self, wanted: u32, num_runs: u32) -> u32 {
        if matches!(self, Self::Race(_)) { rounds_of(num_runs) } else { wanted }
    }

    /// Whether the combinations that are measured only show in the course of the sweep.
    pub fn chooses(&self) -> bool {
        matches!(self, Self::Optimize(_))
    }

    /// What a failed run means. To an optimizer it is an answer: it looks elsewhere then.
    pub fn on_failure(&self, wanted: OnFailure) -> OnFailure {
        if self.chooses() { OnFailure::Accept } else { wanted }
    }

    /// What ends the sweep early. A number of runs is what an optimizer plans with.
    pub fn budget(&self, given: Option<Limit>) -> Option<Limit> {
        given.filter(|limit| !(self.chooses() && matches!(limit, Limit::Runs(_))))
    }

    pub fn course(&self, plan: &Plan, answered: HashSet<(String, String)>) -> Box<dyn Course + '_> {
        let num_runs = plan.num_runs as usize;
        match self {
            Self::Race(options) => Box::new(Race::new(options.clone(), plan)),
            Self::Optimize(options) => Box::new(Tune::new(options.clone(), plan)),
            Self::Serve(Some(narrow)) => Box::new(narrow.clone()),
            Self::Serve(None) | Self::Startup => Box::new(Repeats { num_runs }),
            Self::Tune(options) => Box::new(Tuner::new(TunerOptions { num_runs, ..options.clone() }, answered)),
            Self::Explore(workload) => Box::new(Workload { num_runs, ..workload.clone() }),
            Self::Ab(job) if job.until == Until::Decided => {
                Box::new(Pairs { num_runs, decide: Box::new(|ledger| job.is_decided(ledger)) })
            }
            Self::Ab(_) => Box::new(Repeats { num_runs }),
        }
    }

    /// How many runs each combination gets in all, where that is known beforehand.
    pub fn runs_of_each(&self, plan: &Plan) -> Option<usize> {
        let is_open = matches!(self, Self::Ab(job) if job.until == Until::Decided);
        let each = self.course(plan, HashSet::new()).runs_of_each().filter(|_| !is_open)?;
        Some(each * plan.rounds.count() as usize)
    }

    pub fn bench(&self) -> BenchKind {
        match self {
            Self::Startup => BenchKind::Startup,
            Self::Tune(_) => BenchKind::Load { percentiles: self.percentiles(), requests: Detail::Requests },
            Self::Race(_) | Self::Optimize(_) => {
                BenchKind::Load { percentiles: self.percentiles(), requests: Detail::Row }
            }
            _ => BenchKind::Load { percentiles: Vec::new(), requests: Detail::Row },
        }
    }

    pub fn loads(&self) -> Loads {
        match self {
            Self::Tune(options) if options.min_duration > 0.0 => Loads::Searched,
            Self::Optimize(_) => Loads::Searched,
            _ => Loads::Known,
        }
    }

    /// What is not known beforehand, and what it comes to at most.
    pub fn worst_case(&self, plan: &Plan) -> Option<String> {
        match self {
            Self::Tune(options) => Some(format!("Each search: {}", worst_search(options))),
            Self::Race(_) if plan.num_runs > 1 => Some(format!(
                "A race: one run each, then up to {} more of those that may still win; at most {} runs, on fresh starts of their servers",
                plan.num_runs - 1,
                plan.num_combinations() * plan.num_runs as usize
            )),
            Self::Optimize(options) => Some(format!(
                "A tune: measures at most {} of these combinations",
                options.max_runs.min(plan.num_combinations())
            )),
            _ => None,
        }
    }

    /// How many runs a combination gets, where that depends on what they show.
    pub fn open_ended(&self, plan: &Plan) -> String {
        match self {
            Self::Race(_) => format!("1–{}", plan.num_runs),
            _ => "search".into(),
        }
    }

    pub fn sla_records(&self) -> Vec<Map<String, Value>> {
        self.slas().iter().map(sla_record).collect()
    }

    /// What it is after, as words that say it again.
    pub fn sought(&self) -> Vec<String> {
        let direction = |better| if better == Better::Higher { "max" } else { "min" };
        let goals = self.objectives().iter().map(|goal| format!("{}:{}", goal.metric, direction(goal.better)));
        let goals = goals.collect::<Vec<_>>().join(",");
        let objectives = ["--objectives".to_owned(), goals];
        let objectives = objectives.into_iter().filter(|_| !self.objectives().is_empty());
        match self {
            Self::Race(_) => std::iter::once("--race".to_owned()).chain(objectives).collect(),
            Self::Optimize(options) => {
                let seed = ["--optimizer-seed".to_owned(), options.seed.to_string()];
                let budget = ["--budget".to_owned(), format!("{} runs", options.max_runs)];
                let budget = budget.into_iter().filter(|_| options.max_runs < usize::MAX);
                objectives.chain(seed).chain(budget).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What a race or a tune is after.
    fn goals(&self) -> Option<&Goals> {
        match self {
            Self::Race(goals) | Self::Optimize(TuneOptions { goals, .. }) => Some(goals),
            _ => None,
        }
    }

    fn slas(&self) -> &[Sla] {
        match self {
            Self::Tune(options) => &options.slas,
            _ => self.goals().map_or(&[], |goals| &goals.slas),
        }
    }

    /// The metrics that a race or a tune looks at.
    pub fn metrics(&self) -> impl Iterator<Item = &String> {
        self.goals().into_iter().flat_map(Goals::metrics)
    }

    /// What is sought on a frontier.
    pub fn objectives(&self) -> &[Objective] {
        self.goals().map_or(&[], |goals| &goals.objectives)
    }

    /// Percentiles in the names of the metrics that it looks at: 95 of `p95_ttft_ms`.
    fn percentiles(&self) -> Vec<String> {
        let constraints = self.slas().iter().flat_map(|sla| &sla.constraints).map(|constraint| &constraint.metric);
        let metrics = constraints.chain(self.objectives().iter().map(|goal| &goal.metric));
        metrics.filter_map(|metric| Some(percentile_of(metric)?.to_owned())).collect()
    }
}

fn sla_record(sla: &Sla) -> Map<String, Value> {
    let name = sla.name.iter().map(|name| (SLA_NAME.to_owned(), name.as_str().into()));
    let constraints = sla.constraints.iter().map(|constraint| {
        let target = format!("{}{}", constraint.operator.as_str(), constraint.target);
        (constraint.metric.clone(), target.into())
    });
    name.chain(constraints).collect()
}

/// What a search takes at most for one combination.
fn worst_search(options: &TunerOptions) -> String {
    let runs = options.max_iters * options.slas.len();
    let (least, near) = (options.min_duration, options.min_duration * NEAR_TIMES * 2f64.powi(EXTENSIONS as i32));
    let of = match options.slas.len() {
        1 => String::new(),
        slas => format!(" ({} for each of {slas} SLAs)", options.max_iters),
    };
    let time = match options.variable {
        _ if least == 0.0 => "each with as many prompts as --bench-cmd sets".into(),
        Variable::RequestRate => format!(
            "each with a steady part of {least} to {near} s: at most about {}",
            short_time(Duration::from_secs_f64(near * runs as f64))
        ),
        Variable::MaxConcurrency => format!(
            "each with a steady part of at least {least} s: about {} if none is longer",
            short_time(Duration::from_secs_f64(least * runs as f64))
        ),
    };
    format!("at most {runs} runs{of}, {time}")
}
