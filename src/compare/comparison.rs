//! One candidate against its base: everything that can be said, as values.

use super::alike::{Difference, DifferenceKind, differences};
use super::change::{JudgedMetric, MetricRuns, Overall, Verdict, judge, sweeps_needed};
use super::drift::{Drift, drift};
use super::frontier::{Configuration, Moves, hypervolume, moves};
use super::gate::{Gate, Passage, Why};
use super::history::{History, names_of_equal};
use super::noise::{Run, SideOf, SweepRuns};
use super::pooled::{Pooled, pooled, requests_of};
use super::reading::{Cells, Reading, RunTold, SECONDS, Success, SweepRead};
use super::{Judge, OddRun};
use crate::metric::{Better, Metric};
use crate::query::{Lake, QueryError};
use crate::stats::mean;
use std::collections::{BTreeMap, BTreeSet};

/// What to compare, and how to judge it.
#[derive(Clone, Debug, Default)]
pub struct CompareRequest {
    pub reading: Reading,
    /// Which way is better, of metrics of which it is not known or meant otherwise.
    pub directions: BTreeMap<String, Better>,
    pub judge: Judge,
    pub gates: Vec<Gate>,
    pub likeness: Likeness,
}

/// Whether what is compared must be of one load, model and number of GPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Likeness {
    #[default]
    Required,
    /// Whatever it is.
    Any,
}

/// The metrics that are compared unless others are asked for.
pub const DEFAULT_METRICS: [&str; 4] = ["output_throughput", "median_ttft_ms", "median_tpot_ms", "p99_e2el_ms"];

/// Where the sweeps come from.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    pub base: &'a Lake,
    pub candidate: &'a Lake,
    /// The lake whose equal sweeps tell how much such differ.
    pub history: Option<&'a Lake>,
}

#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("{base} and {candidate} are not alike: {} is {} in the one and {} in the other", first.fact, first.base, first.candidate)]
    Unlike { base: String, candidate: String, first: Difference },
    #[error("{base} and {candidate} have no combination in common")]
    NothingInCommon { base: String, candidate: String, only_base: Vec<String>, only_candidate: Vec<String> },
    #[error("no sweep to compare")]
    NoSweep,
}

/// One side of a comparison.
#[derive(Clone, Debug)]
pub struct Side {
    /// The names of its sweeps.
    pub sweeps: Vec<String>,
    /// Starts of servers that its numbers rest on; nothing where that is not known.
    pub starts: Option<usize>,
    pub days: usize,
    /// Why a sweep of it is not whole: it was interrupted, it failed.
    pub unfinished: Vec<String>,
    /// Reasons not to trust its numbers as they stand.
    pub cautions: Vec<String>,
    pub success: Vec<Success>,
    /// How long a sweep of it took.
    pub seconds: Option<f64>,
}

/// What a gate says, and why.
#[derive(Clone, Debug)]
pub struct GateResult {
    pub gate: Gate,
    pub passage: Passage,
    pub reasons: Vec<GateReason>,
}

/// Why a gate does not pass.
#[derive(Clone, Debug, PartialEq)]
pub enum GateReason {
    /// The change of a cell, by its index.
    Change { cell: usize, why: Why },
    /// The candidate lacks combinations of the base.
    Missing(Vec<String>),
    /// Combinations that failed in the candidate.
    Failed(Vec<String>),
    /// Fewer of a cell's requests succeed.
    Requests { cell: usize },
    /// A sweep of the candidate did not end well.
    Unfinished(String),
}

/// What became of the frontier of tokens per user and tokens per GPU, over the combinations that both sides have.
#[derive(Clone, Debug)]
pub struct FrontierChange {
    /// The dominated area of each side, from the origin.
    pub base_hypervolume: f64,
    pub candidate_hypervolume: f64,
    pub change: Overall,
    pub moves: Moves,
    pub base: Vec<Configuration>,
    pub candidate: Vec<Configuration>,
}

/// An odd run, with what is known of it.
#[derive(Clone, Debug)]
pub struct OddRunTold {
    pub metric: usize,
    pub run: OddRun,
    pub sweep: String,
    pub label: String,
    pub told: Option<RunTold>,
}

/// How many sweeps of each side would show a change, and how long they would take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Needed {
    pub change: f64,
    pub sweeps: usize,
    pub seconds: Option<f64>,
}

/// How base and candidate were measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Design {
    /// In sweeps of their own.
    Sweeps,
    /// In turn, in so many pairs.
    Pairs(usize),
}

