//! The Pareto chart: every configuration, the frontier, and what is on it.

use super::axis::{Axis, Scale};
use super::chart::{
    Estimate, Figure, Join, LegendBlock, LegendEntry, Panel, Point, PointLabel, Series, Shown, Shows, Spread, Style,
};
use super::theme::{self, DIMMED, Dash, Marker};
use crate::metric::Better;

/// A configuration: its runs summarised, and whether another one beats it.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    pub x: Estimate,
    pub y: Estimate,
    pub label: String,
    /// Frontiers are drawn for each group.
    pub group: String,
    pub is_frontier: bool,
}

/// With more configurations than these, only the frontier is labelled: nobody could read the others.
const MOST_LABELLED: usize = 60;

/// With more configurations than these, only the frontier shows its intervals: the others would be one grey cloud.
const MOST_CROSSES: usize = 200;

#[derive(Clone, Debug)]
pub struct ParetoSpec {
    pub title: String,
    pub caption: Vec<String>,
    pub x_label: String,
    pub y_label: String,
    pub better_x: Better,
    /// What the labels of the points are values of.
    pub label_names: Vec<String>,
    pub group_heading: String,
}

/// Builds the chart: the frontier as steps with labels, what is dominated dimmed, intervals as crosses.
pub fn pareto_figure(configurations: &[Configuration], spec: &ParetoSpec) -> Figure {
    let mut groups: Vec<&str> = configurations.iter().map(|one| one.group.as_str()).collect();
    groups.sort_by(|left, right| super::curves::natural_order(left, right));
    groups.dedup();
    let is_crowded = configurations.len() > MOST_CROSSES;
    let mut series = vec![dominated(configurations, is_crowded)];
    let mut entries = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let style = Style {
            color: theme::category_color(index),
            dash: Dash::Solid,
            marker: theme::marker(index),
            opacity: 1.0,
        };
        let on_it: Vec<&Configuration> =
            configurations.iter().filter(|one| one.is_frontier && one.group == *group).collect();
        series.push(frontier(&on_it, style, spec));
        let text = if group.is_empty() { "Pareto frontier" } else { group };
        entries.push(LegendEntry { text: text.to_owned(), style, shows: Shows::Both });
    }
    if !series[0].points.is_empty() {
        entries.push(LegendEntry { text: "dominated".into(), style: series[0].style, shows: Shows::Marker });
    }
    let has_room = configurations.len() <= MOST_LABELLED;
    let labels = configurations.iter().map(|one| PointLabel {
        x: one.x.mean,
        y: one.y.mean,
        text: one.label.clone(),
        shown: match one.is_frontier {
            true => Shown::Always,
            false if has_room => Shown::IfRoom,
            false => Shown::UnderPointer,
        },
    });
    let panel = Panel { labels: labels.filter(|label| !label.text.is_empty()).collect(), series, ..Panel::default() };
    let mut caption = spec.caption.clone();
    let most = configurations.iter().map(|one| one.y.n).max().unwrap_or(0);
    if most > 1 {
        let of_which = if is_crowded { " (on the frontier only, because there are too many points)" } else { "" };
        caption.push(format!(
            "Points: mean of up to {most} runs of a configuration; crosses{of_which}: 95 % confidence intervals of both \
             means (Student's t)."
        ));
    }
    Figure {
        title: spec.title.clone(),
        caption,
        x: Axis::around(&spec.x_label, Scale::Linear, configurations.iter().map(|one| one.x.mean)),
        y: Axis::around(&spec.y_label, Scale::Linear, configurations.iter().map(|one| one.y.mean)),
        row_titles: vec![String::new()],
        col_titles: vec![String::new()],
        panels: vec![vec![panel]],
        legend: legend(spec, entries),
    }
}

/// What the labels mean is named once.
fn legend(spec: &ParetoSpec, entries: Vec<LegendEntry>) -> Vec<LegendBlock> {
    let mut blocks = vec![LegendBlock { heading: spec.group_heading.clone(), entries }];
    if !spec.label_names.is_empty() {
        let entries = spec.label_names.iter().map(|name| plain(name)).collect();
        blocks.push(LegendBlock { heading: "Labels".into(), entries });
    }
    blocks
}

/// An entry without a line or a marker.
fn plain(text: &str) -> LegendEntry {
    let style = Style { color: DIMMED, dash: Dash::Solid, marker: Marker::None, opacity: 0.0 };
    LegendEntry { text: text.to_owned(), style, shows: Shows::Marker }
}

fn dominated(configurations: &[Configuration], is_crowded: bool) -> Series {
    let points = configurations.iter().filter(|one| !one.is_frontier).map(point);
    Series {
        name: "dominated".into(),
        style: Style { color: DIMMED, dash: Dash::Solid, marker: Marker::Circle, opacity: 0.7 },
        join: Join::None,
        spread: if is_crowded { Spread::None } else { Spread::Bars },
        points: points.collect(),
    }
}

fn frontier(on_it: &[&Configuration], style: Style, spec: &ParetoSpec) -> Series {
    let mut points: Vec<Point> = on_it.iter().map(|one| point(one)).collect();
    points.sort_by(|left, right| left.x.mean.total_cmp(&right.x.mean));
    // Between two points only the worse of both values can be had for sure.
    let join = match spec.better_x {
        Better::Higher => Join::StepsAtStart,
        Better::Lower => Join::StepsAtEnd,
    };
    Series { name: "Pareto frontier".into(), style, join, spread: Spread::Bars, points }
}

fn point(one: &Configuration) -> Point {
    Point { x: one.x, y: one.y }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(x: f64, y: f64, group: &str, is_frontier: bool) -> Configuration {
        Configuration {
            x: Estimate::exact(x),
            y: Estimate::exact(y),
            label: format!("{x}"),
            group: group.into(),
            is_frontier,
        }
    }

    #[test]
    fn each_group_has_its_frontier_and_the_dominated_are_dimmed() {
        let all = [
            configuration(2.0, 1.0, "A", true),
            configuration(1.0, 3.0, "A", true),
            configuration(1.0, 1.0, "A", false),
            configuration(5.0, 5.0, "B", true),
        ];
        let spec = ParetoSpec {
            title: String::new(),
            caption: Vec::new(),
            x_label: "x".into(),
            y_label: "y".into(),
            better_x: Better::Higher,
            label_names: Vec::new(),
            group_heading: "gpu".into(),
        };
        let figure = pareto_figure(&all, &spec);
        let series = &figure.panels[0][0].series;
        assert_eq!(series.iter().map(|series| series.points.len()).collect::<Vec<_>>(), [1, 2, 1]);
        assert_eq!(series[1].points[0].x.mean, 1.0);
        assert_eq!((series[0].style.color, series[1].join), (DIMMED, Join::StepsAtStart));
        assert_eq!(
            figure.legend[0].entries.iter().map(|entry| entry.text.as_str()).collect::<Vec<_>>(),
            ["A", "B", "dominated"]
        );
        assert_eq!(figure.panels[0][0].labels.iter().filter(|label| label.shown == Shown::Always).count(), 3);
    }
}
