//! What changed between two sides of the same combinations, and how sure that is.
//!
//! A side is one sweep or several of one build. What a change must exceed is the scatter between equal sweeps
//! ([`super::noise`]), not that of the repeats inside them; where that is not known, no change is called better or worse
//! unless it is beyond any plausible noise. All p-values of a comparison are corrected together, in two steps
//! ([`crate::stats::hierarchical_false_discovery`]), so that of two equal sweeps anything is said in at most one case of twenty.

use super::noise::{
    Known, MeanSquare, Noise, Rests, Run, ServerOf, SideOf, SweepRuns, Unit, is_odd, levels, spread_of, unit,
};
use crate::metric::Better;
use crate::stats::{binomial_tail, hierarchical_false_discovery, mean, t_p_value, t_quantile};

/// How to judge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judge {
    /// A change smaller than this share is none that matters.
    pub threshold: f64,
    /// Of two equal sweeps anything is said with at most this probability; of different ones at most this share of what is
    /// said is false.
    pub false_discovery_rate: f64,
    /// The standard deviation of a sweep's level between equal sweeps, by those who know it.
    pub assumed_sweep_sd: Option<f64>,
}

impl Default for Judge {
    fn default() -> Self {
        Self { threshold: 0.02, false_discovery_rate: 0.05, assumed_sweep_sd: None }
    }
}

/// A metric of the combinations that both sides have, and of sweeps that tell how much equal ones differ.
#[derive(Clone, Debug, Default)]
pub struct MetricRuns {
    /// Nothing where nobody knows.
    pub better: Option<Better>,
    /// The cells that are compared.
    pub cells: Vec<usize>,
    pub base: Vec<SweepRuns>,
    pub candidate: Vec<SweepRuns>,
    /// Sweeps that are equal to those of the base, and others to those of the candidate.
    pub history: [Vec<SweepRuns>; 2],
    /// Groups of sweeps of other builds and machines, equal within each.
    pub far: Vec<Vec<SweepRuns>>,
}

/// What can be said of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Worse,
    Better,
    /// A change in a metric of which nobody said which way is better.
    Changed,
    /// It can't be told.
    Unclear,
    /// Shown to be smaller than the threshold.
    Same,
}

/// What a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// The scatter between equal sweeps.
    Noise,
    /// How much equal sweeps differ is not known. If it were by this standard deviation, the change would be none.
    NoiseUnknown { doubt: f64 },
    /// That is not known either, but no plausible one explains the change.
    BeyondNoise,
    /// The candidate, or the base, has values that no logarithm has: 0, infinite, not a number.
    Collapsed,
    /// A side has no value.
    NoValue,
}

/// The change of one metric of one combination.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The level of each side: the geometric mean over its sweeps, of runs of which odd ones count for less.
    pub base: f64,
    pub candidate: f64,
    pub base_runs: usize,
    pub candidate_runs: usize,
    /// Candidate over base, less one.
    pub ratio: f64,
    /// 95 % confidence interval; `None` where the noise is not known.
    pub interval: Option<(f64, f64)>,
    /// Before and after the correction for all that is tested.
    pub p_value: Option<f64>,
    pub q_value: Option<f64>,
    /// The smallest change that would have been seen in four of five cases.
    pub detectable: Option<f64>,
    /// The standard deviation of the level of one sweep of this kind.
    pub sweep_sd: Option<f64>,
    pub verdict: Verdict,
    pub reason: Reason,
}

/// The change over all cells of a metric: the geometric mean of their ratios.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overall {
    pub ratio: f64,
    pub interval: Option<(f64, f64)>,
    pub p_value: Option<f64>,
    pub q_value: Option<f64>,
    pub cells: usize,
    pub verdict: Verdict,
    pub reason: Reason,
}

/// A run that is off by more than noise explains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OddRun {
    pub side: SideOf,
    pub sweep: usize,
    pub cell: usize,
    /// Which of the cell's runs, in their order.
    pub index: usize,
    pub value: f64,
    /// Over the level of its cell, less one.
    pub off: f64,
}

