//! The chart of a search: what was measured at each value, the target, the spline between, and the bracket.

use super::PlotError;
use super::axis::{Axis, Scale};
use super::chart::{Estimate, Figure, Join, LegendBlock, LegendEntry, Panel, Point, Series, Shows, Spread, Style};
use super::theme::{self, Color, DIMMED, Dash, INK, Marker};
use crate::metric::label;
use crate::query::{Lake, literal, quoted};
use crate::sla::{Constraint, Curve, Scales, Sla};
use crate::words::params_text;

/// The chart of one answer, and what tells it apart.
pub struct SlaChart {
    /// Serve parameters, bench parameters and SLA, as far as there are some.
    pub group: Vec<(String, String)>,
    pub figure: Figure,
    /// The query that its points came from.
    pub sql: String,
}

/// What was measured at a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    pub value: f64,
    pub margin: f64,
    /// The metric, where the SLA is on one only.
    pub metric: Option<f64>,
    pub runs: usize,
}

/// An answer as a chart shows it.
#[derive(Clone, Debug)]
pub struct AnswerShown {
    pub title: String,
    pub variable: String,
    pub sla: Sla,
    pub value: Option<f64>,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub reason: String,
}

/// Points of the drawn spline.
const SPLINE_POINTS: usize = 120;
/// A metric that spans more than so many times its least value is drawn on a logarithmic axis.
const WIDE: f64 = 20.0;

/// The charts of all answers of a lake.
pub async fn sla_charts(lake: &Lake) -> Result<Vec<SlaChart>, PlotError> {
    let answers = lake
        .sql(
            "SELECT sweep, combination, serve_params, bench_params, sla, coalesce(sla_name, sla) AS sla_name, variable, value, \
             lower, upper, reason FROM sla ORDER BY sweep, serve_params, bench_params, sla",
        )
        .await?;
    let mut charts = Vec::new();
    for found in answers.typed::<Found>("answers to SLAs")? {
        // A text that this version can't read is of another one: its numbers are in the table.
        let Ok(sla) = Sla::parse(&found.sla) else { continue };
        let metric = match sla.constraints.as_slice() {
            [only] => quoted(&only.metric),
            _ => "CAST(NULL AS DOUBLE)".into(),
        };
        let sql = format!(
            "SELECT value, margin, {metric} AS metric, runs FROM sla_history WHERE sweep = {} AND combination = {} AND sla = {} \
             ORDER BY value",
            literal(&found.sweep),
            literal(&found.combination),
            literal(&found.sla)
        );
        let levels: Vec<LevelRow> = lake.sql(&sql).await?.typed("levels of an SLA")?;
        let levels: Vec<Level> = levels.into_iter().filter_map(LevelRow::level).collect();
        let params = |text: Option<String>| params_text(&text.unwrap_or_default());
        let group: Vec<(String, String)> =
            [("serve", params(found.serve_params)), ("bench", params(found.bench_params)), ("sla", found.sla_name)]
                .into_iter()
                .filter(|(_, text)| !text.is_empty())
                .map(|(name, text)| (name.to_owned(), text))
                .collect();
        let shown = AnswerShown {
            title: group.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" · "),
            variable: found.variable,
            sla,
            value: found.value,
            lower: found.lower,
            upper: found.upper,
            reason: found.reason.unwrap_or_default(),
        };
        charts.push(SlaChart { group, figure: sla_figure(&shown, &levels), sql });
    }
    Ok(charts)
}

crate::query::typed_row! {
    struct Found {
        sweep: String,
        combination: String,
        serve_params: Option<String>,
        bench_params: Option<String>,
        sla: String,
        sla_name: String,
        variable: String,
        value: Option<f64>,
        lower: Option<f64>,
        upper: Option<f64>,
        reason: Option<String>,
    }
}

crate::query::typed_row! {
    struct LevelRow {
        value: Option<f64>,
        margin: Option<f64>,
        metric: Option<f64>,
        runs: usize,
    }
}

impl LevelRow {
    fn level(self) -> Option<Level> {
        Some(Level { value: self.value?, margin: self.margin?, metric: self.metric, runs: self.runs })
    }
}

