//! Runs become curves: repeats are averaged, curves told apart, panels laid out.

use super::axis::{Axis, Scale};
use super::chart::{Estimate, Figure, Join, LegendBlock, LegendEntry, Panel, Point, Series, Shows, Spread, Style};
use super::theme::{self, Color, Dash, Marker};
use crate::words::short_value;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// One run, as far as a chart needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    pub x: f64,
    pub y: f64,
    pub combination: String,
    /// The load, which orders the combinations of a curve whose x is measured.
    pub load: f64,
    /// The values of the variables that tell curves, rows and columns apart.
    pub curve: Vec<String>,
    pub row: String,
    pub col: String,
}

/// What a chart of curves should be.
#[derive(Clone, Debug)]
pub struct CurveSpec {
    pub title: String,
    pub caption: Vec<String>,
    pub x_label: String,
    pub y_label: String,
    pub scale_x: Scale,
    pub scale_y: Scale,
    /// A measured x differs from run to run: its runs are grouped by combination.
    pub is_x_measured: bool,
    /// Of an axis of texts: the first is at 1, the next at 2.
    pub x_names: Vec<String>,
    pub has_error_bars: bool,
    /// What the variables of [`Observation::curve`] are called.
    pub curve_vars: Vec<String>,
}

/// Builds the figure; the caption says what line, band and points are.
pub fn curves(observations: &[Observation], spec: &CurveSpec) -> Figure {
    let shown: Vec<&Observation> = observations.iter().filter(|run| has_place(run, spec)).collect();
    let left_out = observations.len() - shown.len();
    let rows = distinct(shown.iter().map(|run| run.row.as_str()));
    let cols = distinct(shown.iter().map(|run| run.col.as_str()));
    let styles = Styles::of(&shown, &spec.curve_vars);
    let mut panels: Vec<Vec<Panel>> = rows.iter().map(|_| vec![Panel::default(); cols.len()]).collect();
    let grouped = group(&shown, |run| {
        let index = |names: &[String], name: &str| names.iter().position(|known| known == name).unwrap_or(0);
        (index(&rows, &run.row), index(&cols, &run.col), curve_key(&run.curve))
    });
    let pooled: usize = grouped.values().map(|runs| num_pooled(runs, spec)).sum();
    for ((row, col, _), runs) in grouped {
        let curve = &runs[0].curve;
        panels[row][col].series.push(Series {
            name: curve.join(", "),
            style: styles.style(curve),
            join: Join::Straight,
            spread: if spec.has_error_bars { Spread::Band } else { Spread::None },
            points: points(&runs, spec),
        });
    }
    if panels.is_empty() {
        panels.push(vec![Panel::default()]);
    }
    let all = panels.iter().flatten().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
    let reach =
        |estimate: &Estimate| if spec.has_error_bars { [estimate.low(), estimate.high()] } else { [estimate.mean; 2] };
    // An interval that is far wider than the data would squeeze it: it may leave the frame.
    let y_means: Vec<f64> = all.clone().map(|point| point.y.mean).collect();
    let (low, high) = extent(&y_means);
    let (lowest, highest) = match spec.scale_y {
        Scale::Log | Scale::Log2 => (low / 1.5, high * 1.5),
        _ => {
            let room = (high - low).max(high.abs() * 0.05);
            (if low < 0.0 { low - room } else { (low - room).max(0.0) }, high + room)
        }
    };
    let y_values: Vec<f64> =
        all.clone().flat_map(|point| reach(&point.y)).map(|value| value.clamp(lowest, highest)).collect();
    let x_values: Vec<f64> = all.map(|point| point.x.mean).collect();
    let mut caption = spec.caption.clone();
    caption.extend(how_drawn(&panels, spec));
    if pooled > 0 {
        caption.push(format!(
            "{pooled} point(s) average different combinations: separate them by curve, row or column, or filter."
        ));
    }
    if left_out > 0 {
        caption.push(format!(
            "{left_out} run(s) omitted that cannot be placed on these axes (NULL, NaN, or not positive on a log axis)."
        ));
    }
    Figure {
        title: spec.title.clone(),
        caption,
        x: x_axis(spec, &x_values),
        y: Axis::around(&spec.y_label, spec.scale_y, y_values.iter().copied()),
        row_titles: rows,
        col_titles: cols,
        panels,
        legend: styles.legend,
    }
}

