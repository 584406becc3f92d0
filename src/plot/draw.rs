//! A chart drawn as SVG by plotters.
//!
//! The drawing's unit is 1/300 inch, so that whole units are finer than any eye. Titles above, caption below and
//! legend to the right (below, where its texts are long) have room of their own: nothing of them can cover data.

use super::PlotError;
use super::axis::Axis;
use super::chart::{Estimate, Figure, Join, LegendEntry, Panel, Point, Series, Shows, Spread, Style};
use super::labels::{LabelBox, Wanted, place_labels};
use super::theme::{Color, DIMMED, Dash, FINE_GRID, FONT, FRAME, GRID, INK, Marker, QUIET_INK};
use crate::words::printable_line;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontStyle, register_font};
use std::sync::LazyLock;

const UNITS_PER_INCH: f64 = 300.0;
const POINT: f64 = UNITS_PER_INCH / 72.0;
/// Width of a panel over its height.
const ASPECT: f64 = 1.3;

/// How large a chart is: its panels set the size, title and caption are inside of it, a legend beside or below it adds to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    pub panel_height_in: f64,
    pub dpi: f64,
    /// Texts, lines and markers over what suits the height: more for a picture that is shown small.
    pub magnified: f64,
}

impl Size {
    /// Pixels of a figure.
    pub fn pixels(&self, figure: &Figure) -> (u32, u32) {
        let layout = Layout::of(figure, *self);
        let pixels = |units: f64| (units / UNITS_PER_INCH * self.dpi).round() as u32;
        (pixels(layout.width), pixels(layout.height))
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), PlotError>;
/// A place on the drawing.
type Place = (f64, f64);

static FONTS_READY: LazyLock<bool> = LazyLock::new(|| {
    register_font(FONT, FontStyle::Normal, notosans::REGULAR_TTF).is_ok()
        && register_font(FONT, FontStyle::Bold, notosans::BOLD_TTF).is_ok()
});

/// Draws the figure.
pub fn to_svg(figure: &Figure, size: Size) -> Result<String, PlotError> {
    if !*FONTS_READY {
        return Err(PlotError::Drawing("the embedded font can't be read".into()));
    }
    let layout = Layout::of(figure, size);
    let mut svg = String::new();
    {
        let size = (layout.width.round() as u32, layout.height.round() as u32);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let pen = Pen { area: &area, scale: layout.scale };
        area.fill(&WHITE).map_err(drawing)?;
        pen.figure(figure, &layout)?;
        area.present().map_err(drawing)?;
    }
    Ok(flat_opacity(&svg))
}

/// Where each point of a figure is drawn, as shares of its width and height, panel by panel and series by series. `None` for one
/// that its axes do not reach.
pub fn places(figure: &Figure, size: Size) -> Vec<Option<(f64, f64)>> {
    let layout = Layout::of(figure, size);
    let panels = figure.panels.iter().flatten().zip(layout.panels.iter().flatten());
    let places = panels.flat_map(|(panel, frame)| {
        let map = Map { x: &figure.x, y: &figure.y, frame };
        let places = panel.series.iter().flat_map(|series| &series.points).map(|point| map.place(point));
        places.collect::<Vec<_>>()
    });
    places.map(|place| place.map(|(x, y)| (x / layout.width, y / layout.height))).collect()
}

/// Plotters writes `opacity`, which asks for a layer of its own for each shape: as large as the picture, and slow.
/// Our shapes have either a fill or a stroke, so the opacity of both says the same. (In texts a quote is escaped.)
fn flat_opacity(svg: &str) -> String {
    let mut parts = svg.split(" opacity=\"");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |flat, part| match part.split_once('"') {
        Some(("1", rest)) => flat + rest,
        Some((opacity, rest)) => flat + &format!(" fill-opacity=\"{opacity}\" stroke-opacity=\"{opacity}\"") + rest,
        None => flat + part,
    })
}

fn drawing(error: impl std::fmt::Display) -> PlotError {
    PlotError::Drawing(error.to_string())
}

/// Sizes of text, in points at a panel height of 4.8 inches.
#[derive(Clone, Copy, PartialEq)]
enum Text {
    Title,
    Label,
    PanelTitle,
    Tick,
    Caption,
    Mark,
}

impl Text {
    fn points(self) -> f64 {
        match self {
            Self::Title => 15.0,
            Self::Label => 13.0,
            Self::PanelTitle => 12.0,
            Self::Tick => 11.5,
            Self::Caption => 9.0,
            Self::Mark => 10.0,
        }
    }

