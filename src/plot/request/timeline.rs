//! Timelines of runs, as asked for.

use crate::plot::timeline::{Sampled, Sent, Timeline};
use crate::plot::{Figure, PlotError};
use crate::query::{Filter, Lake, literal};

/// Which runs are looked at.
#[derive(Clone, Debug, Default)]
pub struct TimelineRequest {
    /// The beginnings of run IDs; without any, all runs.
    pub runs: Vec<String>,
    /// Only of this sweep.
    pub sweep: Option<String>,
    pub filter_by: String,
    /// More runs than these are refused.
    pub most: usize,
}

/// A run's timeline.
pub struct DrawnTimeline {
    pub sweep: String,
    pub run_id: String,
    pub label: String,
    pub run_number: i64,
    pub figure: Figure,
}

crate::query::typed_row! {
    struct Run {
        sweep: String,
        run_id: String,
        label: Option<String>,
        run_number: i64,
        wall_time_s: Option<f64>,
        duration: Option<f64>,
    }
}

crate::query::typed_row! {
    struct Sample {
        source: String,
        device: Option<String>,
        metric: String,
        at_s: f64,
        value: f64,
    }
}

crate::query::typed_row! {
    struct Request {
        start_s: f64,
        ttft_ms: Option<f64>,
        e2el_ms: Option<f64>,
        has_failed: bool,
    }
}

impl TimelineRequest {
    pub async fn draw(&self, lake: &Lake) -> Result<Vec<DrawnTimeline>, PlotError> {
        let filter = Filter::parse(&self.filter_by, &lake.columns("runs").await?)?;
        let is_meant = self.runs.iter().map(|run| format!("starts_with(run_id, {})", literal(run)));
        let is_meant = is_meant.reduce(|left, right| format!("{left} OR {right}")).unwrap_or_else(|| "TRUE".into());
        let of_sweep = self.sweep.as_ref().map_or_else(|| "TRUE".into(), |sweep| format!("sweep = {}", literal(sweep)));
        let sql = format!(
            "SELECT sweep, run_id, label, run_number, wall_time_s, CAST(duration AS DOUBLE) AS duration FROM runs \
             WHERE status <> 'retried' AND ({is_meant}) AND {of_sweep} AND {} ORDER BY sweep, started_at",
            filter.to_sql()
        );
        let runs: Vec<Run> = lake.sql(&sql).await?.typed("timeline")?;
        if runs.is_empty() {
            return Err(PlotError::NoSuchRun { runs: self.runs.clone() });
        }
        if runs.len() > self.most {
            return Err(PlotError::TooManyRuns { runs: runs.len(), most: self.most });
        }
        let mut drawn = Vec::new();
        for run in runs {
            if let Some(figure) = timeline(lake, &run).await?.figure() {
                let label = run.label.unwrap_or_default();
                drawn.push(DrawnTimeline {
                    sweep: run.sweep,
                    run_id: run.run_id,
                    label,
                    run_number: run.run_number,
                    figure,
                });
            }
        }
        if drawn.is_empty() { Err(PlotError::NothingSampled) } else { Ok(drawn) }
    }
}

async fn timeline(lake: &Lake, run: &Run) -> Result<Timeline, PlotError> {
    let of_run = format!("sweep = {} AND run_id = {}", literal(&run.sweep), literal(&run.run_id));
    let sql = format!(
        "SELECT source, device, metric, at_s, value FROM telemetry WHERE {of_run} AND value IS NOT NULL ORDER BY at_s"
    );
    let samples: Vec<Sample> = lake.sql(&sql).await?.typed("timeline")?;
    let sql = format!(
        "SELECT start_s, ttft_ms, e2el_ms, NOT coalesce(ok, true) AS has_failed FROM requests WHERE {of_run} \
         AND start_s IS NOT NULL ORDER BY start_s"
    );
    let requests: Vec<Request> = lake.sql(&sql).await?.typed("timeline")?;
    let samples = samples.into_iter().map(|sample| Sampled {
        source: sample.source,
        device: sample.device,
        metric: sample.metric,
        at_s: sample.at_s,
        value: sample.value,
    });
    let sent = requests.into_iter().filter(|request| request.e2el_ms.is_some() || request.has_failed);
    let sent = sent.map(|request| Sent {
        start_s: request.start_s,
        first_s: request.ttft_ms.map(|ttft| request.start_s + ttft / 1e3),
        end_s: request.start_s + request.e2el_ms.unwrap_or(0.0) / 1e3,
        has_failed: request.has_failed,
    });
    let title = format!("{} · run {}", run.label.clone().unwrap_or_default(), run.run_number);
    Ok(Timeline {
        title,
        samples: samples.collect(),
        requests: sent.collect(),
        wall_time_s: run.wall_time_s,
        duration_s: run.duration,
    })
}