/// A parameter has ticks where it was measured.
fn x_axis(spec: &CurveSpec, values: &[f64]) -> Axis {
    if !spec.x_names.is_empty() {
        return Axis::of_names(&spec.x_label, spec.x_names.iter().cloned());
    }
    let axis = Axis::around(&spec.x_label, spec.scale_x, values.iter().copied());
    if spec.is_x_measured { axis } else { axis.with_ticks_at(values) }
}

/// Word by word: numbers in numeric order, texts behind them in alphabetical order.
pub fn natural_order(left: &str, right: &str) -> Ordering {
    let words = left.split(' ').zip(right.split(' '));
    let first = words.map(|(left, right)| word_order(left, right)).find(|order| order.is_ne());
    first.unwrap_or_else(|| left.len().cmp(&right.len()))
}

fn word_order(left: &str, right: &str) -> Ordering {
    let number = |word: &str| word.trim_end_matches(',').parse::<f64>();
    match (number(left), number(right)) {
        (Ok(left), Ok(right)) => left.total_cmp(&right),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => left.cmp(right),
    }
}

fn has_place(run: &Observation, spec: &CurveSpec) -> bool {
    let x_fits = run.x == f64::INFINITY || (run.x.is_finite() && spec.scale_x.takes(run.x));
    x_fits && run.y.is_finite() && spec.scale_y.takes(run.y)
}

fn points(runs: &[&Observation], spec: &CurveSpec) -> Vec<Point> {
    let groups: Vec<Vec<&Observation>> = match spec.is_x_measured {
        true => group(runs, |run| run.combination.clone()).into_values().collect(),
        false => group(runs, |run| run.x.to_bits()).into_values().collect(),
    };
    let estimate = |group: &[&Observation], value: fn(&Observation) -> f64| {
        Estimate::of(&group.iter().map(|run| value(run)).collect::<Vec<_>>())
    };
    let mut placed: Vec<(f64, Point)> = groups
        .iter()
        .filter_map(|group| {
            let point = Point { x: estimate(group, |run| run.x)?, y: estimate(group, |run| run.y)? };
            let x = match spec.is_x_measured {
                true => point.x,
                false => Estimate::exact(group[0].x),
            };
            let order = if spec.is_x_measured { group[0].load } else { x.mean };
            Some((order, Point { x, ..point }))
        })
        .collect();
    placed.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.x.mean.total_cmp(&right.1.x.mean)));
    placed.into_iter().map(|(_, point)| point).collect()
}

/// Points of a curve whose runs are not all of one combination.
fn num_pooled(runs: &[&Observation], spec: &CurveSpec) -> usize {
    if spec.is_x_measured {
        return 0;
    }
    let points = group(runs, |run| run.x.to_bits()).into_values();
    points.filter(|runs| runs.iter().any(|run| run.combination != runs[0].combination)).count()
}

/// Says what line and band are, and of how many runs.
fn how_drawn(panels: &[Vec<Panel>], spec: &CurveSpec) -> Option<String> {
    let counts = panels
        .iter()
        .flatten()
        .flat_map(|panel| &panel.series)
        .flat_map(|series| &series.points)
        .map(|point| point.y.n);
    let (fewest, most) = counts.fold((usize::MAX, 0), |(fewest, most), n| (fewest.min(n), most.max(n)));
    let runs = match (fewest, most) {
        (_, 0) => return None,
        (_, 1) => return Some("Each point is a single run, so there is no interval.".into()),
        (fewest, most) if fewest == most => format!("{most} runs"),
        (fewest, most) => format!("{fewest} to {most} runs"),
    };
    Some(match spec.has_error_bars {
        true => format!("Points: mean of {runs}; band or bar: 95 % confidence interval of the mean (Student's t)."),
        false => format!("Points: mean of {runs}."),
    })
}

