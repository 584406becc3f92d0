//! What changed between two sets of runs of the same combination, and how sure that is.
//!
//! Everything is done on logarithms: a change is a ratio, and the noise of a benchmark is in proportion to what it
//! measures. A few repeats say little of their own noise, so the cells of a metric lend each other theirs
//! ([`crate::stats::moderate`]), and the p-values of all cells are corrected for their number.

use crate::metric::Better;
use crate::stats::{Summary, false_discovery, mean, moderate, t_p_value, t_quantile};

/// A metric of a combination, measured in both sweeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    pub base: Vec<f64>,
    pub candidate: Vec<f64>,
}

/// How to judge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judge {
    /// A change smaller than this share is none that matters.
    pub threshold: f64,
    /// The share of false ones among the changes that are called real.
    pub false_discovery_rate: f64,
}

impl Default for Judge {
    fn default() -> Self {
        Self { threshold: 0.02, false_discovery_rate: 0.05 }
    }
}

/// What can be said of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Worse,
    Better,
    /// Shown to be smaller than the threshold.
    Same,
    /// The runs can't tell.
    Unclear,
    /// Fewer than three runs on a side, or no positive numbers: nothing can be concluded.
    TooFew,
}

/// The change of one metric of one combination.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    pub base_mean: f64,
    pub candidate_mean: f64,
    pub base_runs: usize,
    pub candidate_runs: usize,
    /// Candidate over base, less one; from the means of the logarithms.
    pub ratio: f64,
    /// 95 % confidence interval; `None` with too few runs.
    pub interval: Option<(f64, f64)>,
    /// Before and after the correction for the number of cells.
    pub p_value: Option<f64>,
    pub q_value: Option<f64>,
    /// The smallest change that these runs would have shown in four of five cases.
    pub detectable: Option<f64>,
    pub verdict: Verdict,
}

/// The change over all cells of a metric: the geometric mean of their ratios.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overall {
    pub ratio: f64,
    pub interval: Option<(f64, f64)>,
    pub cells: usize,
    pub verdict: Verdict,
    /// The usual standard deviation of a run, as a share of its value.
    pub noise: Option<f64>,
}

/// Fewer repeats than these tell nothing of their spread.
pub const LEAST_RUNS: usize = 3;
const CONFIDENCE: f64 = 0.95;
/// How often a change of the detectable size would be seen.
const POWER: f64 = 0.8;

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::Better => "better",
            Self::Same => "same",
            Self::Unclear => "unclear",
            Self::TooFew => "too few runs",
        }
    }
}

/// A pair on the logarithmic scale.
struct Cell {
    difference: f64,
    variance: f64,
    degrees_of_freedom: f64,
    /// 1/n + 1/m.
    weight: f64,
}

impl Cell {
    fn of(pair: &Pair) -> Option<Self> {
        let logs = |values: &[f64]| -> Option<Vec<f64>> {
            let is_usable = values.len() >= LEAST_RUNS && values.iter().all(|value| *value > 0.0 && value.is_finite());
            is_usable.then(|| values.iter().map(|value| value.ln()).collect())
        };
        let (base, candidate) = (Summary::of(&logs(&pair.base)?)?, Summary::of(&logs(&pair.candidate)?)?);
        let squares = |side: &Summary| side.std.unwrap_or(0.0).powi(2) * (side.n - 1) as f64;
        let degrees_of_freedom = (base.n + candidate.n - 2) as f64;
        Some(Self {
            difference: candidate.mean - base.mean,
            variance: (squares(&base) + squares(&candidate)) / degrees_of_freedom,
            degrees_of_freedom,
            weight: 1.0 / base.n as f64 + 1.0 / candidate.n as f64,
        })
    }
}

