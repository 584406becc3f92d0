//! One candidate against its base: everything that can be said, as values.

use super::Judge;
use super::alike::{Difference, differences};
use super::change::{JudgedMetric, Verdict, judge, sweeps_needed};
use super::drift::Drift;
use super::gate::{Gate, Passage};
use super::parts::{Design, FrontierChange, GateReason, GateResult, Needed, OddRunTold, Side};
use super::pooled::{Pooled, pooled, requests_of};
use super::read::{Read, cells_of, drift_of};
use super::request::{CompareError, CompareRequest, Sources};
use crate::metric::Better;
use std::collections::BTreeSet;

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
        comparison.needed = (0..count).map(|metric| comparison.needed_of(metric)).collect();
        Ok(comparison)
    }

    /// What all that is said comes to.
    pub fn word(&self) -> Word {
        if self.answers_less() || !self.lost.is_empty() {
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

    /// Cells of which the candidate answers fewer requests than the base: before any latency this is what changed.
    pub fn broken(&self) -> Vec<usize> {
        let is_broken = |cell: &usize| {
            let (base, candidate) = (self.base.success[*cell], self.candidate.success[*cell]);
            candidate.degraded_runs > 0
                && candidate.rate().zip(base.rate()).is_none_or(|(candidate, base)| candidate < base)
        };
        (0..self.labels.len()).filter(is_broken).collect()
    }

    /// Whether the candidate answers fewer requests than the base somewhere.
    pub fn answers_less(&self) -> bool {
        !self.broken().is_empty()
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

    /// The change that is asked for: the limit of the metric's gate, else the threshold.
    pub(super) fn asked_for(&self, metric: usize) -> f64 {
        let gates = self.gates.iter().map(|result| &result.gate);
        let gate = gates.filter(|gate| gate.metric == self.metrics[metric]).map(|gate| gate.limit.abs()).next();
        gate.unwrap_or(self.judge.threshold).max(LEAST_CHANGE)
    }

    /// What would show a change of the size that is asked for.
    fn needed_of(&self, metric: usize) -> Option<Needed> {
        let change = self.asked_for(metric);
        let mut sds: Vec<f64> = self.judged[metric].changes.iter().filter_map(|change| change.sweep_sd).collect();
        sds.sort_by(f64::total_cmp);
        let sweeps = sweeps_needed(*sds.get(sds.len() / 2)?, change);
        let seconds = self.candidate.seconds.or(self.base.seconds).map(|seconds| seconds * sweeps as f64);
        Some(Needed { change, sweeps, seconds })
    }
}

/// No smaller change is asked for.
const LEAST_CHANGE: f64 = 0.005;
