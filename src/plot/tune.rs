//! The charts of a tune: how the frontier grew, where it is believed to lie, and what each parameter does.

use super::PlotError;
use super::axis::{Axis, Scale};
use super::chart::{Estimate, Figure, Join, LegendBlock, LegendEntry, Panel, Point, Series, Shows, Spread, Style};
use super::lines::lines_figure;
use super::theme::{self, DIMMED, Dash, Marker};
use crate::metric::label;
use crate::query::{Answer, Lake, Value, literal};
use crate::stats::mean;
use crate::table::Table;
use crate::words::short_value;
use std::collections::{BTreeMap, BTreeSet};

/// What begins the name of a column that holds what the model expects.
const PREDICTED: &str = "predicted.";
const LOW: &str = "predicted_low.";
const HIGH: &str = "predicted_high.";
/// An axis that spans more than so many times its least value is logarithmic.
const WIDE: f64 = 8.0;

/// Table `tune_history`, column by column.
struct History {
    answer: Answer,
    objectives: Vec<String>,
}

impl History {
    fn numbers(&self, name: &str) -> Result<Vec<Option<f64>>, PlotError> {
        Ok(self.answer.numbers(name)?)
    }

    fn flags(&self, name: &str) -> Result<Vec<bool>, PlotError> {
        Ok(self.answer.column(name)?.iter().map(|value| *value == Value::Bool(true)).collect())
    }

    /// The parameters that differ: what is neither declared nor measured nor expected.
    fn parameters(&self) -> Vec<String> {
        let is_own = |name: &&String| {
            let of_objective = self.objectives.iter().any(|metric| {
                let prefixes = ["", PREDICTED, LOW, HIGH];
                prefixes.iter().any(|prefix| name.strip_prefix(prefix) == Some(metric.as_str()))
            });
            let is_told = || self.answer.column(name).is_ok_and(|all| all.iter().any(|value| *value != Value::Null));
            !of_objective && Table::TuneHistory.column(name).is_none() && is_told()
        };
        self.answer.columns().iter().filter(is_own).cloned().collect()
    }
}

/// A chart of a tune.
pub struct TuneChart {
    /// What it is called where it is a file.
    pub name: String,
    pub figure: Figure,
    /// The query that its points came from.
    pub sql: String,
}

/// The charts of all tunes of a lake.
pub async fn tune_charts(lake: &Lake) -> Result<Vec<TuneChart>, PlotError> {
    let sweeps = lake.sql("SELECT DISTINCT sweep FROM tune_history ORDER BY sweep").await?.column("sweep")?;
    let mut charts = Vec::new();
    for sweep in sweeps.iter().map(Value::to_text) {
        let sql = format!("SELECT * FROM tune_history WHERE sweep = {} ORDER BY step NULLS LAST", literal(&sweep));
        let answer = lake.sql(&sql).await?;
        let is_told =
            |name: &String| answer.column(name).is_ok_and(|all| all.iter().any(|value| *value != Value::Null));
        let columns = answer.columns();
        let objectives = columns.iter().filter(|name| is_told(name)).filter_map(|name| name.strip_prefix(PREDICTED));
        let objectives = objectives.map(str::to_owned).collect();
        let figures = charts_of(&History { answer, objectives })?;
        charts.extend(figures.into_iter().map(|(name, mut figure)| {
            if sweeps.len() > 1 {
                figure.title = format!("{sweep}: {}", figure.title);
            }
            TuneChart { name, figure, sql: sql.clone() }
        }));
    }
    Ok(charts)
}

fn charts_of(history: &History) -> Result<Vec<(String, Figure)>, PlotError> {
    let mut charts = vec![("CONVERGENCE".to_owned(), convergence(history)?)];
    if let [first, second, ..] = history.objectives.as_slice() {
        charts.push(("FRONTIER".to_owned(), frontier(history, first, second)?));
    }
    let effects = history.parameters().into_iter().map(|parameter| Effect::of(history, parameter));
    let effects: Vec<Effect> = effects.collect::<Result<_, _>>()?;
    // Parameters can be compared where all are drawn on the same axes.
    let axes: Vec<Axis> = history
        .objectives
        .iter()
        .enumerate()
        .map(|(index, metric)| {
            let means = effects.iter().flat_map(|effect| effect.means.get(index)).flatten().map(|(_, mean)| *mean);
            Axis::around(label(metric), Scale::Linear, means)
        })
        .collect();
    let drawn = effects.iter().filter(|effect| !axes.is_empty() && effect.means.iter().all(|means| !means.is_empty()));
    charts.extend(
        drawn.map(|effect| (format!("EFFECT-{}", effect.parameter), effect.figure(&history.objectives, &axes))),
    );
    Ok(charts)
}

