//! A chart drawn as SVG by plotters.
//!
//! The drawing's unit is 1/300 inch, so that whole units are finer than any eye.

mod dash;
mod layout;
mod legend;
mod map;
mod pen;
mod text;

pub use layout::{LegendPlace, Size};
pub use text::UNITS_PER_INCH;

use super::PlotError;
use super::chart::Figure;
use layout::Layout;
use map::Map;
use pen::{Pen, drawing};
use plotters::prelude::*;
use text::FONTS_READY;

/// On a panel of a fifth of an inch nothing can be read.
const LEAST_PANEL: f64 = UNITS_PER_INCH / 5.0;

/// Draws the figure.
pub fn to_svg(figure: &Figure, size: Size) -> Result<String, PlotError> {
    if !*FONTS_READY {
        return Err(PlotError::Drawing("the embedded font can't be read".into()));
    }
    let layout = Layout::of(figure, size);
    if layout.panels.iter().flatten().any(|frame| frame.width.min(frame.height) < LEAST_PANEL) {
        return Err(PlotError::NoRoom);
    }
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
        let map = Map { x: &figure.x, y: figure.y_of(panel), frame };
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

#[cfg(test)]
mod tests {
    use super::dash::dashed;
    use super::legend::{LegendLine, shortened};
    use super::text::{Text, text_width, wrapped};
    use super::*;
    use crate::plot::axis::{Axis, Scale};
    use crate::plot::chart::{LegendBlock, LegendEntry, Panel, Shows, Style};
    use crate::plot::theme::{Dash, INK, Marker};

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

    const SIZE: Size = Size::of_panel(4.8, 100.0, 1.0);

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
        assert!(text.contains('…') && text_width(&text, Text::Tick, 1.0) <= 500.0, "{text}");
    }

    #[test]
    fn opacity_needs_no_layer() {
        let svg = r#"<a opacity="1" x="2"/><b opacity="0.16" fill="c"/><text opacity="1">d opacity=&quot;3</text>"#;
        let flat = r#"<a x="2"/><b fill-opacity="0.16" stroke-opacity="0.16" fill="c"/><text>d opacity=&quot;3</text>"#;
        assert_eq!(flat_opacity(svg), flat);
    }

    #[test]
    fn a_long_caption_is_wrapped() {
        let lines = wrapped(&"word ".repeat(100), Text::Caption, 800.0, 1.0);
        assert!(lines.len() > 3 && lines.iter().all(|line| text_width(line, Text::Caption, 1.0) <= 800.0));
    }
}
