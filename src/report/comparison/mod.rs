//! The page of a comparison: its verdict first, what that rests on beside it, then what stands behind it.

mod figures;
mod tables;
mod words;

pub use figures::{forest, frontiers};
pub use tables::{Extent, TableView, by_combination, overall, pivot, rows, to_json};
pub use words::{
    gate_line, gate_reason, gate_text, gates, next, next_of_gate, notes, remarks, rests_on, shortened, verdict,
};

use super::charts::{Chart, chart_of};
use super::{ReportError, page};
use crate::compare::{Comparison, Passage};
use askama::Template;
use chrono::{DateTime, Local};

#[derive(Template)]
#[template(path = "compare.html")]
struct Page<'a> {
    title: &'a str,
    theme: Option<&'static str>,
    written_at: String,
    version: &'static str,
    comparisons: Vec<Shown>,
}

/// A comparison as finished strings and drawn charts.
pub struct Shown {
    pub(super) verdict: String,
    pub(super) word: &'static str,
    pub(super) rests_on: Vec<String>,
    pub(super) gates: Vec<GateShown>,
    pub(super) notes: Vec<String>,
    pub(super) tables: Vec<NamedTable>,
    pub(super) remarks: Vec<String>,
    pub(super) next: Vec<String>,
    pub(super) charts: Vec<Chart>,
}

/// A gate's line.
pub struct GateShown {
    pub(super) text: String,
    pub(super) result: &'static str,
}

/// A table with an id of its own on the page.
pub struct NamedTable {
    pub(super) id: String,
    pub(super) heading: String,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// Comparisons with their charts drawn and their tables named.
pub fn shown(comparisons: &[Comparison]) -> Result<Vec<Shown>, ReportError> {
    comparisons.iter().enumerate().map(|(index, comparison)| Shown::of(index, comparison)).collect()
}

impl Shown {
    fn of(index: usize, comparison: &Comparison) -> Result<Self, ReportError> {
        let charts = [("Changes", forest(comparison)), ("Both Pareto frontiers", frontiers(comparison))];
        let charts = charts.into_iter().filter_map(|(heading, figure)| Some((heading, figure?)));
        let tables = [overall(comparison), by_combination(comparison)].into_iter().enumerate();
        let gates = comparison.gates.iter().map(|gate| GateShown {
            text: gate_line(comparison, gate),
            result: match gate.passage {
                Passage::Passes => "passes",
                Passage::Fails | Passage::Unclear => "fails",
            },
        });
        Ok(Self {
            verdict: verdict(comparison),
            word: comparison.word().as_str(),
            rests_on: rests_on(comparison),
            gates: gates.collect(),
            notes: notes(comparison),
            tables: tables
                .map(|(table, view)| NamedTable {
                    id: format!("changes-{index}-{table}"),
                    heading: view.heading,
                    columns: view.columns,
                    rows: view.rows,
                })
                .collect(),
            remarks: remarks(comparison),
            next: next(comparison),
            charts: charts
                .map(|(heading, figure)| chart_of(heading, figure, &comparison.sql))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Writes comparisons as one HTML page that needs nothing else.
pub fn render_comparison(title: &str, comparisons: &[Comparison], now: DateTime<Local>) -> Result<String, ReportError> {
    let page = Page {
        title,
        theme: None,
        written_at: now.format("%Y-%m-%d %H:%M").to_string(),
        version: env!("CARGO_PKG_VERSION"),
        comparisons: shown(comparisons)?,
    };
    Ok(page::written(&page)?)
}
