//! Charts of values: boxes, violins, distribution functions, heat maps, clouds of points.

use super::axis::{Axis, Scale};
use super::chart::{
    Estimate, Figure, Join, LegendBlock, LegendEntry, MISSING, Panel, Point, Series, Shape, Shows, Spread, Style,
};
use super::curves::distinct;
use super::theme::{self, Color, Dash, Marker};
use crate::stats::{kernel_density, mean, percentile, to_four_digits};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChartKind {
    /// Tukey's: quartiles, whiskers to the last value within 1.5 interquartile ranges, single values beyond.
    Box,
    /// A kernel density, with the quartiles.
    Violin,
    /// The share of values at or below each.
    Ecdf,
    /// The mean of each pair of values, as a color.
    Heat,
    /// Every value.
    Scatter,
    /// Points joined by lines.
    Line,
}

/// One value, with what it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Datum {
    pub x: String,
    pub y: f64,
    pub group: String,
}

pub struct KindSpec {
    pub kind: ChartKind,
    pub caption: Vec<String>,
    pub x_label: String,
    pub y_label: String,
    pub group_label: String,
    pub scale_x: Scale,
    pub scale_y: Scale,
}

/// Places in the outline of a violin.
const OUTLINE: usize = 64;
/// Points of a distribution function: more than can be seen.
const MOST_STEPS: usize = 1000;
/// Single values beyond the whiskers that are drawn, of each box.
const MOST_OUTLIERS: usize = 200;

pub fn kind_figure(data: &[Datum], spec: &KindSpec) -> Figure {
    let all = data.iter().filter(|one| !one.y.is_nan()).count();
    let has_names = matches!(spec.kind, ChartKind::Box | ChartKind::Violin | ChartKind::Heat);
    let known = distinct(data.iter().map(|one| one.x.as_str()).filter(|x| *x != MISSING));
    // On an axis of numbers what is not known has no place.
    let is_any = has_names || is_across(spec.kind) || !is_numeric(&known);
    let has_x = |one: &Datum| is_any || one.x.parse().is_ok_and(|x| spec.scale_x.takes(x));
    let has_y = |one: &Datum| one.y.is_finite() && (is_across(spec.kind) || spec.scale_y.takes(one.y));
    let data: Vec<&Datum> = data.iter().filter(|one| has_y(one) && has_x(one)).collect();
    let groups = distinct(data.iter().map(|one| one.group.as_str()));
    let xs = distinct(data.iter().map(|one| one.x.as_str()));
    let mut figure = match spec.kind {
        ChartKind::Ecdf => distribution(&data, &groups, spec),
        ChartKind::Heat => heat(&data, &xs, &groups, spec),
        ChartKind::Scatter | ChartKind::Line => cloud(&data, &xs, &groups, spec),
        ChartKind::Box | ChartKind::Violin => boxes(&data, &xs, &groups, spec),
    };
    figure.caption = spec.caption.clone();
    figure.caption.extend(explained(spec.kind));
    let points = figure.panels.iter().flatten().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
    if spec.kind == ChartKind::Line && points.clone().any(|point| point.y.n > 1) {
        let most = points.map(|point| point.y.n).max().unwrap_or(1);
        figure
            .caption
            .push(format!("Points: means of up to {most} rows with the same x. Bars: 95 % confidence interval."));
    }
    let omitted = all - data.len();
    if omitted > 0 {
        figure.caption.push(format!("{omitted} value(s) omitted that cannot be placed on these axes."));
    }
    figure
}

/// Whether the values run along the x axis.
fn is_across(kind: ChartKind) -> bool {
    kind == ChartKind::Ecdf
}

fn explained(kind: ChartKind) -> Option<String> {
    match kind {
        ChartKind::Box => Some(
            "Boxes: quartiles and median; whiskers: the last values within 1.5 interquartile ranges; points: beyond (Tukey)."
                .into(),
        ),
        ChartKind::Violin => {
            Some("Violins: kernel density (Gaussian, Silverman's bandwidth), all of one width; boxes: quartiles and median.".into())
        }
        ChartKind::Heat => Some("Colors and numbers: mean of the values.".into()),
        ChartKind::Ecdf | ChartKind::Scatter | ChartKind::Line => None,
    }
}

fn style_of(index: usize, count: usize, marker: Marker) -> Style {
    let color = if count == 1 { theme::category_color(0) } else { theme::category_color(index) };
    Style { color, dash: theme::dash(index / 7), marker, opacity: 1.0 }
}