    fn is_bold(self) -> bool {
        matches!(self, Self::Title | Self::PanelTitle)
    }

    fn units(self, scale: f64) -> f64 {
        // Plotters wants whole, even sizes.
        ((self.points() * scale * POINT / 2.0).round() * 2.0).max(2.0)
    }

    fn height(self, scale: f64) -> f64 {
        self.units(scale) * 1.35
    }
}

fn text_width(text: &str, kind: Text, scale: f64) -> f64 {
    let style = if kind.is_bold() { FontStyle::Bold } else { FontStyle::Normal };
    let font = FontDesc::new(FontFamily::Name(FONT), kind.units(scale), style);
    LazyLock::force(&FONTS_READY);
    font.box_size(text).map_or(0.0, |(width, _)| f64::from(width) * DRAWN_OVER_MEASURED)
}

/// Plotters measures a text as if its size were the height of a line (1.362 em in this font), and writes it into the
/// SVG at size / 1.24.
const DRAWN_OVER_MEASURED: f64 = 1.362 / 1.24;

/// Where everything goes.
struct Layout {
    scale: f64,
    width: f64,
    height: f64,
    caption: Vec<String>,
    /// The frame of each panel, row by row.
    panels: Vec<Vec<LabelBox>>,
    legend: Legend,
    gap: f64,
}

/// The legend's lines in columns, and where they stand.
struct Legend {
    left: f64,
    top: f64,
    columns: Vec<Vec<LegendLine>>,
    column_width: f64,
}

impl Legend {
    fn height(&self, scale: f64) -> f64 {
        let of_column = |column: &Vec<LegendLine>| column.iter().map(|line| line.height(scale)).sum::<f64>();
        self.columns.iter().map(of_column).fold(0.0, f64::max)
    }
}

/// A column of the legend wider than this share of the panels would leave them little of the picture: then it stands below.
const WIDEST_BESIDE: f64 = 0.4;

/// A line of the legend.
#[derive(Clone)]
enum LegendLine {
    Heading(String),
    Entry(LegendEntry),
    Gap,
}

impl LegendLine {
    fn height(&self, scale: f64) -> f64 {
        match self {
            Self::Heading(_) => Text::PanelTitle.height(scale) * 1.1,
            Self::Entry(_) => Text::Tick.height(scale) * 1.1,
            Self::Gap => Text::Tick.height(scale) * 0.6,
        }
    }
}

/// The legend's lines, in as many columns as the height asks for.
fn legend_columns(figure: &Figure, scale: f64, height: f64) -> Vec<Vec<LegendLine>> {
    let mut columns: Vec<Vec<LegendLine>> = Vec::new();
    let mut left = 0.0;
    for block in &figure.legend {
        let heading = (!block.heading.is_empty()).then(|| LegendLine::Heading(block.heading.clone()));
        let entries = block.entries.iter().cloned().map(LegendLine::Entry);
        for line in heading.into_iter().chain(entries).chain([LegendLine::Gap]) {
            let needed = line.height(scale);
            match columns.last_mut() {
                Some(column) if needed <= left => column.push(line),
                _ => {
                    columns.push(vec![line]);
                    left = height;
                }
            }
            left -= needed;
        }
    }
    columns
}

/// The legend's lines in so many columns at most (one at least), as low as they can be.
fn low_columns(figure: &Figure, scale: f64, most: usize) -> Vec<Vec<LegendLine>> {
    let mut height = 0.0;
    loop {
        height += Text::Tick.height(scale);
        let columns = legend_columns(figure, scale, height);
        if columns.len() <= most.max(1) {
            return columns;
        }
    }
}

