//! A metric before its p-values are corrected: levels, differences and errors of its cells.

use super::collapse::{collapse, middle};
use super::odd::{odd_runs, odd_share, spoiled};
use super::{
    BEYOND_NOISE, BEYOND_NOISE_OF_FEW, CONFIDENCE, Change, Judge, JudgedMetric, MetricRuns, OddRun, Overall, Reason,
    SEVERAL, Tested, Verdict, per_sweep,
};
use crate::compare::noise::{Known, Noise, Rests, ServerOf, SideOf, SweepRuns, Unit, levels, spread_of};
use crate::metric::Better;
use crate::stats::{mean, t_quantile};

/// A cell, before the p-values are corrected.
struct Draft {
    base: f64,
    candidate: f64,
    runs: [usize; 2],
    sweeps: [usize; 2],
    found: Found,
}

enum Found {
    Tested(Tested),
    /// The noise is not known.
    Difference(f64),
    Settled(Verdict, Reason),
}

/// A metric, before the p-values are corrected.
pub struct Drafted {
    cells: Vec<Draft>,
    overall: Option<Tested>,
    overall_difference: Option<f64>,
    noise: Noise,
    run_sd: f64,
    odd: Vec<OddRun>,
}

impl Drafted {
    pub fn of(metric: &MetricRuns, server_of: &ServerOf, judge: &Judge) -> Self {
        let known = Known {
            base: &metric.base,
            candidate: &metric.candidate,
            history: [&metric.history[0], &metric.history[1]],
            far: &metric.far,
            server_of,
            assumed: judge.assumed_sweep_sd,
        };
        let (noise, run_sd) = (Noise::of(&known), spread_of(&known));
        let base = levels(&noise, &metric.base, SideOf::Base, run_sd);
        let candidate = levels(&noise, &metric.candidate, SideOf::Candidate, run_sd);
        let odd_share = odd_share(&known, run_sd);
        let cells: Vec<Draft> =
            metric.cells.iter().map(|cell| draft(*cell, metric, [&base, &candidate], &noise, odd_share)).collect();
        let differences: Vec<f64> = cells.iter().filter_map(Draft::difference).collect();
        let overall_difference = (!differences.is_empty()).then(|| mean(&differences));
        let rests = |side: usize| mean_rests(cells.iter().map(|cell| cell.rests(side)));
        let error = noise.of_mean(differences.len().max(1), rests(0), rests(1));
        let overall =
            overall_difference.zip(error).map(|(difference, error)| Tested { difference, error, spoiled: 0.0 });
        let odd = [(SideOf::Base, &metric.base, &base), (SideOf::Candidate, &metric.candidate, &candidate)];
        let odd = odd.into_iter().flat_map(|(side, sweeps, levels)| odd_runs(side, sweeps, levels, run_sd)).collect();
        Self { cells, overall, overall_difference, noise, run_sd, odd }
    }

    pub fn p_values(&self) -> Vec<f64> {
        let cells = self.cells.iter().filter_map(|cell| match &cell.found {
            Found::Tested(tested) => Some(tested.p_value()),
            _ => None,
        });
        cells.chain(self.overall.iter().map(Tested::p_value)).collect()
    }

    pub fn judged(self, metric: &MetricRuns, q_values: Vec<f64>, judge: &Judge) -> JudgedMetric {
        let mut q_values = q_values.into_iter();
        let changes: Vec<Change> = self
            .cells
            .iter()
            .map(|cell| {
                let q = matches!(cell.found, Found::Tested(_)).then(|| q_values.next()).flatten();
                cell.change(q, metric.better, judge)
            })
            .collect();
        let overall = self.overall(&changes, q_values.next(), metric, judge);
        JudgedMetric {
            overall,
            changes,
            sweep_sd: self.noise.of_sweeps(),
            run_sd: self.run_sd,
            cell_sd: metric.cells.iter().map(|cell| self.noise.of_cell_alone(*cell)).collect(),
            odd: self.odd,
        }
    }

