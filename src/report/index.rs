//! The page of a lake: its sweeps, how their numbers moved, and where their reports are.

use super::ReportError;
use super::charts::{self, Chart};
use super::page::{self, Theme};
use super::table::{cell, head};
use super::view::Told;
use crate::query::{Lake, Value, shipped};
use askama::Template;
use chrono::{DateTime, Local};
use std::path::{Path, PathBuf};
use url::Url;

#[derive(Template)]
#[template(path = "index.html")]
struct Page {
    title: String,
    theme: Option<&'static str>,
    written_at: String,
    version: &'static str,
    trends: Vec<Chart>,
    columns: Vec<String>,
    sweeps: Vec<Listed>,
    place: String,
}

crate::query::typed_row! {
    struct Found {
        sweep: String,
        folder: Option<String>,
    }
}

struct Listed {
    name: String,
    report: Option<String>,
    cells: Vec<String>,
}

/// Writes the index of a lake, for a page that will lie in `folder`.
pub async fn render_index(
    lake: &Lake,
    place: &Path,
    folder: &Path,
    told: &Told,
    now: DateTime<Local>,
) -> Result<String, ReportError> {
    let answer = shipped::INDEX.ask(lake, &[]).await?;
    let found: Vec<Found> = answer.typed(shipped::INDEX.name)?;
    let inner = answer.without("sweep").without("folder");
    let columns = inner.columns();
    let sweeps = found.into_iter().zip(inner.rows()?).map(|(found, row)| Listed {
        name: found.sweep,
        report: found.folder.and_then(|place| link(&PathBuf::from(place), folder)),
        cells: row.iter().map(shown).collect(),
    });
    let page = Page {
        title: told.title.clone(),
        theme: told.theme.map(Theme::as_str),
        written_at: now.format("%Y-%m-%d %H:%M").to_string(),
        version: env!("CARGO_PKG_VERSION"),
        trends: charts::trends(lake).await?,
        columns: columns.iter().map(|name| head(name)).collect(),
        sweeps: sweeps.collect(),
        place: place.display().to_string(),
    };
    Ok(page::written(&page)?)
}

/// Times as text are sorted as they stand; milliseconds that are always zero say nothing.
fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.strip_suffix(".000Z").unwrap_or(text).to_owned(),
        other => cell(other),
    }
}

/// Where the report of a sweep is, seen from the page.
fn link(sweep: &Path, from: &Path) -> Option<String> {
    let report = sweep.join(crate::store::REPORT).canonicalize().ok()?;
    let inside = report.strip_prefix(from.canonicalize().ok()?).ok().map(Path::to_owned);
    let Some(inside) = inside else { return Url::from_file_path(&report).ok().map(String::from) };
    // As a path of an URL: names may hold anything.
    let mut url = Url::parse("file:///").ok()?;
    url.path_segments_mut().ok()?.pop_if_empty().extend(inside.iter().map(|part| part.to_string_lossy()));
    Some(url.path().trim_start_matches('/').to_owned())
}