impl Layout {
    fn of(figure: &Figure, size: Size) -> Self {
        let scale = (size.panel_height_in / 4.8).clamp(0.6, 1.6) * size.magnified;
        let gap = 9.0 * POINT * scale;
        let (rows, cols) = (figure.panels.len().max(1), figure.panels.first().map_or(1, Vec::len).max(1));
        let panel_height = size.panel_height_in * UNITS_PER_INCH;
        let (panels_width, height) = (panel_height * ASPECT * cols as f64, panel_height * rows as f64);
        let title_height = if figure.title.is_empty() { 0.0 } else { Text::Title.height(scale) + gap };
        let column_width = legend_width(figure, scale) + gap;
        let is_below = column_width > WIDEST_BESIDE * panels_width;
        let mut legend = Legend { left: 0.0, top: 0.0, columns: Vec::new(), column_width };
        let (mut beside, mut below) = (0.0, 0.0);
        if is_below {
            legend.column_width = column_width.min(panels_width - gap);
            legend.columns = low_columns(figure, scale, ((panels_width - gap) / column_width) as usize);
            below = legend.height(scale) + gap * 0.5;
        } else {
            legend.columns = legend_columns(figure, scale, height - title_height - 2.0 * gap);
            let columns = legend.columns.len() as f64;
            beside = if legend.columns.is_empty() { 0.0 } else { column_width * columns + gap };
        }
        let (width, height) = (panels_width + beside, height + below);
        let caption =
            figure.caption.iter().flat_map(|line| wrapped(line, width - 2.0 * gap, scale)).collect::<Vec<_>>();

        let has_col_titles = figure.col_titles.iter().any(|title| !title.is_empty());
        let has_row_titles = figure.row_titles.iter().any(|title| !title.is_empty());
        let top = gap + title_height + if has_col_titles { Text::PanelTitle.height(scale) + gap * 0.5 } else { 0.0 };
        let caption_height =
            caption.len() as f64 * Text::Caption.height(scale) + if caption.is_empty() { 0.0 } else { gap };
        let bottom = gap * 1.6 + Text::Tick.height(scale) + Text::Label.height(scale) + caption_height + below;
        let ticks = figure.y.all_ticks();
        let tick_width = ticks.iter().map(|tick| text_width(&tick.text, Text::Tick, scale)).fold(0.0, f64::max);
        let left = gap * 1.6 + Text::Label.height(scale) + tick_width;
        let right = gap + if has_row_titles { Text::PanelTitle.height(scale) + gap * 0.5 } else { gap };
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
        Self { scale, width, height, caption, panels, legend, gap }
    }
}

fn legend_width(figure: &Figure, scale: f64) -> f64 {
    let swatch = 30.0 * POINT * scale;
    let entries = figure.legend.iter().flat_map(|block| block.entries.iter().map(|entry| &entry.text));
    let widest = entries.map(|text| text_width(text, Text::Tick, scale) + swatch).fold(0.0, f64::max);
    let headings = figure.legend.iter().map(|block| text_width(&block.heading, Text::PanelTitle, scale));
    headings.fold(widest, f64::max)
}

/// As much of a legend's text as fits.
fn shortened(text: &str, width: f64, scale: f64) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let mut shown = text.to_owned();
    while text_width(&shown, Text::Tick, scale) > width && letters.pop().is_some() {
        shown = letters.iter().chain(['…'].iter()).collect();
    }
    shown
}

/// Breaks a text into lines that fit.
fn wrapped(text: &str, width: f64, scale: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), Text::Caption, scale) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

struct Pen<'a, 'b> {
    area: &'a Area<'b>,
    scale: f64,
}

impl Pen<'_, '_> {
    fn figure(&self, figure: &Figure, layout: &Layout) -> Drawn {
        let gap = layout.gap;
        if !figure.title.is_empty() {
            self.text(&figure.title, (gap, gap), Text::Title, INK, (HPos::Left, VPos::Top))?;
        }
        let line_height = Text::Caption.height(self.scale);
        let caption_top = layout.height - gap - line_height * layout.caption.len() as f64;
        for (index, line) in layout.caption.iter().enumerate() {
            let at = (gap, caption_top + index as f64 * line_height);
            self.text(line, at, Text::Caption, QUIET_INK, (HPos::Left, VPos::Top))?;
        }
        for (row, panels) in figure.panels.iter().enumerate() {
            for (col, panel) in panels.iter().enumerate() {
                self.panel(figure, panel, &layout.panels[row][col], (row, col), layout)?;
            }
        }
        self.axis_labels(figure, layout)?;
        self.legend(&layout.legend)
    }

