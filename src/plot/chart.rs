//! A chart as data: everything that will be seen, before anything is drawn.

use super::axis::Axis;
use super::theme::{Color, Dash, Marker};
use crate::stats::Summary;

/// Text for a value that a row does not have.
pub const MISSING: &str = "(none)";

/// A grid of panels with common axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    pub title: String,
    pub caption: Vec<String>,
    pub x: Axis,
    pub y: Axis,
    /// One for each row and column of the grid; empty texts where there is nothing to tell apart.
    pub row_titles: Vec<String>,
    pub col_titles: Vec<String>,
    /// Row by row.
    pub panels: Vec<Vec<Panel>>,
    pub legend: Vec<LegendBlock>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    pub series: Vec<Series>,
    pub labels: Vec<PointLabel>,
    /// Below the series.
    pub shapes: Vec<Shape>,
    /// An axis of its own, where rows show different things.
    pub y: Option<Axis>,
}

/// What is neither a point nor a line.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Whisker, quartile, median, quartile, whisker.
    Box {
        at: f64,
        half: f64,
        ends: [f64; 5],
        color: Color,
    },
    Area {
        outline: Vec<(f64, f64)>,
        color: Color,
    },
    /// A part of the x axis that is told apart, from the bottom to the top.
    Shade {
        from: f64,
        until: f64,
    },
    /// A unit square around a place, with a text in it.
    Cell {
        x: f64,
        y: f64,
        color: Color,
        text: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub name: String,
    pub style: Style,
    pub join: Join,
    pub spread: Spread,
    pub points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    pub color: Color,
    pub dash: Dash,
    pub marker: Marker,
    pub opacity: f64,
}

/// How the points of a series are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    None,
    Straight,
    /// From each point first up or down, then across to the next.
    StepsAtStart,
    /// From each point first across, then up or down to the next.
    StepsAtEnd,
}

/// How the intervals of a series are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    None,
    Band,
    /// Bars through the point, in both directions where both are uncertain.
    Bars,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub x: Estimate,
    pub y: Estimate,
}

/// A value, usually the mean of repeats, and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub mean: f64,
    /// From where to where; `None` for a single run. An end that is not known is infinite.
    pub interval: Option<(f64, f64)>,
    pub n: usize,
}

impl Estimate {
    pub fn of(values: &[f64]) -> Option<Self> {
        match Summary::of(values) {
            Some(summary) => Some(Self::around(summary.mean, summary.ci95(), summary.n)),
            // An infinite parameter is itself: it has a place, but no spread.
            None => values.contains(&f64::INFINITY).then(|| Self::exact(f64::INFINITY)),
        }
    }

    pub fn exact(value: f64) -> Self {
        Self { mean: value, interval: None, n: 1 }
    }

    /// With as much below as above.
    pub fn around(mean: f64, half_width: Option<f64>, n: usize) -> Self {
        Self { mean, interval: half_width.map(|half| (mean - half, mean + half)), n }
    }

    pub fn low(&self) -> f64 {
        self.interval.map_or(self.mean, |(low, _)| low)
    }

    pub fn high(&self) -> f64 {
        self.interval.map_or(self.mean, |(_, high)| high)
    }
}

/// A text that belongs to a point.
#[derive(Clone, Debug, PartialEq)]
pub struct PointLabel {
    pub x: f64,
    pub y: f64,
    pub text: String,
    pub shown: Shown,
}

/// Whether a label is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Always,
    /// Left out where there is no room.
    IfRoom,
    /// Only told under the pointer.
    UnderPointer,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LegendBlock {
    pub heading: String,
    pub entries: Vec<LegendEntry>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LegendEntry {
    pub text: String,
    pub style: Style,
    pub shows: Shows,
}

/// What of a style an entry of the legend stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    Line,
    Marker,
    Both,
}

impl Figure {
    /// The y axis of a panel.
    pub fn y_of<'a>(&'a self, panel: &'a Panel) -> &'a Axis {
        panel.y.as_ref().unwrap_or(&self.y)
    }

    /// Whether its rows show different things over one x axis.
    pub fn is_stacked(&self) -> bool {
        self.panels.iter().flatten().any(|panel| panel.y.is_some())
    }

    /// All y axes, none twice.
    pub fn y_axes(&self) -> Vec<&Axis> {
        let own: Vec<&Axis> = self.panels.iter().flatten().filter_map(|panel| panel.y.as_ref()).collect();
        if own.is_empty() { vec![&self.y] } else { own }
    }

    /// The runs that its points are made of.
    pub fn num_runs(&self) -> usize {
        let series = self.panels.iter().flatten().flat_map(|panel| &panel.series);
        series.flat_map(|series| &series.points).map(|point| point.y.n).sum()
    }

    pub fn num_points(&self) -> usize {
        self.panels.iter().flatten().flat_map(|panel| &panel.series).map(|series| series.points.len()).sum()
    }
}