/// How curves are told apart: colour by the first variable, dash by the second, marker by the third.
struct Styles {
    colors: BTreeMap<String, (Color, Marker)>,
    dashes: BTreeMap<String, Dash>,
    second_markers: BTreeMap<String, Marker>,
    markers: BTreeMap<String, Marker>,
    is_joined: bool,
    legend: Vec<LegendBlock>,
}

const PLAIN: Style = Style { color: (0, 114, 178), dash: Dash::Solid, marker: Marker::Circle, opacity: 1.0 };

impl Styles {
    fn of(runs: &[&Observation], vars: &[String]) -> Self {
        // More than three variables can't be seen apart: their combinations become one.
        let is_joined = vars.len() > 3;
        let values = |index: usize| match is_joined {
            true => distinct(runs.iter().map(|run| joined(&run.curve)).collect::<Vec<_>>().iter().map(String::as_str)),
            false => distinct(runs.iter().filter_map(|run| run.curve.get(index)).map(String::as_str)),
        };
        let mut styles = Self {
            colors: BTreeMap::new(),
            dashes: BTreeMap::new(),
            second_markers: BTreeMap::new(),
            markers: BTreeMap::new(),
            is_joined,
            legend: Vec::new(),
        };
        if vars.is_empty() {
            return styles;
        }
        let has_marker_var = vars.len() == 3;
        let first = values(0);
        let is_ordered = first.len() > 2 && first.iter().all(|value| value.parse::<f64>().is_ok());
        let mut entries = Vec::new();
        for (index, value) in first.iter().enumerate() {
            let color =
                if is_ordered { theme::sequence_color(index, first.len()) } else { theme::category_color(index) };
            // Where no other variable needs the marker, it says the same as the colour.
            let marker = if vars.len() == 1 || is_joined { theme::marker(index) } else { Marker::Circle };
            let shows = if vars.len() == 1 || is_joined { Shows::Both } else { Shows::Line };
            styles.colors.insert(value.clone(), (color, marker));
            entries.push(LegendEntry { shows, ..entry(value, Style { color, marker, ..PLAIN }) });
        }
        let heading = if is_joined { vars.join(", ") } else { vars[0].clone() };
        styles.legend.push(LegendBlock { heading, entries });
        if vars.len() >= 2 && !is_joined {
            let neutral = Style { color: theme::QUIET_INK, ..PLAIN };
            let second = values(1);
            styles.dashes =
                second.iter().enumerate().map(|(index, value)| (value.clone(), theme::dash(index))).collect();
            if !has_marker_var {
                // Dashes repeat after four: the marker tells the fifth from the first.
                let marked = second.iter().enumerate().map(|(index, value)| (value.clone(), theme::marker(index)));
                styles.second_markers = marked.collect();
            }
            let entries = second.iter().map(|value| {
                let marker = styles.second_markers.get(value).copied();
                let style = Style { dash: styles.dashes[value], marker: marker.unwrap_or(PLAIN.marker), ..neutral };
                LegendEntry { shows: if marker.is_some() { Shows::Both } else { Shows::Line }, ..entry(value, style) }
            });
            let entries = entries.collect();
            styles.legend.push(LegendBlock { heading: vars[1].clone(), entries });
            if has_marker_var {
                let third = values(2);
                styles.markers =
                    third.iter().enumerate().map(|(index, value)| (value.clone(), theme::marker(index))).collect();
                let entries = third.iter().map(|value| LegendEntry {
                    shows: Shows::Marker,
                    ..entry(value, Style { marker: styles.markers[value], ..neutral })
                });
                styles.legend.push(LegendBlock { heading: vars[2].clone(), entries: entries.collect() });
            }
        }
        styles
    }

