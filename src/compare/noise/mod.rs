//! What a difference between sweeps must exceed: how much sweeps of one and the same build differ.
//!
//! All on logarithms: a change is a ratio, and the noise of a benchmark is in proportion to what it measures.

mod strata;
mod within;

pub use crate::stats::robust::is_odd;
pub use strata::{MeanSquare, ServerOf, Strata, Unit, total};
pub use within::Within;

use crate::stats::{robust, variance_prior};
use std::collections::{BTreeMap, BTreeSet};

/// One run of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    pub value: f64,
    pub round: u32,
    /// Its place in the order of its sweep.
    pub order: u32,
}

/// What a sweep measured of one metric: the runs of each cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SweepRuns {
    pub cells: BTreeMap<usize, Vec<Run>>,
}

impl SweepRuns {
    /// The rounds over all servers that it was measured in.
    pub fn rounds(&self) -> BTreeSet<u32> {
        self.cells.values().flatten().map(|run| run.round).collect()
    }

    fn of_round(&self, round: u32) -> Self {
        let own = |runs: &Vec<Run>| runs.iter().filter(|run| run.round == round).copied().collect::<Vec<Run>>();
        let cells = self.cells.iter().map(|(cell, runs)| (*cell, own(runs))).filter(|(_, runs)| !runs.is_empty());
        Self { cells: cells.collect() }
    }
}

/// What is known of the sweeps that are compared, and of others.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub base: &'a [SweepRuns],
    pub candidate: &'a [SweepRuns],
    /// Sweeps that are equal to those of the base, and others to those of the candidate.
    pub history: [&'a [SweepRuns]; 2],
    /// Groups of sweeps of other builds and machines, equal within each.
    pub far: &'a [Vec<SweepRuns>],
    pub server_of: &'a ServerOf,
    /// The standard deviation of a sweep's level, by those who know it.
    pub assumed: Option<f64>,
}

impl<'a> Known<'a> {
    /// The sweeps of each side with those that are equal to them.
    fn near(&self) -> [Vec<&'a SweepRuns>; 2] {
        let with = |side: &'a [SweepRuns], history: &'a [SweepRuns]| side.iter().chain(history).collect();
        [with(self.base, self.history[0]), with(self.candidate, self.history[1])]
    }

    pub fn all(&self) -> impl Iterator<Item = &'a SweepRuns> + use<'a> {
        self.near().into_iter().flatten().chain(self.far.iter().flatten())
    }
}

/// The noise between sweeps.
#[derive(Clone, Debug)]
pub enum Noise {
    /// From the scatter of equal sweeps.
    Measured { strata: Box<Strata>, run: MeanSquare, usual_runs: f64 },
    /// Told: the standard deviation of a sweep's level; what is inside the sweeps is measured.
    Assumed { sd: f64, base: Vec<Within>, candidate: Vec<Within> },
    /// Of one sweep a side nothing is known but its own runs.
    Unknown,
}

/// How many sweeps and runs a level rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rests {
    pub sweeps: usize,
    /// Runs in a sweep.
    pub runs: f64,
}

