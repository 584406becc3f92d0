//! What a sweep does with each combination, and what its flags say of it.

use super::checks::Prompts;
use crate::cli::sla_params::SLA_NAME;
use crate::compare::{CompareRequest, PairedRuns, is_decided};
use crate::metric::{Better, Metric, percentile_of};
use crate::plan::{BenchPlan, Plan};
use crate::sla::Sla;
use crate::store::SweepKind;
use crate::sweep::{
    BenchKind, Course, Detail, EXTENSIONS, Ledger, NEAR_TIMES, Narrow, Order, Pairs, Repeats, Tuner, TunerOptions,
    Variable, Workload,
};
use crate::words::short_time;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::time::Duration;

/// What a sweep does with each combination.
pub enum Job {
    /// So many repeats, or as many as make a mean known well enough.
    Serve(Option<Narrow>),
    Tune(TunerOptions),
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
            Self::Serve(_) => SweepKind::Serve,
            Self::Tune(_) => SweepKind::ServeSla,
            Self::Explore(_) => SweepKind::ServeWorkload,
            Self::Startup => SweepKind::Startup,
            Self::Ab(_) => SweepKind::Ab,
        }
    }

    pub fn default_num_runs(&self) -> u32 {
        match self {
            Self::Tune(_) | Self::Startup | Self::Ab(_) => 1,
            Self::Serve(_) | Self::Explore(_) => 3,
        }
    }

    /// A search ends one combination before it begins the next.
    pub fn order(&self, wanted: Order) -> Order {
        if matches!(self, Self::Serve(_) | Self::Ab(_)) { wanted } else { Order::Sequential }
    }

    /// The flag and the name of what the sweep itself turns.
    pub fn turned(&self) -> Option<(&'static str, Variable)> {
        match self {
            Self::Serve(_) | Self::Startup | Self::Ab(_) => None,
            Self::Tune(options) => Some(("--sla-variable", options.variable)),
            Self::Explore(workload) => Some(("--workload-var", workload.variable)),
        }
    }

    pub fn course(&self, num_runs: usize, answered: HashSet<(String, String)>) -> Box<dyn Course + '_> {
        match self {
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
        let each = self.course(plan.num_runs as usize, HashSet::new()).runs_of_each().filter(|_| !is_open)?;
        Some(each * plan.rounds.count() as usize)
    }

    pub fn bench(&self) -> BenchKind {
        match self {
            Self::Startup => BenchKind::Startup,
            Self::Tune(_) => BenchKind::Load { percentiles: self.percentiles(), requests: Detail::Requests },
            _ => BenchKind::Load { percentiles: Vec::new(), requests: Detail::Row },
        }
    }

    pub fn prompts(&self) -> Prompts {
        match self {
            Self::Tune(options) if options.min_duration > 0.0 => Prompts::Search,
            _ => Prompts::Command,
        }
    }

    /// What a search takes at most for one combination.
    pub fn worst_case(&self) -> Option<String> {
        let Self::Tune(options) = self else { return None };
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
        Some(format!("at most {runs} runs{of}, {time}"))
    }

    pub fn sla_records(&self) -> Vec<Map<String, Value>> {
        let Self::Tune(options) = self else { return Vec::new() };
        options.slas.iter().map(sla_record).collect()
    }

    /// Percentiles in the names of the SLAs' metrics: 95 of `p95_ttft_ms`.
    fn percentiles(&self) -> Vec<String> {
        let Self::Tune(options) = self else { return Vec::new() };
        let metrics = options.slas.iter().flat_map(|sla| &sla.constraints).map(|constraint| &constraint.metric);
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