/// One candidate against its base.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub design: Design,
    pub base: Side,
    pub candidate: Side,
    pub metrics: Vec<String>,
    /// For each metric.
    pub judged: Vec<JudgedMetric>,
    pub better: Vec<Option<Better>>,
    /// The labels of the combinations that both sides have.
    pub labels: Vec<String>,
    /// For each metric and combination.
    pub pooled: Vec<Vec<Option<Pooled>>>,
    pub only_base: Vec<String>,
    pub only_candidate: Vec<String>,
    /// Combinations of the base of which every run of the candidate failed.
    pub lost: Vec<String>,
    pub differences: Vec<Difference>,
    pub frontier: Option<FrontierChange>,
    /// For each metric the drift of base and candidate.
    pub drifts: Vec<[Option<Drift>; 2]>,
    pub odd: Vec<OddRunTold>,
    pub gates: Vec<GateResult>,
    /// For each metric, where the noise is known.
    pub needed: Vec<Option<Needed>>,
    pub judge: Judge,
    /// The query that the base was read with.
    pub sql: String,
}

/// What all that is said comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Worse,
    Better,
    /// Worse in one place and better in another.
    Mixed,
    Changed,
    Same,
    Unclear,
}

impl Word {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::Better => "better",
            Self::Mixed => "mixed",
            Self::Changed => "changed",
            Self::Same => "same",
            Self::Unclear => "unclear",
        }
    }
}

/// A drift is told when it is this unlikely to be chance.
pub const DRIFT_P: f64 = 0.01;

/// Both sides as they were read, with the cells that they have in common.
struct Read {
    base: Vec<SweepRead>,
    candidate: Vec<SweepRead>,
    history: History,
    cells: Cells,
    matched: Vec<usize>,
}

impl Comparison {
    pub async fn of(sources: Sources<'_>, request: &CompareRequest) -> Result<Self, CompareError> {
        let read = Read::of(sources, request).await?;
        let metrics = read.metrics(request);
        let mut judged = judge(&metrics, &read.cells.server_of, &request.judge);
        let requests = [
            requests_of(sources.base, &request.reading, &read.cells).await?,
            requests_of(sources.candidate, &request.reading, &read.cells).await?,
        ];
        let pooled_of = |metric: usize| {
            let of =
                |cell: &usize| Some(pooled(requests[0].get(&(metric, *cell))?, requests[1].get(&(metric, *cell))?));
            read.matched.iter().map(of).collect::<Vec<_>>()
        };
        let count = request.reading.metrics.len();
        let of_frontier = judged.split_off(count);
        let labels = |cells: &BTreeSet<usize>| cells.iter().map(|cell| read.cells.labels[*cell].clone()).collect();
        let (base, candidate) = (cells_of(&read.base), cells_of(&read.candidate));
        let failed: BTreeSet<usize> = read.candidate.iter().flat_map(|sweep| sweep.failed.iter().copied()).collect();
        let only_base = &base - &candidate;
        let mut comparison = Self {
            design: Design::Sweeps,
            base: read.side(&read.base, sources.base).await?,
            candidate: read.side(&read.candidate, sources.candidate).await?,
            metrics: request.reading.metrics.clone(),
            better: metrics.iter().take(count).map(|metric| metric.better).collect(),
            labels: read.matched.iter().map(|cell| read.cells.labels[*cell].clone()).collect(),
            pooled: (0..count).map(pooled_of).collect(),
            only_base: labels(&only_base),
            only_candidate: labels(&(&candidate - &base)),
            lost: labels(&(&only_base & &failed)),
            differences: differences(&read.base[0], &read.candidate[0]),
            frontier: read.frontier(of_frontier, &request.judge),
            drifts: (0..count)
                .map(|metric| [drift_of(&read.base, metric), drift_of(&read.candidate, metric)])
                .collect(),
            odd: read.odd(&judged),
            gates: Vec::new(),
            needed: Vec::new(),
            judged,
            judge: request.judge,
            sql: request.reading.sql(sources.base).await?,
        };
        comparison.judge_gates(&request.gates);
        comparison.needed = (0..count).map(|metric| comparison.needed_of(metric, &request.gates)).collect();
        Ok(comparison)
    }

