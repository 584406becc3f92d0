//! The charts of a report, each with its query and its alternative text.

use super::ReportError;
use crate::compare::{Judge, Trends};
use crate::metric::label;
use crate::plot::{
    Axis, CurveRequest, Curves, DrawnCurves, Dress, Estimate, Figure, MOST_SERIES, Objective, ParetoRequest, PlotError,
    Point, Scale, Series, SeriesOverSweeps, Size, SweepInTime, ladders, lines_figure, number_label, places, sla_charts,
    to_png, to_svg, trend_figure, tune_charts,
};
use crate::query::{Lake, Varied, curve_variables, literal, load_variable, shipped};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{NaiveDate, NaiveDateTime};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};

/// Of a chart that stands beside another, and of one that stands alone.
const BESIDE: Size = Size::of_panel(4.0, 144.0, 1.3);
const ALONE: Size = Size::of_panel(5.0, 144.0, 1.0);

/// A chart, ready for the page.
pub struct Chart {
    pub heading: String,
    /// What is to be known of it, and was not said of a chart before it.
    pub notes: Vec<String>,
    pub alt: String,
    pub png: String,
    pub width: u32,
    pub height: u32,
    pub sql: String,
    /// The points that were drawn, and where, for the hover: what lies under the pointer is read from both.
    pub csv: String,
    pub places: String,
    pub x_label: String,
    pub y_label: String,
    /// How many of them there are.
    pub rows: String,
}

/// A chart before it is drawn.
struct Sketch {
    heading: String,
    figure: Figure,
    sql: String,
    size: Size,
}

/// The curves that were asked for, and those that every sweep has, as far as its data allow.
pub async fn curves(lake: &Lake, varied: &[Varied], asked: &[[String; 2]]) -> Result<Vec<Chart>, ReportError> {
    let load = load_variable(varied);
    let mut wanted = vec![("output_throughput", "p99_e2el_ms"), ("output_throughput", "median_ttft_ms")];
    if let Some(load) = load {
        wanted.extend(
            ["output_throughput", "median_ttft_ms", "median_tpot_ms", "p99_e2el_ms"].map(|metric| (load, metric)),
        );
    }
    let filter_by = if is_crowded(lake).await? { ON_FRONTIER.to_owned() } else { String::new() };
    let request = |x: &str, y: &str| CurveRequest {
        var_x: x.into(),
        var_y: y.into(),
        fig_by: Vec::new(),
        row_by: Vec::new(),
        col_by: Vec::new(),
        curve_by: curve_variables(varied),
        filter_by: filter_by.clone(),
        bin_by: Vec::new(),
        scale_x: if Some(x) == load { Scale::Log2 } else { Scale::Linear },
        scale_y: Scale::Linear,
        has_error_bars: true,
        dress: Dress::default(),
    };
    let mut sketches = Vec::new();
    for [x, y] in asked {
        // What somebody asked for is not left out in silence.
        sketches.extend(sketches_of(request(x, y).draw(lake).await?));
    }
    for (x, y) in wanted {
        match request(x, y).draw(lake).await {
            Ok(curves) => sketches.extend(sketches_of(curves)),
            Err(error) => skip_what_is_missing(error)?,
        }
    }
    drawn(sketches)
}

fn sketches_of(curves: Curves) -> Vec<Sketch> {
    let sketch = |mut drawn: DrawnCurves| {
        let figure = &mut drawn.figure;
        // The axes and the SQL say it.
        figure.caption.retain(|line| !line.starts_with("x: "));
        let heading = format!("{} vs. {}", plain(&figure.y.label), plain(&figure.x.label));
        Sketch { heading, figure: drawn.figure, sql: curves.sql.clone(), size: BESIDE }
    };
    curves.figures.into_iter().map(sketch).collect()
}

/// With more settings of the server than these nobody could tell their curves apart: then those with a point on the frontier
/// are drawn.
const MOST_CURVES: f64 = 40.0;
const ON_FRONTIER: &str =
    "serve_params IN (SELECT serve_params FROM pareto(combinations, 'tokens_per_user_mean', 'tokens_per_gpu_mean'))";

