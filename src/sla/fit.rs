//! A shape fitted to runs whose noise has heavy tails: one run in twenty may be far off, and decides nothing.
//!
//! Gaussian process regression with a Student-t likelihood, at its mode (Vanhatalo, Jylänki and Vehtari 2009: Gaussian process regression
//! with Student-t likelihood), found by reweighting; the evidence is Laplace's.

use super::shape::{Shape, Spot};
use crate::stats::{Cholesky, normal_cdf};
use statrs::function::gamma::ln_gamma;
use std::f64::consts::PI;

/// What is fitted: the logarithm of a run's value, its margin, and how vaguely that is meant besides its noise.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub place: f64,
    pub margin: f64,
    pub vague: f64,
    /// How far outside it is of the region where a jump may be.
    pub outside: f64,
}

/// The noise of a run: its standard deviation, the weight of its tails (degrees of freedom), and how likely it is beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    pub std: f64,
    pub freedom: f64,
    pub prior: f64,
}

const STDS: [(f64, f64); 7] =
    [(0.0003, 0.04), (0.002, 0.08), (0.008, 0.17), (0.02, 0.25), (0.05, 0.25), (0.12, 0.15), (0.3, 0.06)];
const FREEDOMS: [(f64, f64); 2] = [(40.0, 0.65), (2.5, 0.35)];
const MOST_STEPS: usize = 6;
const SETTLED: f64 = 0.02;

/// How much likelier the least noise is once runs agreed to the last digit.
const AGREED: f64 = 1000.0;

impl Noise {
    pub fn all() -> impl Iterator<Item = Self> {
        STDS.into_iter()
            .flat_map(|(std, likely)| FREEDOMS.map(|(freedom, share)| Self { std, freedom, prior: likely * share }))
    }

    /// All, once runs agreed to the last digit.
    pub fn all_after_agreement() -> impl Iterator<Item = Self> {
        let least = STDS[0].0;
        Self::all().map(move |noise| match noise.std == least {
            true => Self { prior: noise.prior * AGREED, ..noise },
            false => noise,
        })
    }
}

/// A shape with what runs tell of it.
pub struct Fit {
    pub shape: Shape,
    pub noise: Noise,
    /// The logarithm of its probability, up to a constant.
    pub log_probability: f64,
    center: f64,
    spots: Vec<Spot>,
    solved: Vec<f64>,
    factor: Cholesky,
}

/// Where a jump lies, seen from a place.
#[derive(Clone, Copy)]
enum Side {
    Before,
    Behind,
}

impl Fit {
    /// Nothing where the numbers don't allow it.
    pub fn of(shape: Shape, noise: Noise, points: &[Point], center: f64) -> Option<Self> {
        let spots: Vec<Spot> = points.iter().map(|point| shape.spot(point.place, center)).collect();
        let ys: Vec<f64> = points.iter().map(|point| shape.y(point.margin)).collect();
        let stretches: Vec<f64> = points.iter().map(|point| shape.stretch(point.margin)).collect();
        let scales: Vec<f64> =
            points.iter().zip(&stretches).map(|(point, stretch)| spread(point, shape, noise) * stretch).collect();
        let count = points.len();
        let constant = log_density_constant(noise.freedom);
        let covariance = |row: usize, column: usize| shape.covariance(spots[row], spots[column]);
        let covariances: Vec<f64> = (0..count * count).map(|index| covariance(index / count, index % count)).collect();
        let mut weights: Vec<f64> = scales.iter().map(|scale| 1.0 / (scale * scale)).collect();
        for step in 1.. {
            let element = |row: usize, column: usize| {
                covariances[row * count + column] + if row == column { 1.0 / weights[row] } else { 0.0 }
            };
            let factor = Cholesky::of(count, element)?;
            let solved = factor.solve(&ys);
            let errors: Vec<f64> = (0..count).map(|row| solved[row] / weights[row] / scales[row]).collect();
            let anew = |(error, scale): (&f64, &f64)| {
                (noise.freedom + 1.0) / (noise.freedom + error * error) / (scale * scale)
            };
            let new: Vec<f64> = errors.iter().zip(&scales).map(anew).collect();
            let change = new.iter().zip(&weights).map(|(new, old)| (new / old).ln().abs()).fold(0.0, f64::max);
            if step == MOST_STEPS || change < SETTLED {
                let told: f64 =
                    (0..count).map(|row| constant + log_kernel(errors[row], noise.freedom) - scales[row].ln()).sum();
                let jacobian: f64 = stretches.iter().map(|stretch| stretch.ln()).sum();
                let rough: f64 = (0..count).map(|row| (ys[row] - solved[row] / weights[row]) * solved[row]).sum();
                let volume = factor.log_determinant() + weights.iter().map(|weight| weight.ln()).sum::<f64>();
                let prior = (shape.prior * noise.prior).ln();
                let log_probability = told + jacobian - rough / 2.0 - volume / 2.0 + prior;
                let fit = Self { shape, noise, log_probability, center, spots, solved, factor };
                return log_probability.is_finite().then_some(fit);
            }
            weights = new;
        }
        None
    }

