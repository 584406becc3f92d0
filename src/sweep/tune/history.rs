//! What a tune did and believes, as rows of table `tune_history`.

use super::belief::{Belief, Expected};
use super::coordinates::{Scale, Side};
use super::{Picture, Tune};
use crate::id::column_name;
use crate::params::value_text;
use crate::record::{Cell, Row};
use crate::stats::{dominates, hypervolume};
use crate::sweep::finding::identity_of;
use crate::sweep::goals::{Axes, is_sound};
use crate::sweep::ledger::Ledger;
use crate::table::{Table, parameter_column};
use std::collections::HashSet;

/// The normal distribution has 95 % of its mass within so many standard deviations.
const WITHIN: f64 = 1.96;

/// The combinations that no other one is expected to beat in every objective, of those that are expected to keep all constraints.
fn expected_front(believed: &[Vec<Expected>], objectives: usize) -> HashSet<usize> {
    let keeps = |of: &[Expected]| of.iter().skip(objectives).all(|limit| limit.mean <= 0.0);
    let place = |of: &[Expected]| of.iter().take(objectives).map(|goal| goal.mean).collect::<Vec<f64>>();
    let able = believed.iter().enumerate().filter(|(_, of)| keeps(of)).map(|(index, of)| (index, place(of)));
    // Against those that are best so far: what one of them beats, it beats for good.
    let mut front: Vec<(usize, Vec<f64>)> = Vec::new();
    for (index, at) in able {
        if !front.iter().any(|(_, best)| dominates(best, &at)) {
            front.retain(|(_, best)| !dominates(&at, best));
            front.push((index, at));
        }
    }
    front.into_iter().map(|(index, _)| index).collect()
}

/// Of each measured combination, in the order in which they were measured.
struct Step {
    index: usize,
    proposed_by: &'static str,
    is_feasible: Option<bool>,
    is_on_frontier: bool,
    hypervolume: f64,
}

impl Tune {
    /// First what was measured, in order; then what is believed of all others.
    pub(super) fn history(&self, sweep: &str, ledger: &Ledger) -> Vec<Row> {
        let picture = self.picture(ledger);
        let axes = self.axes(ledger);
        let steps = self.steps(&picture, ledger, &axes);
        let places: Vec<&[f64]> = self.candidates.iter().map(|of| of.at.as_slice()).collect();
        let belief = Belief::of(&self.coordinates, &picture.told);
        let believed = belief.and_then(|belief| belief.at(&places)).unwrap_or_default();
        let expected_best = expected_front(&believed, self.options.goals.objectives.len());
        let measured = steps.iter().enumerate().map(|(number, step)| (step.index, Some((number + 1, step))));
        let others =
            (0..self.candidates.len()).filter(|index| !picture.measured.contains(index)).map(|index| (index, None));
        let row = |(index, step): (usize, Option<(usize, &Step)>)| {
            let mut row = identity_of(sweep, &self.candidates[index].combination);
            row.extend(self.parameters(index));
            row.extend(self.measured(index, step, ledger, &axes));
            let is_best = (!believed.is_empty()).then(|| expected_best.contains(&index));
            row.push(("is_expected_frontier".into(), is_best.map_or(Cell::Null, Cell::Bool)));
            row.extend(self.believed(believed.get(index).map_or(&[], Vec::as_slice), &axes));
            row
        };
        measured.chain(others).map(row).collect()
    }

    fn steps(&self, picture: &Picture, ledger: &Ledger, axes: &Axes) -> Vec<Step> {
        let order = self.in_order(&picture.measured, ledger);
        let start = |index: usize| self.made(index, ledger).first().and_then(|made| made.order).map(|(start, _)| start);
        let placed: Vec<Option<(Vec<f64>, bool)>> = order
            .iter()
            .map(|index| {
                let told = self.told(Vec::new(), &self.value(*index, ledger, axes)?);
                Some((told.objectives, told.constraints.iter().all(|limit| *limit <= 0.0)))
            })
            .collect();
        let feasible = |until: usize| {
            let all = placed.iter().take(until).flatten().filter(|(_, is_feasible)| *is_feasible);
            all.map(|(objectives, _)| objectives.clone()).collect::<Vec<_>>()
        };
        let all = feasible(order.len());
        let step = |(number, index): (usize, &usize)| {
            let own = placed[number].as_ref();
            let is_first = number == 0 || start(*index) != start(order[number - 1]);
            Step {
                index: *index,
                proposed_by: match (number < self.design_size() && !self.knows_enough(picture.known), is_first) {
                    (true, _) => "design",
                    (false, true) => "optimizer",
                    (false, false) => "load",
                },
                is_feasible: own.map(|(_, is_feasible)| *is_feasible),
                is_on_frontier: own
                    .is_some_and(|(own, is_feasible)| *is_feasible && !all.iter().any(|other| dominates(other, own))),
                hypervolume: hypervolume(&feasible(number + 1), &picture.reference),
            }
        };
        order.iter().enumerate().map(step).collect()
    }

