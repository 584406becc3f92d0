//! A base and a candidate that were measured in turn, pair by pair: what changed, decided as soon as it can be.
//!
//! A pair is one start of each server, close in time: what differs from day to day falls out of its difference, and what differs
//! from start to start is the scatter of the differences. They are judged by e-values ([`crate::stats::sequential`]), which may
//! be looked at after every pair. Half of the error rate goes to the metrics over all cells, half to single cells, each part
//! shared evenly among all that are asked (Bonferroni), so that of equal servers anything is said with a probability of at most
//! the error rate, whenever one stops.

use super::change::{Change, Judge, JudgedMetric, Overall, Reason, Verdict, collapse};
use super::gate::{Gate, Passage};
use super::noise::{Run, SweepRuns, Unit, spread, unit};
use crate::metric::Better;
use crate::stats::{mean, sequential, stddev};
use std::collections::{BTreeMap, BTreeSet};

/// What was measured of one metric: of each pair the base and the candidate.
#[derive(Clone, Debug, Default)]
pub struct PairedRuns {
    /// Nothing where nobody knows.
    pub better: Option<Better>,
    pub pairs: BTreeMap<u32, [SweepRuns; 2]>,
}

impl PairedRuns {
    /// Adds a run of the base (0) or the candidate (1).
    pub fn add(&mut self, pair: u32, side: usize, cell: usize, value: f64) {
        let runs = &mut self.pairs.entry(pair).or_default()[side];
        runs.cells.entry(cell).or_default().push(Run { value, round: 0, order: 0 });
    }
}

/// The difference of a cell in each pair that has both.
struct Differences {
    levels: [Vec<f64>; 2],
    differences: Vec<f64>,
}

/// Judges several metrics of the same cells together.
pub fn judge_pairs(metrics: &[PairedRuns], cells: usize, judge: &Judge) -> Vec<JudgedMetric> {
    let alpha = judge.false_discovery_rate / 2.0 / metrics.len().max(1) as f64;
    metrics.iter().map(|metric| judge_metric(metric, cells, alpha, judge)).collect()
}

/// Whether more pairs would change nothing: every gate fails or passes (each with the number of its metric); without gates, each
/// metric is told over all cells, or shown to be the same.
pub fn is_decided(metrics: &[PairedRuns], cells: usize, judge: &Judge, gates: &[(usize, Gate)]) -> bool {
    let judged = judge_pairs(metrics, cells, judge);
    let is_told = |(metric, gate): &(usize, Gate)| {
        let says = |change| gate.judge(change, judge.false_discovery_rate).0;
        let all: Vec<Passage> = judged[*metric].changes.iter().map(says).collect();
        all.contains(&Passage::Fails) || !all.contains(&Passage::Unclear)
    };
    match gates.is_empty() {
        true => judged.iter().all(|metric| metric.overall.verdict != Verdict::Unclear),
        false => gates.iter().all(is_told),
    }
}

fn judge_metric(metric: &PairedRuns, cells: usize, alpha: f64, judge: &Judge) -> JudgedMetric {
    let run_sd = spread(metric.pairs.values().flatten());
    let units: Vec<[Unit; 2]> =
        metric.pairs.values().map(|pair| pair.each_ref().map(|runs| unit(runs, run_sd))).collect();
    let of_cells: Vec<Differences> = (0..cells).map(|cell| differences(&units, cell)).collect();
    let changes: Vec<Change> =
        of_cells.iter().enumerate().map(|(cell, own)| change(metric, cell, own, alpha / cells as f64, judge)).collect();
    let means = means(&units);
    let (verdict, interval, e_value) = told(&means, alpha, metric.better, judge);
    let collapsed = changes.iter().filter(|change| change.reason == Reason::Collapsed).min_by_key(|one| one.verdict);
    let difference = if means.is_empty() { f64::NAN } else { mean(&means) };
    let overall = Overall {
        ratio: difference.exp_m1(),
        interval,
        p_value: e_value.map(p_value),
        q_value: e_value.map(|log| p_value(log + alpha.ln() - judge.false_discovery_rate.ln())),
        cells,
        verdict: collapsed.map_or(verdict, |change| change.verdict),
        reason: match collapsed {
            Some(change) => change.reason,
            None if means.is_empty() && changes.iter().any(|change| change.reason == Reason::NoRatio) => {
                Reason::NoRatio
            }
            None if means.is_empty() => Reason::NoValue,
            None => Reason::Noise,
        },
    };
    // Of a pair's difference, each side has half the variance.
    let half = |differences: &[f64]| stddev(differences).map(|sd| sd / std::f64::consts::SQRT_2);
    JudgedMetric {
        overall,
        sweep_sd: half(&means).map(|sd| (sd, 2 * means.len())),
        run_sd,
        cell_sd: of_cells.iter().map(|own| half(&own.differences)).collect(),
        changes,
        odd: Vec::new(),
    }
}

