//! What is sought: metrics that are to be driven somewhere, and limits.

use super::course::CourseError;
use super::ledger::{Ledger, Made};
use crate::id::CombinationId;
use crate::metric::Better;
use crate::record::Status;
use crate::sla::{Constraint, Sla};
use serde_json::{Map, Value};

/// A metric, and which way it is to be driven.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    pub metric: String,
    pub better: Better,
}

/// Objectives, and SLAs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Goals {
    pub objectives: Vec<Objective>,
    pub slas: Vec<Sla>,
}

/// Whether the axis of each objective is logarithmic: of what is not above zero there is no logarithm.
#[derive(Clone, Debug, PartialEq)]
pub struct Axes(Vec<bool>);

/// Whether a run says what its combination is worth.
pub fn is_sound(made: &Made) -> bool {
    made.status == Status::Completed && made.obstacle.is_none()
}

impl Goals {
    fn constraints(&self) -> impl Iterator<Item = &Constraint> {
        self.slas.iter().flat_map(|sla| &sla.constraints)
    }

    /// All metrics that are looked at.
    pub fn metrics(&self) -> impl Iterator<Item = &String> {
        let objectives = self.objectives.iter().map(|goal| &goal.metric);
        objectives.chain(self.constraints().map(|each| &each.metric))
    }

    /// The axes on which all of these results have a place.
    pub fn axes<'a>(&self, all: impl Iterator<Item = &'a Map<String, Value>> + Clone) -> Axes {
        let is_log = |goal: &Objective| {
            let mut values = all.clone().filter_map(|metrics| metrics.get(&goal.metric)?.as_f64());
            values.all(|value| value > 0.0)
        };
        Axes(self.objectives.iter().map(is_log).collect())
    }

    /// A result on these axes: objectives first, then by how much each constraint is kept. More is better. Nothing where a metric is missing.
    pub fn placed(&self, metrics: &Map<String, Value>, axes: &Axes) -> Option<Vec<f64>> {
        let number = |key: &str| metrics.get(key).and_then(Value::as_f64).filter(|value| value.is_finite());
        let objectives = self.objectives.iter().zip(&axes.0).map(|(goal, is_log)| {
            let value = number(&goal.metric).map(|value| if *is_log { value.ln() } else { value })?;
            Some(if goal.better == Better::Higher { value } else { -value })
        });
        let constraints = self.constraints().map(|each| Some(-each.margin(number(&each.metric)?)));
        objectives.chain(constraints).collect()
    }

    /// The value of an objective at a place on its axis.
    pub fn value_at(&self, objective: usize, place: f64, axes: &Axes) -> Option<f64> {
        let (goal, is_log) = (self.objectives.get(objective)?, axes.0.get(objective)?);
        let place = if goal.better == Better::Higher { place } else { -place };
        Some(if *is_log { place.exp() } else { place })
    }

    /// Metrics that no run reports can't be sought.
    pub fn check<'a>(&self, ledger: &Ledger, ids: impl Iterator<Item = &'a CombinationId>) -> Result<(), CourseError> {
        let made = ids.flat_map(|id| ledger.of_id(id)).filter(|made| is_sound(made));
        let known: Vec<&Map<String, Value>> = made.filter_map(|made| made.metrics.as_ref()).collect();
        let Some(first) = known.first() else { return Ok(()) };
        let is_missing = |metric: &&String| !known.iter().any(|metrics| metrics.contains_key(*metric));
        self.metrics().find(is_missing).map_or(Ok(()), |metric| Err(CourseError::not_reported(metric, first)))
    }
}
