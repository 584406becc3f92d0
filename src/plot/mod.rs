//! Charts: first as data, then as SVG (plotters), then as PNG (resvg). One theme, an embedded font.

mod axis;
mod chart;
mod curves;
mod draw;
mod dress;
mod kinds;
mod labels;
mod ladder;
mod lines;
mod pareto;
mod pdf;
mod raster;
mod request;
mod sla;
mod theme;
mod timeline;
mod trend;
mod tune;

pub use axis::{Axis, Scale, Tick, UnknownScale, number_label};
pub use chart::{
    Estimate, Figure, Join, LegendBlock, LegendEntry, Panel, Point, PointLabel, Series, Shape, Shown, Shows, Spread,
    Style,
};
pub use curves::{CurveSpec, Observation, curves, natural_order};
pub use draw::{LegendPlace, Size, places, to_svg};
pub use dress::Dress;
pub use kinds::{ChartKind, Datum, KindSpec, kind_figure};
pub use labels::{LabelBox, place_labels};
pub use ladder::ladders;
pub use lines::lines_figure;
pub use pareto::{Configuration, ParetoSpec, pareto_figure};
pub use pdf::to_pdf;
pub use raster::to_png;
pub use request::{
    CurveRequest, Curves, DrawnCurves, DrawnTimeline, Frontier, KindRequest, Objective, ParetoRequest, Rows,
    TimelineRequest,
};
pub use sla::{SlaChart, sla_charts};
pub use theme::{Color, DIMMED, Dash, Marker, Palette, category_color};
pub use timeline::{Sampled, Sent, Timeline};
pub use trend::{MOST_SERIES, SeriesOverSweeps, SweepInTime, trend_figure};
pub use tune::{TuneChart, tune_charts};

use crate::query::QueryError;

/// What a variable was to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    X,
    Y,
    Binned,
    Objective,
    UserCount,
    GpuCount,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X => "the x axis",
            Self::Y => "the y axis",
            Self::Binned => "binned",
            Self::Objective => "an objective",
            Self::UserCount => "a number of users",
            Self::GpuCount => "a number of GPUs",
        }
    }
}

/// Why a chart could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    #[error("the chart can't be drawn: {0}")]
    Drawing(String),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(
        "`{var}` is not numeric, so it can't be {}; it can only separate curves, rows or columns of panels", role.as_str()
    )]
    NotANumber { role: Role, var: String },
    #[error("{text:?}: expected METRIC:min or METRIC:max (the direction may be omitted for known metrics)")]
    BadObjective { text: String },
    #[error("`{condition}` removed the last {left} run(s): nothing is left to draw")]
    FilteredAway { condition: String, left: usize },
    #[error("texts of this size leave no room for the chart itself")]
    NoRoom,
    #[error("the query returns no rows: nothing to draw")]
    NoRows,
    #[error("the query returns no column `{var}`; it returns: {}", known.join(", "))]
    NotReturned { var: String, known: Vec<String> },
    #[error("column `{var}` is NULL in all {rows} row(s): nothing to draw")]
    OnlyNull { var: String, rows: usize },
    #[error("there is no variable `{var}` to name")]
    NoSuchLabel { var: String },
    #[error("the query returns {found} column(s); a chart needs x and y")]
    TooFewColumns { found: usize },
    #[error("no completed run has both values: nothing to draw")]
    NoRuns,
    #[error("no run has both values: {missing}")]
    NoValues { missing: String },
    #[error("too many requests failed in all {runs} run(s): nothing is left to draw")]
    AllDegraded { runs: usize },
    #[error("{}", no_such_run(runs))]
    NoSuchRun { runs: Vec<String> },
    #[error("{runs} runs would be {runs} figures, which is more than {most}")]
    TooManyRuns { runs: usize, most: usize },
    #[error("neither samples nor requests of the run(s) are stored: nothing to draw")]
    NothingSampled,
    #[error("a chart of {width} x {height} pixels can't be drawn")]
    BadSize { width: u32, height: u32 },
}

fn no_such_run(runs: &[String]) -> String {
    match runs {
        [] => "there is no such run".into(),
        runs => format!("no run has an ID that begins with {}", runs.join(" or ")),
    }
}
