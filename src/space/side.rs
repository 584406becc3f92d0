//! One side of a space: sets, of which `{"_grid": {"max_num_seqs": [32, 64]}, "_where": "…", "other": 1}` stands for many, and grids
//! over all of them.

use super::SpaceError;
use super::axis::Axis;
use super::condition::{Condition, hold_for};
use super::dimension::{Dimension, compose, point_of, size_of};
use crate::id::is_same_key;
use crate::params::{GRID, ParamSet, WHERE};
use serde_json::Value;

/// What was said of one side.
#[derive(Clone, Debug, Default)]
pub struct Side {
    pub sets: Vec<ParamSet>,
    pub grids: Vec<Axis>,
}

/// The dimensions of a side; `name` is what it is called in errors.
pub async fn dimensions_of(name: &'static str, side: &Side, most: usize) -> Result<Vec<Dimension>, SpaceError> {
    let sets = expand(&side.sets, most).await?;
    for (index, axis) in side.grids.iter().enumerate() {
        let earlier = side.grids.iter().take(index);
        for key in &axis.keys {
            if sets.iter().any(|set| set.get(key).is_some()) || earlier.clone().any(|other| other.has(key)) {
                return Err(SpaceError::SetTwice { side: name, key: key.clone() });
            }
        }
    }
    let sets = if side.sets.is_empty() { vec![ParamSet::unchanged()] } else { sets };
    Ok(std::iter::once(Dimension::of_sets(sets)).chain(side.grids.iter().map(Dimension::of_axis)).collect())
}

/// All sets that are meant.
pub async fn expand(sets: &[ParamSet], most: usize) -> Result<Vec<ParamSet>, SpaceError> {
    let mut all = Vec::new();
    for (index, set) in sets.iter().enumerate() {
        let bad = |reason: String| SpaceError::BadGrid { position: index + 1, reason };
        match set.params.get(GRID) {
            None if set.params.contains_key(WHERE) => return Err(bad(format!("`{WHERE}` without `{GRID}`"))),
            None => all.push(set.clone()),
            Some(Value::Object(grid)) => {
                let axes = grid.iter().map(|(name, value)| {
                    Axis::of_json(name, value).map_err(|reason| bad(format!("`{GRID}`: {name:?}: {reason}")))
                });
                let axes: Vec<Axis> = axes.collect::<Result<_, _>>()?;
                let condition = match set.params.get(WHERE) {
                    None => None,
                    Some(Value::String(text)) => Some(Condition::parse(text)?),
                    Some(other) => return Err(bad(format!("`{WHERE}` must be a text, found {other}"))),
                };
                all.extend(grown(set, &axes, condition.as_ref(), most, &bad).await?);
            }
            Some(other) => {
                return Err(bad(format!("`{GRID}` must be an object of parameters and their values, found {other}")));
            }
        }
    }
    Ok(all)
}

async fn grown(
    set: &ParamSet,
    axes: &[Axis],
    condition: Option<&Condition>,
    most: usize,
    bad: &impl Fn(String) -> SpaceError,
) -> Result<Vec<ParamSet>, SpaceError> {
    let mut fixed = set.clone();
    fixed.params.retain(|key, _| key != GRID && key != WHERE);
    let mut known: Vec<&str> = fixed.params.keys().map(String::as_str).collect();
    for key in axes.iter().flat_map(|axis| &axis.keys) {
        if known.iter().any(|known| is_same_key(known, key)) {
            return Err(bad(format!("{key:?} is set twice")));
        }
        known.push(key);
    }
    let dimensions: Vec<Dimension> =
        std::iter::once(Dimension::of_sets(vec![fixed])).chain(axes.iter().map(Dimension::of_axis)).collect();
    let size = size_of(&dimensions);
    if size > most as u128 {
        return Err(SpaceError::TooLarge { size, most });
    }
    let sets: Vec<ParamSet> = (0..size).map(|number| compose(&dimensions, &point_of(&dimensions, number))).collect();
    let Some(condition) = condition else { return Ok(sets) };
    let holds = hold_for(condition, &sets).await?;
    Ok(sets.into_iter().zip(holds).filter(|(_, holds)| *holds == Some(true)).map(|(set, _)| set).collect())
}
