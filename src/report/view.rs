//! What the page shows, as finished strings.

use super::ReportError;
use super::charts::{self, Chart};
use crate::metric::label;
use crate::params::{Command, ParamSet};
use crate::plan::params_text;
use crate::query::{Answer, FAILURES, Lake, QueryError, SLAS, SUMMARY, Value};
use crate::stats::with_interval;
use crate::store::Sweep;
use askama::Template;
use chrono::{DateTime, Local};

const HEADLINES: &str = include_str!("../../queries/headlines.sql");

#[derive(Template)]
#[template(path = "report.html")]
pub struct Page {
    title: String,
    written_at: String,
    version: &'static str,
    headlines: Vec<Headline>,
    sweeps: Vec<Facts>,
    pareto: Vec<Chart>,
    curves: Vec<Chart>,
    slas: Table,
    sla_charts: Vec<Chart>,
    table: Table,
    failures: Vec<FailedRun>,
}

struct Headline {
    purpose: String,
    value: String,
    configuration: String,
    command: Option<String>,
}

struct Facts {
    name: String,
    rows: Vec<(&'static str, String)>,
    commands: Vec<(&'static str, String)>,
}

struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

struct FailedRun {
    run: String,
    kind: String,
    error: String,
    log_tail: String,
}

impl Page {
    pub async fn of(lake: &Lake, title: &str, now: DateTime<Local>) -> Result<Self, ReportError> {
        let varied = lake.varied().await?;
        let headlines = lake.sql(HEADLINES).await?;
        Ok(Self {
            title: title.to_owned(),
            written_at: now.format("%Y-%m-%d %H:%M").to_string(),
            version: env!("CARGO_PKG_VERSION"),
            headlines: headlines.rows().iter().map(|row| headline(row, lake.sweeps())).collect::<Result<_, _>>()?,
            sweeps: lake.sweeps().iter().map(facts).collect::<Result<_, _>>()?,
            pareto: charts::pareto(lake, &varied).await?,
            curves: charts::curves(lake, &varied).await?,
            slas: table(&lake.sql(SLAS).await?),
            sla_charts: charts::slas(lake).await?,
            table: table(&lake.sql(SUMMARY).await?),
            failures: lake.sql(FAILURES).await?.rows().iter().map(|row| failed_run(row)).collect(),
        })
    }
}

/// Columns: purpose, metric, value, ci95, serve, bench, n, sweep, combination, serve_params.
fn headline(row: &[Value], sweeps: &[Sweep]) -> Result<Headline, ReportError> {
    let metric = row[1].to_text();
    let ci95 = row[3].as_f64().map(|half| format!(" ± {}", number(half))).unwrap_or_default();
    let unit =
        label(&metric).rsplit_once(" (").map(|(_, unit)| unit.trim_end_matches(')').to_owned()).unwrap_or_default();
    let runs = row[6].to_text();
    let parts = [("serve", row[4].to_text()), ("bench", row[5].to_text())];
    let parts = parts
        .iter()
        .filter(|(_, text)| !matches!(text.as_str(), "" | "{}"))
        .map(|(side, text)| format!("{side} {}", params_text(text)));
    Ok(Headline {
        purpose: row[0].to_text(),
        value: format!("{}{ci95} {unit}", row[2].as_f64().map(number).unwrap_or_default()),
        configuration: format!("{} (mean of {runs} runs)", parts.collect::<Vec<_>>().join(" · ")),
        command: serve_command(sweeps, &row[7].to_text(), &row[9].to_text())?,
    })
}

/// The exact command that serves a configuration.
fn serve_command(sweeps: &[Sweep], sweep: &str, serve_params: &str) -> Result<Option<String>, ReportError> {
    let manifest = match sweeps.iter().find(|known| known.name == sweep) {
        Some(sweep) => sweep.manifest().map_err(QueryError::from)?,
        None => None,
    };
    Ok(manifest.and_then(|manifest| {
        let params = serde_json::from_str(serve_params).ok()?;
        let command = Command::parse("serve_cmd", &manifest.serve_cmd).ok()?;
        Some(command.with_params(&ParamSet { name: None, params }).quoted())
    }))
}

fn facts(sweep: &Sweep) -> Result<Facts, ReportError> {
    let mut rows =
        vec![("Folder", sweep.location()), ("State", sweep.state().map_err(QueryError::from)?.as_str().to_owned())];
    let mut commands = Vec::new();
    if let Some(manifest) = sweep.manifest().map_err(QueryError::from)? {
        let environment = &manifest.environment;
        let time = |time: DateTime<chrono::Utc>| time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string();
        let gpus: Vec<&str> = environment.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
        rows.push(("Started", time(manifest.started_at)));
        if let Some(finished_at) = manifest.finished_at {
            let took = (finished_at - manifest.started_at).num_seconds();
            rows.push(("Took", format!("{} min {} s", took / 60, took % 60)));
        }
        rows.push((
            "Runs",
            format!("{} of {} combinations, {} failed", manifest.runs, manifest.num_combinations(), manifest.failed),
        ));
        rows.push((
            "Engine",
            [environment.engine.as_deref().unwrap_or("unknown"), environment.engine_version.as_deref().unwrap_or("")]
                .join(" "),
        ));
        rows.push(("Host", environment.host.clone()));
        rows.push(("CPU", format!("{} × {}", environment.cpu_cores, environment.cpu)));
        rows.push(("GPUs", if gpus.is_empty() { "none found".into() } else { gpus.join(", ") }));
        rows.extend(environment.git_commit.clone().map(|commit| ("Git commit", commit)));
        commands.push(("Server", manifest.serve_cmd.clone()));
        commands.push(("Benchmark", manifest.bench_cmd.clone()));
        commands.extend(manifest.after_bench_cmd.clone().map(|command| ("After each run", command)));
    }
    Ok(Facts { name: sweep.name.clone(), rows, commands })
}

fn table(answer: &Answer) -> Table {
    let rows = answer.rows();
    let columns = answer.columns();
    // Columns in which nothing stands say nothing; a column `±…` goes into the cell before it.
    let says_something = |index: usize| rows.iter().any(|row| !matches!(row[index].to_text().as_str(), "" | "{}"));
    let is_interval = |index: usize| columns.get(index).is_some_and(|name| name.starts_with('±'));
    let kept: Vec<usize> = (0..columns.len()).filter(|index| !is_interval(*index) && says_something(*index)).collect();
    let text = |row: &[Value], index: usize| match (&row[index], row.get(index + 1)) {
        (Value::Float(mean), Some(Value::Float(half))) if is_interval(index + 1) => with_interval(*mean, *half),
        (value, _) => cell(value),
    };
    Table {
        columns: kept.iter().map(|index| label(&columns[*index])).collect(),
        rows: rows.iter().map(|row| kept.iter().map(|index| text(row, *index)).collect()).collect(),
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Float(value) => number(*value),
        Value::Text(text) => params_text(text),
        other => other.to_text(),
    }
}

/// Columns: sweep, serve, bench, run_number, error_kind, error, exit_code, log_tail.
fn failed_run(row: &[Value]) -> FailedRun {
    let exit = match &row[6] {
        Value::Null => String::new(),
        code => format!(" (exit code {})", code.to_text()),
    };
    FailedRun {
        run: format!(
            "{} · serve {} · bench {} · run {}",
            row[0].to_text(),
            params_text(&row[1].to_text()),
            params_text(&row[2].to_text()),
            row[3].to_text()
        ),
        kind: row[4].to_text(),
        error: format!("{}{exit}", row[5].to_text()),
        log_tail: row[7].to_text(),
    }
}

fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 1000.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let factor = 10f64.powi(decimals);
    crate::plot::number_label((value * factor).round() / factor, 1.0 / factor)
}
