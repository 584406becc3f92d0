//! Which parameters matter: the main effects of each on what most readers look at first.

use super::ReportError;
use super::table::{number, percent};
use crate::metric::label;
use crate::query::{Lake, NamedQuery};

/// A metric's main effects, the strongest parameter first.
pub struct Effects {
    pub id: String,
    pub heading: String,
    pub metric: String,
    pub parameters: Vec<Parameter>,
    pub sql: String,
}

/// A parameter, or several that always change together.
pub struct Parameter {
    pub name: String,
    pub explains: String,
    pub levels: Vec<Level>,
    /// Levels that are not shown.
    pub hidden: usize,
}

pub struct Level {
    pub value: String,
    pub combinations: String,
    pub mean: String,
    pub change: String,
    /// Where the bar of the change begins and ends, in percent of its room; none is in the middle.
    pub bar: (u32, u32),
}

/// Of more levels the first and the last ones are shown: an effect is seen in them.
const MOST_LEVELS: usize = 12;

/// The main effects. Where nothing varies there are none.
pub async fn effects(lake: &Lake) -> Result<Vec<Effects>, ReportError> {
    let mut effects = Vec::new();
    for metric in ["output_throughput", "p99_e2el_ms"] {
        let sql = NamedQuery::find("effects")?.sql(&[("metric".to_owned(), metric.to_owned())])?;
        let rows: Vec<Effect> = lake.sql(&sql).await?.typed("effects")?;
        if !rows.is_empty() {
            effects.push(Effects {
                id: format!("effects-{metric}"),
                heading: format!("On {}", label(metric)),
                metric: label(metric),
                parameters: parameters(&rows),
                sql,
            });
        }
    }
    Ok(effects)
}

crate::query::typed_row! {
    #[derive(PartialEq)]
    struct Effect {
        parameter: String,
        share: Option<f64>,
        value: Option<String>,
        combinations: i64,
        level: Option<f64>,
        effect: Option<f64>,
    }
}

fn parameters(rows: &[Effect]) -> Vec<Parameter> {
    let logarithm = |row: &Effect| row.effect.map_or(0.0, |effect| effect.ln_1p());
    let largest = rows.iter().map(|row| logarithm(row).abs()).fold(f64::MIN_POSITIVE, f64::max);
    let level = |row: &Effect| Level {
        value: row.value.clone().unwrap_or_default(),
        combinations: row.combinations.to_string(),
        mean: row.level.map(number).unwrap_or_default(),
        change: row.effect.map(|effect| format!("{:+.1} %", effect * 100.0)).unwrap_or_default(),
        bar: bar(logarithm(row) / largest),
    };
    let mut parameters: Vec<Parameter> = Vec::new();
    let mut known: Vec<&[Effect]> = Vec::new();
    for own in rows.chunk_by(|left, right| left.parameter == right.parameter) {
        let name = own[0].parameter.clone();
        if let Some(place) = known.iter().position(|other| are_one(other, own)) {
            let together = &mut parameters[place];
            together.name = format!("{}, {name}", together.name);
            let values = own.iter().map(|row| row.value.clone().unwrap_or_default());
            together
                .levels
                .iter_mut()
                .zip(values)
                .for_each(|(level, value)| level.value = format!("{}, {value}", level.value));
            continue;
        }
        known.push(own);
        parameters.push(Parameter {
            name,
            explains: own[0].share.map(percent).unwrap_or_default(),
            levels: own.iter().map(level).collect(),
            hidden: 0,
        });
    }
    parameters.iter_mut().for_each(Parameter::keep_the_ends);
    parameters
}

/// Whether two parameters have the same combinations level by level: then nobody can tell whose effect it is.
fn are_one(one: &[Effect], other: &[Effect]) -> bool {
    let numbers = |row: &Effect| (row.combinations, row.level, row.effect);
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| numbers(one) == numbers(other))
}

impl Parameter {
    fn keep_the_ends(&mut self) {
        if let Some(hidden @ 1..) = self.levels.len().checked_sub(MOST_LEVELS) {
            self.levels.drain(MOST_LEVELS / 2..MOST_LEVELS / 2 + hidden);
            self.hidden = hidden;
        }
    }
}

fn bar(share: f64) -> (u32, u32) {
    let end = (50.0 + 50.0 * share).round() as u32;
    (end.min(50), end.max(50))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(parameter: &str, value: &str, effect: f64) -> Effect {
        Effect {
            parameter: parameter.into(),
            share: Some(0.5),
            value: Some(value.into()),
            combinations: 2,
            level: Some(9.0),
            effect: Some(effect),
        }
    }

    #[test]
    fn parameters_that_change_together_are_one() {
        let rows = [
            row("a", "1", -0.5),
            row("a", "2", 1.0),
            row("b", "x", -0.5),
            row("b", "y", 1.0),
            row("c", "1", -0.5),
            row("c", "2", 0.25),
        ];
        let found = parameters(&rows);
        let names: Vec<&str> = found.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, ["a, b", "c"]);
        assert_eq!(found[0].levels.iter().map(|level| level.value.as_str()).collect::<Vec<_>>(), ["1, x", "2, y"]);
        // Halving and doubling are equally far from no change.
        assert_eq!(found[0].levels.iter().map(|level| level.bar).collect::<Vec<_>>(), [(0, 50), (50, 100)]);
        assert_eq!(found[1].levels[1].bar, (50, 66));
    }

    #[test]
    fn of_many_levels_the_ends_are_shown() {
        let rows: Vec<_> = (0..40).map(|index| row("a", &index.to_string(), 0.1)).collect();
        let found = parameters(&rows);
        let values: Vec<&str> = found[0].levels.iter().map(|level| level.value.as_str()).collect();
        assert_eq!(values, ["0", "1", "2", "3", "4", "5", "34", "35", "36", "37", "38", "39"]);
        assert_eq!(found[0].hidden, 28);
    }
}