    /// What all that is said comes to.
    pub fn word(&self) -> Word {
        if self.answers_less() {
            return Word::Worse;
        }
        let changes = self.judged.iter().flat_map(|metric| &metric.changes).map(|change| change.verdict);
        let all: BTreeSet<Verdict> = changes.chain(self.judged.iter().map(|metric| metric.overall.verdict)).collect();
        let is_same = self.judged.iter().all(|metric| metric.overall.verdict == Verdict::Same);
        match (all.contains(&Verdict::Worse), all.contains(&Verdict::Better)) {
            (true, true) => Word::Mixed,
            (true, false) => Word::Worse,
            (false, true) => Word::Better,
            _ if all.contains(&Verdict::Changed) => Word::Changed,
            _ if is_same => Word::Same,
            _ => Word::Unclear,
        }
    }

    /// Whether the noise between equal sweeps is known of any metric.
    pub fn is_noise_known(&self) -> bool {
        self.judged.iter().any(|metric| metric.sweep_sd.is_some())
    }

    /// Cells of which the candidate answers too few requests: before any latency this is what changed.
    pub fn broken(&self) -> Vec<usize> {
        let is_broken = |cell: &usize| {
            let candidate = self.candidate.success[*cell];
            candidate.degraded_runs > 0 && candidate.rate().is_some()
        };
        (0..self.labels.len()).filter(is_broken).collect()
    }

    /// Whether the candidate answers fewer requests than the base somewhere.
    pub fn answers_less(&self) -> bool {
        self.base.success.iter().zip(&self.candidate.success).any(|(base, candidate)| {
            candidate.degraded_runs > 0
                && candidate.rate().zip(base.rate()).is_none_or(|(candidate, base)| candidate < base)
        })
    }

    pub(super) fn judge_gates(&mut self, gates: &[Gate]) {
        self.gates = gates.iter().map(|gate| self.gate(gate)).collect();
    }

    fn gate(&self, gate: &Gate) -> GateResult {
        let metric = self.metrics.iter().position(|metric| *metric == gate.metric).unwrap_or(0);
        let changes = self.judged[metric].changes.iter().enumerate();
        let mut reasons: Vec<(Passage, GateReason)> = changes
            .map(|(cell, change)| {
                let (passage, why) = gate.judge(change, self.judge.false_discovery_rate);
                (passage, GateReason::Change { cell, why })
            })
            .filter(|(passage, _)| *passage != Passage::Passes)
            .collect();
        // What can't be run any more is no better than what became slower, and neither is what answers fewer requests.
        if !self.lost.is_empty() {
            reasons.push((Passage::Fails, GateReason::Failed(self.lost.clone())));
        }
        reasons.extend(self.broken().into_iter().map(|cell| (Passage::Fails, GateReason::Requests { cell })));
        let missing: Vec<String> = self.only_base.iter().filter(|label| !self.lost.contains(label)).cloned().collect();
        if !missing.is_empty() {
            reasons.push((Passage::Unclear, GateReason::Missing(missing)));
        }
        let unfinished = self.candidate.unfinished.iter().cloned();
        reasons.extend(unfinished.map(|text| (Passage::Unclear, GateReason::Unfinished(text))));
        let passage = match () {
            () if reasons.iter().any(|(passage, _)| *passage == Passage::Fails) => Passage::Fails,
            () if reasons.is_empty() => Passage::Passes,
            () => Passage::Unclear,
        };
        let reasons = reasons.into_iter().filter(|(of, _)| *of == passage).map(|(_, reason)| reason);
        GateResult { gate: gate.clone(), passage, reasons: reasons.collect() }
    }

    /// What would show a change of the size that is asked for: a gate's limit, else the threshold.
    fn needed_of(&self, metric: usize, gates: &[Gate]) -> Option<Needed> {
        let gate = gates.iter().find(|gate| gate.metric == self.metrics[metric]).map(|gate| gate.limit.abs());
        let change = gate.unwrap_or(self.judge.threshold).max(LEAST_CHANGE);
        let mut sds: Vec<f64> = self.judged[metric].changes.iter().filter_map(|change| change.sweep_sd).collect();
        sds.sort_by(f64::total_cmp);
        let sweeps = sweeps_needed(*sds.get(sds.len() / 2)?, change);
        let seconds = self.candidate.seconds.or(self.base.seconds).map(|seconds| seconds * sweeps as f64);
        Some(Needed { change, sweeps, seconds })
    }
}

/// No smaller change is asked for.
const LEAST_CHANGE: f64 = 0.005;

