//! The charts of a report, each with its query and its alternative text.

use super::ReportError;
use crate::metric::label;
use crate::plot::{
    CurveRequest, Figure, Objective, ParetoRequest, PlotError, Scale, Size, number_label, sla_charts, to_png, to_svg,
};
use crate::query::{Lake, Varied, curve_variables, load_variable};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rayon::prelude::*;

const SIZE: Size = Size { panel_height_in: 4.4, dpi: 144.0 };

/// A chart, ready for the page.
pub struct Chart {
    pub heading: String,
    pub alt: String,
    pub png: String,
    pub width: u32,
    pub height: u32,
    pub sql: String,
}

/// A chart before it is drawn.
struct Sketch {
    heading: String,
    figure: Figure,
    sql: String,
}

/// The curves that every sweep has, as far as its data allow.
pub async fn curves(lake: &Lake, varied: &[Varied]) -> Result<Vec<Chart>, ReportError> {
    let load = load_variable(varied);
    let mut wanted = vec![("output_throughput", "p99_e2el_ms"), ("output_throughput", "median_ttft_ms")];
    if let Some(load) = load {
        wanted.extend(
            ["output_throughput", "median_ttft_ms", "median_tpot_ms", "p99_e2el_ms"].map(|metric| (load, metric)),
        );
    }
    let mut sketches = Vec::new();
    for (x, y) in wanted {
        let request = CurveRequest {
            var_x: x.into(),
            var_y: y.into(),
            fig_by: Vec::new(),
            row_by: Vec::new(),
            col_by: Vec::new(),
            curve_by: curve_variables(varied),
            filter_by: String::new(),
            bin_by: Vec::new(),
            scale_x: if Some(x) == load { Scale::Log2 } else { Scale::Linear },
            scale_y: Scale::Linear,
            has_error_bars: true,
        };
        match request.draw(lake).await {
            Ok(curves) => sketches.extend(curves.figures.into_iter().map(|drawn| Sketch {
                heading: format!("{} against {}", plain(&label(y)), plain(&label(x)).to_lowercase()),
                figure: drawn.figure,
                sql: curves.sql.clone(),
            })),
            Err(error) => skip_what_is_missing(error)?,
        }
    }
    drawn(sketches)
}

/// The Pareto chart, where users and GPUs are known.
pub async fn pareto(lake: &Lake, varied: &[Varied]) -> Result<Vec<Chart>, ReportError> {
    let mut label_by: Vec<String> = curve_variables(varied);
    label_by.extend(load_variable(varied).map(str::to_owned));
    label_by.truncate(3);
    let request = ParetoRequest {
        x: Objective::PerUser { count_var: None },
        y: Objective::PerGpu { count_var: None },
        label_by,
        group_by: Vec::new(),
        filter_by: String::new(),
    };
    match request.draw(lake).await {
        Ok(frontier) => {
            let heading = "Throughput per GPU against throughput per user".to_owned();
            drawn(vec![Sketch { heading, figure: frontier.figure, sql: frontier.sql }])
        }
        Err(error) => skip_what_is_missing(error).map(|()| Vec::new()),
    }
}

/// The charts of the answers to SLAs, the first ones of many.
pub async fn slas(lake: &Lake) -> Result<Vec<Chart>, ReportError> {
    let charts = sla_charts(lake).await?.into_iter().take(MOST_SLA_CHARTS);
    let sketches = charts.map(|mut chart| {
        // The heading of the page says what the title of a picture that stands alone says.
        let heading = std::mem::take(&mut chart.figure.title);
        Sketch { heading, figure: chart.figure, sql: chart.sql }
    });
    drawn(sketches.collect())
}

/// A chart without a query of its own.
pub fn chart_of(heading: &str, figure: Figure) -> Result<Chart, ReportError> {
    Ok(draw(Sketch { heading: heading.into(), figure, sql: String::new() })?)
}

/// A page of more would be too large to send around; the others are in the sweep's folder.
const MOST_SLA_CHARTS: usize = 12;

/// A metric that no run has makes no chart; everything else is an error.
fn skip_what_is_missing(error: PlotError) -> Result<(), ReportError> {
    match error {
        PlotError::NoRuns | PlotError::NoUserCount | PlotError::NotANumber { .. } => Ok(()),
        PlotError::Query(crate::query::QueryError::NoColumn { .. }) => Ok(()),
        error => Err(error.into()),
    }
}

fn drawn(sketches: Vec<Sketch>) -> Result<Vec<Chart>, ReportError> {
    sketches.into_par_iter().map(draw).collect::<Result<Vec<_>, PlotError>>().map_err(Into::into)
}

fn draw(sketch: Sketch) -> Result<Chart, PlotError> {
    let (width, height) = SIZE.pixels(&sketch.figure);
    let png = to_png(&to_svg(&sketch.figure, SIZE.panel_height_in)?, width, height)?;
    Ok(Chart {
        alt: alternative(&sketch.heading, &sketch.figure),
        heading: sketch.heading,
        png: STANDARD.encode(png),
        width,
        height,
        sql: sketch.sql,
    })
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
