//! The report: one HTML file that needs nothing else. Views are finished strings; the template only places them.

pub mod answer;
mod certainty;
mod charts;
pub mod comparison;
mod effects;
mod facts;
mod failures;
mod headline;
mod heat;
mod index;
mod notes;
pub mod page;
mod table;
mod timelines;
mod view;

pub use charts::{Colors, trend_chart};

use crate::plot::PlotError;
use crate::query::{Lake, QueryError};
use chrono::{DateTime, Local};
use view::Page;

pub use index::render_index;
pub use page::Theme;
pub use view::Told;

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Plot(#[from] PlotError),
    #[error("the report can't be written: {0}")]
    Template(#[from] askama::Error),
}

/// Writes the report of a lake as HTML.
pub async fn render(lake: &Lake, told: &Told, now: DateTime<Local>) -> Result<String, ReportError> {
    Ok(page::written(&Page::of(lake, told, now).await?)?)
}