    fn least_runs(&self) -> usize {
        self.cells.iter().map(|cell| cell.runs[0].min(cell.runs[1])).min().unwrap_or(0)
    }

    fn overall(&self, changes: &[Change], q_value: Option<f64>, metric: &MetricRuns, judge: &Judge) -> Overall {
        let difference = self.overall_difference.unwrap_or(f64::NAN);
        let cells = self.cells.iter().filter(|cell| cell.difference().is_some()).count();
        let plain = Overall {
            ratio: difference.exp_m1(),
            interval: self.overall.map(|tested| tested.interval()),
            p_value: self.overall.map(|tested| tested.p_value()),
            q_value,
            cells,
            verdict: Verdict::Unclear,
            reason: Reason::Noise,
        };
        // What collapsed somewhere is not made up for elsewhere.
        if let Some(change) =
            changes.iter().filter(|change| change.reason == Reason::Collapsed).min_by_key(|change| change.verdict)
        {
            return Overall { verdict: change.verdict, reason: change.reason, ..plain };
        }
        match (self.overall, q_value) {
            (Some(tested), Some(q)) => {
                let (verdict, reason) = tested.told(q, self.least_runs(), metric.better, judge);
                Overall { verdict, reason, ..plain }
            }
            _ if self.overall_difference.is_none() => of_values_without_ratio(changes, plain),
            _ => {
                let sweeps = [metric.base.len(), metric.candidate.len()];
                let (verdict, reason) = without_noise(difference, self.least_runs(), sweeps, metric.better);
                Overall { verdict, reason, ..plain }
            }
        }
    }
}

/// Over cells of which none has a ratio: the same where all are, else it can't be told.
fn of_values_without_ratio(changes: &[Change], plain: Overall) -> Overall {
    let is_same = !changes.is_empty() && changes.iter().all(|change| change.verdict == Verdict::Same);
    let has_values = changes.iter().any(|change| change.reason == Reason::NoRatio);
    Overall {
        verdict: if is_same { Verdict::Same } else { Verdict::Unclear },
        reason: if has_values { Reason::NoRatio } else { Reason::NoValue },
        ..plain
    }
}

impl Draft {
    fn difference(&self) -> Option<f64> {
        match &self.found {
            Found::Tested(tested) => Some(tested.difference),
            Found::Difference(difference) => Some(*difference),
            Found::Settled(..) => None,
        }
    }

    fn rests(&self, side: usize) -> Option<Rests> {
        self.difference()?;
        Some(Rests { sweeps: self.sweeps[side], runs: self.runs[side] as f64 / self.sweeps[side] as f64 })
    }

    fn change(&self, q_value: Option<f64>, better: Option<Better>, judge: &Judge) -> Change {
        let plain = Change {
            base: self.base,
            candidate: self.candidate,
            base_runs: self.runs[0],
            candidate_runs: self.runs[1],
            ratio: self.candidate / self.base - 1.0,
            interval: None,
            p_value: None,
            q_value: None,
            detectable: None,
            sweep_sd: None,
            verdict: Verdict::Unclear,
            reason: Reason::NoValue,
        };
        match (&self.found, q_value) {
            (Found::Tested(tested), Some(q)) => {
                let (verdict, reason) = tested.told(q, self.runs[0].min(self.runs[1]), better, judge);
                Change {
                    interval: Some(tested.interval()),
                    p_value: Some(tested.p_value()),
                    q_value: Some(q),
                    detectable: Some(tested.detectable()),
                    sweep_sd: Some((tested.error.value / per_sweep(self.sweeps)).sqrt()),
                    verdict,
                    reason,
                    ..plain
                }
            }
            (Found::Difference(difference), _) => {
                let (verdict, reason) = without_noise(*difference, self.runs[0].min(self.runs[1]), self.sweeps, better);
                Change { verdict, reason, ..plain }
            }
            (Found::Settled(verdict, reason), _) => Change { verdict: *verdict, reason: *reason, ..plain },
            (Found::Tested(_), None) => plain,
        }
    }
}

