//! What the page shows, as finished strings.

use super::ReportError;
use super::charts::{self, Chart};
use super::comparison::{ComparisonView, Shown, shown};
use super::heat::{self, HeatMap};
use super::page::Theme;
use crate::metric::{caution, label};
use crate::params::{Command, ParamSet};
use crate::plan::params_text;
use crate::query::{Answer, FAILURES, Lake, NamedQuery, QueryError, SLAS, SUMMARY, Value};
use crate::stats::with_interval;
use crate::store::{Manifest, Sweep, SweepKind};
use askama::Template;
use chrono::{DateTime, Local};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

const HEADLINES: [&str; 3] = [
    include_str!("../../queries/headlines.sql"),
    include_str!("../../queries/knee.sql"),
    include_str!("../../queries/best_within_sla.sql"),
];
const CERTAINTY: &str = include_str!("../../queries/certainty.sql");

/// What a reader is told besides the numbers.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub title: String,
    /// Markdown.
    pub notes: String,
    pub theme: Option<Theme>,
    /// Of several sweeps: the later ones against the first.
    pub comparisons: Vec<ComparisonView>,
}

#[derive(Template)]
#[template(path = "report.html")]
pub struct Page {
    title: String,
    theme: Option<&'static str>,
    notes: String,
    written_at: String,
    version: &'static str,
    headlines: Vec<Headline>,
    certainty: Vec<String>,
    sweeps: Vec<Facts>,
    comparisons: Vec<Shown>,
    pareto: Vec<Chart>,
    frontier: Table,
    curves: Vec<Chart>,
    effects: Vec<Effect>,
    heat: Vec<HeatMap>,
    distributions: Vec<Chart>,
    slas: Table,
    sla_charts: Vec<Chart>,
    table: Table,
    failures: Vec<FailedRun>,
    ask: String,
}

/// A metric's main effects.
struct Effect {
    id: String,
    heading: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
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
    /// The command that measures it again, and the files that it reads.
    reproduce: Option<String>,
    files: Vec<(&'static str, String)>,
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
    pub async fn of(lake: &Lake, told: &Told, now: DateTime<Local>) -> Result<Self, ReportError> {
        let varied = lake.varied().await?;
        let mut best = Vec::new();
        for sql in HEADLINES {
            best.extend(lake.sql(sql).await?.rows());
        }
        let frontier = NamedQuery::find("frontier").and_then(|query| query.sql(&[]))?;
        let places =
            lake.sweeps().iter().map(|sweep| shlex::try_quote(&sweep.location()).map(|text| text.into_owned()));
        let places: Vec<String> = places.filter_map(Result::ok).collect();
        Ok(Self {
            title: told.title.clone(),
            theme: told.theme.map(Theme::as_str),
            notes: markdown(&told.notes),
            written_at: now.format("%Y-%m-%d %H:%M").to_string(),
            version: env!("CARGO_PKG_VERSION"),
            headlines: best.iter().map(|row| headline(row, lake.sweeps())).collect::<Result<_, _>>()?,
            certainty: certainty(&lake.sql(CERTAINTY).await?),
            sweeps: lake.sweeps().iter().map(facts).collect::<Result<_, _>>()?,
            comparisons: shown(&told.comparisons)?,
            pareto: charts::pareto(lake, &varied).await?,
            frontier: table(&lake.sql(&frontier).await?),
            curves: charts::curves(lake, &varied).await?,
            effects: effects(lake).await?,
            heat: heat::maps(lake, &varied).await?,
            distributions: charts::distributions(lake, &worth_a_look(&best)).await?,
            slas: table(&lake.sql(SLAS).await?),
            sla_charts: charts::slas(lake).await?,
            table: table(&lake.sql(SUMMARY).await?),
            failures: lake.sql(FAILURES).await?.rows().iter().map(|row| failed_run(row)).collect(),
            ask: format!("sweeplake query {} \"SELECT * FROM combinations\"", places.join(" ")),
        })
    }
}

/// Markdown as HTML; HTML that stands in it stays text.
fn markdown(text: &str) -> String {
    let events = Parser::new_ext(text, Options::ENABLE_TABLES).map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        // The page has its own first and second level.
        Event::Start(Tag::Heading { level, id, classes, attrs }) => {
            Event::Start(Tag::Heading { level: below(level), id, classes, attrs })
        }
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(below(level))),
        other => other,
    });
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, events);
    html
}

fn below(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H2,
        _ => HeadingLevel::H3,
    }
}

/// The combinations that are best for something, by identity and name: those whose requests are worth a look.
fn worth_a_look(best: &[Vec<Value>]) -> Vec<(String, String)> {
    let mut chosen: Vec<(String, String)> = Vec::new();
    for row in best {
        let id = row[8].to_text();
        if !chosen.iter().any(|(known, _)| *known == id) {
            let parts = [row[4].to_text(), row[5].to_text()].map(|text| params_text(&text));
            let parts: Vec<String> = parts.into_iter().filter(|text| !text.is_empty()).collect();
            chosen.push((id, parts.join(" · ")));
        }
    }
    chosen.truncate(MOST_DISTRIBUTIONS);
    chosen
}