    fn axis_labels(&self, figure: &Figure, layout: &Layout) -> Drawn {
        let (first, last) = (&layout.panels[0][0], layout.panels.last().and_then(|row| row.last()));
        let Some(last) = last else { return Ok(()) };
        let middle_x = (first.left + last.left + last.width) / 2.0;
        let middle_y = (first.top + last.top + last.height) / 2.0;
        let below = last.top + last.height + Text::Tick.height(self.scale) + layout.gap * 0.8;
        self.text(&figure.x.label, (middle_x, below), Text::Label, INK, (HPos::Center, VPos::Top))?;
        // A label longer than its panel stays on the picture.
        let half = text_width(&figure.y.label, Text::Label, self.scale) / 2.0 + layout.gap * 0.5;
        let at = (layout.gap * 0.7, middle_y.min(layout.height - half).max(half));
        self.rotated(&figure.y.label, at, Text::Label, FontTransform::Rotate270)
    }

    fn panel(
        &self,
        figure: &Figure,
        panel: &Panel,
        frame: &LabelBox,
        (row, col): (usize, usize),
        layout: &Layout,
    ) -> Drawn {
        let map = Map { x: &figure.x, y: &figure.y, frame };
        self.grid(&map, row + 1 == figure.panels.len(), col == 0)?;
        let centre = (frame.left + frame.width / 2.0, frame.top - layout.gap * 0.4);
        if row == 0 {
            let title = figure.col_titles.get(col).map(String::as_str).unwrap_or_default();
            self.text(title, centre, Text::PanelTitle, INK, (HPos::Center, VPos::Bottom))?;
        }
        if col + 1 == figure.panels[row].len() {
            let title = figure.row_titles.get(row).map(String::as_str).unwrap_or_default();
            let at = (
                frame.left + frame.width + layout.gap * 0.4 + Text::PanelTitle.units(self.scale),
                frame.top + frame.height / 2.0,
            );
            self.rotated(title, at, Text::PanelTitle, FontTransform::Rotate90)?;
        }
        if panel.series.iter().all(|series| series.points.is_empty()) {
            let middle = (frame.left + frame.width / 2.0, frame.top + frame.height / 2.0);
            return self.text("no data", middle, Text::Tick, QUIET_INK, (HPos::Center, VPos::Center));
        }
        for series in &panel.series {
            self.spread(series, &map)?;
        }
        for series in &panel.series {
            self.line(series, &map)?;
        }
        for series in &panel.series {
            for point in &series.points {
                if let Some(at) = map.place(point) {
                    self.marker(at, &series.style, 1.0)?;
                }
            }
        }
        self.labels(panel, &map, layout.gap)
    }

    fn grid(&self, map: &Map<'_>, has_x_texts: bool, has_y_texts: bool) -> Drawn {
        let frame = map.frame;
        let (right, bottom) = (frame.left + frame.width, frame.top + frame.height);
        for at in map.x.minor.iter().filter_map(|value| map.x_units(*value)) {
            self.stroke(&[(at, frame.top), (at, bottom)], FINE_GRID, 1.0, 0.7)?;
        }
        for at in map.y.minor.iter().filter_map(|value| map.y_units(*value)) {
            self.stroke(&[(frame.left, at), (right, at)], FINE_GRID, 1.0, 0.7)?;
        }
        for tick in map.x.all_ticks() {
            let Some(at) = map.x_units(tick.at) else { continue };
            self.stroke(&[(at, frame.top), (at, bottom + 3.0 * POINT * self.scale)], GRID, 1.0, 1.0)?;
            if has_x_texts {
                self.text(
                    &tick.text,
                    (at, bottom + 4.5 * POINT * self.scale),
                    Text::Tick,
                    INK,
                    (HPos::Center, VPos::Top),
                )?;
            }
        }
        for tick in map.y.all_ticks() {
            let Some(at) = map.y_units(tick.at) else { continue };
            self.stroke(&[(frame.left - 3.0 * POINT * self.scale, at), (right, at)], GRID, 1.0, 1.0)?;
            if has_y_texts {
                self.text(
                    &tick.text,
                    (frame.left - 5.0 * POINT * self.scale, at),
                    Text::Tick,
                    INK,
                    (HPos::Right, VPos::Center),
                )?;
            }
        }
        self.stroke(&[(frame.left, frame.top), (frame.left, bottom), (right, bottom)], FRAME, 1.0, 1.0)
    }