async fn is_crowded(lake: &Lake) -> Result<bool, ReportError> {
    let sql = "SELECT count(DISTINCT serve_params) AS settings, count(DISTINCT tokens_per_user_mean) AS placed FROM combinations";
    let counts = lake.sql(sql).await?;
    let count = |name: &str| Ok::<_, ReportError>(counts.numbers(name)?.first().copied().flatten().unwrap_or(0.0));
    Ok(count("settings")? > MOST_CURVES && count("placed")? > 0.0)
}

/// The Pareto chart, where users and GPUs are known.
pub async fn pareto(lake: &Lake) -> Result<Vec<Chart>, ReportError> {
    let request = ParetoRequest {
        x: Objective::PerUser { count_var: None },
        y: Objective::PerGpu { count_var: None },
        label_by: Vec::new(),
        group_by: Vec::new(),
        filter_by: String::new(),
        dress: Dress::default(),
    };
    match request.draw(lake).await {
        Ok(frontier) => {
            let heading = "Throughput per GPU vs. throughput per user".to_owned();
            drawn(vec![Sketch { heading, figure: frontier.figure, sql: frontier.sql, size: ALONE }])
        }
        Err(error) => skip_what_is_missing(error).map(|()| Vec::new()),
    }
}

/// The charts of the answers to SLAs, the first ones of many.
pub async fn slas(lake: &Lake) -> Result<Vec<Chart>, ReportError> {
    let ladders = ladders(lake).await?;
    let charts = match sla_charts(lake).await {
        Ok(charts) => ladders.into_iter().chain(charts).take(MOST_SLA_CHARTS),
        // An SLA on a metric that no run has must not cost the page.
        Err(error) => return skip_what_is_missing(error).map(|()| Vec::new()),
    };
    let sketches = charts.map(|mut chart| {
        // The heading of the page says what the title of a picture that stands alone says.
        let heading = std::mem::take(&mut chart.figure.title);
        Sketch { heading, figure: chart.figure, sql: chart.sql, size: BESIDE }
    });
    drawn(sketches.collect())
}

/// What tunes found and believe.
pub async fn tunes(lake: &Lake) -> Result<Vec<Chart>, ReportError> {
    let charts = match tune_charts(lake).await {
        Ok(charts) => charts.into_iter().take(MOST_SLA_CHARTS),
        Err(error) => return skip_what_is_missing(error).map(|()| Vec::new()),
    };
    let sketches = charts.map(|mut chart| {
        let heading = std::mem::take(&mut chart.figure.title);
        let size = if chart.figure.is_stacked() { Size::of_panel(4.0, 144.0, 1.8) } else { BESIDE };
        // What is told under the pointer has one name for all rows.
        let y = if chart.figure.is_stacked() {
            Axis { label: "Value".into(), ..chart.figure.y.clone() }
        } else {
            chart.figure.y.clone()
        };
        Sketch { heading, figure: Figure { y, ..chart.figure }, sql: chart.sql, size }
    });
    drawn(sketches.collect())
}

/// A chart that was made elsewhere.
pub fn chart_of(heading: &str, figure: Figure, sql: &str) -> Result<Chart, ReportError> {
    Ok(draw(Sketch { heading: heading.into(), figure, sql: sql.into(), size: ALONE })?)
}

/// What happened during a run. Rows over one axis are low and wide.
pub fn timeline_of(heading: String, figure: Figure, sql: String) -> Result<Chart, ReportError> {
    let size = Size { width_in: Some(9.0), ..Size::of_panel(1.5, 110.0, 1.0) };
    let figure = Figure { title: String::new(), y: Axis { label: "Value".into(), ..figure.y.clone() }, ..figure };
    Ok(draw(Sketch { heading, figure, sql, size })?)
}

/// A page of more would be too large to send around; the others are in the sweep's folder.
const MOST_SLA_CHARTS: usize = 12;

/// A metric that no run has makes no chart; everything else is an error.
fn skip_what_is_missing(error: PlotError) -> Result<(), ReportError> {
    match error {
        PlotError::NoRuns
        | PlotError::NoValues { .. }
        | PlotError::AllDegraded { .. }
        | PlotError::NotANumber { .. } => Ok(()),
        PlotError::Query(crate::query::QueryError::NoColumn { .. }) => Ok(()),
        error => Err(error.into()),
    }
}