/// Judges the cells of several metrics together: their number is that of all.
pub fn judge(metrics: &[(Better, Vec<Pair>)], judge: &Judge) -> Vec<(Vec<Change>, Overall)> {
    let cells: Vec<Vec<Option<Cell>>> = metrics.iter().map(|(_, pairs)| pairs.iter().map(Cell::of).collect()).collect();
    let tested: Vec<Vec<Option<Tested>>> = cells.iter().map(|cells| tested(cells)).collect();
    let p_values: Vec<f64> = tested.iter().flatten().flatten().map(|tested| tested.p_value).collect();
    let mut q_values = false_discovery(&p_values).into_iter();
    let number = p_values.len().max(1) as f64;
    let mut judged = Vec::new();
    for ((better, pairs), tested) in metrics.iter().zip(&tested) {
        let changes: Vec<Change> = pairs
            .iter()
            .zip(tested)
            .map(|(pair, tested)| {
                let q_value = tested.as_ref().and_then(|_| q_values.next());
                change(pair, tested.as_ref().zip(q_value), *better, judge, number)
            })
            .collect();
        let overall = overall(&changes, tested, *better, judge);
        judged.push((changes, overall));
    }
    judged
}

/// A cell with its moderated variance.
struct Tested {
    difference: f64,
    std_error: f64,
    std: f64,
    degrees_of_freedom: f64,
    p_value: f64,
}

fn tested(cells: &[Option<Cell>]) -> Vec<Option<Tested>> {
    let usable: Vec<&Cell> = cells.iter().flatten().collect();
    let moderated = moderate(
        &usable.iter().map(|cell| cell.variance).collect::<Vec<_>>(),
        &usable.iter().map(|cell| cell.degrees_of_freedom).collect::<Vec<_>>(),
    );
    let mut moderated = moderated.variances.into_iter().zip(moderated.degrees_of_freedom);
    cells
        .iter()
        .map(|cell| {
            let cell = cell.as_ref()?;
            let (variance, degrees_of_freedom) = moderated.next()?;
            let std_error = (variance * cell.weight).sqrt();
            let p_value = match std_error > 0.0 {
                true => t_p_value(cell.difference / std_error, degrees_of_freedom),
                false if cell.difference == 0.0 => 1.0,
                false => 0.0,
            };
            Some(Tested { difference: cell.difference, std_error, std: variance.sqrt(), degrees_of_freedom, p_value })
        })
        .collect()
}

fn change(pair: &Pair, tested: Option<(&Tested, f64)>, better: Better, judge: &Judge, number: f64) -> Change {
    let (base_mean, candidate_mean) = (mean(&pair.base), mean(&pair.candidate));
    let plain = Change {
        base_mean,
        candidate_mean,
        base_runs: pair.base.len(),
        candidate_runs: pair.candidate.len(),
        ratio: candidate_mean / base_mean - 1.0,
        interval: None,
        p_value: None,
        q_value: None,
        detectable: None,
        verdict: Verdict::TooFew,
    };
    let Some((tested, q_value)) = tested else { return plain };
    let critical = |confidence: f64| t_quantile(0.5 + confidence / 2.0, tested.degrees_of_freedom) * tested.std_error;
    let alone = t_quantile(1.0 - (1.0 - CONFIDENCE) / number / 2.0, tested.degrees_of_freedom);
    let detectable = (alone + t_quantile(POWER, tested.degrees_of_freedom)) * tested.std_error;
    Change {
        ratio: tested.difference.exp_m1(),
        interval: Some(interval(tested.difference, critical(CONFIDENCE))),
        p_value: Some(tested.p_value),
        q_value: Some(q_value),
        detectable: Some(detectable.exp_m1()),
        verdict: verdict(tested.difference, q_value <= judge.false_discovery_rate, critical(0.9), better, judge),
        ..plain
    }
}