    /// The intervals: a band along a line of several points, bars through points that stand alone.
    fn spread(&self, series: &Series, map: &Map<'_>) -> Drawn {
        let has_band = series.spread == Spread::Band && series.points.len() > 1;
        if series.spread == Spread::None {
            return Ok(());
        }
        if has_band {
            let edge = |value: fn(&Estimate) -> f64| {
                series
                    .points
                    .iter()
                    .filter_map(move |point| Some((map.x_units(point.x.mean)?, map.y_clamped(value(&point.y))?)))
            };
            let outline: Vec<(i32, i32)> = edge(Estimate::high)
                .chain(edge(Estimate::low).collect::<Vec<_>>().into_iter().rev())
                .map(whole)
                .collect();
            let fill = rgb(series.style.color).mix(0.16);
            return self.area.draw(&Polygon::new(outline, fill)).map_err(drawing);
        }
        for point in &series.points {
            let Some((x, y)) = map.place(point) else { continue };
            if point.y.half_width.is_some() {
                let ends = (map.y_clamped(point.y.low()), map.y_clamped(point.y.high()));
                if let (Some(low), Some(high)) = ends {
                    self.stroke(&[(x, low), (x, high)], series.style.color, series.style.opacity, 1.2)?;
                }
            }
            if point.x.half_width.is_some() {
                let ends = (map.x_clamped(point.x.low()), map.x_clamped(point.x.high()));
                if let (Some(low), Some(high)) = ends {
                    self.stroke(&[(low, y), (high, y)], series.style.color, series.style.opacity, 1.2)?;
                }
            }
        }
        Ok(())
    }

    fn line(&self, series: &Series, map: &Map<'_>) -> Drawn {
        if series.join == Join::None {
            return Ok(());
        }
        let path = path_of(series, map);
        for piece in dashed(&path, series.style.dash, self.scale) {
            self.stroke(&piece, series.style.color, series.style.opacity, 2.0)?;
        }
        Ok(())
    }

    fn marker(&self, (x, y): (f64, f64), style: &Style, size: f64) -> Drawn {
        let radius = 3.6 * POINT * self.scale * size;
        let fill = rgb(style.color).mix(style.opacity);
        let corners = |angles: &[f64], radius: f64| {
            let corner =
                |angle: &f64| whole((x + radius * angle.to_radians().cos(), y + radius * angle.to_radians().sin()));
            angles.iter().map(corner).collect::<Vec<_>>()
        };
        match style.marker {
            Marker::Circle => self.area.draw(&Circle::new(whole((x, y)), radius.round() as i32, fill.filled())),
            Marker::Square => self.area.draw(&Polygon::new(corners(&[45.0, 135.0, 225.0, 315.0], radius * 1.3), fill)),
            Marker::Triangle => self.area.draw(&Polygon::new(corners(&[-90.0, 30.0, 150.0], radius * 1.35), fill)),
            Marker::TriangleDown => self.area.draw(&Polygon::new(corners(&[90.0, 210.0, 330.0], radius * 1.35), fill)),
            Marker::Diamond => self.area.draw(&Polygon::new(corners(&[0.0, 90.0, 180.0, 270.0], radius * 1.35), fill)),
            Marker::None => Ok(()),
            Marker::Cross => {
                for (from, to) in [(45.0, 225.0), (135.0, 315.0)] {
                    let ends = corners(&[from, to], radius * 1.3);
                    self.area
                        .draw(&PathElement::new(ends, fill.stroke_width(self.stroke_width(2.2))))
                        .map_err(drawing)?;
                }
                Ok(())
            }
        }
        .map_err(drawing)
    }

    fn labels(&self, panel: &Panel, map: &Map<'_>, gap: f64) -> Drawn {
        let radius = 4.5 * POINT * self.scale;
        let obstacles = self.obstacles(panel, map, radius);
        let shown: Vec<_> =
            panel.labels.iter().filter_map(|label| Some((label, map.place_of(label.x, label.y)?))).collect();
        let wanted: Vec<Wanted> = shown
            .iter()
            .map(|(label, (x, y))| Wanted {
                x: *x,
                y: *y,
                width: text_width(&label.text, Text::Mark, self.scale) + gap,
                height: Text::Mark.height(self.scale),
                is_required: label.is_required,
            })
            .collect();
        let places = place_labels(&wanted, &obstacles, *map.frame, radius);
        for ((label, (x, y)), place) in shown.iter().zip(places) {
            let Some(place) = place else { continue };
            let nearest = (x.clamp(place.left, place.left + place.width), y.clamp(place.top, place.top + place.height));
            if (nearest.0 - x).hypot(nearest.1 - y) > radius * 2.0 {
                self.stroke(&[(*x, *y), nearest], DIMMED, 1.0, 0.8)?;
            }
            let centre = (place.left + place.width / 2.0, place.top + place.height / 2.0);
            let color = if label.is_required { INK } else { QUIET_INK };
            self.text(&label.text, centre, Text::Mark, color, (HPos::Center, VPos::Center))?;
        }
        Ok(())
    }

