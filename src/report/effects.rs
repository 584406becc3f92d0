//! Which parameters matter: what each does, the others held alike, to what most readers look at first.

use super::ReportError;
use super::table::{number, percent};
use crate::metric::label;
use crate::query::{Lake, NamedQuery};

/// What the parameters do to a metric, the strongest first.
pub struct Effects {
    pub id: String,
    pub heading: String,
    pub metric: String,
    pub parameters: Vec<Parameter>,
    /// Pairs that do more together than each alone.
    pub interactions: Vec<String>,
    pub sql: String,
}

/// A parameter, or several that always change together.
pub struct Parameter {
    pub name: String,
    /// How much of the metric's differences it explains, or why that can't be told.
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

/// A parameter of which chance would make as much at least this often explains nothing.
const LUCK: f64 = 0.05;

/// Where nothing varies there are none.
pub async fn effects(lake: &Lake) -> Result<Vec<Effects>, ReportError> {
    let mut effects = Vec::new();
    for metric in ["output_throughput", "p99_e2el_ms"] {
        let sql = NamedQuery::find("effects", &[])?.sql(&[("metric".to_owned(), metric.to_owned())])?;
        let rows: Vec<Effect> = lake.sql(&sql).await?.typed("effects")?;
        if !rows.is_empty() {
            effects.push(Effects {
                id: format!("effects-{metric}"),
                heading: format!("On {}", label(metric)),
                metric: label(metric),
                parameters: parameters(&rows),
                interactions: rows.iter().filter_map(interaction).collect(),
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
        p_value: Option<f64>,
        inseparable: Option<String>,
        value: Option<String>,
        combinations: Option<i64>,
        level: Option<f64>,
        effect: Option<f64>,
        effect_low: Option<f64>,
        effect_high: Option<f64>,
    }
}

fn parameters(rows: &[Effect]) -> Vec<Parameter> {
    let logarithm = |row: &Effect| row.effect.map_or(0.0, |effect| effect.ln_1p());
    let largest = rows.iter().map(|row| logarithm(row).abs()).fold(f64::MIN_POSITIVE, f64::max);
    let level = |row: &Effect| Level {
        value: row.value.clone().unwrap_or_default(),
        combinations: row.combinations.map(|count| count.to_string()).unwrap_or_default(),
        mean: row.level.map(number).unwrap_or_default(),
        change: change(row),
        bar: bar(logarithm(row) / largest),
    };
    let of_parameter = |own: &[Effect]| {
        let mut parameter = Parameter {
            name: own[0].parameter.clone(),
            explains: explains(&own[0]),
            levels: own.iter().map(level).collect(),
            hidden: 0,
        };
        parameter.keep_the_ends();
        parameter
    };
    let mains = rows.chunk_by(|left, right| left.parameter == right.parameter).filter(|own| own[0].value.is_some());
    mains.map(of_parameter).collect()
}

fn change(row: &Effect) -> String {
    let signed = |change: f64| format!("{:+.1}", change * 100.0);
    match (row.effect, row.effect_low.zip(row.effect_high)) {
        (None, _) => "unknown".into(),
        (Some(effect), None) => format!("{} %", signed(effect)),
        (Some(effect), Some((low, high))) => format!("{} % ({} to {})", signed(effect), signed(low), signed(high)),
    }
}

fn explains(row: &Effect) -> String {
    match (&row.inseparable, row.share, row.p_value) {
        (Some(others), ..) => format!("cannot be separated from {others}"),
        (None, _, Some(p_value)) if p_value > LUCK => "indistinguishable from noise".into(),
        (None, Some(share), _) => format!("explains {}", percent(share)),
        (None, None, _) => "the noise cannot be estimated: repeat the runs".into(),
    }
}

/// What is said of two parameters that depend on each other.
fn interaction(row: &Effect) -> Option<String> {
    let share = row.share.filter(|_| row.value.is_none())?;
    Some(format!("{}: the effect of one depends on the other ({} of the variation)", row.parameter, percent(share)))
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
            p_value: Some(0.001),
            inseparable: None,
            value: Some(value.into()),
            combinations: Some(2),
            level: Some(9.0),
            effect: Some(effect),
            effect_low: Some(effect - 0.1),
            effect_high: Some(effect + 0.1),
        }
    }

    #[test]
    fn a_parameter_is_said_to_explain_only_what_can_be_told() {
        let told = |change: &dyn Fn(&mut Effect)| {
            let mut row = row("a", "1", 0.5);
            change(&mut row);
            explains(&row)
        };
        assert_eq!(told(&|_| ()), "explains 50.0 %");
        assert_eq!(told(&|row| row.p_value = Some(0.2)), "indistinguishable from noise");
        assert_eq!(told(&|row| row.inseparable = Some("b, c".into())), "cannot be separated from b, c");
        assert!(told(&|row| (row.share, row.p_value) = (None, None)).contains("repeat the runs"));
        assert_eq!(change(&row("a", "1", 0.5)), "+50.0 % (+40.0 to +60.0)");
    }

    #[test]
    fn interactions_are_told_apart_from_parameters() {
        let pair = Effect { value: None, ..row("a × b", "", 0.0) };
        let rows = [row("a", "1", -0.5), row("a", "2", 1.0), row("c", "1", -0.5), row("c", "2", 0.25), pair.clone()];
        let found = parameters(&rows);
        let names: Vec<&str> = found.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        // Halving and doubling are equally far from no change.
        assert_eq!(found[0].levels.iter().map(|level| level.bar).collect::<Vec<_>>(), [(0, 50), (50, 100)]);
        assert_eq!(found[1].levels[1].bar, (50, 66));
        assert!(interaction(&pair).unwrap().starts_with("a × b: the effect of one depends on the other"));
        assert_eq!(interaction(&rows[0]), None);
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
