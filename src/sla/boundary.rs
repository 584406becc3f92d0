//! Where the boundary lies, as far as runs can tell: shapes and noises of many kinds, each weighed by how well it explains them.

use super::fit::{Fit, Noise, Point};
use super::level::{Level, Measured, levels_of};
use super::shape::Shape;

/// Places at which the probability is known at first, and how they grow denser where it changes.
const PLACES: usize = 60;
const REFINEMENTS: usize = 4;
const PIECES: usize = 4;
/// A cell with more of the probability is looked at more closely.
const HEAVY: f64 = 0.01;
/// Beyond this a margin is meant the more vaguely the larger it is.
const NEAR: f64 = 1.0;
const VAGUE: f64 = 0.3;
/// Larger margins are as good as infinite.
const LARGEST: f64 = 6.0;
/// Levels beyond the ends that still count.
const MOST_OUTSIDE: usize = 4;
/// Noises so much less likely (in logarithms) with smooth shapes are not tried with jumps, unless they are small.
const UNLIKELY: f64 = 7.0;
const SMALL: f64 = 0.01;
/// Gaps on each side of the change from passing to failing in which a jump is thought of.
const GAPS: usize = 2;
/// Kinds that are so much less likely than the best say nothing.
const FORGETTABLE: f64 = 1e-4;

/// The probability of each place (the logarithm of a value) of the boundary.
pub struct Boundary {
    places: Vec<f64>,
    /// Probability that the boundary lies at or below the place.
    below: Vec<f64>,
    /// The kinds, with their weights, which add up to 1.
    kinds: Vec<(f64, Fit)>,
}

impl Boundary {
    /// `low` and `high`: places between which it lies for sure; there are runs.
    pub fn of(measured: &[Measured], low: f64, high: f64) -> Self {
        let region = region(measured, low, high);
        let points = points(measured, low, high, &region);
        let noises: Vec<Noise> =
            if agree(measured) { Noise::all_after_agreement().collect() } else { Noise::all().collect() };
        let kinds = weighed(kinds_of(&points, &noises, low, high, &region));
        let ascents: Vec<Ascent> = kinds.iter().map(|(_, fit)| Ascent::of(fit, low, high)).collect();
        let looked = |place: f64| Look { place, fails: kinds.iter().map(|(_, fit)| fit.fails(place)).collect() };
        let evenly = (0..=PLACES).map(|cell| low + (high - low) * cell as f64 / PLACES as f64);
        let mut looks: Vec<Look> = evenly.map(looked).collect();
        let mut below = probabilities(&kinds, &ascents, &looks);
        for _ in 0..REFINEMENTS {
            let is_heavy = |index: &usize| below[index + 1] - below[*index] > HEAVY;
            let heavy: Vec<usize> = (0..looks.len() - 1).filter(is_heavy).collect();
            let pieces = |index: usize| {
                let (from, until) = (looks[index].place, looks[index + 1].place);
                (1..PIECES).map(move |piece| from + (until - from) * piece as f64 / PIECES as f64)
            };
            let added: Vec<Look> = heavy.into_iter().flat_map(pieces).map(looked).collect();
            looks.extend(added);
            looks.sort_by(|left, right| left.place.total_cmp(&right.place));
            below = probabilities(&kinds, &ascents, &looks);
        }
        Self { places: looks.into_iter().map(|look| look.place).collect(), below, kinds }
    }

    /// The place below which the boundary lies with this probability.
    pub fn quantile(&self, probability: f64) -> f64 {
        let last = self.below.len() - 1;
        let index = self.below.partition_point(|below| *below < probability).clamp(1, last);
        let (before, after) = (self.below[index - 1], self.below[index]);
        let share = if after > before { ((probability - before) / (after - before)).clamp(0.0, 1.0) } else { 0.5 };
        self.places[index - 1] + share * (self.places[index] - self.places[index - 1])
    }

    /// Probability that the boundary lies at or below a place.
    pub fn below(&self, place: f64) -> f64 {
        match self.places.partition_point(|other| *other < place) {
            0 => 0.0,
            index if index >= self.places.len() => 1.0,
            index => {
                let (before, after) = (self.places[index - 1], self.places[index]);
                let share = (place - before) / (after - before);
                self.below[index - 1] + share * (self.below[index] - self.below[index - 1])
            }
        }
    }

