//! What draws: the parts of a figure, stroke by stroke.

use super::super::axis::Axis;
use super::super::chart::{Estimate, Figure, Join, LegendEntry, Panel, Series, Shape, Shown, Shows, Spread, Style};
use super::super::labels::{LabelBox, Wanted, place_labels};
use super::super::theme::{Color, DIMMED, FINE_GRID, FONT, FRAME, GRID, INK, Marker, QUIET_INK};
use super::dash::dashed;
use super::layout::Layout;
use super::legend::{Legend, LegendLine, shortened};
use super::map::{Map, Place, layers, path_of, whole};
use super::text::{POINT, Text, text_width};
use crate::plot::PlotError;
use crate::words::printable_line;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontStyle};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), PlotError>;

pub fn drawing(error: impl std::fmt::Display) -> PlotError {
    PlotError::Drawing(error.to_string())
}

fn rgb((red, green, blue): Color) -> RGBColor {
    RGBColor(red, green, blue)
}

/// White on dark colors, ink on light ones.
fn ink_on((red, green, blue): Color) -> Color {
    let luminance = 0.2126 * f64::from(red) + 0.7152 * f64::from(green) + 0.0722 * f64::from(blue);
    if luminance < 140.0 { (255, 255, 255) } else { INK }
}

pub struct Pen<'a, 'b> {
    pub area: &'a Area<'b>,
    pub scale: f64,
}