/// A metric, judged.
#[derive(Clone, Debug)]
pub struct JudgedMetric {
    /// In the order of the cells.
    pub changes: Vec<Change>,
    pub overall: Overall,
    /// The standard deviation of a sweep's level between equal sweeps, and how many sweeps it is known from.
    pub sweep_sd: Option<(f64, usize)>,
    /// The usual standard deviation of a run.
    pub run_sd: f64,
    /// Of each cell: its standard deviation about what all cells of its sweep share.
    pub cell_sd: Vec<Option<f64>>,
    pub odd: Vec<OddRun>,
}

pub const CONFIDENCE: f64 = 0.95;
/// How often a change of the detectable size would be seen.
pub const POWER: f64 = 0.8;
/// A change by more than such a factor is believed without knowing how much equal sweeps differ. It is no noise between sweeps
/// (even at a standard deviation of 20 % one of 100 pairs differs by less); a single run may be an odd one besides.
const BEYOND_NOISE: f64 = 2.5;
const BEYOND_NOISE_OF_FEW: f64 = 3.0;
/// Runs of which an odd one does not move the level far.
const SEVERAL: usize = 3;

impl Verdict {
    pub const ALL: [Self; 5] = [Self::Worse, Self::Better, Self::Changed, Self::Unclear, Self::Same];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::Better => "better",
            Self::Changed => "changed",
            Self::Unclear => "unclear",
            Self::Same => "same",
        }
    }

    /// The verdict on a change that is real, on the logarithmic scale.
    pub fn of_direction(difference: f64, better: Option<Better>) -> Self {
        match better {
            None => Self::Changed,
            Some(Better::Higher) if difference > 0.0 => Self::Better,
            Some(Better::Lower) if difference < 0.0 => Self::Better,
            Some(_) => Self::Worse,
        }
    }
}

/// A difference of logarithms, and what is known of its error.
#[derive(Clone, Copy, Debug)]
pub struct Tested {
    pub difference: f64,
    pub error: MeanSquare,
    /// How likely it is that half of the runs or more that a level rests on are odd ones, which no mean survives.
    pub spoiled: f64,
}

impl Tested {
    /// The probability of such a difference between equal sweeps: by noise, or by odd runs.
    pub fn p_value(&self) -> f64 {
        let by_noise = match self.error.value > 0.0 {
            true => t_p_value(self.difference / self.error.value.sqrt(), self.error.degrees_of_freedom),
            false => f64::from(u8::from(self.difference == 0.0)),
        };
        (by_noise + self.spoiled).min(1.0)
    }

    pub fn half_width(&self, confidence: f64) -> f64 {
        match self.error.value > 0.0 {
            true => t_quantile(0.5 + confidence / 2.0, self.error.degrees_of_freedom) * self.error.value.sqrt(),
            false => 0.0,
        }
    }

    fn interval(&self) -> (f64, f64) {
        let half = self.half_width(CONFIDENCE);
        ((self.difference - half).exp_m1(), (self.difference + half).exp_m1())
    }

    fn detectable(&self) -> f64 {
        let quantiles = 0.5 + CONFIDENCE / 2.0;
        let t = |probability| t_quantile(probability, self.error.degrees_of_freedom);
        ((t(quantiles) + t(POWER)) * self.error.value.sqrt()).exp_m1()
    }

    /// A change is real when it is significant and large enough to matter, and none when its 90 % interval lies within the
    /// threshold (two one-sided tests at 5 %).
    pub fn verdict(&self, q_value: f64, better: Option<Better>, judge: &Judge) -> Verdict {
        let threshold = judge.threshold.ln_1p();
        if self.difference.abs() + self.half_width(0.9) <= threshold {
            return Verdict::Same;
        }
        match q_value <= judge.false_discovery_rate && self.difference.abs() >= threshold {
            true => Verdict::of_direction(self.difference, better),
            false => Verdict::Unclear,
        }
    }
}

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