fn drawn(mut sketches: Vec<Sketch>) -> Result<Vec<Chart>, ReportError> {
    // What is true of all charts of a section is said once.
    let mut said = HashSet::new();
    for sketch in &mut sketches {
        sketch.figure.caption.retain(|line| said.insert(line.clone()));
    }
    sketches.into_par_iter().map(draw).collect::<Result<Vec<_>, PlotError>>().map_err(Into::into)
}

fn draw(mut sketch: Sketch) -> Result<Chart, PlotError> {
    let notes = std::mem::take(&mut sketch.figure.caption);
    let (width, height) = sketch.size.pixels(&sketch.figure);
    let png = to_png(&to_svg(&sketch.figure, sketch.size)?, width, height)?;
    Ok(Chart {
        alt: alternative(&sketch.heading, &sketch.figure),
        heading: sketch.heading,
        notes,
        png: STANDARD.encode(png),
        width,
        height,
        rows: match sketch.figure.num_points() {
            all if all > MOST_ROWS => format!("the first {MOST_ROWS} of {all} points"),
            all => format!("{all} points"),
        },
        csv: csv(&sketch.figure),
        places: place_list(&sketch.figure, sketch.size),
        x_label: sketch.figure.x.label.clone(),
        y_label: sketch.figure.y.label.clone(),
        sql: sketch.sql,
    })
}

/// The first points of a figure as CSV: enough to check and redraw it, not so many that the page grows with them.
fn csv(figure: &Figure) -> String {
    let points = figure.panels.iter().flatten().flat_map(|panel| {
        let place = |x: f64, y: f64| (x.to_bits(), y.to_bits());
        let labels: HashMap<_, &str> =
            panel.labels.iter().map(|label| (place(label.x, label.y), label.text.as_str())).collect();
        let named = |series: &Series, point: &Point| match labels.get(&place(point.x.mean, point.y.mean)) {
            Some(&"") => series.name.clone(),
            Some(label) => format!("{label} ({})", series.name),
            None => series.name.clone(),
        };
        let of_series =
            |series: &'_ Series| series.points.iter().map(|point| (named(series, point), *point)).collect::<Vec<_>>();
        panel.series.iter().flat_map(of_series).collect::<Vec<_>>()
    });
    let ends = |estimate: Estimate| {
        let [low, high] = [estimate.interval.map(|ends| ends.0), estimate.interval.map(|ends| ends.1)]
            .map(|end| end.filter(|end| end.is_finite()).map(|end| end.to_string()).unwrap_or_default());
        format!("{low},{high}")
    };
    let lines = points.take(MOST_ROWS).map(|(name, point)| {
        let name = if name.contains(['"', ',', '\n']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name };
        format!("{name},{},{},{},{},{}", point.x.mean, ends(point.x), point.y.mean, ends(point.y), point.y.n)
    });
    std::iter::once("series,x,x_low,x_high,y,y_low,y_high,n".to_owned()).chain(lines).collect::<Vec<_>>().join("\n")
}

/// `0.25,0.5;…`: the places of the points of [`csv`], empty for one that is not on the chart.
fn place_list(figure: &Figure, size: Size) -> String {
    let places = places(figure, size).into_iter().take(MOST_ROWS);
    let texts = places.map(|place| place.map_or(String::new(), |(x, y)| format!("{x:.4},{y:.4}")));
    texts.collect::<Vec<_>>().join(";")
}

/// Points of a chart that the page carries as numbers; its SQL gives all of them.
const MOST_ROWS: usize = 1000;

crate::query::typed_row! {
    struct Rank {
        combination: String,
        x: f64,
        y: f64,
    }
}