fn legend(groups: &[String], spec: &KindSpec, style: impl Fn(usize) -> Style, shows: Shows) -> Vec<LegendBlock> {
    if groups.len() < 2 {
        return Vec::new();
    }
    let entry = |(index, text): (usize, &String)| LegendEntry { text: text.clone(), style: style(index), shows };
    vec![LegendBlock { heading: spec.group_label.clone(), entries: groups.iter().enumerate().map(entry).collect() }]
}

fn figure(x: Axis, y: Axis, panel: Panel, legend: Vec<LegendBlock>) -> Figure {
    Figure {
        title: String::new(),
        caption: Vec::new(),
        x,
        y,
        row_titles: vec![String::new()],
        col_titles: vec![String::new()],
        panels: vec![vec![panel]],
        legend,
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Values by their category on the x axis and their group.
fn cells<'a>(data: &[&'a Datum]) -> BTreeMap<(&'a str, &'a str), Vec<f64>> {
    let mut cells: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for one in data {
        cells.entry((&one.x, &one.group)).or_default().push(one.y);
    }
    cells
}

fn boxes(data: &[&Datum], xs: &[String], groups: &[String], spec: &KindSpec) -> Figure {
    let mut panel = Panel::default();
    let width = 0.8 / groups.len().max(1) as f64;
    let place = |x: &str, group: &str| {
        let (x, group) = (index_of(xs, x), index_of(groups, group));
        (x as f64 + 1.0 + (group as f64 - (groups.len() as f64 - 1.0) / 2.0) * width, group)
    };
    for ((x, group), values) in cells(data) {
        let values = sorted(values.into_iter());
        let (at, index) = place(x, group);
        let style = style_of(index, groups.len(), Marker::Circle);
        let quartile = |percent| percentile(&values, percent);
        let (low, middle, high) = (quartile(25.0), quartile(50.0), quartile(75.0));
        let reach = 1.5 * (high - low);
        let within = || values.iter().copied().filter(|value| (low - reach..=high + reach).contains(value));
        let (least, most) = (within().fold(low, f64::min), within().fold(high, f64::max));
        let half = width * if spec.kind == ChartKind::Violin { 0.06 } else { 0.36 };
        if spec.kind == ChartKind::Violin {
            panel.shapes.push(violin(&values, at, width * 0.45, style.color, spec.scale_y));
        }
        panel.shapes.push(Shape::Box { at, half, ends: [least, low, middle, high, most], color: style.color });
        if spec.kind == ChartKind::Box {
            let beyond = values.iter().filter(|value| **value < least || **value > most).take(MOST_OUTLIERS);
            let points = beyond.map(|y| Point { x: Estimate::exact(at), y: Estimate::exact(*y) }).collect();
            panel.series.push(cloud_series(group, Style { opacity: 0.5, ..style }, points));
        }
    }
    let y = Axis::around(&spec.y_label, spec.scale_y, data.iter().map(|one| one.y));
    let style = |index| style_of(index, groups.len(), Marker::Square);
    figure(Axis::of_names(&spec.x_label, xs.iter().cloned()), y, panel, legend(groups, spec, style, Shows::Marker))
}

fn violin(values: &[f64], at: f64, half: f64, color: Color, scale: Scale) -> Shape {
    let (low, high) = (values[0], values[values.len() - 1]);
    let is_log = matches!(scale, Scale::Log | Scale::Log2) && low > 0.0;
    let share = |index: usize| index as f64 / (OUTLINE - 1) as f64;
    let places: Vec<f64> = (0..OUTLINE)
        .map(|index| match is_log {
            true => low * (high / low).powf(share(index)),
            false => low + (high - low) * share(index),
        })
        .collect();
    let density = kernel_density(values, &places);
    let most = density.iter().copied().fold(0.0, f64::max).max(1e-300);
    let edge = |side: f64| places.iter().zip(&density).map(move |(y, density)| (at + side * half * density / most, *y));
    let outline = edge(1.0).chain(edge(-1.0).collect::<Vec<_>>().into_iter().rev()).collect();
    Shape::Area { outline, color }
}

fn cloud_series(name: &str, style: Style, points: Vec<Point>) -> Series {
    Series { name: name.to_owned(), style, join: Join::None, spread: Spread::None, points }
}

fn index_of(names: &[String], name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or(0)
}