fn convergence(history: &History) -> Result<Figure, PlotError> {
    let steps = history.numbers("step")?.into_iter().zip(history.numbers("hypervolume")?);
    let points: Vec<(f64, f64)> = steps.filter_map(|(step, volume)| Some((step?, volume?))).collect();
    let measured = points.len();
    let curves = [("hypervolume of what was measured".to_owned(), points)];
    let figure = lines_figure(&curves, ("Combinations measured", Scale::Linear), ("Hypervolume", Scale::Linear));
    Ok(Figure {
        title: "How the frontier grew".into(),
        caption: vec![format!("{measured} combinations. Hypervolume: what they dominate, on logarithmic axes.")],
        ..figure
    })
}

/// What is known of a combination in one objective.
#[derive(Clone, Copy)]
struct Known {
    measured: Option<f64>,
    predicted: Option<(f64, f64, f64)>,
}

fn known(history: &History, metric: &str) -> Result<Vec<Known>, PlotError> {
    let of = |prefix: &str| history.numbers(&format!("{prefix}{metric}"));
    let (measured, predicted) = (of("")?, of(PREDICTED)?);
    let (low, high) = (of(LOW)?, of(HIGH)?);
    let ends = low.into_iter().zip(high);
    let all = measured.into_iter().zip(predicted.into_iter().zip(ends));
    Ok(all
        .map(|(measured, (predicted, (low, high)))| Known {
            measured,
            predicted: predicted.zip(low.zip(high)).map(|(predicted, (low, high))| (low, predicted, high)),
        })
        .collect())
}

fn frontier(history: &History, first: &str, second: &str) -> Result<Figure, PlotError> {
    let (ys, xs) = (known(history, first)?, known(history, second)?);
    let is_best = history.flags("is_on_frontier")?;
    let points = |keep: &dyn Fn(usize) -> bool| -> Vec<Point> {
        let of = |index: usize| {
            Some(Point { x: Estimate::exact(xs[index].measured?), y: Estimate::exact(ys[index].measured?) })
        };
        (0..xs.len()).filter(|index| keep(*index)).filter_map(of).collect()
    };
    let mut best = points(&|index| is_best[index]);
    best.sort_by(|left, right| left.x.mean.total_cmp(&right.x.mean));
    let expected = expected_frontier(&history.flags("is_expected_frontier")?, [&ys, &xs]);
    let series = vec![
        series("measured", DIMMED, Marker::Circle, Join::None, points(&|index| !is_best[index])),
        series(
            "expected frontier, with 95 % intervals",
            theme::category_color(1),
            Marker::Diamond,
            Join::None,
            expected,
        ),
        series("measured frontier", theme::category_color(0), Marker::Circle, Join::Straight, best),
    ];
    let series: Vec<Series> = series.into_iter().filter(|series| !series.points.is_empty()).collect();
    let all = || series.iter().flat_map(|series| &series.points);
    let x = Axis::around(label(second), scale_of(all().map(|point| point.x.mean)), all().map(|point| point.x.mean));
    let y = Axis::around(label(first), scale_of(all().map(|point| point.y.mean)), all().map(|point| point.y.mean));
    let shows = |series: &Series| if series.join == Join::None { Shows::Marker } else { Shows::Both };
    let entries = series.iter().map(|series| LegendEntry {
        text: series.name.clone(),
        style: series.style,
        shows: shows(series),
    });
    Ok(Figure {
        title: "What was found, and what is expected".into(),
        caption: vec!["Expected: combinations that are best by the model, whether they were measured or not.".into()],
        legend: vec![LegendBlock { heading: String::new(), entries: entries.collect() }],
        x,
        y,
        row_titles: vec![String::new()],
        col_titles: vec![String::new()],
        panels: vec![vec![Panel { series, ..Panel::default() }]],
    })
}