    /// The standard deviation of a run's margin.
    pub fn noise(&self) -> f64 {
        self.kinds.iter().map(|(weight, fit)| weight * fit.noise.std).sum()
    }

    /// How surely a run at a place tells on which side of the boundary it is.
    pub fn resolution(&self, place: f64) -> f64 {
        self.kinds.iter().map(|(weight, fit)| weight * fit.resolution(place)).sum()
    }
}

/// All kinds that are worth a try.
fn kinds_of(points: &[Point], noises: &[Noise], low: f64, high: f64, region: &[f64]) -> Vec<Fit> {
    let center = (low + high) / 2.0;
    let smooth = Shape::smooth();
    let of_noises: Vec<(Noise, Vec<Fit>)> = noises
        .iter()
        .map(|noise| (*noise, smooth.iter().filter_map(|shape| Fit::of(*shape, *noise, points, center)).collect()))
        .collect();
    let best_of = |fits: &[Fit]| fits.iter().map(|fit| fit.log_probability).fold(f64::NEG_INFINITY, f64::max);
    let best = of_noises.iter().map(|(_, fits)| best_of(fits)).fold(f64::NEG_INFINITY, f64::max);
    let is_likely = |(noise, fits): &&(Noise, Vec<Fit>)| noise.std < SMALL || best_of(fits) > best - UNLIKELY;
    let likely: Vec<Noise> = of_noises.iter().filter(is_likely).map(|(noise, _)| *noise).collect();
    let jumping = region.windows(2).flat_map(|gap| Shape::jumping(gap[0], gap[1], (gap[1] - gap[0]) / (high - low)));
    let jumping: Vec<Fit> = jumping
        .flat_map(|shape| likely.iter().filter_map(move |noise| Fit::of(shape, *noise, points, center)))
        .collect();
    of_noises.into_iter().flat_map(|(_, fits)| fits).chain(jumping).collect()
}

/// Whether runs at one value agree to the last digit. Where another value says the same, the metric is at the end of its scale.
fn agree(measured: &[Measured]) -> bool {
    let levels = levels_of(measured);
    let is_alone = |level: &Level| levels.iter().filter(|other| other.margin == level.margin).count() == 1;
    levels.iter().any(|level| level.is_exact && level.margin.abs() < NEAR && is_alone(level))
}

fn weighed(fits: Vec<Fit>) -> Vec<(f64, Fit)> {
    let best = fits.iter().map(|fit| fit.log_probability).fold(f64::NEG_INFINITY, f64::max);
    let weighed = fits.into_iter().map(|fit| ((fit.log_probability - best).exp(), fit));
    let mut kept: Vec<(f64, Fit)> = weighed.filter(|(weight, _)| *weight > FORGETTABLE).collect();
    let total: f64 = kept.iter().map(|(weight, _)| weight).sum();
    kept.iter_mut().for_each(|(weight, _)| *weight /= total);
    kept
}

/// The places of levels near the change from passing to failing, and of the ends: a jump farther away is no boundary.
fn region(measured: &[Measured], low: f64, high: f64) -> Vec<f64> {
    let levels = levels_of(measured);
    let mut places: Vec<f64> = levels.iter().map(Level::place).chain([low, high]).collect();
    places.retain(|place| (low..=high).contains(place));
    places.sort_by(f64::total_cmp);
    places.dedup();
    let at = |level: &Level| places.partition_point(|place| *place < level.place()).min(places.len() - 1);
    let first_fail = levels.iter().find(|level| level.margin > 0.0).map_or(places.len() - 1, at);
    let last_pass = levels.iter().rfind(|level| level.margin <= 0.0).map_or(0, at);
    let from = first_fail.min(last_pass).saturating_sub(GAPS);
    let until = (first_fail.max(last_pass) + GAPS).min(places.len() - 1);
    places[from..=until].to_vec()
}