fn differences(units: &[[Unit; 2]], cell: usize) -> Differences {
    let both = || units.iter().filter_map(|[base, candidate]| Some((*base.get(&cell)?, *candidate.get(&cell)?)));
    Differences {
        levels: [both().map(|pair| pair.0).collect(), both().map(|pair| pair.1).collect()],
        differences: both().map(|(base, candidate)| candidate - base).collect(),
    }
}

/// The mean difference over the cells of each whole pair: of those that have both sides of every cell that most have.
fn means(units: &[[Unit; 2]]) -> Vec<f64> {
    let has = |pair: &[Unit; 2], cell: &usize| pair.iter().all(|unit| unit.contains_key(cell));
    let all: BTreeSet<usize> = units.iter().flatten().flat_map(|unit| unit.keys().copied()).collect();
    let most = |cell: &usize| 2 * units.iter().filter(|pair| has(pair, cell)).count() >= units.len();
    let cells: Vec<usize> = all.into_iter().filter(most).collect();
    if cells.is_empty() {
        return Vec::new();
    }
    let of = |pair: &[Unit; 2]| mean(&cells.iter().map(|cell| pair[1][cell] - pair[0][cell]).collect::<Vec<_>>());
    units.iter().filter(|pair| cells.iter().all(|cell| has(pair, cell))).map(of).collect()
}

/// What can be said of differences at a level of error: the verdict, the interval at that of the judge, the e-value's logarithm.
fn told(
    differences: &[f64],
    alpha: f64,
    better: Option<Better>,
    judge: &Judge,
) -> (Verdict, Option<(f64, f64)>, Option<f64>) {
    if differences.len() < 2 {
        return (Verdict::Unclear, None, None);
    }
    let (middle, log) = (mean(differences), sequential::log_e_value(differences));
    let threshold = judge.threshold.ln_1p();
    let half = sequential::half_width(differences, judge.false_discovery_rate);
    let interval = half.is_finite().then(|| ((middle - half).exp_m1(), (middle + half).exp_m1()));
    let verdict = match () {
        () if middle.abs() + half <= threshold => Verdict::Same,
        () if log >= -alpha.ln() && middle.abs() >= threshold => Verdict::of_direction(middle, better),
        () => Verdict::Unclear,
    };
    (verdict, interval, Some(log))
}

fn change(metric: &PairedRuns, cell: usize, own: &Differences, alpha: f64, judge: &Judge) -> Change {
    let values = |side: usize| -> Vec<f64> {
        let runs = metric.pairs.values().filter_map(|pair| pair[side].cells.get(&cell));
        runs.flatten().map(|run| run.value).collect()
    };
    let (base, candidate) = (values(0), values(1));
    let (verdict, interval, e_value) = told(&own.differences, alpha, metric.better, judge);
    let level = |side: usize| if own.levels[side].is_empty() { f64::NAN } else { mean(&own.levels[side]).exp() };
    let middle = if own.differences.is_empty() { f64::NAN } else { mean(&own.differences) };
    let mut change = Change {
        base: level(0),
        candidate: level(1),
        base_runs: base.len(),
        candidate_runs: candidate.len(),
        ratio: middle.exp_m1(),
        interval,
        p_value: e_value.map(p_value),
        q_value: e_value.map(|log| p_value(log + alpha.ln() - judge.false_discovery_rate.ln())),
        detectable: None,
        sweep_sd: stddev(&own.differences).map(|sd| sd / std::f64::consts::SQRT_2),
        verdict,
        reason: if own.differences.is_empty() { Reason::NoValue } else { Reason::Noise },
    };
    if let Some((verdict, reason, was, is)) = collapse(&base, &candidate, metric.better) {
        change = Change { verdict, base: was, candidate: is, reason, interval: None, ..change };
    }
    change
}