/// A change is real when it is significant and large enough to matter, and none when its 90 % interval lies within the
/// threshold (two one-sided tests at 5 %).
fn verdict(difference: f64, is_significant: bool, half_width: f64, better: Better, judge: &Judge) -> Verdict {
    let threshold = judge.threshold.ln_1p();
    if difference.abs() + half_width <= threshold {
        return Verdict::Same;
    }
    match (is_significant && difference.abs() >= threshold, better) {
        (false, _) => Verdict::Unclear,
        (true, Better::Higher) if difference > 0.0 => Verdict::Better,
        (true, Better::Lower) if difference < 0.0 => Verdict::Better,
        (true, _) => Verdict::Worse,
    }
}

fn interval(difference: f64, half_width: f64) -> (f64, f64) {
    ((difference - half_width).exp_m1(), (difference + half_width).exp_m1())
}

/// The mean over the cells of a metric. Its error is that of these cells: they are all there are, no sample of others.
fn overall(changes: &[Change], tested: &[Option<Tested>], better: Better, judge: &Judge) -> Overall {
    let tested: Vec<&Tested> = tested.iter().flatten().collect();
    if tested.is_empty() {
        let logs: Vec<f64> = changes.iter().map(|change| change.ratio.ln_1p()).filter(|log| log.is_finite()).collect();
        let ratio = if logs.is_empty() { f64::NAN } else { mean(&logs).exp_m1() };
        return Overall { ratio, interval: None, cells: changes.len(), verdict: Verdict::TooFew, noise: None };
    }
    let count = tested.len() as f64;
    let difference = mean(&tested.iter().map(|cell| cell.difference).collect::<Vec<_>>());
    let std_error = tested.iter().map(|cell| cell.std_error.powi(2)).sum::<f64>().sqrt() / count;
    let degrees_of_freedom = tested.iter().map(|cell| cell.degrees_of_freedom).fold(0.0, f64::max);
    let critical = |confidence: f64| t_quantile(0.5 + confidence / 2.0, degrees_of_freedom) * std_error;
    let p_value = match std_error > 0.0 {
        true => t_p_value(difference / std_error, degrees_of_freedom),
        false => f64::from(u8::from(difference == 0.0)),
    };
    let noise = (tested.iter().map(|cell| cell.std.powi(2)).sum::<f64>() / count).sqrt();
    Overall {
        ratio: difference.exp_m1(),
        interval: Some(interval(difference, critical(CONFIDENCE))),
        cells: tested.len(),
        verdict: verdict(difference, p_value <= judge.false_discovery_rate, critical(0.9), better, judge),
        noise: Some(noise),
    }
}

/// How many runs of each side would show a change of this share in four of five cases, at a noise of a run, when one
/// combination is looked at.
pub fn runs_needed(noise: f64, change: f64) -> usize {
    let difference = change.ln_1p();
    let enough = |runs: &usize| {
        let degrees_of_freedom = (2 * runs - 2) as f64;
        let std_error = noise * (2.0 / *runs as f64).sqrt();
        let quantiles = t_quantile(0.5 + CONFIDENCE / 2.0, degrees_of_freedom) + t_quantile(POWER, degrees_of_freedom);
        quantiles * std_error <= difference
    };
    (LEAST_RUNS..MOST_RUNS).find(enough).unwrap_or(MOST_RUNS)
}