/// Judges several metrics together: what is said is corrected for all that is tested.
pub fn judge(metrics: &[MetricRuns], server_of: &ServerOf, judge: &Judge) -> Vec<JudgedMetric> {
    let drafts: Vec<Drafted> = metrics.iter().map(|metric| Drafted::of(metric, server_of, judge)).collect();
    let families: Vec<Vec<f64>> = drafts.iter().map(Drafted::p_values).collect();
    let corrected = hierarchical_false_discovery(&families, judge.false_discovery_rate);
    drafts
        .into_iter()
        .zip(metrics)
        .zip(corrected)
        .map(|((drafted, metric), q)| drafted.judged(metric, q, judge))
        .collect()
}

/// A metric, before the p-values are corrected.
struct Drafted {
    cells: Vec<Draft>,
    overall: Option<Tested>,
    overall_difference: Option<f64>,
    noise: Noise,
    run_sd: f64,
    odd: Vec<OddRun>,
}

impl Drafted {
    fn of(metric: &MetricRuns, server_of: &ServerOf, judge: &Judge) -> Self {
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

    fn p_values(&self) -> Vec<f64> {
        let cells = self.cells.iter().filter_map(|cell| match &cell.found {
            Found::Tested(tested) => Some(tested.p_value()),
            _ => None,
        });
        cells.chain(self.overall.iter().map(Tested::p_value)).collect()
    }

    fn judged(self, metric: &MetricRuns, q_values: Vec<f64>, judge: &Judge) -> JudgedMetric {
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
            (Some(tested), Some(q)) => Overall { verdict: tested.verdict(q, metric.better, judge), ..plain },
            _ if self.overall_difference.is_none() => Overall { reason: Reason::NoValue, ..plain },
            _ => {
                let runs = self.cells.iter().map(|cell| cell.runs[0].min(cell.runs[1])).min().unwrap_or(0);
                let sweeps = [metric.base.len(), metric.candidate.len()];
                let (verdict, reason) = without_noise(difference, runs, sweeps, metric.better);
                Overall { verdict, reason, ..plain }
            }
        }
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
            (Found::Tested(tested), Some(q)) => Change {
                interval: Some(tested.interval()),
                p_value: Some(tested.p_value()),
                q_value: Some(q),
                detectable: Some(tested.detectable()),
                sweep_sd: Some((tested.error.value / per_sweep(self.sweeps)).sqrt()),
                verdict: tested.verdict(q, better, judge),
                reason: Reason::Noise,
                ..plain
            },
            (Found::Difference(difference), _) => {
                let (verdict, reason) = without_noise(*difference, self.runs[0].min(self.runs[1]), self.sweeps, better);
                Change { verdict, reason, ..plain }
            }
            (Found::Settled(verdict, reason), _) => Change { verdict: *verdict, reason: *reason, ..plain },
            (Found::Tested(_), None) => plain,
        }
    }
}

/// What can be said where nobody knows how much equal sweeps differ.
fn without_noise(difference: f64, runs: usize, sweeps: [usize; 2], better: Option<Better>) -> (Verdict, Reason) {
    let per_sweep = per_sweep(sweeps).sqrt();
    let plausible = if runs >= SEVERAL { BEYOND_NOISE } else { BEYOND_NOISE_OF_FEW };
    match difference.abs() > plausible.ln() {
        true => (Verdict::of_direction(difference, better), Reason::BeyondNoise),
        false => {
            let doubt = difference.abs() / (t_quantile(0.5 + CONFIDENCE / 2.0, f64::INFINITY) * per_sweep);
            (Verdict::Unclear, Reason::NoiseUnknown { doubt })
        }
    }
}

fn per_sweep(sweeps: [usize; 2]) -> f64 {
    sweeps.iter().map(|count| 1.0 / (*count).max(1) as f64).sum()
}

/// How many sweeps of each side would show a change of this share in four of five cases, when one combination is looked at.
pub fn sweeps_needed(sweep_sd: f64, change: f64) -> usize {
    let difference = change.ln_1p();
    let enough = |sweeps: &usize| {
        let free = (2 * sweeps - 2) as f64;
        let quantiles = t_quantile(0.5 + CONFIDENCE / 2.0, free) + t_quantile(POWER, free);
        quantiles * sweep_sd * (2.0 / *sweeps as f64).sqrt() <= difference
    };
    (2..MOST_SWEEPS).find(enough).unwrap_or(MOST_SWEEPS)
}

