//! Which parameters vary, and the columns that they are in a linear model.

use super::Observation;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A part of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    Main(usize),
    /// What two parameters do together beyond each alone.
    Pair(usize, usize),
}

/// What a parameter that is not set has for a value.
const UNSET: &str = "(not set)";

/// A parameter, or several that always change together.
struct Parameter {
    name: String,
    /// With the number of combinations that have it.
    levels: Vec<(String, usize)>,
    /// The level of each observation.
    of_row: Vec<usize>,
}

/// Observations as rows of a linear model.
pub struct Design {
    parameters: Vec<Parameter>,
    pub logs: Vec<f64>,
}

impl Design {
    pub fn of(observations: &[Observation]) -> Self {
        let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (row, observation) in observations.iter().enumerate() {
            for (name, value) in &observation.settings {
                let column = values.entry(name).or_insert_with(|| vec![UNSET; observations.len()]);
                column[row] = value;
            }
        }
        let mut parameters: Vec<Parameter> = Vec::new();
        for (name, values) in values {
            let found = Parameter::of(name, &values);
            match parameters.iter_mut().find(|known| known.is_one_with(&found)) {
                Some(known) => known.join(&found),
                None if found.levels.len() > 1 => parameters.push(found),
                None => {}
            }
        }
        Self { parameters, logs: observations.iter().map(|observation| observation.log).collect() }
    }

    pub fn parameters(&self) -> std::ops::Range<usize> {
        0..self.parameters.len()
    }

    /// The values of a parameter, with the number of combinations that have each.
    pub fn levels(&self, parameter: usize) -> &[(String, usize)] {
        &self.parameters[parameter].levels
    }

    pub fn name(&self, term: Term) -> String {
        match term {
            Term::Main(parameter) => self.parameters[parameter].name.clone(),
            Term::Pair(left, right) => format!("{} × {}", self.parameters[left].name, self.parameters[right].name),
        }
    }

    /// How many columns a term has: its first level has none, it is in the intercept.
    fn width(&self, term: Term) -> usize {
        let of = |parameter: usize| self.levels(parameter).len() - 1;
        match term {
            Term::Main(parameter) => of(parameter),
            Term::Pair(left, right) => of(left) * of(right),
        }
    }

    pub fn columns(&self, terms: &[Term]) -> usize {
        1 + terms.iter().map(|term| self.width(*term)).sum::<usize>()
    }

    /// The columns of a row that are 1; all others are 0.
    pub fn row(&self, terms: &[Term], row: usize) -> Vec<usize> {
        let mut first = 1;
        let mut ones = vec![0];
        for term in terms {
            let level = |parameter: usize| self.parameters[parameter].of_row[row].checked_sub(1);
            let own = match *term {
                Term::Main(parameter) => level(parameter),
                Term::Pair(left, right) => {
                    level(left).zip(level(right)).map(|(one, other)| one * (self.levels(right).len() - 1) + other)
                }
            };
            ones.extend(own.map(|column| first + column));
            first += self.width(*term);
        }
        ones
    }

    /// The mean at a level, over all levels of the other parameters alike. Of main effects only.
    pub fn marginal_mean(&self, terms: &[Term], parameter: usize, level: usize) -> Vec<f64> {
        self.weights(terms, 1.0, |other, of| match other == parameter {
            true => f64::from(u8::from(of == level)),
            false => 1.0 / self.levels(other).len() as f64,
        })
    }

    /// How far a level is from the mean of all levels of its parameter. Of main effects only.
    pub fn contrast(&self, terms: &[Term], parameter: usize, level: usize) -> Vec<f64> {
        self.weights(terms, 0.0, |other, of| match other == parameter {
            true => f64::from(u8::from(of == level)) - 1.0 / self.levels(other).len() as f64,
            false => 0.0,
        })
    }

    /// The weight of the intercept, and of each level of each parameter but the first ones.
    fn weights(&self, terms: &[Term], intercept: f64, weight: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        let mut weights = vec![intercept];
        for term in terms {
            let Term::Main(parameter) = *term else { continue };
            weights.extend((1..self.levels(parameter).len()).map(|level| weight(parameter, level)));
        }
        weights
    }
}

impl Parameter {
    /// Levels in the order of their numbers, texts behind them.
    fn of(name: &str, values: &[&str]) -> Self {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        values.iter().for_each(|value| *counts.entry(value).or_default() += 1);
        let mut levels: Vec<(&str, usize)> = counts.into_iter().collect();
        let number = |text: &str| text.parse::<f64>().unwrap_or(f64::INFINITY);
        levels.sort_by(|left, right| number(left.0).total_cmp(&number(right.0)).then(left.0.cmp(right.0)));
        let index: HashMap<&str, usize> = levels.iter().enumerate().map(|(index, level)| (level.0, index)).collect();
        let of_row = values.iter().map(|value| index[value]).collect();
        Self {
            name: name.to_owned(),
            levels: levels.into_iter().map(|(value, count)| (value.to_owned(), count)).collect(),
            of_row,
        }
    }

    /// Whether both part the rows in the same way, whatever the order of their values.
    fn is_one_with(&self, other: &Self) -> bool {
        let pairs: HashSet<(usize, usize)> = self.of_row.iter().copied().zip(other.of_row.iter().copied()).collect();
        pairs.len() == self.levels.len() && pairs.len() == other.levels.len()
    }

    /// Takes another one in that parts the rows in the same way.
    fn join(&mut self, other: &Self) {
        self.name = format!("{}, {}", self.name, other.name);
        let partner: HashMap<usize, usize> = self.of_row.iter().copied().zip(other.of_row.iter().copied()).collect();
        for (level, (value, _)) in self.levels.iter_mut().enumerate() {
            let added = partner.get(&level).and_then(|index| other.levels.get(*index));
            *value = format!("{value}, {}", added.map_or("", |(added, _)| added.as_str()));
        }
    }
}