fn distribution(data: &[&Datum], groups: &[String], spec: &KindSpec) -> Figure {
    let style = |index| Style { ..style_of(index, groups.len(), Marker::None) };
    let series = groups.iter().enumerate().map(|(index, group)| {
        let values = sorted(data.iter().filter(|one| one.group == *group).map(|one| one.y));
        let every = values.len().div_ceil(MOST_STEPS);
        let count = values.len() as f64;
        let last = values.len().saturating_sub(1);
        let steps = (0..values.len()).filter(|rank| rank % every == 0 || *rank == last);
        let point =
            |rank: usize| Point { x: Estimate::exact(values[rank]), y: Estimate::exact((rank + 1) as f64 / count) };
        Series { join: Join::StepsAtEnd, ..cloud_series(group, style(index), steps.map(point).collect()) }
    });
    let x = Axis::around(&spec.y_label, spec.scale_y, data.iter().map(|one| one.y));
    let y = Axis::around("Share at or below", Scale::Linear, [0.0, 1.0].into_iter());
    let panel = Panel { series: series.collect(), ..Panel::default() };
    figure(x, y, panel, legend(groups, spec, style, Shows::Line))
}

fn heat(data: &[&Datum], xs: &[String], groups: &[String], spec: &KindSpec) -> Figure {
    let means: BTreeMap<(&str, &str), f64> =
        cells(data).into_iter().map(|(cell, values)| (cell, mean(&values))).collect();
    let (low, high) =
        means.values().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), mean| (low.min(*mean), high.max(*mean)));
    let share = |mean: f64| if high > low { (mean - low) / (high - low) } else { 0.5 };
    let shapes = means.iter().map(|((x, group), mean)| Shape::Cell {
        x: (index_of(xs, x) + 1) as f64,
        y: (index_of(groups, group) + 1) as f64,
        color: theme::sequence_color((share(*mean) * 99.0).round() as usize, 100),
        text: super::axis::number_label(to_four_digits(*mean), to_four_digits(*mean).abs() / 1000.0),
    });
    // A point in each cell, which is not drawn: by them the figure knows how much it shows.
    let points = means.keys().map(|(x, group)| {
        let exact = |index: usize| Estimate::exact((index + 1) as f64);
        Point { x: exact(index_of(xs, x)), y: exact(index_of(groups, group)) }
    });
    let hidden = Style { color: theme::DIMMED, dash: Dash::Solid, marker: Marker::None, opacity: 0.0 };
    let panel = Panel {
        shapes: shapes.collect(),
        series: vec![cloud_series(&spec.y_label, hidden, points.collect())],
        ..Panel::default()
    };
    let mut figure = figure(
        Axis::of_names(&spec.x_label, xs.iter().cloned()),
        Axis::of_names(&spec.group_label, groups.iter().cloned()),
        panel,
        Vec::new(),
    );
    figure.title = spec.y_label.clone();
    figure
}

/// Whether an axis of these values is one of numbers; a value that is not known is none.
fn is_numeric(xs: &[String]) -> bool {
    xs.iter().all(|x| x.parse::<f64>().is_ok())
}

/// The mean of what was measured at each x, with its 95 % interval, from the lowest x on.
fn means(values: impl Iterator<Item = (f64, f64)>) -> Vec<Point> {
    let mut values: Vec<(f64, f64)> = values.collect();
    values.sort_by(|left, right| left.0.total_cmp(&right.0));
    let mean = |at: &[(f64, f64)]| {
        let ys: Vec<f64> = at.iter().map(|(_, y)| *y).collect();
        Some(Point { x: Estimate::exact(at[0].0), y: Estimate::of(&ys)? })
    };
    values.chunk_by(|left, right| left.0 == right.0).filter_map(mean).collect()
}