/// Combinations that no other one is expected to beat.
fn expected_frontier(is_best: &[bool], known: [&[Known]; 2]) -> Vec<Point> {
    let estimate = |(low, mean, high): (f64, f64, f64)| Estimate { mean, interval: Some((low, high)), n: 1 };
    let point =
        |index: usize| Some(Point { x: estimate(known[1][index].predicted?), y: estimate(known[0][index].predicted?) });
    (0..is_best.len()).filter(|index| is_best[*index]).filter_map(point).collect()
}

/// What is expected at each value of a parameter: the mean over all combinations that have it.
struct Effect {
    parameter: String,
    x: Axis,
    is_number: bool,
    /// Of each objective.
    means: Vec<Vec<(f64, f64)>>,
}

impl Effect {
    fn of(history: &History, parameter: String) -> Result<Self, PlotError> {
        let values = history.answer.column(&parameter)?;
        let numbers: Option<Vec<f64>> = values.iter().map(Value::as_f64).collect();
        let names: BTreeSet<String> = values.iter().map(Value::to_text).collect();
        let places: Vec<f64> = match &numbers {
            Some(numbers) => numbers.clone(),
            None => {
                let place = |value: &Value| names.iter().position(|name| *name == value.to_text());
                values.iter().filter_map(place).map(|index| (index + 1) as f64).collect()
            }
        };
        let x = match &numbers {
            Some(numbers) => {
                Axis::around(label(&parameter), scale_of(numbers.iter().copied()), numbers.iter().copied())
            }
            None => Axis::of_names(label(&parameter), names.iter().map(|text| short_value(text))),
        };
        let means = history.objectives.iter().map(|metric| {
            let mut by_value: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
            for (place, known) in places.iter().zip(known(history, metric)?) {
                if let Some((_, predicted, _)) = known.predicted {
                    by_value.entry(place.to_bits()).or_default().push(predicted);
                }
            }
            let mut means: Vec<(f64, f64)> =
                by_value.iter().map(|(bits, all)| (f64::from_bits(*bits), mean(all))).collect();
            means.sort_by(|left, right| left.0.total_cmp(&right.0));
            Ok(means)
        });
        let means = means.collect::<Result<_, PlotError>>()?;
        Ok(Self { parameter, x, is_number: numbers.is_some(), means })
    }

    fn figure(&self, objectives: &[String], axes: &[Axis]) -> Figure {
        let panel = |index: usize| {
            let points =
                self.means[index].iter().map(|(x, y)| Point { x: Estimate::exact(*x), y: Estimate::exact(*y) });
            let join = if self.is_number { Join::Straight } else { Join::None };
            let own = series(&objectives[index], theme::category_color(index), Marker::Circle, join, points.collect());
            vec![Panel { series: vec![own], y: Some(axes[index].clone()), ..Panel::default() }]
        };
        Figure {
            title: format!("What {} does", self.parameter),
            caption: vec!["The mean of what the model expects of all combinations that have the value.".into()],
            x: self.x.clone(),
            y: axes[0].clone(),
            row_titles: vec![String::new(); objectives.len()],
            col_titles: vec![String::new()],
            panels: (0..objectives.len()).map(panel).collect(),
            legend: Vec::new(),
        }
    }
}

fn scale_of(values: impl Iterator<Item = f64>) -> Scale {
    let (low, high) = values.fold((f64::INFINITY, 0.0f64), |(low, high), value| (low.min(value), high.max(value)));
    if low > 0.0 && high / low > WIDE { Scale::Log } else { Scale::Linear }
}

fn series(name: &str, color: theme::Color, marker: Marker, join: Join, points: Vec<Point>) -> Series {
    let spread = if points.iter().any(|point| point.y.interval.is_some()) { Spread::Bars } else { Spread::None };
    let style = Style { color, dash: Dash::Solid, marker, opacity: 1.0 };
    Series { name: name.to_owned(), style, join, spread, points }
}