    /// What no label may cover: points, and the bars through them.
    fn obstacles(&self, panel: &Panel, map: &Map<'_>, radius: f64) -> Vec<LabelBox> {
        let mut boxes = Vec::new();
        for point in panel.series.iter().flat_map(|series| &series.points) {
            let Some((x, y)) = map.place(point) else { continue };
            boxes.push(LabelBox { left: x - radius, top: y - radius, width: 2.0 * radius, height: 2.0 * radius });
            if let (Some(low), Some(high)) = (map.x_clamped(point.x.low()), map.x_clamped(point.x.high())) {
                boxes.push(LabelBox { left: low, top: y - 1.0, width: high - low, height: 2.0 });
            }
            if let (Some(low), Some(high)) = (map.y_clamped(point.y.low()), map.y_clamped(point.y.high())) {
                boxes.push(LabelBox { left: x - 1.0, top: high, width: 2.0, height: low - high });
            }
        }
        for series in panel.series.iter().filter(|series| series.join != Join::None) {
            // Steps run along the axes, so a box can follow them.
            let path = path_of(series, map);
            let steps = path.windows(2).filter(|pair| pair[0].0 == pair[1].0 || pair[0].1 == pair[1].1);
            boxes.extend(steps.map(|pair| LabelBox {
                left: pair[0].0.min(pair[1].0) - 2.0 * POINT,
                top: pair[0].1.min(pair[1].1) - 2.0 * POINT,
                width: (pair[0].0 - pair[1].0).abs() + 4.0 * POINT,
                height: (pair[0].1 - pair[1].1).abs() + 4.0 * POINT,
            }));
        }
        boxes
    }

    fn legend(&self, legend: &Legend) -> Drawn {
        for (index, column) in legend.columns.iter().enumerate() {
            let left = legend.left + index as f64 * legend.column_width;
            let mut top = legend.top;
            for line in column {
                let height = line.height(self.scale);
                match line {
                    LegendLine::Heading(text) => {
                        self.text(text, (left, top), Text::PanelTitle, INK, (HPos::Left, VPos::Top))?;
                    }
                    LegendLine::Entry(entry) => {
                        self.legend_entry(entry, (left, top + height / 2.0), legend.column_width)?;
                    }
                    LegendLine::Gap => {}
                }
                top += height;
            }
        }
        Ok(())
    }

    fn legend_entry(&self, entry: &LegendEntry, (left, middle): Place, width: f64) -> Drawn {
        let swatch = 24.0 * POINT * self.scale;
        if entry.shows != Shows::Marker {
            for piece in dashed(&[(left, middle), (left + swatch, middle)], entry.style.dash, self.scale) {
                self.stroke(&piece, entry.style.color, entry.style.opacity, 2.0)?;
            }
        }
        if entry.shows != Shows::Line {
            self.marker((left + swatch / 2.0, middle), &entry.style, 1.0)?;
        }
        let before = swatch + 6.0 * POINT * self.scale;
        let text = shortened(&entry.text, width - before, self.scale);
        self.text(&text, (left + before, middle), Text::Tick, INK, (HPos::Left, VPos::Center))
    }

    fn stroke(&self, path: &[(f64, f64)], color: Color, opacity: f64, width_pt: f64) -> Drawn {
        let style = rgb(color).mix(opacity).stroke_width(self.stroke_width(width_pt));
        self.area.draw(&PathElement::new(path.iter().copied().map(whole).collect::<Vec<_>>(), style)).map_err(drawing)
    }

    fn stroke_width(&self, width_pt: f64) -> u32 {
        (width_pt * POINT * self.scale).round().max(1.0) as u32
    }

    fn text(&self, text: &str, at: (f64, f64), kind: Text, color: Color, (h, v): (HPos, VPos)) -> Drawn {
        self.write(text, at, kind, color, Pos::new(h, v), FontTransform::None)
    }

    /// A text along a vertical edge, centred on its place.
    fn rotated(&self, text: &str, at: (f64, f64), kind: Text, transform: FontTransform) -> Drawn {
        self.write(text, at, kind, INK, Pos::new(HPos::Center, VPos::Top), transform)
    }

