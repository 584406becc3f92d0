//! What changed between two sides of the same combinations, and how sure that is.
//!
//! A side is one sweep or several of one build. What a change must exceed is the scatter between equal sweeps
//! ([`super::noise`]), not that of the repeats inside them; where that is not known, no change is called better or worse
//! unless it is beyond any plausible noise. All p-values of a comparison are corrected together, in two steps
//! ([`crate::stats::hierarchical_false_discovery`]), so that of two equal sweeps anything is said in at most one case of twenty.

mod collapse;
mod drafted;
mod odd;
#[cfg(test)]
mod tests;

pub use collapse::collapse;

use super::noise::{MeanSquare, ServerOf, SideOf, SweepRuns};
use crate::metric::Better;
use crate::stats::{hierarchical_false_discovery, t_p_value, t_quantile};
use drafted::{Drafted, is_beyond_noise};

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
    /// What always had a value is now 0, infinite or no number; or what was always 0 no longer is.
    Collapsed,
    /// Values that no logarithm has: 0, negative, infinite.
    NoRatio,
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
/// And further off than so many standard errors, where one is known.
const FAR: f64 = 4.0;
/// Runs of which an odd one does not move the level far.
pub(super) const SEVERAL: usize = 3;

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

    /// The verdict, and what it rests on: a change beyond any plausible noise is real, however little is known of that, unless what
    /// is known says otherwise.
    fn told(&self, q_value: f64, runs: usize, better: Option<Better>, judge: &Judge) -> (Verdict, Reason) {
        let verdict = self.verdict(q_value, better, judge);
        let is_far = is_beyond_noise(self.difference, runs) && self.difference.abs() > FAR * self.error.value.sqrt();
        match verdict == Verdict::Unclear && is_far {
            true => (Verdict::of_direction(self.difference, better), Reason::BeyondNoise),
            false => (verdict, Reason::Noise),
        }
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

fn per_sweep(sweeps: [usize; 2]) -> f64 {
    sweeps.iter().map(|count| 1.0 / (*count).max(1) as f64).sum()
}
