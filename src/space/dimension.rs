//! One of the ways in which combinations differ: the sets of a file, or the values of an axis.

use super::axis::Axis;
use crate::params::ParamSet;
use crate::words::pair;

pub struct Dimension {
    pub choices: Vec<ParamSet>,
    /// What a grid adds to a set that has a name is added to its name.
    is_grid: bool,
}

impl Dimension {
    pub fn of_sets(choices: Vec<ParamSet>) -> Self {
        Self { choices, is_grid: false }
    }

    pub fn of_axis(axis: &Axis) -> Self {
        Self { choices: axis.sets(), is_grid: true }
    }
}

/// How many points dimensions have together.
pub fn size_of(dimensions: &[Dimension]) -> u128 {
    dimensions.iter().fold(1, |size: u128, dimension| size.saturating_mul(dimension.choices.len() as u128))
}

/// The point of a number, a choice of each dimension: the last dimension turns first.
pub fn point_of(dimensions: &[Dimension], mut number: u128) -> Vec<usize> {
    let mut point = vec![0; dimensions.len()];
    for (place, dimension) in point.iter_mut().zip(dimensions).rev() {
        let choices = dimension.choices.len() as u128;
        *place = (number % choices) as usize;
        number /= choices;
    }
    point
}

/// The set of a choice of each dimension.
pub fn compose(dimensions: &[Dimension], point: &[usize]) -> ParamSet {
    let mut all = ParamSet::unchanged();
    for (dimension, choice) in dimensions.iter().zip(point) {
        let set = &dimension.choices[*choice];
        if dimension.is_grid
            && let Some(name) = &mut all.name
        {
            for (key, value) in &set.params {
                name.push(' ');
                name.push_str(&pair(key, value));
            }
        }
        all.name = all.name.or_else(|| set.name.clone());
        all.params.extend(set.params.clone());
    }
    all
}