/// Builds the chart. With one constraint the axis is its metric; with several it is how many times the worst of them is
/// beyond its target.
pub fn sla_figure(answer: &AnswerShown, levels: &[Level]) -> Figure {
    let only = match answer.sla.constraints.as_slice() {
        [only] => Some(only),
        _ => None,
    };
    let y_of = |level: &Level| if only.is_some() { level.metric } else { Some(level.margin.exp()) };
    let target = only.map_or(1.0, |constraint| constraint.target);
    let measured: Vec<(Level, f64)> = levels.iter().filter_map(|level| Some((*level, y_of(level)?))).collect();
    let ys = || measured.iter().map(|(_, y)| *y).filter(|y| y.is_finite()).chain([target]);
    let (low, high) = ys().fold((f64::INFINITY, 0.0f64), |(low, high), y| (low.min(y), high.max(y)));
    let scale_y = if low > 0.0 && high / low > WIDE { Scale::Log } else { Scale::Linear };
    let y_label =
        only.map_or("Worst metric, in multiples of its target".into(), |constraint| label(&constraint.metric));
    let x = Axis::around(label(&answer.variable), Scale::Log, measured.iter().map(|(level, _)| level.value));
    let y = Axis::around(y_label, scale_y, ys());
    let finite = |value: &Option<f64>| value.filter(|value| value.is_finite());
    let upright = |name: &str, value: f64, dash| line(name, INK, dash, vec![(value, y.min), (value, y.max)]);
    let mut series =
        vec![line("target", theme::category_color(1), Dash::Dashed, vec![(x.min, target), (x.max, target)])];
    let mut entries = vec![("target", series[0].style, Shows::Line)];
    if let Some(points) = spline(levels, only) {
        let spline = line("spline", DIMMED, Dash::Solid, points);
        entries.push(("spline", spline.style, Shows::Line));
        series.push(spline);
    }
    let bracket: Vec<f64> = [&answer.lower, &answer.upper].into_iter().filter_map(finite).collect();
    for end in &bracket {
        series.push(upright("bracket", *end, Dash::Dotted));
    }
    if let Some(end) = series.iter().find(|series| series.name == "bracket") {
        entries.push(("bracket", end.style, Shows::Line));
    }
    if let Some(value) = finite(&answer.value).filter(|value| !bracket.contains(value)) {
        let found = upright("answer", value, Dash::Solid);
        entries.push(("answer", found.style, Shows::Line));
        series.push(found);
    }
    for (name, passes, marker, color) in [
        ("passes", true, Marker::Circle, theme::category_color(2)),
        ("fails", false, Marker::Square, theme::category_color(1)),
    ] {
        let own = measured.iter().filter(|(level, _)| (level.margin <= 0.0) == passes);
        let points: Vec<Point> = own
            .map(|(level, y)| Point {
                x: Estimate::exact(level.value),
                y: Estimate { mean: *y, interval: None, n: level.runs },
            })
            .collect();
        if !points.is_empty() {
            let style = Style { color, dash: Dash::Solid, marker, opacity: 1.0 };
            entries.push((name, style, Shows::Marker));
            series.push(Series { name: name.into(), style, join: Join::None, spread: Spread::None, points });
        }
    }
    Figure {
        title: answer.title.clone(),
        caption: caption(answer, measured.iter().map(|(level, _)| level.runs).sum(), measured.len()),
        x,
        y,
        row_titles: vec![String::new()],
        col_titles: vec![String::new()],
        panels: vec![vec![Panel { series, ..Panel::default() }]],
        legend: vec![LegendBlock {
            heading: String::new(),
            entries: entries
                .into_iter()
                .map(|(text, style, shows)| LegendEntry { text: text.into(), style, shows })
                .collect(),
        }],
    }
}

/// The curve that the search believes in; none where no single one is.
fn spline(levels: &[Level], only: Option<&Constraint>) -> Option<Vec<(f64, f64)>> {
    let trend: Vec<(f64, f64)> =
        levels.iter().filter(|level| level.value.is_finite()).map(|level| (level.value, level.margin)).collect();
    // A load that is too low for one constraint and too high for another has no single curve.
    let passes = |level: &(f64, f64)| level.1 <= 0.0;
    let is_one_curve = trend.first().is_some_and(passes) || !trend.iter().any(passes);
    let curve = Curve::through(&trend, Scales::WIDEST).filter(|_| is_one_curve)?;
    let ((first, _), (last, _)) = (trend.first()?, trend.last()?);
    let point = |index: usize| {
        let value = first * (last / first).powf(index as f64 / SPLINE_POINTS as f64);
        let margin = curve.at(value);
        (value, only.map_or(margin.exp(), |constraint| constraint.value_at(margin)))
    };
    Some((0..=SPLINE_POINTS).map(point).collect())
}