    fn write(&self, text: &str, at: (f64, f64), kind: Text, color: Color, pos: Pos, transform: FontTransform) -> Drawn {
        if text.is_empty() {
            return Ok(());
        }
        let style = if kind.is_bold() { FontStyle::Bold } else { FontStyle::Normal };
        let font = FontDesc::new(FontFamily::Name(FONT), kind.units(self.scale), style).transform(transform);
        let ink = rgb(color);
        let style = TextStyle::from(font).color(&ink).pos(pos);
        self.area.draw_text(&printable_line(text), &style, whole(at)).map_err(drawing)
    }
}

/// From values to units.
struct Map<'a> {
    x: &'a Axis,
    y: &'a Axis,
    frame: &'a LabelBox,
}

impl Map<'_> {
    fn x_units(&self, value: f64) -> Option<f64> {
        Some(self.frame.left + self.x.place(value)? * self.frame.width)
    }

    fn y_units(&self, value: f64) -> Option<f64> {
        Some(self.frame.top + (1.0 - self.y.place(value)?) * self.frame.height)
    }

    /// An interval that leaves the axis ends at its edge.
    fn x_clamped(&self, value: f64) -> Option<f64> {
        self.x_units(value.clamp(self.x.min, self.x.max))
    }

    fn y_clamped(&self, value: f64) -> Option<f64> {
        self.y_units(value.clamp(self.y.min, self.y.max))
    }

    fn place_of(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        Some((self.x_units(x)?, self.y_units(y)?))
    }

    fn place(&self, point: &Point) -> Option<(f64, f64)> {
        self.place_of(point.x.mean, point.y.mean)
    }
}

fn whole((x, y): (f64, f64)) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

fn rgb((red, green, blue): Color) -> RGBColor {
    RGBColor(red, green, blue)
}

/// The line through a series' points.
fn path_of(series: &Series, map: &Map<'_>) -> Vec<(f64, f64)> {
    let places: Vec<(f64, f64)> = series.points.iter().filter_map(|point| map.place(point)).collect();
    match series.join {
        Join::None | Join::Straight => places,
        Join::StepsAtStart => stepped(&places, |from, to| (from.0, to.1)),
        Join::StepsAtEnd => stepped(&places, |from, to| (to.0, from.1)),
    }
}

/// A path with a corner between every two places.
fn stepped(places: &[Place], corner: fn(Place, Place) -> Place) -> Vec<Place> {
    let corners = places.windows(2).flat_map(|pair| [pair[0], corner(pair[0], pair[1])]);
    corners.chain(places.last().copied()).collect()
}

