//! Who says where to look next. The optimizers are libraries; this is how they are asked.

use super::coordinates::{Coordinates, Scale};
use egobox_ego::{EgorServiceBuilder, MooStrategy, XType};
use ndarray::Array2;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What came of a place. Objectives are to be small, and constraints at most 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub at: Vec<f64>,
    pub objectives: Vec<f64>,
    pub constraints: Vec<f64>,
}

/// Proposes where to measure next.
pub trait Optimizer {
    /// A place, given what came of others; each attempt is another one. Nothing where it can't tell.
    fn propose(&mut self, told: &[Told], attempt: u64) -> Option<Vec<f64>>;
}

/// Mixed-integer Bayesian optimization (EGO) by egobox. Several objectives are weighed anew for each proposal (ParEGO, Knowles 2006).
pub struct Egobox {
    axes: Vec<XType>,
    seed: u64,
}

impl Egobox {
    pub fn new(coordinates: &Coordinates, seed: u64) -> Self {
        let axes = coordinates.axes.iter().map(|axis| match &axis.scale {
            Scale::Number { .. } => XType::Float(0.0, 1.0),
            Scale::Choice(values) => XType::Enum(values.len()),
        });
        Self { axes: axes.collect(), seed }
    }
}

/// Where an acquisition function is climbed from; and how often the length scales of a surrogate are sought anew, with how many looks.
const STARTS: usize = 10;
const FITS: usize = 5;
const LOOKS: usize = 50;

impl Optimizer for Egobox {
    fn propose(&mut self, told: &[Told], attempt: u64) -> Option<Vec<f64>> {
        let first = told.first()?;
        let (objectives, constraints) = (first.objectives.len(), first.constraints.len());
        let rows = |of: &dyn Fn(&Told) -> Vec<f64>, width: usize| {
            let flat: Vec<f64> = told.iter().flat_map(of).collect();
            Array2::from_shape_vec((told.len(), width), flat).ok()
        };
        let x = rows(&|told| told.at.clone(), self.axes.len())?;
        let y = rows(&|told| [told.objectives.as_slice(), &told.constraints].concat(), objectives + constraints)?;
        let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(1000 * told.len() as u64 + attempt);
        let service = EgorServiceBuilder::optimize().configure(|config| {
            let config = config.n_start(STARTS).n_cstr(constraints).seed(seed);
            let config = config.configure_gp(|surrogate| surrogate.n_start(FITS).max_eval(LOOKS));
            match objectives {
                1 => config,
                several => config.n_obj(several).configure_moo(|moo| moo.strategy(MooStrategy::ParEgo)),
            }
        });
        let service = service.min_within_mixint_space(&self.axes).ok()?;
        // A surrogate that can't be fitted ends in a panic there. Nothing that was measured is lost by it.
        let proposed = catch_unwind(AssertUnwindSafe(|| service.suggest(&x, &y))).ok()?;
        let place: Vec<f64> = proposed.rows().into_iter().next()?.to_vec();
        place.iter().all(|value| value.is_finite()).then_some(place)
    }
}