/// What is fitted: the levels between the ends and a few beyond them.
fn points(measured: &[Measured], low: f64, high: f64, region: &[f64]) -> Vec<Point> {
    let places: Vec<f64> = levels_of(measured).iter().map(Level::place).collect();
    let first = places.partition_point(|place| *place < low).saturating_sub(MOST_OUTSIDE);
    let last = (places.partition_point(|place| *place <= high) + MOST_OUTSIDE).min(places.len());
    let kept = places.get(first..last).unwrap_or_default();
    let (from, until) = (kept.first().copied().unwrap_or(low), kept.last().copied().unwrap_or(high));
    let (near, far) = (region.first().copied().unwrap_or(low), region.last().copied().unwrap_or(high));
    let inside = measured.iter().filter(|run| (from..=until).contains(&run.value.ln()));
    let point = |run: &Measured| {
        let margin = run.margin.clamp(-LARGEST, LARGEST);
        let place = run.value.ln();
        let outside = (near - place).max(place - far).max(0.0);
        Point { place, margin, vague: VAGUE * (margin.abs() - NEAR).max(0.0), outside }
    };
    inside.map(point).collect()
}

/// A place, and what each kind foretells there: the probability that the margin is above zero.
struct Look {
    place: f64,
    fails: Vec<f64>,
}

/// Probability that the boundary lies at or below each of the places, the first and last of which it lies between.
fn probabilities(kinds: &[(f64, Fit)], ascents: &[Ascent], looks: &[Look]) -> Vec<f64> {
    let mut below = vec![0.0; looks.len()];
    for (kind, ((weight, _), ascent)) in kinds.iter().zip(ascents).enumerate() {
        let shares = ascent.shares(looks.iter().map(|look| (look.place, look.fails[kind])));
        below.iter_mut().zip(shares).for_each(|(sum, share)| *sum += weight * share);
    }
    if let [first, .., last] = below.as_mut_slice() {
        (*first, *last) = (0.0, 1.0);
    }
    below
}

/// How the probability of one kind rises from the one end to the other. The margin rises with the load: between two levels the
/// probability lies between theirs.
struct Ascent {
    low: f64,
    high: f64,
    first: f64,
    last: f64,
    anchors: Vec<f64>,
    known: Vec<f64>,
}

impl Ascent {
    fn of(fit: &Fit, low: f64, high: f64) -> Self {
        let anchors = fit.levels_between(low, high);
        let ends =
            Self { low, high, first: fit.fails(low), last: fit.fails(high), anchors: Vec::new(), known: Vec::new() };
        let known = ascending(&anchors.iter().map(|place| ends.share(*place, fit.fails(*place))).collect::<Vec<_>>());
        Self { anchors, known, ..ends }
    }

    /// That it passes at the one end and fails at the other is known.
    fn share(&self, place: f64, fails: f64) -> f64 {
        match self.last - self.first > 1e-6 {
            true => ((fails - self.first) / (self.last - self.first)).clamp(0.0, 1.0),
            false => (place - self.low) / (self.high - self.low),
        }
    }

    /// At ascending places with what is foretold there.
    fn shares(&self, places: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
        let (mut gap, mut highest) = (0, 0.0);
        let of = |(place, fails): (f64, f64)| {
            while gap < self.anchors.len() && self.anchors[gap] <= place {
                highest = self.known[gap];
                gap += 1;
            }
            let ceiling = self.known.get(gap).copied().unwrap_or(1.0).max(highest);
            highest = self.share(place, fails).clamp(highest, ceiling);
            highest
        };
        places.map(of).collect()
    }
}

/// The nearest values that never fall: those that do are replaced by their mean (pool adjacent violators).
fn ascending(values: &[f64]) -> Vec<f64> {
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for value in values {
        blocks.push((*value, 1));
        while let [.., (before, left), (after, right)] = blocks[..]
            && before > after
        {
            blocks.truncate(blocks.len() - 2);
            blocks.push(((before * left as f64 + after * right as f64) / (left + right) as f64, left + right));
        }
    }
    blocks.into_iter().flat_map(|(value, count)| std::iter::repeat_n(value, count)).collect()
}
