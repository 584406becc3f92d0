//! Charts: first as data, then as SVG (plotters), then as PNG (resvg). One theme, an embedded font.

mod axis;
mod chart;
mod curves;
mod draw;
mod labels;
mod pareto;
mod raster;
mod theme;

pub use axis::{Axis, Scale, Tick, UnknownScale, number_label};
pub use chart::{
    Estimate, Figure, Join, LegendBlock, LegendEntry, Panel, Point, PointLabel, Series, Spread, Style,
};
pub use curves::{CurveSpec, Observation, curves, natural_order};
pub use draw::{Size, to_svg};
pub use labels::{LabelBox, place_labels};
pub use pareto::{Configuration, ParetoSpec, pareto_figure};
pub use raster::to_png;

/// Why a chart could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    #[error("the chart can't be drawn: {0}")]
    Drawing(String),
    #[error("the chart is {width} x {height} pixels, which is too large; lower --fig-dpi or --fig-height")]
    TooLarge { width: u32, height: u32 },
}
