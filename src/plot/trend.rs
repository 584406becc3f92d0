//! The chart of a metric over many sweeps.

use super::axis::{Axis, Scale, Tick};
use super::chart::{
    Estimate, Figure, Join, LegendBlock, LegendEntry, Panel, Point, PointLabel, Series, Shown, Shows, Spread, Style,
};
use super::theme::{self, Dash};
use chrono::{DateTime, NaiveDateTime};

/// A combination's mean in each sweep, and what happened at which of them.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesOverSweeps {
    pub name: String,
    /// Which color of the palette, the same in all charts of a page.
    pub color: usize,
    pub means: Vec<Option<Estimate>>,
    pub changes: Vec<(usize, &'static str)>,
}

/// A sweep on the axis of time.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepInTime {
    pub name: String,
    /// When it began; nothing where that is not known.
    pub began: Option<NaiveDateTime>,
}

/// With more curves nobody could tell them apart.
pub const MOST_SERIES: usize = 7;
/// Dates on the axis.
const DATES: usize = 6;
const SECONDS_A_DAY: f64 = 86_400.0;

/// Builds the chart of the first series; change points carry the name of their sweep.
pub fn trend_figure(series: &[SeriesOverSweeps], y_label: &str, sweeps: &[SweepInTime]) -> Figure {
    let shown = &series[..series.len().min(MOST_SERIES)];
    let places = places_of(sweeps);
    let mut panel = Panel::default();
    let mut entries = Vec::new();
    for one in shown {
        let style = Style {
            color: theme::category_color(one.color),
            dash: Dash::Solid,
            marker: theme::marker(one.color),
            opacity: 1.0,
        };
        let points = one.means.iter().enumerate();
        let points = points.filter_map(|(sweep, mean)| Some(Point { x: Estimate::exact(places[sweep]), y: (*mean)? }));
        panel.labels.extend(one.changes.iter().filter_map(|(sweep, what)| {
            let mean = one.means.get(*sweep).copied().flatten()?;
            let text = format!("{}: {what}", sweeps[*sweep].name);
            Some(PointLabel { x: places[*sweep], y: mean.mean, text, shown: Shown::Always })
        }));
        entries.push(LegendEntry { text: one.name.clone(), style, shows: Shows::Both });
        let points = points.collect();
        panel.series.push(Series { name: one.name.clone(), style, join: Join::Straight, spread: Spread::Bars, points });
    }
    let points = || panel.series.iter().flat_map(|series| &series.points);
    let mut caption = vec![format!(
        "{} sweeps; points: mean of a sweep's runs; bars: its 95 % confidence interval (Student's t). Labels: steps, drifts \
         and outliers, judged by the scatter between sweeps.",
        sweeps.len()
    )];
    if series.len() > shown.len() {
        caption.push(format!("{} combinations that changed less are not shown.", series.len() - shown.len()));
    }
    Figure {
        title: String::new(),
        caption,
        x: time_axis(sweeps, &places),
        y: Axis::around(y_label, Scale::Linear, points().map(|point| point.y.mean)),
        row_titles: vec![String::new()],
        col_titles: vec![String::new()],
        legend: vec![LegendBlock { heading: String::new(), entries }],
        panels: vec![vec![panel]],
    }
}

/// Where each sweep stands: at its time in days, where all have one; else one after the other.
fn places_of(sweeps: &[SweepInTime]) -> Vec<f64> {
    let times: Option<Vec<f64>> =
        sweeps.iter().map(|sweep| Some(sweep.began?.and_utc().timestamp() as f64 / SECONDS_A_DAY)).collect();
    let is_spread = |times: &Vec<f64>| times.first().zip(times.last()).is_some_and(|(first, last)| last > first);
    times.filter(is_spread).unwrap_or_else(|| (1..=sweeps.len()).map(|place| place as f64).collect())
}

/// Dates at even distances; of sweeps without times their order.
fn time_axis(sweeps: &[SweepInTime], places: &[f64]) -> Axis {
    let axis = Axis::around("", Scale::Linear, places.iter().copied());
    let (Some(first), Some(last)) = (places.first(), places.last()) else { return axis };
    if sweeps.iter().any(|sweep| sweep.began.is_none()) || *last <= sweeps.len() as f64 {
        return Axis { label: "Sweep".into(), ..axis.of_counts() };
    }
    let is_long = last - first >= 2.0;
    let ticks = (0..DATES).filter_map(|index| {
        let at = first + (last - first) * index as f64 / (DATES - 1) as f64;
        // Whole days where there are several.
        let at = if is_long { at.round() } else { at };
        let time = DateTime::from_timestamp((at * SECONDS_A_DAY) as i64, 0)?;
        let text = time.format(if is_long { "%Y-%m-%d" } else { "%m-%d %H:%M" }).to_string();
        Some(Tick { at, text })
    });
    let mut ticks: Vec<Tick> = ticks.collect();
    ticks.dedup_by(|left, right| left.text == right.text);
    Axis { label: "Time (UTC)".into(), ticks, minor: Vec::new(), ..axis }
}