impl Read {
    async fn of(sources: Sources<'_>, request: &CompareRequest) -> Result<Self, CompareError> {
        let mut cells = Cells::default();
        let base = request.reading.read(sources.base, &mut cells).await?;
        let candidate = request.reading.read(sources.candidate, &mut cells).await?;
        let (Some(first), Some(other)) = (base.first(), candidate.first()) else { return Err(CompareError::NoSweep) };
        if request.likeness == Likeness::Required {
            let unlike = differences(first, other).into_iter().find(|one| one.kind == DifferenceKind::Unlike);
            if let Some(first) = unlike {
                return Err(CompareError::Unlike { base: names(&base), candidate: names(&candidate), first });
            }
        }
        let (has, wants) = (cells_of(&base), cells_of(&candidate));
        let matched: Vec<usize> = (&has & &wants).into_iter().collect();
        if matched.is_empty() {
            let labels = |side: &BTreeSet<usize>| side.iter().map(|cell| cells.labels[*cell].clone()).collect();
            return Err(CompareError::NothingInCommon {
                base: names(&base),
                candidate: names(&candidate),
                only_base: labels(&has),
                only_candidate: labels(&wants),
            });
        }
        let history = match sources.history {
            Some(lake) if request.judge.assumed_sweep_sd.is_none() => {
                history_of(lake, request, &base, &candidate, &mut cells).await?
            }
            _ => History::default(),
        };
        Ok(Self { base, candidate, history, cells, matched })
    }
}

impl Read {
    /// The metrics that are asked for, and behind them what the frontier needs: throughput per GPU, and the hypervolume.
    fn metrics(&self, request: &CompareRequest) -> Vec<MetricRuns> {
        let asked = request.reading.metrics.iter().enumerate().map(|(index, name)| {
            let of = |side: &[SweepRead]| side.iter().map(|sweep| sweep.metrics[index].clone()).collect();
            let (history, far) = self.history.of_metric(index);
            let known = || Metric::of(name).map(|metric| metric.better);
            MetricRuns {
                better: request.directions.get(name).copied().or_else(known),
                cells: self.matched.clone(),
                base: of(&self.base),
                candidate: of(&self.candidate),
                history,
                far,
            }
        });
        asked.chain(self.hypervolumes()).collect()
    }

    /// The hypervolume of each sweep as a metric of one cell: what it changes by must exceed what it does between equal sweeps.
    fn hypervolumes(&self) -> Option<MetricRuns> {
        let area = |sweep: &SweepRead| {
            let value = hypervolume(&self.configurations(std::slice::from_ref(sweep))?);
            let run = Run { value, round: 0, order: 0 };
            Some(SweepRuns { cells: [(HYPERVOLUME, vec![run])].into() })
        };
        let of = |side: &[SweepRead]| side.iter().map(area).collect::<Option<Vec<_>>>();
        let those = |side: &[SweepRead]| side.iter().filter_map(area).collect::<Vec<_>>();
        Some(MetricRuns {
            better: Some(Better::Higher),
            cells: vec![HYPERVOLUME],
            base: of(&self.base)?,
            candidate: of(&self.candidate)?,
            history: [those(&self.history.of_sides[0]), those(&self.history.of_sides[1])],
            far: self.history.far.iter().map(|group| those(group)).collect(),
        })
    }

    /// The mean throughput per user and per GPU of each cell that both sides have; nothing where a cell has none.
    fn configurations(&self, side: &[SweepRead]) -> Option<Vec<Configuration>> {
        let of = |cell: &usize| {
            let users: Vec<&(f64, f64)> = side.iter().filter_map(|sweep| sweep.users.get(cell)).flatten().collect();
            let mean = |f: fn(&&(f64, f64)) -> f64| mean(&users.iter().map(f).collect::<Vec<_>>());
            let key = self.cells.labels[*cell].clone();
            (!users.is_empty()).then(|| Configuration { key, x: mean(|user| user.0), y: mean(|user| user.1) })
        };
        let all: Option<Vec<Configuration>> = self.matched.iter().map(of).collect();
        all.filter(|all| all.iter().all(|one| one.x > 0.0 && one.y > 0.0 && one.x.is_finite() && one.y.is_finite()))
    }

    fn frontier(&self, judged: Vec<JudgedMetric>, judge_by: &Judge) -> Option<FrontierChange> {
        let change = judged.into_iter().next()?.overall;
        let (base, candidate) = (self.configurations(&self.base)?, self.configurations(&self.candidate)?);
        let throughput = self.throughput_per_gpu();
        let noise = &judge(&[throughput], &self.cells.server_of, judge_by)[0].cell_sd;
        let of = |side: &[SweepRead]| {
            noise.iter().map(|sd| sd.map(|sd| sd / (side.len() as f64).sqrt())).collect::<Vec<_>>()
        };
        Some(FrontierChange {
            base_hypervolume: hypervolume(&base),
            candidate_hypervolume: hypervolume(&candidate),
            change,
            moves: moves(&base, &candidate, [&of(&self.base), &of(&self.candidate)]),
            base,
            candidate,
        })
    }