fn cloud(data: &[&Datum], xs: &[String], groups: &[String], spec: &KindSpec) -> Figure {
    let is_numeric = is_numeric(xs);
    let x_of = |x: &str| if is_numeric { x.parse().unwrap_or(f64::NAN) } else { (index_of(xs, x) + 1) as f64 };
    let style = |index: usize| Style { marker: theme::marker(index), ..style_of(index, groups.len(), Marker::Circle) };
    let is_line = spec.kind == ChartKind::Line;
    let series = groups.iter().enumerate().map(|(index, group)| {
        let own = data.iter().filter(|one| one.group == *group).map(|one| (x_of(&one.x), one.y));
        if is_line {
            return Series {
                join: Join::Straight,
                spread: Spread::Bars,
                ..cloud_series(group, style(index), means(own))
            };
        }
        let points = own.map(|(x, y)| Point { x: Estimate::exact(x), y: Estimate::exact(y) }).collect();
        cloud_series(group, Style { opacity: 0.6, ..style(index) }, points)
    });
    let panel = Panel { series: series.collect(), ..Panel::default() };
    let x = match is_numeric {
        true => {
            let values: Vec<f64> = data.iter().map(|one| x_of(&one.x)).collect();
            Axis::around(&spec.x_label, spec.scale_x, values.iter().copied()).with_ticks_at(&values)
        }
        false => Axis::of_names(&spec.x_label, xs.iter().cloned()),
    };
    let y = Axis::around(&spec.y_label, spec.scale_y, data.iter().map(|one| one.y));
    figure(x, y, panel, legend(groups, spec, style, if is_line { Shows::Both } else { Shows::Marker }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(kind: ChartKind) -> KindSpec {
        KindSpec {
            kind,
            caption: Vec::new(),
            x_label: "x".into(),
            y_label: "y".into(),
            group_label: "group".into(),
            scale_x: Scale::Linear,
            scale_y: Scale::Linear,
        }
    }

    fn data(values: &[(&str, f64, &str)]) -> Vec<Datum> {
        values.iter().map(|(x, y, group)| Datum { x: (*x).into(), y: *y, group: (*group).into() }).collect()
    }

    #[test]
    fn a_box_has_tukeys_whiskers_and_single_values_beyond() {
        // R: boxplot.stats(c(1:9, 40)) with type 7 quartiles: 3.25, 5.5, 7.75; whiskers 1 and 9.
        let values: Vec<(&str, f64, &str)> =
            (1..=9).map(f64::from).chain([40.0]).map(|value| ("a", value, "")).collect();
        let figure = kind_figure(&data(&values), &spec(ChartKind::Box));
        let panel = &figure.panels[0][0];
        let Shape::Box { ends, .. } = &panel.shapes[0] else { panic!("{:?}", panel.shapes) };
        assert_eq!(ends, &[1.0, 3.25, 5.5, 7.75, 9.0]);
        assert_eq!(panel.series[0].points.iter().map(|point| point.y.mean).collect::<Vec<_>>(), [40.0]);
    }

    #[test]
    fn a_distribution_function_ends_at_one_and_is_half_at_the_median() {
        let values: Vec<(&str, f64, &str)> = (1..=5000).map(|value| ("", f64::from(value), "g")).collect();
        let figure = kind_figure(&data(&values), &spec(ChartKind::Ecdf));
        let points = &figure.panels[0][0].series[0].points;
        assert!(points.len() <= MOST_STEPS + 2);
        assert_eq!((points.last().unwrap().x.mean, points.last().unwrap().y.mean), (5000.0, 1.0));
        let middle = points.iter().find(|point| point.y.mean >= 0.5).unwrap();
        assert!((middle.x.mean - 2500.0).abs() <= 5.0, "{middle:?}");
    }

    #[test]
    fn a_heat_map_has_a_cell_for_each_pair_that_was_measured() {
        let values = [("1", 10.0, "a"), ("1", 20.0, "a"), ("2", 30.0, "b")];
        let figure = kind_figure(&data(&values), &spec(ChartKind::Heat));
        let texts: Vec<&str> = figure.panels[0][0]
            .shapes
            .iter()
            .map(|shape| if let Shape::Cell { text, .. } = shape { text.as_str() } else { "" })
            .collect();
        assert_eq!(texts, ["15", "30"]);
    }

    #[test]
    fn a_line_goes_through_the_mean_of_each_x_and_leaves_out_what_has_none() {
        let values = [("2", 30.0, ""), ("1", 10.0, ""), ("1", 14.0, ""), ("(none)", 99.0, "")];
        let figure = kind_figure(&data(&values), &spec(ChartKind::Line));
        let points = &figure.panels[0][0].series[0].points;
        assert_eq!(
            points.iter().map(|point| (point.x.mean, point.y.mean)).collect::<Vec<_>>(),
            [(1.0, 12.0), (2.0, 30.0)]
        );
        // t(0.975, 1) * sd / sqrt(2) = 12.706 * 2.828 / 1.414
        assert!((points[0].y.high() - 12.0 - 25.41).abs() < 0.01, "{points:?}");
        assert!(figure.caption[0].contains("up to 2 rows") && figure.caption[1].contains("1 value(s) omitted"));
    }

    #[test]
    fn a_violin_is_widest_where_most_values_are() {
        let values: Vec<(&str, f64, &str)> =
            [1.0, 5.0, 5.1, 5.2, 4.9, 5.0, 5.05, 9.0].map(|value| ("a", value, "")).to_vec();
        let figure = kind_figure(&data(&values), &spec(ChartKind::Violin));
        let Shape::Area { outline, .. } = &figure.panels[0][0].shapes[0] else { panic!() };
        let widest = outline.iter().max_by(|left, right| left.0.total_cmp(&right.0)).unwrap();
        assert!((widest.1 - 5.0).abs() < 0.3, "{widest:?}");
    }
}