    /// The places of its levels between two others, ascending.
    pub fn levels_between(&self, low: f64, high: f64) -> Vec<f64> {
        let mut places: Vec<f64> =
            self.spots.iter().map(|spot| spot.place).filter(|place| low < *place && *place < high).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        places
    }

    /// Probability that the margin at a place is above zero.
    pub fn fails(&self, place: f64) -> f64 {
        self.sides(place).map(|(share, side)| share * self.z(place, side).0).map(|fails| fails.clamp(0.0, 1.0)).sum()
    }

    /// How surely a run at a place tells on which side of the boundary it is: 0 where the margin drowns in noise.
    pub fn resolution(&self, place: f64) -> f64 {
        let of = |(share, side): (f64, Side)| {
            let (fails, mean, std) = self.z(place, side);
            let density = (-(mean / std).powi(2) / 2.0).exp() / (2.0 * PI).sqrt();
            let size = mean * (2.0 * fails - 1.0) + 2.0 * std * density;
            share * -(-(size / self.noise.std).powi(2)).exp_m1()
        };
        self.sides(place).map(of).sum()
    }

    /// On which side of a place the jump is, and how likely.
    fn sides(&self, place: f64) -> impl Iterator<Item = (f64, Side)> {
        let behind = match self.shape.jump {
            Some(jump) if place > jump.from && place < jump.until => (place - jump.from) / (jump.until - jump.from),
            Some(jump) if place <= jump.from => 0.0,
            _ => 1.0,
        };
        [(behind, Side::Behind), (1.0 - behind, Side::Before)].into_iter().filter(|(share, _)| *share > 0.0)
    }

    /// Probability of failing, mean and standard deviation of what is foretold at a place.
    fn z(&self, place: f64, side: Side) -> (f64, f64, f64) {
        let own = self.shape.spot(place, self.center);
        let shown = match (self.shape.jump, side) {
            (Some(jump), Side::Before) => place.min(jump.from),
            (Some(jump), Side::Behind) => place.max(jump.from + f64::EPSILON * jump.from.abs().max(1.0)),
            (None, _) => place,
        };
        let own = Spot { place: shown, ..own };
        let with: Vec<f64> = self.spots.iter().map(|spot| self.shape.covariance(*spot, own)).collect();
        let mean: f64 = with.iter().zip(&self.solved).map(|(with, solved)| with * solved).sum();
        let told: f64 = self.factor.forward(&with).iter().map(|part| part * part).sum();
        let std = (self.shape.covariance(own, own) - told).max(1e-18).sqrt();
        (normal_cdf(mean / std), mean, std)
    }
}

/// The standard deviation of a run's margin about the shape.
fn spread(point: &Point, shape: Shape, noise: Noise) -> f64 {
    noise.std.hypot(point.vague).hypot(shape.locality() * point.outside)
}

/// The logarithm of the density of Student's t: what depends on the error, and what does not.
fn log_kernel(error: f64, freedom: f64) -> f64 {
    -(freedom + 1.0) / 2.0 * (error * error / freedom).ln_1p()
}

fn log_density_constant(freedom: f64) -> f64 {
    ln_gamma((freedom + 1.0) / 2.0) - ln_gamma(freedom / 2.0) - 0.5 * (freedom * PI).ln()
}
