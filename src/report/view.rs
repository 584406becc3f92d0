//! The report of a sweep, or of several, put together.

use super::ReportError;
use super::answer::{Answer, answers};
use super::certainty::certainty;
use super::charts::{self, Chart};
use super::comparison::{Shown, shown};
use super::effects::{Effects, effects};
use super::facts::{Facts, facts};
use super::failures::{Failures, failures};
use super::headline::{Headline, headlines, worth_a_look};
use super::heat::{self, HeatMap};
use super::notes::markdown;
use super::page::Theme;
use super::table::Table;
use super::timelines::timelines;
use crate::compare::Comparison;
use crate::query::{Lake, NamedQuery, QueryError, shipped};
use crate::store::SweepKind;
use askama::Template;
use chrono::{DateTime, Local};

/// What a reader is told besides the numbers.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub title: String,
    /// Markdown.
    pub notes: String,
    pub theme: Option<Theme>,
    /// Of several sweeps: the later ones against the first.
    pub comparisons: Vec<Comparison>,
    /// Curves besides the usual ones: columns or expressions of x and y.
    pub curves: Vec<[String; 2]>,
}

#[derive(Template)]
#[template(path = "report.html")]
pub struct Page {
    title: String,
    theme: Option<&'static str>,
    notes: String,
    written_at: String,
    version: &'static str,
    sweeps: Vec<Facts>,
    answers: Vec<Answer>,
    headlines: Vec<Headline>,
    certainty: Vec<String>,
    comparisons: Vec<Shown>,
    pareto: Vec<Chart>,
    frontier: Table,
    curves: Vec<Chart>,
    effects: Vec<Effects>,
    heat: Vec<HeatMap>,
    distributions: Vec<Chart>,
    timelines: Vec<Chart>,
    slas: Table,
    sla_charts: Vec<Chart>,
    tunes: Vec<Chart>,
    failures: Failures,
    table: Table,
    ask: String,
}

impl Page {
    pub async fn of(lake: &Lake, told: &Told, now: DateTime<Local>) -> Result<Self, ReportError> {
        let varied = lake.varied().await?;
        let headlines = headlines(lake).await?;
        let frontier = NamedQuery::find("frontier", &[]).and_then(|query| query.sql(&[]))?;
        Ok(Self {
            title: told.title.clone(),
            theme: told.theme.map(Theme::as_str),
            notes: markdown(&told.notes),
            written_at: now.format("%Y-%m-%d %H:%M").to_string(),
            version: env!("CARGO_PKG_VERSION"),
            sweeps: facts(lake).await?,
            answers: answers(lake).await?,
            certainty: certainty(lake).await?,
            comparisons: shown(&told.comparisons)?,
            pareto: charts::pareto(lake).await?,
            frontier: table(lake, &frontier).await?,
            curves: charts::curves(lake, &varied, &told.curves).await?,
            effects: effects(lake).await?,
            heat: heat::maps(lake, &varied).await?,
            distributions: charts::distributions(lake, &worth_a_look(&headlines)).await?,
            timelines: timelines(lake).await?,
            slas: table(lake, &shipped::slas(&lake.gpu_hour_price_sql())).await?,
            sla_charts: charts::slas(lake).await?,
            tunes: charts::tunes(lake).await?,
            failures: failures(lake).await?,
            table: table(lake, &summary(lake).await?).await?,
            ask: ask(lake),
            headlines,
        })
    }
}

async fn table(lake: &Lake, sql: &str) -> Result<Table, ReportError> {
    Ok(Table::of(&lake.sql(sql).await?, sql)?)
}

/// The query for all combinations: of start-up sweeps there is no traffic to tell of.
async fn summary(lake: &Lake) -> Result<String, ReportError> {
    for sweep in lake.sweeps() {
        let manifest = sweep.manifest().map_err(QueryError::from)?;
        if manifest.is_none_or(|manifest| manifest.kind != SweepKind::Startup) {
            return Ok(shipped::SUMMARY.fill(&[]));
        }
    }
    Ok(lake.startup_summary().await?)
}

/// The command that asks the same sweeps.
fn ask(lake: &Lake) -> String {
    let places = lake.sweeps().iter().map(|sweep| shlex::try_quote(&sweep.location()).map(|text| text.into_owned()));
    let places: Vec<String> = places.filter_map(Result::ok).collect();
    format!("sweeplake query {} \"SELECT * FROM combinations\"", places.join(" "))
}