    /// The parameters that differ, each under its name.
    fn parameters(&self, index: usize) -> Row {
        let of = &self.candidates[index].combination;
        let axes = &self.coordinates.axes;
        let columns = axes.iter().map(|axis| {
            let (side, set) = if axis.side == Side::Serve { ("serve", &of.serve) } else { ("bench", &of.bench) };
            let own = column_name(&axis.key);
            let is_twice = axes.iter().filter(|other| column_name(&other.key) == own).count() > 1;
            let is_taken = Table::TuneHistory.column(&own).is_some();
            let name = match (is_twice, is_taken) {
                (true, _) => format!("{side}.{own}"),
                (false, true) => format!("param.{own}"),
                (false, false) => parameter_column(own),
            };
            let value = set.get(&axis.key);
            let cell = match axis.scale {
                Scale::Number { .. } => {
                    Cell::from(value.and_then(|value| value.as_f64().or_else(|| value.as_str()?.parse().ok())))
                }
                Scale::Choice(_) => value.map_or(Cell::Null, |value| Cell::Text(value_text(value))),
            };
            (name.into(), cell)
        });
        columns.collect()
    }

    fn measured(&self, index: usize, step: Option<(usize, &Step)>, ledger: &Ledger, axes: &Axes) -> Row {
        let made = self.made(index, ledger);
        let status = match (made.is_empty(), made.iter().any(is_sound)) {
            (true, _) => Cell::Null,
            (false, is_sound) => if is_sound { "completed" } else { "failed" }.into(),
        };
        let value = self.value(index, ledger, axes);
        let flag = |of: Option<bool>| of.map_or(Cell::Null, Cell::Bool);
        let step = step.as_ref();
        let mut row: Row = vec![
            ("step".into(), step.map(|(number, _)| *number as i64).into()),
            ("proposed_by".into(), step.map(|(_, step)| step.proposed_by).into()),
            ("runs".into(), step.map(|_| made.len() as i64).into()),
            ("status".into(), status),
            ("is_feasible".into(), flag(step.and_then(|(_, step)| step.is_feasible))),
            ("is_on_frontier".into(), flag(step.map(|(_, step)| step.is_on_frontier))),
            ("hypervolume".into(), step.map(|(_, step)| step.hypervolume).into()),
        ];
        let objectives = self.options.goals.objectives.iter().enumerate();
        row.extend(objectives.map(|(number, goal)| {
            let own = value.as_ref().and_then(|value| self.options.goals.value_at(number, *value.get(number)?, axes));
            (goal.metric.clone().into(), own.into())
        }));
        row
    }

    /// What is believed of each objective, and between what values it lies with 95 % probability.
    fn believed(&self, expected: &[Expected], axes: &Axes) -> Row {
        let objectives = self.options.goals.objectives.iter().enumerate();
        let columns = objectives.flat_map(|(number, goal)| {
            let at = |deviations: f64| {
                let expected = expected.get(number)?;
                // The optimizer is told what is to be small.
                self.options.goals.value_at(number, -(expected.mean + deviations * expected.deviation), axes)
            };
            let (one, other) = (at(-WITHIN), at(WITHIN));
            let ends = one.zip(other).map(|(one, other)| (one.min(other), one.max(other)));
            [
                (format!("predicted.{}", goal.metric).into(), at(0.0).into()),
                (format!("predicted_low.{}", goal.metric).into(), ends.map(|ends| ends.0).into()),
                (format!("predicted_high.{}", goal.metric).into(), ends.map(|ends| ends.1).into()),
            ]
        });
        columns.collect()
    }
}
