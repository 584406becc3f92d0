//! What a comparison is made from: both sides and the history as they were read, and what of them is judged.

use super::Judge;
use super::alike::{DifferenceKind, differences};
use super::change::{JudgedMetric, MetricRuns, OddRun, judge};
use super::drift::{Drift, drift};
use super::frontier::{Configuration, hypervolume, moves};
use super::history::{History, names_of_equal};
use super::noise::{Run, SideOf, SweepRuns};
use super::parts::{FrontierChange, OddRunTold, Side};
use super::reading::{Cells, Reading, SECONDS, Success, SweepRead};
use super::request::{CompareError, CompareRequest, Likeness, Sources};
use crate::metric::{Better, Metric};
use crate::query::Lake;
use crate::stats::mean;
use std::collections::BTreeSet;

/// Both sides as they were read, with the cells that they have in common.
pub struct Read {
    pub base: Vec<SweepRead>,
    pub candidate: Vec<SweepRead>,
    pub history: History,
    pub cells: Cells,
    pub matched: Vec<usize>,
}

impl Read {
    pub async fn of(sources: Sources<'_>, request: &CompareRequest) -> Result<Self, CompareError> {
        let mut cells = Cells::default();
        let base = request.reading.read(sources.base, &mut cells).await?;
        let candidate = request.reading.read(sources.candidate, &mut cells).await?;
        let Some(other) = candidate.first().filter(|_| !base.is_empty()) else { return Err(CompareError::NoSweep) };
        if request.likeness == Likeness::Required {
            for sweep in &base {
                let unlike = differences(sweep, other).into_iter().find(|one| one.kind == DifferenceKind::Unlike);
                if let Some(first) = unlike {
                    return Err(CompareError::Unlike { base: sweep.name.clone(), candidate: names(&candidate), first });
                }
            }
        }
        if base.iter().any(|sweep| sweep.fact("folder").is_some() && sweep.fact("folder") == other.fact("folder")) {
            return Err(CompareError::Itself { sweep: other.name.clone() });
        }
        let (has, wants) = (cells_of(&base), cells_of(&candidate));
        if wants.is_empty() && !other.failed.is_empty() {
            return Err(CompareError::AllFailed { candidate: names(&candidate) });
        }
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
    pub fn metrics(&self, request: &CompareRequest) -> Vec<MetricRuns> {
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

    pub fn frontier(&self, judged: Vec<JudgedMetric>, judge_by: &Judge) -> Option<FrontierChange> {
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

    pub fn odd(&self, judged: &[JudgedMetric]) -> Vec<OddRunTold> {
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

    pub async fn side(&self, sweeps: &[SweepRead], lake: &Lake) -> Result<Side, CompareError> {
        let success = |cell: &usize| {
            sweeps.iter().filter_map(|sweep| sweep.success.get(cell)).fold(Success::default(), |all, one| all.and(*one))
        };
        let starts = sweeps.iter().map(|sweep| Some(sweep.starts).filter(|starts| *starts > 0)).sum();
        let days: BTreeSet<&String> = sweeps.iter().flat_map(|sweep| &sweep.days).collect();
        let unfinished = sweeps.iter().filter_map(|sweep| {
            let state = sweep.fact("state").filter(|state| *state != "completed");
            // A folder of vLLM's has no state, and failed runs all the same.
            let state = state.or_else(|| (!sweep.failed.is_empty()).then_some("failed"))?;
            Some(format!("{} {}", sweep.name, ended_as(state)))
        });
        let apart = lake.pooled_apart().await?.into_iter().map(|apart| apart.to_string());
        let cautions = lake.cautions().await?.into_iter().map(|one| format!("{} run(s): {}", one.runs, one.caution));
        let earlier = sweeps.iter().filter(|sweep| sweep.earlier > 0).map(|sweep| {
            let (count, name) = (sweep.earlier, &sweep.name);
            format!(
                "{count} run(s) of {name} are excluded: their combinations were measured again under changed conditions"
            )
        });
        let unbounded = lake.unbounded_percentiles().await?.into_iter().map(|unbounded| unbounded.to_string());
        let seconds: Vec<f64> = sweeps.iter().filter_map(|sweep| sweep.fact(SECONDS)?.parse().ok()).collect();
        Ok(Side {
            sweeps: sweeps.iter().map(|sweep| sweep.name.clone()).collect(),
            starts,
            days: days.len(),
            unfinished: unfinished.collect(),
            cautions: earlier.chain(apart).chain(cautions).chain(unbounded).collect(),
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
pub fn drift_of(side: &[SweepRead], metric: usize) -> Option<Drift> {
    drift(&side.first()?.metrics[metric])
}

pub fn cells_of(side: &[SweepRead]) -> BTreeSet<usize> {
    side.iter().flat_map(SweepRead::cells).collect()
}

/// The names of sweeps in one text.
fn names(side: &[SweepRead]) -> String {
    side.iter().map(|sweep| sweep.name.as_str()).collect::<Vec<_>>().join(", ")
}