/// What was measured, and between what the boundary lies.
fn caption(answer: &AnswerShown, runs: usize, values: usize) -> Vec<String> {
    let measured = format!("{}: {runs} run(s) at {values} values. {}", answer.sla, answer.reason);
    let boundary = match (answer.lower, answer.upper) {
        (Some(lower), Some(upper)) => format!("The boundary lies between {} and {}.", short(lower), short(upper)),
        (Some(lower), None) => format!("Met at {} and below.", short(lower)),
        (None, Some(upper)) => format!("Not met at {}, the lowest value.", short(upper)),
        (None, None) => String::new(),
    };
    vec![measured, boundary]
}

/// A line without markers.
fn line(name: &str, color: Color, dash: Dash, points: Vec<(f64, f64)>) -> Series {
    let point = |(x, y)| Point { x: Estimate::exact(x), y: Estimate::exact(y) };
    Series {
        name: name.into(),
        style: Style { color, dash, marker: Marker::None, opacity: 1.0 },
        join: Join::Straight,
        spread: Spread::None,
        points: points.into_iter().map(point).collect(),
    }
}

fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    if value.is_finite() { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { "inf".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(value: f64, metric: f64, runs: usize) -> Level {
        Level { value, margin: (metric / 200.0).ln(), metric: Some(metric), runs }
    }

    fn answer(sla: &str) -> AnswerShown {
        AnswerShown {
            title: "t".into(),
            variable: "max_concurrency".into(),
            sla: Sla::parse(sla).unwrap(),
            value: Some(16.0),
            lower: Some(14.0),
            upper: Some(18.0),
            reason: "Max concurrency 18 fails".into(),
        }
    }

    #[test]
    fn a_chart_shows_levels_target_spline_and_bracket() {
        let levels = [level(1.0, 50.0, 1), level(16.0, 190.0, 3), level(18.0, 215.0, 1), level(200.0, 900.0, 1)];
        let figure = sla_figure(&answer("p99_e2el_ms<=200"), &levels);
        let series = &figure.panels[0][0].series;
        let of = |name: &str| series.iter().filter(|series| series.name == name).collect::<Vec<_>>();
        assert_eq!((of("passes")[0].points.len(), of("fails")[0].points.len()), (2, 2));
        assert!(of("target")[0].points.iter().all(|point| point.y.mean == 200.0));
        assert_eq!(of("bracket").iter().map(|line| line.points[0].x.mean).collect::<Vec<_>>(), [14.0, 18.0]);
        let spline = &of("spline")[0].points;
        assert!((spline[0].y.mean - 50.0).abs() < 1e-6 && (spline[spline.len() - 1].y.mean - 900.0).abs() < 1e-6);
        assert_eq!(figure.y.label, "P99 E2E latency (ms)");
        assert!(figure.caption[0].contains("6 run(s) at 4 values"), "{:?}", figure.caption);
    }

    #[test]
    fn with_several_constraints_the_axis_is_the_worst_of_them() {
        let levels = [level(1.0, 50.0, 1), level(400.0, 8000.0, 1)];
        let figure = sla_figure(&answer("p99_e2el_ms<=200, output_throughput>=5"), &levels);
        assert_eq!((figure.y.label.as_str(), figure.y.scale), ("Worst metric, in multiples of its target", Scale::Log));
        assert_eq!(figure.panels[0][0].series.last().unwrap().points[0].y.mean, 40.0);
        // Too low for the one, too high for the other: no curve goes through both.
        let window = [level(1.0, 900.0, 1), level(8.0, 100.0, 1), level(400.0, 8000.0, 1)];
        let figure = sla_figure(&answer("p99_e2el_ms<=200, output_throughput>=5"), &window);
        assert!(figure.panels[0][0].series.iter().all(|series| series.name != "spline"));
    }
}