    fn throughput_per_gpu(&self) -> MetricRuns {
        let of = |side: &[SweepRead]| side.iter().map(SweepRead::throughput_per_gpu).collect::<Vec<_>>();
        MetricRuns {
            better: Some(Better::Higher),
            cells: self.matched.clone(),
            base: of(&self.base),
            candidate: of(&self.candidate),
            history: [of(&self.history.of_sides[0]), of(&self.history.of_sides[1])],
            far: self.history.far.iter().map(|group| of(group)).collect(),
        }
    }

    fn odd(&self, judged: &[JudgedMetric]) -> Vec<OddRunTold> {
        let of_metric = |(metric, judged): (usize, &JudgedMetric)| {
            let told = |run: &OddRun| {
                let side = if run.side == SideOf::Base { &self.base } else { &self.candidate };
                let sweep = &side[run.sweep];
                OddRunTold {
                    metric,
                    run: *run,
                    sweep: sweep.name.clone(),
                    label: self.cells.labels[run.cell].clone(),
                    told: sweep.told.get(&(run.cell, run.index)).cloned(),
                }
            };
            judged.odd.iter().map(told).collect::<Vec<_>>()
        };
        judged.iter().enumerate().flat_map(of_metric).collect()
    }

    async fn side(&self, sweeps: &[SweepRead], lake: &Lake) -> Result<Side, CompareError> {
        let success = |cell: &usize| {
            sweeps.iter().filter_map(|sweep| sweep.success.get(cell)).fold(Success::default(), |all, one| all.and(*one))
        };
        let starts = sweeps.iter().map(|sweep| Some(sweep.starts).filter(|starts| *starts > 0)).sum();
        let days: BTreeSet<&String> = sweeps.iter().flat_map(|sweep| &sweep.days).collect();
        let unfinished = sweeps.iter().filter_map(|sweep| {
            let state = sweep.fact("state").filter(|state| *state != "completed")?;
            Some(format!("{} {}", sweep.name, ended_as(state)))
        });
        let apart = lake.pooled_apart().await?.into_iter().map(|apart| apart.to_string());
        let cautions = lake.cautions().await?.into_iter().map(|one| format!("{} run(s): {}", one.runs, one.caution));
        let seconds: Vec<f64> = sweeps.iter().filter_map(|sweep| sweep.fact(SECONDS)?.parse().ok()).collect();
        Ok(Side {
            sweeps: sweeps.iter().map(|sweep| sweep.name.clone()).collect(),
            starts,
            days: days.len(),
            unfinished: unfinished.collect(),
            cautions: apart.chain(cautions).collect(),
            success: self.matched.iter().map(success).collect(),
            seconds: (!seconds.is_empty()).then(|| mean(&seconds)),
        })
    }
}

/// The cell of a metric that has one for the whole sweep.
const HYPERVOLUME: usize = usize::MAX;

fn ended_as(state: &str) -> String {
    match state {
        "interrupted" => "was interrupted".into(),
        "failed" => "has failed runs".into(),
        other => format!("is {other}"),
    }
}

async fn history_of(
    lake: &Lake,
    request: &CompareRequest,
    base: &[SweepRead],
    candidate: &[SweepRead],
    cells: &mut Cells,
) -> Result<History, CompareError> {
    let compared: Vec<SweepRead> = [&base[..1], &candidate[..1]].concat();
    let names = names_of_equal(lake, &compared).await?;
    let reading = Reading { only: Some(names), ..request.reading.clone() };
    match reading.read(lake, cells).await {
        Ok(all) => Ok(History::of(all, base, candidate)),
        // A lake that has no such metric or parameter has no such history.
        Err(error) if error.is_input() => Ok(History::default()),
        Err(error) => Err(error.into()),
    }
}

/// The drift of the first sweep of a side.
fn drift_of(side: &[SweepRead], metric: usize) -> Option<Drift> {
    drift(&side.first()?.metrics[metric])
}

fn cells_of(side: &[SweepRead]) -> BTreeSet<usize> {
    side.iter().flat_map(SweepRead::cells).collect()
}

/// The names of sweeps in one text.
pub fn names(side: &[SweepRead]) -> String {
    side.iter().map(|sweep| sweep.name.as_str()).collect::<Vec<_>>().join(", ")
}
