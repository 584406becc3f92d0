//! Where the boundary lies, as far as noisy measurements can tell.
//!
//! The margin near the boundary is taken to be one of a few shapes: a line of some slope, with or without a step at the
//! boundary itself. Each place of the boundary gets the probability that the measurements give it, summed over the
//! shapes (a discrete Bayesian posterior). Far from the boundary only the side counts, so the shapes need to hold only
//! where the margin is within a few standard deviations of zero.

use super::level::Level;

/// Places of the boundary that are weighed against each other.
const PLACES: usize = 200;

/// Slopes of the margin over the logarithm of the variable: latency that hardly rises with the load (0.1), that is
/// proportional to it (1), and that explodes near saturation.
const SLOPES: [f64; 8] = [0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0, 25.0];

/// Half heights of a step, in standard deviations of a run, and how likely each is beforehand.
const STEPS: [(f64, f64); 3] = [(0.0, 0.6), (1.0, 0.2), (3.0, 0.2)];

/// Margins beyond so many standard deviations say only on which side they are.
const REACH: f64 = 5.0;

/// The probability of each place of the boundary.
pub struct Posterior {
    low: f64,
    step: f64,
    /// Probability that the boundary lies below the end of each cell.
    cumulative: Vec<f64>,
}

impl Posterior {
    /// `low` and `high` are logarithms of the variable between which the boundary lies; `std` is that of one run.
    pub fn of(levels: &[Level], low: f64, high: f64, std: f64) -> Self {
        let step = (high - low) / PLACES as f64;
        let places = (0..PLACES).map(|cell| low + (cell as f64 + 0.5) * step);
        let weights: Vec<f64> = places.map(|place| weights_at(place, levels, std)).collect();
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let cumulative = weights.iter().map(|weight| {
            sum += weight / total;
            sum
        });
        Self { low, step, cumulative: cumulative.collect() }
    }

    /// The place below which the boundary lies with this probability.
    pub fn quantile(&self, probability: f64) -> f64 {
        let cell = self.cumulative.partition_point(|sum| *sum < probability).min(PLACES - 1);
        let before = if cell == 0 { 0.0 } else { self.cumulative[cell - 1] };
        let own = self.cumulative[cell] - before;
        let part = if own > 0.0 { ((probability - before) / own).clamp(0.0, 1.0) } else { 0.5 };
        self.low + (cell as f64 + part) * self.step
    }
}

/// How likely the measurements are with the boundary at a place, over all shapes.
fn weights_at(place: f64, levels: &[Level], std: f64) -> f64 {
    let reach = REACH * std;
    let shapes = SLOPES.iter().flat_map(|slope| STEPS.iter().map(move |(step, prior)| (*slope, step * std, *prior)));
    let likelihoods = shapes.map(|(slope, step, prior)| {
        let fits = levels.iter().map(|level| {
            let distance = level.place() - place;
            let expected = (slope * distance + step * distance.signum()).clamp(-reach, reach);
            let error = (level.margin.clamp(-reach, reach) - expected) / (std / (level.runs as f64).sqrt());
            // Student's t with 4 degrees of freedom: tails heavy enough that one odd run decides nothing.
            let density = 1.0 / (1.0 + error * error / 4.0);
            density * density * density.sqrt()
        });
        prior * fits.product::<f64>()
    });
    likelihoods.sum()
}