    fn style(&self, curve: &[String]) -> Style {
        let first = if self.is_joined { Some(joined(curve)) } else { curve.first().cloned() };
        let at = |index: usize| curve.get(index).map_or("", String::as_str);
        let (color, marker) =
            first.and_then(|value| self.colors.get(&value).copied()).unwrap_or((PLAIN.color, PLAIN.marker));
        Style {
            color,
            dash: curve.get(1).and_then(|value| self.dashes.get(value).copied()).unwrap_or(Dash::Solid),
            marker: self.markers.get(at(2)).or_else(|| self.second_markers.get(at(1))).copied().unwrap_or(marker),
            opacity: 1.0,
        }
    }
}

fn entry(text: &str, style: Style) -> LegendEntry {
    LegendEntry { text: short_value(text), style, shows: Shows::Both }
}

fn joined(curve: &[String]) -> String {
    curve.join(", ")
}

/// Each text once, in natural order.
pub fn distinct<'a>(values: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut all: Vec<String> =
        values.collect::<std::collections::BTreeSet<_>>().into_iter().map(str::to_owned).collect();
    all.sort_by(|left, right| natural_order(left, right));
    all
}

/// A key under which curves stand in their natural order.
fn curve_key(curve: &[String]) -> Vec<(u64, String)> {
    let number_key = |number: f64| {
        let bits = number.to_bits();
        if number.is_sign_negative() { !bits } else { bits | (1 << 63) }
    };
    curve.iter().map(|value| (value.parse::<f64>().map_or(u64::MAX, number_key), value.clone())).collect()
}

fn group<'a, K: Ord>(runs: &[&'a Observation], key: impl Fn(&Observation) -> K) -> BTreeMap<K, Vec<&'a Observation>> {
    let mut groups: BTreeMap<K, Vec<&Observation>> = BTreeMap::new();
    for run in runs {
        groups.entry(key(run)).or_default().push(run);
    }
    groups
}