/// More curves of requests nobody could tell apart.
const MOST_DISTRIBUTIONS: usize = 6;

/// Columns: combinations, least_runs, most_runs, failed_runs, throughput_median, throughput_worst, p99_median, p99_worst,
/// fewest_requests.
fn certainty(answer: &Answer) -> Vec<String> {
    let Some(row) = answer.rows().into_iter().next() else { return Vec::new() };
    let count = |index: usize| row[index].as_f64().unwrap_or(0.0);
    let repeats = match (count(1), count(2)) {
        (least, most) if least == most => format!("{most}"),
        (least, most) => format!("{least} to {most}"),
    };
    let mut lines = vec![format!("{} combinations, each measured {repeats} times.", count(0))];
    if count(3) > 0.0 {
        lines.push(format!("{} runs failed and are in no number.", count(3)));
    }
    if count(2) > 1.0 {
        lines.push("± is half the width of the 95 % confidence interval of the mean over repeated runs (Student's t). A difference smaller than both intervals may be noise.".into());
    } else {
        lines.push("Nothing was measured twice: how much of a difference is noise can't be told. Repeat with --num-runs 3 or more.".into());
    }
    for (name, median, worst) in [("output throughput", 4, 5), ("P99 E2E latency", 6, 7)] {
        if let (Some(median), Some(worst)) = (row[median].as_f64(), row[worst].as_f64()) {
            lines.push(format!(
                "Half interval of {name}: {} of the mean for the median combination, {} for the worst.",
                percent(median),
                percent(worst)
            ));
        }
    }
    lines.extend(row[8].as_f64().and_then(|fewest| caution("p99_e2el_ms", fewest)));
    lines
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// The main effects on what most readers look at first. Where nothing varies there are none.
async fn effects(lake: &Lake) -> Result<Vec<Effect>, ReportError> {
    let mut effects = Vec::new();
    for metric in ["output_throughput", "p99_e2el_ms"] {
        let query = NamedQuery::find("effects")?.sql(&[("metric".to_owned(), metric.to_owned())])?;
        let rows = lake.sql(&query).await?.rows();
        if rows.is_empty() {
            continue;
        }
        let share = |row: &[Value]| row[1].as_f64().map(percent).unwrap_or_default();
        let cells = rows.iter().map(|row| {
            let effect = row[5].as_f64().map(|effect| format!("{:+.1} %", effect * 100.0)).unwrap_or_default();
            vec![row[0].to_text(), share(row), row[2].to_text(), row[3].to_text(), cell(&row[4]), effect]
        });
        effects.push(Effect {
            id: format!("effects-{metric}"),
            heading: format!("On {}", label(metric)),
            columns: ["Parameter", "Explains", "Value", "Combinations", &label(metric), "Change"]
                .map(str::to_owned)
                .to_vec(),
            rows: cells.collect(),
        });
    }
    Ok(effects)
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
    let manifest = sweep.manifest().map_err(QueryError::from)?;
    if let Some(manifest) = &manifest {
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
    let (reproduce, files) =
        manifest.as_deref().and_then(reproduce).map_or((None, Vec::new()), |(command, files)| (Some(command), files));
    Ok(Facts { name: sweep.name.clone(), rows, commands, reproduce, files })
}

/// The command of a sweep, and its parameter files. Secrets are stored as `***` and have to be put in again.
fn reproduce(manifest: &Manifest) -> Option<(String, Vec<(&'static str, String)>)> {
    if matches!(manifest.kind, SweepKind::Startup | SweepKind::Import) {
        return None;
    }
    let mut words = vec!["sweeplake".to_owned(), manifest.kind.as_str().into()];
    let mut add = |flag: &str, value: &str| words.extend([flag.to_owned(), value.to_owned()]);
    add("--serve-cmd", &manifest.serve_cmd);
    add("--bench-cmd", &manifest.bench_cmd);
    if let Some(command) = &manifest.after_bench_cmd {
        add("--after-bench-cmd", command);
    }
    let files = [
        ("--serve-params", "serve.json", &manifest.serve_params),
        ("--bench-params", "bench.json", &manifest.bench_params),
        ("--sla-params", "sla.json", &manifest.sla_params),
    ];
    let files = files.into_iter().filter(|(_, _, sets)| sets.iter().any(|set| !set.is_empty()));
    let files: Vec<(&str, &'static str, String)> =
        files.map(|(flag, name, sets)| (flag, name, serde_json::to_string_pretty(sets).unwrap_or_default())).collect();
    files.iter().for_each(|(flag, name, _)| add(flag, name));
    if !manifest.link_vars.is_empty() {
        add("--link-vars", &manifest.link_vars);
    }
    if let Some(variable) = &manifest.variable {
        add(if manifest.kind == SweepKind::ServeSla { "--sla-variable" } else { "--workload-var" }, variable);
    }
    add("--num-runs", &manifest.num_runs.to_string());
    let command = shlex::try_join(words.iter().map(String::as_str)).ok()?;
    Some((command, files.into_iter().map(|(_, name, text)| (name, text)).collect()))
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

pub(super) fn cell(value: &Value) -> String {
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
