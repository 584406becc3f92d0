//! What is believed of combinations that were not measured: a Gaussian process for each objective and constraint, by egobox.

use super::coordinates::{Coordinates, Scale};
use super::optimizer::Told;
use crate::stats::{hypervolume, normal_cdf, t_quantile};
use egobox_gp::GaussianProcess;
use egobox_gp::correlation_models::Matern52Corr;
use egobox_gp::mean_models::ConstantMean;
use linfa::Dataset;
use linfa::prelude::Fit;
use ndarray::{Array1, Array2};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Fewer points say nothing of a surface.
const FEWEST: usize = 4;
/// How much of the variance of what was told is taken for noise.
const NOISE: f64 = 1e-3;
/// Futures in which a gain is averaged.
const DRAWS: usize = 24;

/// What a value is expected to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    pub mean: f64,
    pub deviation: f64,
}

type Surrogate = GaussianProcess<f64, ConstantMean, Matern52Corr>;

pub struct Belief<'a> {
    coordinates: &'a Coordinates,
    /// Objectives first, then constraints.
    surrogates: Vec<Surrogate>,
    objectives: usize,
}

impl<'a> Belief<'a> {
    /// What follows from what was told, if anything can be said.
    pub fn of(coordinates: &'a Coordinates, told: &[Told]) -> Option<Self> {
        let first = told.first().filter(|_| told.len() >= FEWEST && !coordinates.axes.is_empty())?;
        let objectives = first.objectives.len();
        let places: Vec<&[f64]> = told.iter().map(|told| told.at.as_slice()).collect();
        let x = columns(coordinates, &places)?;
        let fit = |value: usize| {
            let y = told.iter().map(|told| told.objectives.iter().chain(&told.constraints).nth(value).copied());
            let data = Dataset::new(x.clone(), Array1::from_vec(y.collect::<Option<Vec<f64>>>()?));
            let params = Surrogate::params(ConstantMean::default(), Matern52Corr::default()).nugget(NOISE);
            catch_unwind(AssertUnwindSafe(|| params.fit(&data))).ok()?.ok()
        };
        let surrogates = (0..objectives + first.constraints.len()).map(fit).collect::<Option<Vec<_>>>()?;
        Some(Self { coordinates, surrogates, objectives })
    }

    /// Of each place what each objective, then each constraint, is expected to be.
    pub fn at(&self, places: &[&[f64]]) -> Option<Vec<Vec<Expected>>> {
        let x = columns(self.coordinates, places)?;
        let mut all = vec![Vec::new(); places.len()];
        for surrogate in &self.surrogates {
            let (means, variances) = surrogate.predict_valvar(&x).ok()?;
            for (of, (mean, variance)) in all.iter_mut().zip(means.iter().zip(variances.iter())) {
                of.push(Expected { mean: *mean, deviation: variance.max(0.0).sqrt() });
            }
        }
        Some(all)
    }

    /// By how much a place is expected to extend the volume that a front dominates, if it keeps all constraints.
    pub fn gain(&self, expected: &[Expected], front: &[Vec<f64>], reference: &[f64]) -> f64 {
        let (objectives, constraints) = expected.split_at(self.objectives.min(expected.len()));
        let keeps = |limit: &Expected| normal_cdf(-limit.mean / limit.deviation.max(f64::MIN_POSITIVE));
        let likely: f64 = constraints.iter().map(keeps).product();
        let before = hypervolume(front, reference);
        let after = |draw: usize| {
            // A lattice of quantiles: each objective gets all of them, in another order.
            let drawn = objectives.iter().enumerate().map(|(axis, of)| {
                let rank = (draw * LATTICE[axis % LATTICE.len()]) % DRAWS;
                of.mean + of.deviation * t_quantile((rank as f64 + 0.5) / DRAWS as f64, f64::INFINITY)
            });
            let mut points = front.to_vec();
            points.push(drawn.collect());
            hypervolume(&points, reference)
        };
        let mean = (0..DRAWS).map(after).sum::<f64>() / DRAWS as f64;
        likely * (mean - before).max(0.0)
    }
}

/// Steps that have no factor in common with the number of draws.
const LATTICE: [usize; 4] = [1, 7, 11, 5];

/// Places as numbers: a choice is a column for each of its values.
fn columns(coordinates: &Coordinates, places: &[&[f64]]) -> Option<Array2<f64>> {
    let row = |place: &[f64]| -> Vec<f64> {
        let axes = coordinates.axes.iter().zip(place);
        let columns = axes.flat_map(|(axis, at)| match &axis.scale {
            Scale::Number { .. } => vec![*at],
            Scale::Choice(values) => (0..values.len()).map(|index| f64::from(u8::from(*at == index as f64))).collect(),
        });
        columns.collect()
    };
    let rows: Vec<Vec<f64>> = places.iter().map(|place| row(place)).collect();
    let width = rows.first().map_or(0, Vec::len);
    Array2::from_shape_vec((rows.len(), width), rows.concat()).ok()
}
