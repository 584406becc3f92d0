//! The chart of a metric over many sweeps.

use super::axis::{Axis, Scale};
use super::chart::{
    Estimate, Figure, Join, LegendBlock, LegendEntry, Panel, Point, PointLabel, Series, Shows, Spread, Style,
};
use super::theme::{self, Dash};

/// A combination's mean in each sweep, and the sweeps from which on it is another one.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesOverSweeps {
    pub name: String,
    pub means: Vec<Option<Estimate>>,
    pub changes: Vec<usize>,
}

/// With more curves nobody could tell them apart.
const MOST_CURVES: usize = 7;
/// More names of sweeps would be more text than chart.
const MOST_NAMES: usize = 12;

/// Builds the chart of the first series; change points carry the name of their sweep.
pub fn trend_figure(series: &[SeriesOverSweeps], y_label: &str, sweeps: &[String]) -> Figure {
    let shown = &series[..series.len().min(MOST_CURVES)];
    let mut panel = Panel::default();
    let mut entries = Vec::new();
    for (index, one) in shown.iter().enumerate() {
        let style = Style {
            color: theme::category_color(index),
            dash: Dash::Solid,
            marker: theme::marker(index),
            opacity: 1.0,
        };
        let means = one.means.iter().enumerate();
        let points: Vec<Point> = means
            .filter_map(|(sweep, mean)| Some(Point { x: Estimate::exact((sweep + 1) as f64), y: (*mean)? }))
            .collect();
        panel.labels.extend(one.changes.iter().filter_map(|sweep| {
            let mean = one.means.get(*sweep).copied().flatten()?;
            Some(PointLabel { x: (sweep + 1) as f64, y: mean.mean, text: sweeps[*sweep].clone(), is_required: true })
        }));
        entries.push(LegendEntry { text: one.name.clone(), style, shows: Shows::Both });
        panel.series.push(Series { name: one.name.clone(), style, join: Join::Straight, spread: Spread::Bars, points });
    }
    let points = || panel.series.iter().flat_map(|series| &series.points);
    let mut caption = vec![format!(
        "{} sweeps in the order of time; points: mean of a sweep's runs; bars: 95 % confidence interval (Student's t). \
         Labels: change points.",
        sweeps.len()
    )];
    if sweeps.len() <= MOST_NAMES {
        let names = sweeps.iter().enumerate().map(|(index, name)| format!("{} = {name}", index + 1));
        caption.push(format!("{}.", names.collect::<Vec<_>>().join(", ")));
    }
    if series.len() > shown.len() {
        caption.push(format!("{} combinations that changed less are left out.", series.len() - shown.len()));
    }
    Figure {
        title: String::new(),
        caption,
        x: Axis::around("Sweep", Scale::Linear, points().map(|point| point.x.mean)).of_counts(),
        y: Axis::around(y_label, Scale::Linear, points().map(|point| point.y.mean)),
        row_titles: vec![String::new()],
        col_titles: vec![String::new()],
        legend: vec![LegendBlock { heading: String::new(), entries }],
        panels: vec![vec![panel]],
    }
}