impl Noise {
    pub fn of(known: &Known<'_>) -> Self {
        let spread = spread_of(known);
        if let Some(sd) = known.assumed {
            let rounds = between_rounds(known, spread);
            let of = |sweep: &SweepRuns| match &rounds {
                Some(rounds) => Some(Within::of_rounds(sweep, rounds, spread)),
                None => Within::of(sweep, spread),
            };
            let within = |side: &[SweepRuns]| side.iter().map(of).collect();
            let sides: (Option<Vec<Within>>, Option<Vec<Within>>) = (within(known.base), within(known.candidate));
            return match sides {
                (Some(base), Some(candidate)) => Self::Assumed { sd, base, candidate },
                _ => Self::Unknown,
            };
        }
        let units = |group: Vec<&SweepRuns>| group.into_iter().map(|sweep| unit(sweep, spread)).collect::<Vec<Unit>>();
        let near = known.near().map(units);
        let far: Vec<Vec<Unit>> = known.far.iter().map(|group| units(group.iter().collect())).collect();
        let strata = Strata::of(near.iter().map(Vec::as_slice), known.server_of);
        let others: Vec<Strata> =
            far.iter().filter_map(|group| Strata::of([group.as_slice()], known.server_of)).collect();
        let all = || Strata::of(far.iter().map(Vec::as_slice), known.server_of);
        let prior = variance_prior(
            &others.iter().map(|group| group.of_mean().value).collect::<Vec<_>>(),
            &others.iter().map(|group| group.of_mean().degrees_of_freedom).collect::<Vec<_>>(),
        );
        let strata = match (strata, prior) {
            (Some(strata), None) => strata,
            (Some(strata), Some(prior)) => strata.with_lent(prior),
            (None, Some(prior)) => match all() {
                Some(all) => all.with_prior(prior),
                None => return Self::Unknown,
            },
            (None, None) => return Self::Unknown,
        };
        let (free, usual_runs) = repeats(known);
        let run = MeanSquare { value: spread * spread, degrees_of_freedom: free };
        Self::Measured { strata: Box::new(strata), run, usual_runs }
    }

    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown)
    }

    /// The variance of the difference of a cell between two sides; nothing where it is not known.
    pub fn of_cell(&self, cell: usize, base: Rests, candidate: Rests) -> Option<MeanSquare> {
        match self {
            Self::Measured { strata, run, usual_runs } => {
                let more = [base, candidate].map(|side| few_runs(*run, side, *usual_runs));
                Some(total(&[scaled(strata.of_cell(cell), per_sweep(base, candidate)), more[0], more[1]]))
            }
            Self::Assumed { sd, base: of_base, candidate: of_candidate } => {
                let own = |side: &[Within]| mean_of(side.iter().map(|within| within.of_cell(cell)));
                Some(total(&[assumed(*sd, base, candidate), own(of_base)?, own(of_candidate)?]))
            }
            Self::Unknown => None,
        }
    }

    /// The variance of the difference of the mean over all cells.
    pub fn of_mean(&self, cells: usize, base: Rests, candidate: Rests) -> Option<MeanSquare> {
        match self {
            Self::Measured { strata, run, usual_runs } => {
                let more = [base, candidate].map(|side| scaled(few_runs(*run, side, *usual_runs), 1.0 / cells as f64));
                Some(total(&[scaled(strata.of_mean(), per_sweep(base, candidate)), more[0], more[1]]))
            }
            Self::Assumed { sd, base: of_base, candidate: of_candidate } => {
                let own = |side: &[Within]| mean_of(side.iter().map(|within| Some(within.of_mean())));
                Some(total(&[assumed(*sd, base, candidate), own(of_base)?, own(of_candidate)?]))
            }
            Self::Unknown => None,
        }
    }

    /// The standard deviation of a sweep's level, over all cells, and how many sweeps it is known from.
    pub fn of_sweeps(&self) -> Option<(f64, usize)> {
        match self {
            Self::Measured { strata, .. } => Some((strata.of_mean().value.sqrt(), strata.units)),
            Self::Assumed { sd, .. } => Some((*sd, 0)),
            Self::Unknown => None,
        }
    }

    /// The standard deviation of a cell about what all cells of its sweep share.
    pub fn of_cell_alone(&self, cell: usize) -> Option<f64> {
        match self {
            Self::Measured { strata, .. } => Some(strata.of_cell_alone(cell).value.sqrt()),
            Self::Assumed { base, .. } => base.first()?.of_cell(cell).map(|own| own.value.sqrt()),
            Self::Unknown => None,
        }
    }
}

/// How much the rounds of a sweep differ, where all sweeps have several.
fn between_rounds(known: &Known<'_>, spread: f64) -> Option<Strata> {
    let sweeps: Vec<&SweepRuns> = known.base.iter().chain(known.candidate).collect();
    let groups: Vec<Vec<Unit>> = sweeps
        .iter()
        .map(|sweep| sweep.rounds().into_iter().map(|round| unit(&sweep.of_round(round), spread)).collect())
        .collect();
    let has_several = groups.iter().all(|rounds| rounds.len() > 1);
    has_several.then(|| Strata::of(groups.iter().map(Vec::as_slice), known.server_of)).flatten()
}

