//! The page of a comparison: its verdict first, then what stands behind it.

use super::ReportError;
use super::charts::{Chart, chart_of};
use crate::plot::Figure;
use askama::Template;
use chrono::{DateTime, Local};

/// One candidate against the base, as finished strings.
pub struct ComparisonView {
    pub verdict: String,
    pub gates: Vec<String>,
    pub notes: Vec<String>,
    pub tables: Vec<TableView>,
    pub remarks: Vec<String>,
    pub frontiers: Option<Figure>,
}

pub struct TableView {
    pub heading: &'static str,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
}

#[derive(Template)]
#[template(path = "compare.html")]
struct Page<'a> {
    title: &'a str,
    written_at: String,
    version: &'static str,
    comparisons: Vec<Shown<'a>>,
}

/// A view with its chart drawn.
struct Shown<'a> {
    verdict: &'a str,
    gates: &'a [String],
    notes: &'a [String],
    tables: Vec<NamedTable<'a>>,
    remarks: &'a [String],
    chart: Option<Chart>,
}

/// A table with an id of its own on the page.
struct NamedTable<'a> {
    id: String,
    heading: &'a str,
    columns: &'a [&'static str],
    rows: &'a [Vec<String>],
}

impl<'a> NamedTable<'a> {
    fn of(comparison: usize, table: usize, view: &'a TableView) -> Self {
        Self {
            id: format!("changes-{comparison}-{table}"),
            heading: view.heading,
            columns: &view.columns,
            rows: &view.rows,
        }
    }
}

/// Writes comparisons as one HTML page that needs nothing else.
pub fn render_comparison(title: &str, views: &[ComparisonView], now: DateTime<Local>) -> Result<String, ReportError> {
    let comparisons = views.iter().enumerate().map(|(index, view)| {
        let chart = view.frontiers.clone().map(|figure| chart_of("Both Pareto frontiers", figure)).transpose()?;
        Ok(Shown {
            verdict: &view.verdict,
            gates: &view.gates,
            notes: &view.notes,
            tables: view.tables.iter().enumerate().map(|(table, view)| NamedTable::of(index, table, view)).collect(),
            remarks: &view.remarks,
            chart,
        })
    });
    let page = Page {
        title,
        written_at: now.format("%Y-%m-%d %H:%M").to_string(),
        version: env!("CARGO_PKG_VERSION"),
        comparisons: comparisons.collect::<Result<Vec<_>, ReportError>>()?,
    };
    Ok(page.render()?)
}