/// Cuts a path into the strokes of its dash.
fn dashed(path: &[(f64, f64)], dash: Dash, scale: f64) -> Vec<Vec<(f64, f64)>> {
    let pattern: &[f64] = match dash {
        Dash::Solid => return vec![path.to_vec()],
        Dash::Dashed => &[8.0, 4.0],
        Dash::Dotted => &[2.0, 3.0],
        Dash::Mixed => &[8.0, 3.0, 2.0, 3.0],
    };
    let mut lengths = pattern.iter().map(|points| points * POINT * scale).cycle();
    let mut strokes = Vec::new();
    let mut is_on = true;
    let mut left = lengths.next().unwrap_or(1.0);
    let mut stroke: Vec<(f64, f64)> = path.first().copied().into_iter().collect();
    for pair in path.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        loop {
            let distance = (to.0 - from.0).hypot(to.1 - from.1);
            if distance <= left {
                left -= distance;
                stroke.push(to);
                break;
            }
            let share = left / distance;
            from = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            stroke.push(from);
            if is_on {
                strokes.push(std::mem::take(&mut stroke));
            }
            is_on = !is_on;
            stroke = vec![from];
            left = lengths.next().unwrap_or(1.0);
        }
    }
    if is_on && stroke.len() > 1 {
        strokes.push(stroke);
    }
    strokes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::axis::Scale;
    use crate::plot::chart::LegendBlock;

    #[test]
    fn a_dashed_line_is_cut_and_keeps_its_ends_inside() {
        let path = [(0.0, 0.0), (300.0, 0.0), (300.0, 300.0)];
        assert_eq!(dashed(&path, Dash::Solid, 1.0).len(), 1);
        let strokes = dashed(&path, Dash::Dashed, 1.0);
        let length: f64 = strokes
            .iter()
            .flat_map(|stroke| stroke.windows(2))
            .map(|pair| (pair[1].0 - pair[0].0).hypot(pair[1].1 - pair[0].1))
            .sum();
        // Eight of twelve points are ink.
        assert!((length / 600.0 - 8.0 / 12.0).abs() < 0.05, "{length}");
    }

    #[test]
    fn texts_are_as_wide_as_they_are_drawn() {
        // A digit of Noto Sans is 0.572 em wide, and an em is drawn as size / 1.24.
        let em = Text::Tick.units(1.0) / 1.24;
        let width = text_width(&"0".repeat(100), Text::Tick, 1.0);
        assert!((width / em / 100.0 - 0.572).abs() < 0.002, "{}", width / em / 100.0);
    }

    const SIZE: Size = Size { panel_height_in: 4.8, dpi: 100.0, magnified: 1.0 };

    fn with_legend(text: &str, count: usize) -> Figure {
        let style = Style { color: INK, dash: Dash::Solid, marker: Marker::Circle, opacity: 1.0 };
        let entry = |index: usize| LegendEntry { text: format!("{text} {index}"), style, shows: Shows::Both };
        let axis = || Axis::around("x", Scale::Linear, [1.0, 2.0].into_iter());
        Figure {
            title: String::new(),
            caption: vec!["c".into()],
            x: axis(),
            y: axis(),
            row_titles: vec![String::new()],
            col_titles: vec![String::new()],
            panels: vec![vec![Panel::default()]],
            legend: vec![LegendBlock { heading: "h".into(), entries: (0..count).map(entry).collect() }],
        }
    }

    fn num_entries(layout: &Layout) -> usize {
        layout.legend.columns.iter().flatten().filter(|line| matches!(line, LegendLine::Entry(_))).count()
    }

    #[test]
    fn a_legend_of_many_entries_takes_more_columns_and_stays_inside() {
        let (short, long) = (Layout::of(&with_legend("curve", 4), SIZE), Layout::of(&with_legend("curve", 80), SIZE));
        assert_eq!((short.legend.columns.len(), long.legend.columns.len() > 1), (1, true));
        assert_eq!(num_entries(&long), 80);
        assert!(long.legend.height(long.scale) <= long.height);
        let right = long.legend.left + long.legend.columns.len() as f64 * long.legend.column_width;
        assert!(right <= long.width && long.legend.left >= long.panels[0][0].left + long.panels[0][0].width);
        assert!((short.panels[0][0].width - long.panels[0][0].width).abs() < 1e-6);
    }

    #[test]
    fn a_legend_of_long_texts_stands_below_and_takes_nothing_from_the_panel() {
        let short = Layout::of(&with_legend("curve", 5), SIZE);
        for (text, columns) in [("a text of rather middling length", 2), (&"long ".repeat(40), 1)] {
            let below = Layout::of(&with_legend(text, 5), SIZE);
            assert_eq!((below.legend.columns.len(), num_entries(&below)), (columns, 5));
            let (panel, beside) = (below.panels[0][0], short.panels[0][0]);
            assert!((panel.width - beside.width).abs() < 1e-6 && (panel.height - beside.height).abs() < 1e-6);
            let caption = below.gap + Text::Caption.height(below.scale);
            assert!(below.legend.top > panel.top + panel.height + Text::Label.height(below.scale));
            assert!(below.legend.top + below.legend.height(below.scale) <= below.height - caption);
            assert!(below.legend.left + columns as f64 * below.legend.column_width <= below.width);
        }
        let text = shortened(&"long ".repeat(40), 500.0, 1.0);
        assert!(text.ends_with('…') && text_width(&text, Text::Tick, 1.0) <= 500.0, "{text}");
    }

    #[test]
    fn opacity_needs_no_layer() {
        let svg = r#"<a opacity="1" x="2"/><b opacity="0.16" fill="c"/><text opacity="1">d opacity=&quot;3</text>"#;
        let flat = r#"<a x="2"/><b fill-opacity="0.16" stroke-opacity="0.16" fill="c"/><text>d opacity=&quot;3</text>"#;
        assert_eq!(flat_opacity(svg), flat);
    }

    #[test]
    fn a_long_caption_is_wrapped() {
        let lines = wrapped(&"word ".repeat(100), 800.0, 1.0);
        assert!(lines.len() > 3 && lines.iter().all(|line| text_width(line, Text::Caption, 1.0) <= 800.0));
    }
}
