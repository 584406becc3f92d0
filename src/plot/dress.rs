//! What a person decides of a figure: its names, ranges, titles and colors.

use super::PlotError;
use super::axis::Axis;
use super::chart::{Figure, Panel, Shape};
use super::theme::{Color, DIMMED, Palette, QUIET_INK};
use crate::metric::{Metric, label};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dress {
    pub title: Option<String>,
    pub subtitle: Option<String>,
    /// Names and units of variables, instead of those that are known.
    pub labels: BTreeMap<String, String>,
    pub units: BTreeMap<String, String>,
    pub x_range: Option<(f64, f64)>,
    pub y_range: Option<(f64, f64)>,
    pub palette: Palette,
}

impl Dress {
    /// What a variable is called, with its unit: parameters as they were typed, unless they were given a name.
    pub fn name(&self, var: &str) -> String {
        let (given, unit) = (self.labels.get(var), self.units.get(var).map(String::as_str));
        if given.is_none() && unit.is_none() {
            return label(var);
        }
        let metric = Metric::of(var);
        let unit = unit.or(metric.as_ref().and_then(|metric| metric.unit)).filter(|unit| !unit.is_empty());
        let own = || metric.as_ref().map_or_else(|| var.to_owned(), |metric| metric.label.clone());
        let text = given.cloned().unwrap_or_else(own);
        unit.map_or_else(|| text.clone(), |unit| format!("{text} ({unit})"))
    }

    /// Refuses names and units for what no row has.
    pub fn check(&self, is_known: impl Fn(&str) -> bool) -> Result<(), PlotError> {
        let given = self.labels.keys().chain(self.units.keys());
        match given.into_iter().find(|var| !is_known(var)) {
            Some(var) => Err(PlotError::NoSuchLabel { var: var.clone() }),
            None => Ok(()),
        }
    }

    /// Puts titles, ranges and colors on a figure.
    pub fn put_on(&self, figure: &mut Figure) {
        if self.title.is_some() || self.subtitle.is_some() {
            let title = self.title.clone().unwrap_or_else(|| figure.title.clone());
            let lines = [Some(title), self.subtitle.clone()].into_iter().flatten();
            figure.title = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
        }
        limit(&mut figure.x, self.x_range);
        limit(&mut figure.y, self.y_range);
        let asked = [(self.x_range, &figure.x), (self.y_range, &figure.y)];
        if asked.iter().any(|(range, axis)| range.is_some() && axis.has_names) {
            figure.caption.push("Limits do not apply to an axis of names.".to_owned());
        }
        let beyond = if asked.iter().any(|(range, _)| range.is_some()) { beyond(figure) } else { 0 };
        if beyond > 0 {
            figure.caption.push(format!(
                "{beyond} point(s), boxes or violins lie beyond the limits of the axes, wholly or in part."
            ));
        }
        if self.palette != Palette::OkabeIto {
            recolor(figure, self.palette);
        }
    }
}

fn limit(axis: &mut Axis, range: Option<(f64, f64)>) {
    if let Some((from, to)) = range {
        *axis = axis.clone().limited(from, to);
    }
}

/// Points, boxes and violins that the axes do not reach to the end.
fn beyond(figure: &Figure) -> usize {
    let of_panel = |panel: &Panel| {
        let y = figure.y_of(panel);
        let points = panel.series.iter().flat_map(|series| &series.points);
        let points = points.filter(|point| !(reaches(&figure.x, point.x.mean) && reaches(y, point.y.mean))).count();
        let is_cut = |shape: &&Shape| match shape {
            Shape::Box { ends, .. } => ends.iter().any(|end| !reaches(y, *end)),
            Shape::Area { outline, .. } => outline.iter().any(|(_, at)| !reaches(y, *at)),
            Shape::Cell { .. } | Shape::Shade { .. } => false,
        };
        points + panel.shapes.iter().filter(is_cut).count()
    };
    figure.panels.iter().flatten().map(of_panel).sum()
}

fn reaches(axis: &Axis, value: f64) -> bool {
    axis.place(value).is_some_and(|place| (-1e-6..=1.0 + 1e-6).contains(&place))
}

/// Gives each color that means something its counterpart in another palette.
fn recolor(figure: &mut Figure, palette: Palette) {
    let mut known: Vec<Color> = Vec::new();
    let entries = figure.legend.iter().flat_map(|block| &block.entries).map(|entry| entry.style.color);
    let series = figure.panels.iter().flatten().flat_map(|panel| &panel.series).map(|series| series.style.color);
    for color in entries.chain(series).filter(|color| ![DIMMED, QUIET_INK].contains(color)) {
        if !known.contains(&color) {
            known.push(color);
        }
    }
    let count = known.len();
    let counterpart = |color: &mut Color| {
        if let Some(index) = known.iter().position(|known| known == color) {
            *color = palette.color(index, count);
        }
    };
    figure.legend.iter_mut().flat_map(|block| &mut block.entries).for_each(|entry| counterpart(&mut entry.style.color));
    let series = figure.panels.iter_mut().flatten().flat_map(|panel| &mut panel.series);
    series.for_each(|series| counterpart(&mut series.style.color));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_called_as_they_were_typed_unless_they_have_a_name() {
        let mut dress = Dress::default();
        assert_eq!(dress.name("max_num_seqs"), "max_num_seqs");
        assert_eq!(dress.name("p99_e2el_ms"), "P99 E2E latency (ms)");
        dress.labels.insert("max_num_seqs".into(), "Batch limit".into());
        dress.labels.insert("p99_e2el_ms".into(), "Tail".into());
        dress.units.insert("max_num_seqs".into(), "sequences".into());
        dress.units.insert("seed".into(), "1".into());
        assert_eq!(dress.name("max_num_seqs"), "Batch limit (sequences)");
        assert_eq!(dress.name("p99_e2el_ms"), "Tail (ms)");
        assert_eq!(dress.name("seed"), "seed (1)");
    }
}