/// How the requests of some combinations are distributed: their shares, and the tail by itself.
pub async fn distributions(lake: &Lake, combinations: &[(String, String)]) -> Result<Vec<Chart>, ReportError> {
    if combinations.is_empty() {
        return Ok(Vec::new());
    }
    let ids = combinations.iter().map(|(id, _)| literal(id)).collect::<Vec<_>>().join(", ");
    let mut sketches = Vec::new();
    for (latency, name) in [("e2el_ms", "E2E latency"), ("ttft_ms", "TTFT")] {
        let sql = shipped::DISTRIBUTION.fill(&[("latency", latency), ("combinations", &ids)]);
        let rows: Vec<Rank> = lake.sql(&sql).await?.typed(shipped::DISTRIBUTION.name)?;
        if rows.is_empty() {
            continue;
        }
        let named = |share: fn(f64) -> f64| -> Vec<(String, Vec<(f64, f64)>)> {
            let of = |id: &str| {
                let own = rows.iter().filter(|row| row.combination == id);
                own.map(|row| (row.x, share(row.y))).collect()
            };
            combinations.iter().map(|(id, name)| (name.clone(), of(id))).collect()
        };
        let axis = format!("{name} (ms)");
        let whole = lines_figure(
            &named(|share| share),
            (&axis, Scale::Log),
            ("Share of requests at or below this latency", Scale::Linear),
        );
        let tail = lines_figure(
            &named(|share| 1.0 - share),
            (&axis, Scale::Log),
            ("Share of requests above this latency", Scale::Log),
        );
        sketches.push(Sketch {
            heading: format!("{name} of all requests"),
            figure: whole,
            sql: sql.clone(),
            size: BESIDE,
        });
        sketches.push(Sketch { heading: format!("{name}, tail"), figure: tail, sql, size: BESIDE });
    }
    drawn(sketches)
}

/// How the combinations that several sweeps have moved from sweep to sweep: those that moved most.
pub async fn trends(lake: &Lake) -> Result<Vec<Chart>, ReportError> {
    let mut sketches = Vec::new();
    let mut colors = Colors::default();
    for metric in ["output_throughput", "p99_e2el_ms"] {
        let trends = Trends::of(lake, metric, "", &Judge::default()).await?;
        if trends.followed.is_empty() {
            continue;
        }
        let figure = trend_chart(&trends, metric, &mut colors);
        sketches.push(Sketch { heading: label(metric), figure, sql: trends.sql, size: BESIDE });
    }
    drawn(sketches)
}

/// The colors of series, the same in all charts of a page.
#[derive(Default)]
pub struct Colors(Vec<String>);

impl Colors {
    fn of(&mut self, name: &str) -> usize {
        self.0.iter().position(|known| known == name).unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        })
    }
}

/// A metric over the sweeps of a lake, a line for each combination.
pub fn trend_chart(trends: &Trends, metric: &str, colors: &mut Colors) -> Figure {
    let is_shown = |index: usize| index < MOST_SERIES;
    let series = trends.followed.iter().enumerate().map(|(index, one)| SeriesOverSweeps {
        color: if is_shown(index) { colors.of(&one.label) } else { 0 },
        name: one.label.clone(),
        means: one.runs.iter().map(|runs| Estimate::of(runs)).collect(),
        changes: one.changes.iter().map(|point| (point.at, point.shape.as_str())).collect(),
    });
    let sweeps =
        trends.sweeps.iter().map(|sweep| SweepInTime { name: sweep.name.clone(), began: time_of(&sweep.started_at) });
    trend_figure(&series.collect::<Vec<_>>(), &label(metric), &sweeps.collect::<Vec<_>>())
}

/// A time as SQL writes it, or a day.
fn time_of(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim_end_matches('Z');
    let time = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    let time = time.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    time.or_else(|| text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0))
}

/// What the chart shows, for who can't see it.
fn alternative(heading: &str, figure: &Figure) -> String {
    let series =
        figure.panels.iter().flatten().flat_map(|panel| &panel.series).filter(|series| !series.points.is_empty());
    let texts = series.map(|series| {
        let ends = (series.points.first(), series.points.last());
        let place = |point: &crate::plot::Point| {
            let number = |value: f64| number_label((value * 10.0).round() / 10.0, 0.1);
            format!("({}, {})", number(point.x.mean), number(point.y.mean))
        };
        let name = if series.name.is_empty() { "the curve" } else { &series.name };
        match ends {
            (Some(first), Some(last)) if series.points.len() > 1 => {
                format!("{name} from {} to {}", place(first), place(last))
            }
            (Some(only), _) => format!("{name} at {}", place(only)),
            _ => name.to_owned(),
        }
    });
    format!("Chart: {heading}. {}.", texts.take(12).collect::<Vec<_>>().join("; "))
}

/// A label without its unit.
fn plain(label: &str) -> &str {
    label.split(" (").next().unwrap_or(label)
}
