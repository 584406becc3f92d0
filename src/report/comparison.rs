//! The page of a comparison: its verdict first, then what stands behind it.

use super::ReportError;
use super::charts::{Chart, chart_of};
use crate::plot::Figure;
use askama::Template;
use chrono::{DateTime, Local};

/// One candidate against the base, as finished strings.
#[derive(Clone, Debug)]
pub struct ComparisonView {
    pub verdict: String,
    pub gates: Vec<String>,
    pub notes: Vec<String>,
    pub tables: Vec<TableView>,
    pub remarks: Vec<String>,
    pub frontiers: Option<Figure>,
    /// What each side was asked.
    pub sql: String,
}

#[derive(Clone, Debug)]
pub struct TableView {
    pub heading: &'static str,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
}

#[derive(Template)]
#[template(path = "compare.html")]
struct Page<'a> {
    title: &'a str,
    theme: Option<&'static str>,
    written_at: String,
    version: &'static str,
    comparisons: Vec<Shown>,
}

/// A view with its chart drawn.
pub struct Shown {
    pub(super) verdict: String,
    pub(super) gates: Vec<String>,
    pub(super) notes: Vec<String>,
    pub(super) tables: Vec<NamedTable>,
    pub(super) remarks: Vec<String>,
    pub(super) chart: Option<Chart>,
}

/// A table with an id of its own on the page.
pub struct NamedTable {
    pub(super) id: String,
    pub(super) heading: &'static str,
    pub(super) columns: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

/// Comparisons with their charts drawn and their tables named.
pub fn shown(views: &[ComparisonView]) -> Result<Vec<Shown>, ReportError> {
    let shown = views.iter().enumerate().map(|(index, view)| {
        let chart =
            view.frontiers.clone().map(|figure| chart_of("Both Pareto frontiers", figure, &view.sql)).transpose()?;
        let tables = view.tables.iter().enumerate().map(|(table, view)| NamedTable {
            id: format!("changes-{index}-{table}"),
            heading: view.heading,
            columns: view.columns.clone(),
            rows: view.rows.clone(),
        });
        Ok(Shown {
            verdict: view.verdict.clone(),
            gates: view.gates.clone(),
            notes: view.notes.clone(),
            tables: tables.collect(),
            remarks: view.remarks.clone(),
            chart,
        })
    });
    shown.collect()
}

/// Writes comparisons as one HTML page that needs nothing else.
pub fn render_comparison(title: &str, views: &[ComparisonView], now: DateTime<Local>) -> Result<String, ReportError> {
    let page = Page {
        title,
        theme: None,
        written_at: now.format("%Y-%m-%d %H:%M").to_string(),
        version: env!("CARGO_PKG_VERSION"),
        comparisons: shown(views)?,
    };
    Ok(page.render()?)
}
