//! Where everything goes.
//!
//! Titles above, caption below and legend to the right (below, where its texts are long) have room of their own: nothing of them can
//! cover data.

use super::super::axis::Axis;
use super::super::chart::Figure;
use super::super::labels::LabelBox;
use super::legend::{Legend, WIDEST_BESIDE, legend_columns, legend_width, low_columns};
use super::text::{POINT, Text, UNITS_PER_INCH, text_width, wrapped};

/// Width of a panel over its height.
const ASPECT: f64 = 1.3;

/// How large a chart is: its panels set the size, title and caption are inside of it, a legend beside or below it adds to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    pub panel_height_in: f64,
    /// Of the whole picture, where they are given.
    pub width_in: Option<f64>,
    pub height_in: Option<f64>,
    pub legend: LegendPlace,
    pub dpi: f64,
    /// Texts, lines and markers over what suits the height: more for a picture that is shown small.
    pub magnified: f64,
}

/// Where the legend stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LegendPlace {
    /// To the right, or below where its texts are long.
    #[default]
    Auto,
    Right,
    Bottom,
    None,
}

impl Size {
    /// By the height of a panel.
    pub const fn of_panel(height_in: f64, dpi: f64, magnified: f64) -> Self {
        let legend = LegendPlace::Auto;
        Self { panel_height_in: height_in, width_in: None, height_in: None, legend, dpi, magnified }
    }

    /// With numbers on the axes of so many points; all other texts follow.
    pub fn with_tick_points(self, points: f64) -> Self {
        let natural = natural_scale(self.height_in.unwrap_or(self.panel_height_in));
        Self { magnified: points / Text::Tick.points() / natural, ..self }
    }

    /// Pixels of a figure.
    pub fn pixels(&self, figure: &Figure) -> (u32, u32) {
        let layout = Layout::of(figure, *self);
        let pixels = |units: f64| (units / UNITS_PER_INCH * self.dpi).round() as u32;
        (pixels(layout.width), pixels(layout.height))
    }
}

/// How large texts are beside what they are in a panel of 4.8 inches.
fn natural_scale(panel_height_in: f64) -> f64 {
    (panel_height_in / 4.8).clamp(0.6, 1.6)
}

/// Where everything goes.
pub struct Layout {
    pub scale: f64,
    pub width: f64,
    pub height: f64,
    pub title: Vec<(Text, String)>,
    pub caption: Vec<String>,
    /// The frame of each panel, row by row.
    pub panels: Vec<Vec<LabelBox>>,
    pub legend: Legend,
    pub gap: f64,
}

/// The first line of a title, and those below it, in lines that fit.
fn title_lines(figure: &Figure, scale: f64, width: f64) -> Vec<(Text, String)> {
    let kinds = std::iter::once(Text::Title).chain(std::iter::repeat(Text::Tick));
    let lines = figure.title.lines().zip(kinds);
    lines.flat_map(|(line, kind)| wrapped(line, kind, width, scale).into_iter().map(move |line| (kind, line))).collect()
}

impl Layout {
    pub fn of(figure: &Figure, size: Size) -> Self {
        let (rows, cols) = (figure.panels.len().max(1), figure.panels.first().map_or(1, Vec::len).max(1));
        let panel_height_in = size.height_in.map_or(size.panel_height_in, |height| height / rows as f64);
        let scale = natural_scale(panel_height_in) * size.magnified;
        let gap = 9.0 * POINT * scale;
        let panel_height = panel_height_in * UNITS_PER_INCH;
        let (mut panels_width, mut height) = (panel_height * ASPECT * cols as f64, panel_height * rows as f64);
        if let Some(width) = size.width_in {
            panels_width = width * UNITS_PER_INCH;
        }
        let title = title_lines(figure, scale, panels_width - 2.0 * gap);
        let title_height =
            title.iter().map(|(kind, _)| kind.height(scale)).sum::<f64>() + if title.is_empty() { 0.0 } else { gap };
        let column_width = legend_width(figure, scale) + gap;
        let is_below = match size.legend {
            LegendPlace::Auto => column_width > WIDEST_BESIDE * panels_width,
            LegendPlace::Bottom => true,
            LegendPlace::Right | LegendPlace::None => false,
        };
        let mut legend = Legend { left: 0.0, top: 0.0, columns: Vec::new(), column_width };
        let (mut beside, mut below) = (0.0, 0.0);
        if size.legend == LegendPlace::None {
            legend.column_width = 0.0;
        } else if is_below {
            legend.column_width = column_width.min(panels_width - gap);
            legend.columns = low_columns(figure, scale, ((panels_width - gap) / column_width) as usize);
            below = legend.height(scale) + gap * 0.5;
        } else {
            legend.columns = legend_columns(figure, scale, height - title_height - 2.0 * gap);
            let columns = legend.columns.len() as f64;
            beside = if legend.columns.is_empty() { 0.0 } else { column_width * columns + gap };
        }
        // What is given for the whole picture holds the legend, too.
        if size.width_in.is_some() {
            panels_width = (panels_width - beside).max(panel_height * 0.3);
        }
        if size.height_in.is_some() {
            height = (height - below).max(panel_height * 0.3);
        }
        let (width, height) = (panels_width + beside, height + below);
        let in_lines = |line: &String| wrapped(line, Text::Caption, width - 2.0 * gap, scale);
        let caption = figure.caption.iter().flat_map(in_lines).collect::<Vec<_>>();

        let of_titles = |titles: &[String], otherwise: f64| match titles.iter().any(|title| !title.is_empty()) {
            true => Text::PanelTitle.height(scale) + gap * 0.5,
            false => otherwise,
        };
        let top = gap + title_height + of_titles(&figure.col_titles, 0.0);
        let caption_height =
            caption.len() as f64 * Text::Caption.height(scale) + if caption.is_empty() { 0.0 } else { gap };
        let bottom = gap * 1.6 + Text::Tick.height(scale) + Text::Label.height(scale) + caption_height + below;
        let ticks: Vec<_> = figure.y_axes().into_iter().flat_map(Axis::all_ticks).collect();
        let tick_width = ticks.iter().map(|tick| text_width(&tick.text, Text::Tick, scale)).fold(0.0, f64::max);
        let left = gap * 1.6 + Text::Label.height(scale) + tick_width;
        let right = gap + of_titles(&figure.row_titles, gap);
        let between = gap * 1.2;
        let inner_width = (panels_width - left - right - between * (cols - 1) as f64) / cols as f64;
        let inner_height = (height - top - bottom - between * (rows - 1) as f64) / rows as f64;
        let frame = |row: usize, col: usize| LabelBox {
            left: left + col as f64 * (inner_width + between),
            top: top + row as f64 * (inner_height + between),
            width: inner_width,
            height: inner_height,
        };
        let panels = (0..rows).map(|row| (0..cols).map(|col| frame(row, col)).collect()).collect();
        (legend.left, legend.top) = match is_below {
            true => (gap, height - gap - caption_height - below),
            false => (panels_width + gap, gap + title_height),
        };
        Self { scale, width, height, title, caption, panels, legend, gap }
    }
}