/// The levels of a side's sweeps, free of drift where the noise is measured inside them.
pub fn levels(noise: &Noise, side: &[SweepRuns], which: SideOf, spread: f64) -> Vec<Unit> {
    match (noise, which) {
        (Noise::Assumed { base, .. }, SideOf::Base) => base.iter().map(|within| within.levels.clone()).collect(),
        (Noise::Assumed { candidate, .. }, SideOf::Candidate) => {
            candidate.iter().map(|within| within.levels.clone()).collect()
        }
        _ => side.iter().map(|sweep| unit(sweep, spread)).collect(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SideOf {
    Base,
    Candidate,
}

/// The usual standard deviation of a run, of all sweeps together.
pub fn spread_of(known: &Known<'_>) -> f64 {
    spread(known.all())
}

/// The usual standard deviation of a run of sweeps.
pub fn spread<'a>(sweeps: impl Iterator<Item = &'a SweepRuns>) -> f64 {
    let cells: Vec<Vec<f64>> = sweeps.flat_map(|sweep| sweep.cells.values().filter_map(|runs| logs(runs))).collect();
    robust::spread(cells.iter().map(Vec::as_slice))
}

/// The level of each cell of a sweep: of its rounds, each by a mean that odd runs can't move far.
pub fn unit(sweep: &SweepRuns, spread: f64) -> Unit {
    let level = |runs: &[Run]| {
        let mut rounds: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for (run, log) in runs.iter().zip(logs(runs)?) {
            rounds.entry(run.round).or_default().push(log);
        }
        let levels = rounds.values().map(|round| robust::level(round, spread));
        Some(levels.sum::<f64>() / rounds.len() as f64)
    };
    sweep.cells.iter().filter_map(|(cell, runs)| Some((*cell, level(runs)?))).collect()
}

/// The logarithms of runs; nothing where one has none.
pub fn logs(runs: &[Run]) -> Option<Vec<f64>> {
    let is_usable = |run: &Run| run.value > 0.0 && run.value.is_finite();
    (!runs.is_empty() && runs.iter().all(is_usable)).then(|| runs.iter().map(|run| run.value.ln()).collect())
}

/// The degrees of freedom of the repeats, and how many runs a cell usually has in the sweeps whose scatter is known.
fn repeats(known: &Known<'_>) -> (f64, f64) {
    let far = known.far.iter().map(|group| group.iter().collect());
    let several = known.near().into_iter().chain(far).filter(|group: &Vec<&SweepRuns>| group.len() > 1);
    let counts: Vec<f64> =
        several.flatten().flat_map(|sweep| sweep.cells.values().map(|runs| runs.len() as f64)).collect();
    let free: f64 = counts.iter().map(|count| count - 1.0).sum();
    (free.max(1.0), counts.iter().sum::<f64>() / counts.len().max(1) as f64)
}

/// What a side's levels vary more because it has fewer runs of a cell than the sweeps whose scatter is known.
fn few_runs(run: MeanSquare, side: Rests, usual_runs: f64) -> MeanSquare {
    let more = (1.0 / side.runs - 1.0 / usual_runs).max(0.0) / side.sweeps as f64;
    scaled(run, if usual_runs > 0.0 { more } else { 0.0 })
}

fn scaled(variance: MeanSquare, factor: f64) -> MeanSquare {
    MeanSquare { value: variance.value * factor, ..variance }
}

fn per_sweep(base: Rests, candidate: Rests) -> f64 {
    1.0 / base.sweeps as f64 + 1.0 / candidate.sweeps as f64
}

fn assumed(sd: f64, base: Rests, candidate: Rests) -> MeanSquare {
    MeanSquare { value: sd * sd * per_sweep(base, candidate), degrees_of_freedom: f64::INFINITY }
}

/// The variance of the mean of independent levels; nothing where one is not known.
fn mean_of(variances: impl Iterator<Item = Option<MeanSquare>>) -> Option<MeanSquare> {
    let all: Vec<MeanSquare> = variances.collect::<Option<_>>()?;
    Some(scaled(total(&all), 1.0 / (all.len() as f64).powi(2)))
}