const MOST_SWEEPS: usize = 10_000;

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
    if let Some((verdict, was, is)) = collapse(&runs[0], &runs[1], metric.better) {
        (draft.base, draft.candidate) = (was, is);
        draft.found = Found::Settled(verdict, Reason::Collapsed);
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

/// The share of odd runs among all that are known.
fn odd_share(known: &Known<'_>, spread: f64) -> f64 {
    let (mut odd, mut all) = (0.0, 0.0);
    for sweep in known.all() {
        let levels = unit(sweep, spread);
        for (cell, runs) in sweep.cells.iter().filter(|(_, runs)| runs.len() >= SEVERAL) {
            let Some(level) = levels.get(cell) else { continue };
            odd += runs.iter().filter(|run| is_odd(run.value.ln(), *level, spread)).count() as f64;
            all += runs.len() as f64;
        }
    }
    if all > 0.0 { odd / all } else { 0.0 }
}

/// How likely it is that half of the runs of a level or more are odd. Several sweeps make up for each other.
fn spoiled(rests: Rests, odd_share: f64) -> f64 {
    let runs = rests.runs.round().max(1.0) as usize;
    if rests.sweeps == 1 { binomial_tail(runs.div_ceil(2), odd_share, runs) } else { 0.0 }
}

/// Values of which no ratio can be made: from or to 0, infinite, or not a number. What became so is worse, if that is the wrong
/// way; the same on both sides is the same. With the middle value of each side.
pub fn collapse(base: &[f64], candidate: &[f64], better: Option<Better>) -> Option<(Verdict, f64, f64)> {
    let is_usable = |values: &[f64]| values.iter().all(|value| *value > 0.0 && value.is_finite());
    if base.is_empty() || candidate.is_empty() || (is_usable(base) && is_usable(candidate)) {
        return None;
    }
    let counts_as = |value: f64| match (value.is_nan(), better) {
        // What can't be computed is no better than the worst.
        (true, Some(Better::Higher)) => 0.0,
        (true, _) => f64::INFINITY,
        (false, _) => value,
    };
    let (was, is) = (counts_as(middle(base)), counts_as(middle(candidate)));
    let (lowest, highest) =
        base.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let verdict = match () {
        () if was == is => Verdict::Same,
        // A value between those of the base is no change that can be told.
        () if is >= lowest && is <= highest => Verdict::Unclear,
        () => Verdict::of_direction(if is > was { 1.0 } else { -1.0 }, better),
    };
    Some((verdict, was, is))
}

fn runs_of(side: &[SweepRuns], cell: usize) -> Vec<f64> {
    side.iter().filter_map(|sweep| sweep.cells.get(&cell)).flatten().map(|run| run.value).collect()
}

/// The median; of infinite ones too.
fn middle(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What the levels of all cells rest on: on as few sweeps as that of the least, and on the usual number of runs.
fn mean_rests(cells: impl Iterator<Item = Option<Rests>>) -> Rests {
    let all: Vec<Rests> = cells.flatten().collect();
    let inverse = all.iter().map(|rests| 1.0 / rests.runs).sum::<f64>() / all.len().max(1) as f64;
    Rests { sweeps: all.iter().map(|rests| rests.sweeps).min().unwrap_or(1), runs: 1.0 / inverse }
}

fn odd_runs(side: SideOf, sweeps: &[SweepRuns], levels: &[Unit], spread: f64) -> Vec<OddRun> {
    let mut odd = Vec::new();
    for (sweep, (runs, levels)) in sweeps.iter().zip(levels).enumerate() {
        for (cell, runs) in runs.cells.iter().filter(|(_, runs)| runs.len() >= SEVERAL) {
            let Some(level) = levels.get(cell) else { continue };
            let is_odd = |run: &Run| is_odd(run.value.ln(), *level, spread);
            odd.extend(runs.iter().enumerate().filter(|(_, run)| is_odd(run)).map(|(index, run)| OddRun {
                side,
                sweep,
                cell: *cell,
                index,
                value: run.value,
                off: (run.value.ln() - level).exp_m1(),
            }));
        }
    }
    odd
}