/// Whether no plausible noise explains a difference.
pub fn is_beyond_noise(difference: f64, runs: usize) -> bool {
    let plausible = if runs >= SEVERAL { BEYOND_NOISE } else { BEYOND_NOISE_OF_FEW };
    difference.abs() > plausible.ln()
}

/// What can be said where nobody knows how much equal sweeps differ.
fn without_noise(difference: f64, runs: usize, sweeps: [usize; 2], better: Option<Better>) -> (Verdict, Reason) {
    let per_sweep = per_sweep(sweeps).sqrt();
    match is_beyond_noise(difference, runs) {
        true => (Verdict::of_direction(difference, better), Reason::BeyondNoise),
        false => {
            let doubt = difference.abs() / (t_quantile(0.5 + CONFIDENCE / 2.0, f64::INFINITY) * per_sweep);
            (Verdict::Unclear, Reason::NoiseUnknown { doubt })
        }
    }
}

fn draft(cell: usize, metric: &MetricRuns, levels: [&[Unit]; 2], noise: &Noise, odd_share: f64) -> Draft {
    let runs = [&metric.base, &metric.candidate].map(|side| runs_of(side, cell));
    let own = levels.map(|side| side.iter().filter_map(|unit| unit.get(&cell).copied()).collect::<Vec<f64>>());
    let counts = [runs[0].len(), runs[1].len()];
    let sweeps = [own[0].len(), own[1].len()];
    let plain = |side: usize| match own[side].is_empty() {
        true => middle(&runs[side]),
        false => mean(&own[side]).exp(),
    };
    let mut draft = Draft {
        base: plain(0),
        candidate: plain(1),
        runs: counts,
        sweeps,
        found: Found::Settled(Verdict::Unclear, Reason::NoValue),
    };
    if let Some((verdict, reason, was, is)) = collapse(&runs[0], &runs[1], metric.better) {
        (draft.base, draft.candidate) = (was, is);
        draft.found = Found::Settled(verdict, reason);
    } else if is_gone(cell, metric) && metric.better.is_some() {
        draft.found = Found::Settled(Verdict::Worse, Reason::Collapsed);
    } else if sweeps[0] > 0 && sweeps[1] > 0 {
        let difference = mean(&own[1]) - mean(&own[0]);
        draft.found = Found::Difference(difference);
        if let (Some(base), Some(candidate)) = (draft.rests(0), draft.rests(1))
            && let Some(error) = noise.of_cell(cell, base, candidate)
        {
            let spoiled = spoiled(base, odd_share) + spoiled(candidate, odd_share);
            draft.found = Found::Tested(Tested { difference, error, spoiled });
        }
    }
    draft
}

/// What the levels of all cells rest on: on as few sweeps as that of the least, and on the usual number of runs.
fn mean_rests(cells: impl Iterator<Item = Option<Rests>>) -> Rests {
    let all: Vec<Rests> = cells.flatten().collect();
    let inverse = all.iter().map(|rests| 1.0 / rests.runs).sum::<f64>() / all.len().max(1) as f64;
    Rests { sweeps: all.iter().map(|rests| rests.sweeps).min().unwrap_or(1), runs: 1.0 / inverse }
}

/// Whether the candidate has no number where the base has one, and has the metric elsewhere: what it measured there is none.
fn is_gone(cell: usize, metric: &MetricRuns) -> bool {
    let has = |side: &[SweepRuns], cell: usize| !runs_of(side, cell).is_empty();
    has(&metric.base, cell)
        && !has(&metric.candidate, cell)
        && metric.cells.iter().any(|other| has(&metric.candidate, *other))
}

fn runs_of(side: &[SweepRuns], cell: usize) -> Vec<f64> {
    side.iter().filter_map(|sweep| sweep.cells.get(&cell)).flatten().map(|run| run.value).collect()
}