/// An e-value as a p-value: its inverse (Markov).
fn p_value(log_e_value: f64) -> f64 {
    (-log_e_value).exp().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use rand_distr::{Distribution, StandardNormal};

    const CELLS: usize = 4;
    const JUDGE: Judge = Judge { threshold: 0.01, false_discovery_rate: 0.05, assumed_sweep_sd: None };

    /// Measures pairs until it is decided, as the command does, or `most` are there; the pairs drift by the day.
    fn decide(change: f64, start_sd: f64, most: u32, random: &mut StdRng) -> (u32, Vec<JudgedMetric>) {
        let normal = |random: &mut StdRng| -> f64 { StandardNormal.sample(random) };
        let mut metrics = vec![PairedRuns { better: Some(Better::Lower), ..PairedRuns::default() }; 2];
        for pair in 0..most {
            let day = 0.1 * (f64::from(pair) / 10.0).sin();
            for side in 0..2 {
                let start = start_sd * normal(random) + change.ln_1p() * side as f64;
                for (metric, cell) in (0..2).flat_map(|metric| (0..CELLS).map(move |cell| (metric, cell))) {
                    metrics[metric].add(pair, side, cell, 100.0 * (day + start + 0.005 * normal(random)).exp());
                }
            }
            if is_decided(&metrics, CELLS, &JUDGE, &[]) {
                return (pair + 1, judge_pairs(&metrics, CELLS, &JUDGE));
            }
        }
        (most, judge_pairs(&metrics, CELLS, &JUDGE))
    }

    #[test]
    fn equal_servers_are_said_to_differ_in_at_most_one_case_of_twenty() {
        let mut random = StdRng::seed_from_u64(11);
        let is_said = |metric: &JudgedMetric| {
            let real = |verdict: Verdict| matches!(verdict, Verdict::Worse | Verdict::Better);
            real(metric.overall.verdict) || metric.changes.iter().any(|change| real(change.verdict))
        };
        let said = (0..300).filter(|_| decide(0.0, 0.03, 25, &mut random).1.iter().any(is_said)).count();
        assert!(said <= 15, "{said} of 300");
    }

    #[test]
    fn a_pair_that_was_cut_short_takes_nothing_from_the_others() {
        let mut metric = PairedRuns { better: Some(Better::Lower), ..PairedRuns::default() };
        for pair in 0..8 {
            for (side, cell) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let noise = 1.0 + 0.001 * f64::from((pair * 7 + side as u32 * 3 + cell as u32) % 5);
                metric.add(pair, side, cell, if side == 1 { 110.0 } else { 100.0 } * noise);
            }
        }
        metric.add(8, 0, 0, 100.0);
        let judged = &judge_pairs(&[metric], 2, &JUDGE)[0];
        assert_eq!(judged.overall.verdict, Verdict::Worse, "{:?}", judged.overall);
        assert!(judged.changes.iter().all(|change| change.verdict == Verdict::Worse));
    }

    #[test]
    fn a_change_is_decided_in_a_few_pairs_whatever_the_day_does() {
        let mut random = StdRng::seed_from_u64(12);
        let mut pairs = Vec::new();
        for _ in 0..50 {
            let (count, judged) = decide(0.1, 0.02, 40, &mut random);
            assert!(judged.iter().all(|metric| metric.overall.verdict == Verdict::Worse), "{count}");
            pairs.push(count);
        }
        pairs.sort_unstable();
        assert!(pairs[25] <= 8, "{pairs:?}");
        // Quiet servers that are equal are shown to be.
        let (count, judged) = decide(0.0, 0.002, 40, &mut random);
        assert!(judged.iter().all(|metric| metric.overall.verdict == Verdict::Same) && count < 40, "{count}");
    }
}
