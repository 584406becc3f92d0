//! Which configuration is best for which purpose: a line each, with the command that serves it.

use super::ReportError;
use super::table::estimate;
use crate::metric::label;
use crate::params::{Command, ParamSet};
use crate::plan::params_text;
use crate::query::{Lake, QueryError, Value};
use crate::store::Sweep;

const QUERIES: [&str; 3] = [
    include_str!("../../queries/headlines.sql"),
    include_str!("../../queries/knee.sql"),
    include_str!("../../queries/best_within_sla.sql"),
];

pub struct Headline {
    pub purpose: String,
    pub value: String,
    pub configuration: String,
    pub command: Option<String>,
    /// The combination and its name, where there is one.
    combination: Option<(String, String)>,
}

pub async fn headlines(lake: &Lake) -> Result<Vec<Headline>, ReportError> {
    let mut headlines = Vec::new();
    for sql in QUERIES {
        for row in lake.sql(sql).await?.rows() {
            headlines.push(headline(&row, lake.sweeps())?);
        }
    }
    Ok(headlines)
}

/// The combinations that are best for something, each once: those whose requests are worth a look.
pub fn worth_a_look(headlines: &[Headline]) -> Vec<(String, String)> {
    let mut chosen: Vec<(String, String)> = Vec::new();
    for combination in headlines.iter().filter_map(|headline| headline.combination.as_ref()) {
        if !chosen.iter().any(|(known, _)| *known == combination.0) {
            chosen.push(combination.clone());
        }
    }
    chosen.truncate(MOST_WORTH_A_LOOK);
    chosen
}

/// More curves of requests nobody could tell apart.
const MOST_WORTH_A_LOOK: usize = 6;

/// Columns: purpose, metric, value, ci95, serve, bench, n, sweep, combination, serve_params.
fn headline(row: &[Value], sweeps: &[Sweep]) -> Result<Headline, ReportError> {
    let purpose = row[0].to_text();
    let Some(value) = row[2].as_f64() else {
        let configuration = "no configuration meets it".to_owned();
        return Ok(Headline { purpose, value: "none".into(), configuration, command: None, combination: None });
    };
    let label = label(&row[1].to_text());
    let unit = label.rsplit_once(" (").map(|(_, unit)| unit.trim_end_matches(')')).unwrap_or_default();
    let parts = [row[4].to_text(), row[5].to_text()].map(|text| params_text(&text));
    let parts: Vec<String> = parts.into_iter().filter(|text| !text.is_empty()).collect();
    let name = if parts.is_empty() { "the commands as they stand".to_owned() } else { parts.join(" · ") };
    let repeats =
        row[6].as_f64().map(|runs| if runs > 1.0 { format!(" (mean of {runs} runs)") } else { " (one run)".into() });
    Ok(Headline {
        purpose,
        value: format!("{} {unit}", estimate(value, row[3].as_f64())),
        configuration: name.clone() + &repeats.unwrap_or_default(),
        command: serve_command(sweeps, &row[7].to_text(), &row[9].to_text())?,
        combination: Some((row[8].to_text(), name)),
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