const MOST_RUNS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SCIPY_P: f64 = 0.00961605941076579;
    const SCIPY_CHANGE: f64 = 0.07127397821766167;
    const SCIPY_LOW: f64 = 0.025709471748542035;
    const SCIPY_HIGH: f64 = 0.11886257075301919;

    const JUDGE: Judge = Judge { threshold: 0.02, false_discovery_rate: 0.05 };

    fn pair(base: &[f64], candidate: &[f64]) -> Pair {
        Pair { base: base.to_vec(), candidate: candidate.to_vec() }
    }

    fn single(base: &[f64], candidate: &[f64], better: Better) -> Change {
        judge(&[(better, vec![pair(base, candidate)])], &JUDGE)[0].0[0]
    }

    #[test]
    fn one_cell_alone_is_scipys_t_test_of_logarithms() {
        // scipy: r = ttest_ind(log(candidate), log(base)); expm1 of its difference and r.confidence_interval(0.95)
        let change = single(&[100.0, 104.0, 99.0, 101.5], &[108.0, 111.0, 106.0], Better::Lower);
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        close(change.p_value.unwrap(), SCIPY_P);
        close(change.ratio, SCIPY_CHANGE);
        close(change.interval.unwrap().0, SCIPY_LOW);
        close(change.interval.unwrap().1, SCIPY_HIGH);
        assert_eq!((change.q_value, change.verdict), (change.p_value, Verdict::Worse));
    }

    #[test]
    fn a_direction_is_better_or_worse_by_its_metric() {
        let (slow, fast) = ([100.0, 101.0, 99.0], [80.0, 81.0, 79.0]);
        assert_eq!(single(&slow, &fast, Better::Lower).verdict, Verdict::Better);
        assert_eq!(single(&slow, &fast, Better::Higher).verdict, Verdict::Worse);
        assert_eq!(single(&fast, &slow, Better::Higher).verdict, Verdict::Better);
    }

    #[test]
    fn the_same_is_shown_and_not_assumed() {
        let quiet = [100.0, 100.1, 99.9, 100.05];
        assert_eq!(single(&quiet, &[100.1, 100.0, 100.2, 100.1], Better::Lower).verdict, Verdict::Same);
        // A noisy pair of equal means shows nothing.
        let noisy = [80.0, 120.0, 100.0];
        assert_eq!(single(&noisy, &noisy, Better::Lower).verdict, Verdict::Unclear);
        // Significant, and smaller than what matters.
        let change = single(&quiet, &[101.0, 101.1, 100.9, 101.05], Better::Lower);
        assert!(change.p_value.unwrap() < 1e-4 && change.verdict == Verdict::Same, "{change:?}");
    }

    #[test]
    fn of_one_or_two_runs_nothing_is_concluded() {
        let change = single(&[100.0, 101.0], &[200.0, 201.0, 202.0], Better::Lower);
        assert_eq!((change.verdict, change.p_value, change.interval), (Verdict::TooFew, None, None));
        assert!((change.ratio - 1.0).abs() < 0.01);
        assert_eq!(single(&[0.0, 1.0, 2.0], &[1.0, 1.0, 1.0], Better::Lower).verdict, Verdict::TooFew);
    }

    #[test]
    fn many_cells_are_corrected_together_and_their_mean_is_sharper() {
        let quiet = |level: f64, offset: f64| -> Vec<f64> {
            [-0.004, 0.006, -0.001, 0.005, -0.006].iter().map(|error| level * (1.0 + error + offset)).collect()
        };
        let cells: Vec<Pair> = (1..=12)
            .map(|index| pair(&quiet(10.0 * f64::from(index), 0.0), &quiet(10.0 * f64::from(index), 0.03)))
            .collect();
        let judged = judge(&[(Better::Lower, cells.clone()), (Better::Higher, cells)], &JUDGE);
        for ((changes, overall), verdict) in judged.iter().zip([Verdict::Worse, Verdict::Better]) {
            assert!(changes.iter().all(|change| change.verdict == verdict && change.q_value >= change.p_value));
            let (low, high) = overall.interval.unwrap();
            let (cell_low, cell_high) = changes[0].interval.unwrap();
            assert!((overall.ratio - 0.03).abs() < 0.001 && high - low < (cell_high - cell_low) / 3.0);
            assert_eq!(overall.verdict, verdict);
        }
    }

    // statsmodels: TTestIndPower().solve_power(log(1 + change) / noise, power=0.8, alpha=0.05), rounded up
    #[test]
    fn the_runs_that_are_needed_are_about_those_of_statsmodels() {
        for (noise, change, expected) in [(0.03, 0.05, 8), (0.01, 0.02, 6), (0.1, 0.05, 67)] {
            let found = runs_needed(noise, change);
            assert!(found.abs_diff(expected) <= 1, "noise {noise}, change {change}: {found} is not {expected}");
        }
    }
}
