//! Plain curves: points joined by lines, one for each name.

use super::axis::{Axis, Scale};
use super::chart::{Estimate, Figure, Join, LegendBlock, LegendEntry, Panel, Point, Series, Shows, Spread, Style};
use super::theme;

/// Builds the chart of curves that are given point by point.
pub fn lines_figure(curves: &[(String, Vec<(f64, f64)>)], x: (&str, Scale), y: (&str, Scale)) -> Figure {
    let shown = curves.iter().filter(|(_, points)| !points.is_empty()).enumerate();
    let series: Vec<Series> = shown
        .map(|(index, (name, points))| Series {
            name: name.clone(),
            style: Style {
                color: theme::category_color(index),
                dash: theme::dash(index),
                marker: theme::Marker::None,
                opacity: 1.0,
            },
            join: Join::Straight,
            spread: Spread::None,
            points: points.iter().map(|(x, y)| Point { x: Estimate::exact(*x), y: Estimate::exact(*y) }).collect(),
        })
        .collect();
    let entries = series
        .iter()
        .map(|series| LegendEntry { text: series.name.clone(), style: series.style, shows: Shows::Line })
        .collect();
    let points = || series.iter().flat_map(|series| &series.points);
    Figure {
        title: String::new(),
        caption: Vec::new(),
        x: Axis::around(x.0, x.1, points().map(|point| point.x.mean)),
        y: Axis::around(y.0, y.1, points().map(|point| point.y.mean)),
        row_titles: vec![String::new()],
        col_titles: vec![String::new()],
        legend: vec![LegendBlock { heading: String::new(), entries }],
        panels: vec![vec![Panel { series, ..Panel::default() }]],
    }
}