fn extent(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(combination: &str, curve: &[&str], x: f64, y: f64) -> Observation {
        Observation {
            x,
            y,
            combination: combination.into(),
            load: combination.bytes().map(f64::from).sum(),
            curve: curve.iter().map(|value| (*value).to_owned()).collect(),
            row: String::new(),
            col: String::new(),
        }
    }

    fn spec(vars: &[&str], is_x_measured: bool) -> CurveSpec {
        CurveSpec {
            title: String::new(),
            caption: Vec::new(),
            x_label: "x".into(),
            y_label: "y".into(),
            scale_x: Scale::Linear,
            scale_y: Scale::Linear,
            is_x_measured,
            x_names: Vec::new(),
            has_error_bars: true,
            curve_vars: vars.iter().map(|var| (*var).to_owned()).collect(),
        }
    }

    #[test]
    fn measured_x_is_grouped_by_combination_and_joined_by_load() {
        // Throughput folds back under the highest load: the curve must follow the load, not x.
        let runs = [
            run("a", &[], 1.0, 10.0),
            run("a", &[], 1.2, 12.0),
            run("b", &[], 3.0, 20.0),
            run("b", &[], 3.2, 22.0),
            run("c", &[], 2.0, 90.0),
        ];
        let figure = curves(&runs, &spec(&[], true));
        let points = &figure.panels[0][0].series[0].points;
        assert_eq!(points.iter().map(|point| point.x.mean).collect::<Vec<_>>(), [1.1, 3.1, 2.0]);
        assert_eq!(points.iter().map(|point| point.y.n).collect::<Vec<_>>(), [2, 2, 1]);
        assert!(points[0].y.high() > points[0].y.low() && points[2].y.interval.is_none());
        assert!(figure.caption.iter().any(|line| line.contains("mean of 1 to 2 runs")), "{:?}", figure.caption);
    }

    #[test]
    fn a_parameter_on_x_is_grouped_by_its_value_and_infinity_stays() {
        let runs = [run("a", &[], 4.0, 1.0), run("b", &[], f64::INFINITY, 3.0), run("a", &[], 4.0, 2.0)];
        let figure = curves(&runs, &spec(&[], false));
        let points = &figure.panels[0][0].series[0].points;
        assert_eq!(
            points.iter().map(|point| (point.x.mean, point.y.mean)).collect::<Vec<_>>(),
            [(4.0, 1.5), (f64::INFINITY, 3.0)]
        );
        assert!(figure.x.has_infinity);
        assert!(!figure.caption.iter().any(|line| line.contains("different combinations")));
    }

    #[test]
    fn points_that_average_different_combinations_are_said() {
        let runs = [run("a", &[], 4.0, 1.0), run("b", &[], 4.0, 3.0), run("b", &[], 8.0, 3.0)];
        let figure = curves(&runs, &spec(&[], false));
        assert!(figure.caption.iter().any(|line| line.starts_with("1 point(s) average different combinations")));
    }

    #[test]
    fn curves_stand_in_numeric_order_and_each_variable_has_its_own_mark() {
        let runs: Vec<Observation> = ["16", "2", "128"]
            .iter()
            .flat_map(|size| [run("a", &[size, "p"], 1.0, 1.0), run("b", &[size, "q"], 2.0, 2.0)])
            .collect();
        let figure = curves(&runs, &spec(&["size", "policy"], false));
        let names: Vec<&str> = figure.legend[0].entries.iter().map(|entry| entry.text.as_str()).collect();
        assert_eq!(names, ["2", "16", "128"]);
        let series = &figure.panels[0][0].series;
        assert_eq!(
            series.iter().map(|series| series.name.as_str()).collect::<Vec<_>>(),
            ["2, p", "2, q", "16, p", "16, q", "128, p", "128, q"]
        );
        assert_eq!(series[0].style.color, series[1].style.color);
        assert_ne!(series[0].style.dash, series[1].style.dash);
        assert_ne!(series[0].style.color, series[2].style.color);
    }

    #[test]
    fn what_has_no_place_is_counted() {
        let figure = curves(
            &[run("a", &[], f64::NAN, 1.0), run("a", &[], 1.0, f64::INFINITY), run("a", &[], 1.0, 5.0)],
            &spec(&[], false),
        );
        assert_eq!(figure.num_points(), 1);
        assert!(figure.caption.iter().any(|line| line.starts_with("2 run(s) omitted that cannot be placed")));
    }

    #[test]
    fn titles_stand_in_the_order_of_their_numbers() {
        let mut titles = ["len = 16, tp = 2", "len = 8, tp = 10", "len = 8, tp = 9", "(none)", "len = 128, tp = 1"];
        titles.sort_by(|left, right| natural_order(left, right));
        assert_eq!(titles, ["(none)", "len = 8, tp = 9", "len = 8, tp = 10", "len = 16, tp = 2", "len = 128, tp = 1"]);
    }

    #[test]
    fn a_wide_interval_does_not_squash_a_logarithmic_axis() {
        let runs = [run("a", &[], 1.0, 10.0), run("a", &[], 1.0, 14.0), run("b", &[], 2.0, 100.0)];
        let figure = curves(&runs, &CurveSpec { scale_y: Scale::Log, ..spec(&[], false) });
        assert!(figure.y.min > 5.0 && figure.y.max < 300.0, "{} to {}", figure.y.min, figure.y.max);
    }

    #[test]
    fn rows_and_columns_make_a_grid() {
        let mut runs = vec![run("a", &[], 1.0, 1.0), run("b", &[], 1.0, 2.0), run("c", &[], 1.0, 3.0)];
        for (run, (row, col)) in runs.iter_mut().zip([("r=1", "c=1"), ("r=1", "c=2"), ("r=2", "c=1")]) {
            (run.row, run.col) = (row.into(), col.into());
        }
        let figure = curves(&runs, &spec(&[], false));
        assert_eq!((figure.row_titles.len(), figure.col_titles.len()), (2, 2));
        assert!(figure.panels[1][1].series.is_empty() && figure.panels[1][0].series[0].points[0].y.mean == 3.0);
    }
}