impl Pen<'_, '_> {
    pub fn figure(&self, figure: &Figure, layout: &Layout) -> Drawn {
        let gap = layout.gap;
        let mut top = gap;
        for (kind, line) in &layout.title {
            let color = if *kind == Text::Title { INK } else { QUIET_INK };
            self.text(line, (gap, top), *kind, color, (HPos::Left, VPos::Top))?;
            top += kind.height(self.scale);
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
        let own = figure.panels.iter().zip(&layout.panels).filter_map(|(row, frames)| {
            Some((row.first()?.y.as_ref()?, frames.first().map(|frame| frame.top + frame.height / 2.0)?))
        });
        let own: Vec<(&Axis, f64)> = own.collect();
        let labels = if own.is_empty() { vec![(&figure.y, middle_y)] } else { own };
        labels.into_iter().try_for_each(|(axis, middle)| {
            // A label longer than its panel stays on the picture.
            let half = text_width(&axis.label, Text::Label, self.scale) / 2.0 + layout.gap * 0.5;
            let at = (layout.gap * 0.7, middle.min(layout.height - half).max(half));
            self.rotated(&axis.label, at, Text::Label, FontTransform::Rotate270)
        })
    }

    fn panel(
        &self,
        figure: &Figure,
        panel: &Panel,
        frame: &LabelBox,
        (row, col): (usize, usize),
        layout: &Layout,
    ) -> Drawn {
        let map = Map { x: &figure.x, y: figure.y_of(panel), frame };
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
        if panel.shapes.is_empty() && panel.series.iter().all(|series| series.points.is_empty()) {
            let middle = (frame.left + frame.width / 2.0, frame.top + frame.height / 2.0);
            return self.text("no data", middle, Text::Tick, QUIET_INK, (HPos::Center, VPos::Center));
        }
        for shape in &panel.shapes {
            self.shape(shape, &map)?;
        }
        for series in &panel.series {
            self.spread(series, &map)?;
        }
        for (series, above) in panel.series.iter().zip(layers(&panel.series, &map)) {
            self.line(series, above as f64, &map)?;
            let size = 1.0 + 0.35 * above as f64;
            for at in series.points.iter().filter_map(|point| map.place(point)) {
                self.marker(at, &series.style, size)?;
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

    fn shape(&self, shape: &Shape, map: &Map<'_>) -> Drawn {
        match shape {
            Shape::Area { outline, color } => {
                let outline: Vec<Place> =
                    outline.iter().filter_map(|(x, y)| Some((map.x_clamped(*x)?, map.y_clamped(*y)?))).collect();
                let corners = outline.iter().copied().map(whole).collect::<Vec<_>>();
                self.area.draw(&Polygon::new(corners, rgb(*color).mix(0.3))).map_err(drawing)?;
                self.stroke(&outline, *color, 1.0, 1.0)
            }
            Shape::Shade { from, until } => {
                let (Some(left), Some(right)) = (map.x_clamped(*from), map.x_clamped(*until)) else { return Ok(()) };
                let (top, bottom) = (map.frame.top, map.frame.top + map.frame.height);
                let corners = [whole((left, top)), whole((right, bottom))];
                self.area.draw(&Rectangle::new(corners, rgb(GRID).mix(0.6).filled())).map_err(drawing)
            }
            Shape::Box { at, half, ends, color } => self.quartiles((*at, *half), ends, *color, map),
            Shape::Cell { x, y, color, text } => {
                let ends = |at: f64| [at - 0.5, at + 0.5];
                let ([left, right], [low, high]) =
                    (ends(*x).map(|x| map.x_clamped(x)), ends(*y).map(|y| map.y_clamped(y)));
                let (Some(left), Some(right), Some(low), Some(high)) = (left, right, low, high) else { return Ok(()) };
                let corners = [(left, low), (right, low), (right, high), (left, high)].map(whole);
                self.area.draw(&Polygon::new(corners, rgb(*color))).map_err(drawing)?;
                let middle = ((left + right) / 2.0, (low + high) / 2.0);
                self.text(text, middle, Text::Mark, ink_on(*color), (HPos::Center, VPos::Center))
            }
        }
    }

    fn quartiles(&self, (at, half): (f64, f64), ends: &[f64; 5], color: Color, map: &Map<'_>) -> Drawn {
        let heights = ends.map(|value| map.y_clamped(value));
        let sides = [at - half, at, at + half].map(|x| map.x_clamped(x));
        let ([Some(least), Some(low), Some(middle), Some(high), Some(most)], [Some(left), Some(x), Some(right)]) =
            (heights, sides)
        else {
            return Ok(());
        };
        self.stroke(&[(x, least), (x, low)], color, 1.0, 1.2)?;
        self.stroke(&[(x, high), (x, most)], color, 1.0, 1.2)?;
        let corners = [(left, low), (right, low), (right, high), (left, high), (left, low)];
        self.area.draw(&Polygon::new(corners.map(whole), rgb(color).mix(0.25))).map_err(drawing)?;
        self.stroke(&corners, color, 1.0, 1.2)?;
        self.stroke(&[(left, middle), (right, middle)], color, 1.0, 2.4)
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
            if point.y.interval.is_some() {
                let ends = (map.y_clamped(point.y.low()), map.y_clamped(point.y.high()));
                if let (Some(low), Some(high)) = ends {
                    self.stroke(&[(x, low), (x, high)], series.style.color, series.style.opacity, 1.2)?;
                }
            }
            if point.x.interval.is_some() {
                let ends = (map.x_clamped(point.x.low()), map.x_clamped(point.x.high()));
                if let (Some(low), Some(high)) = ends {
                    self.stroke(&[(low, y), (high, y)], series.style.color, series.style.opacity, 1.2)?;
                }
            }
        }
        Ok(())
    }

    fn line(&self, series: &Series, above: f64, map: &Map<'_>) -> Drawn {
        if series.join == Join::None {
            return Ok(());
        }
        let path = path_of(series, map);
        for piece in dashed(&path, series.style.dash, self.scale) {
            self.stroke(&piece, series.style.color, series.style.opacity, 2.0 + 1.8 * above)?;
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
        let drawn = panel.labels.iter().filter(|label| label.shown != Shown::UnderPointer);
        let shown: Vec<_> = drawn.filter_map(|label| Some((label, map.place_of(label.x, label.y)?))).collect();
        let wanted: Vec<Wanted> = shown
            .iter()
            .map(|(label, (x, y))| Wanted {
                x: *x,
                y: *y,
                width: text_width(&label.text, Text::Mark, self.scale) + gap,
                height: Text::Mark.height(self.scale),
                is_required: label.shown == Shown::Always,
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
            let color = if label.shown == Shown::Always { INK } else { QUIET_INK };
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
