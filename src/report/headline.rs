//! Which configuration is best for which purpose: a line each, with the command that serves it.

use super::ReportError;
use super::table::estimate;
use crate::metric::{Metric, label};
use crate::params::{Command, ParamSet};
use crate::query::{Lake, QueryError, shipped};
use crate::store::Sweep;
use std::collections::HashSet;

pub struct Headline {
    pub purpose: String,
    pub value: String,
    pub configuration: String,
    pub command: Option<String>,
    /// The combination and its name, where there is one.
    combination: Option<(String, String)>,
}

crate::query::typed_row! {
    struct Best {
        purpose: String,
        metric: String,
        value: Option<f64>,
        ci95: Option<f64>,
        label: Option<String>,
        load: Option<String>,
        n: Option<usize>,
        sweep: String,
        combination: String,
        serve_params: Option<String>,
    }
}

pub async fn headlines(lake: &Lake) -> Result<Vec<Headline>, ReportError> {
    let (mut headlines, mut printed) = (Vec::new(), HashSet::new());
    for query in [shipped::HEADLINES, shipped::KNEE, shipped::BEST_WITHIN_SLA] {
        for best in query.rows::<Best>(lake, &[]).await? {
            let mut headline = headline(best, lake.sweeps())?;
            // Once is enough.
            headline.command = headline.command.filter(|command| printed.insert(command.clone()));
            headlines.push(headline);
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

fn headline(best: Best, sweeps: &[Sweep]) -> Result<Headline, ReportError> {
    let purpose = best.purpose;
    let Some(value) = best.value else {
        let configuration = "no configuration meets it".to_owned();
        return Ok(Headline { purpose, value: "none".into(), configuration, command: None, combination: None });
    };
    let unit = Metric::of(&best.metric).and_then(|metric| metric.unit).unwrap_or_default();
    let parts: Vec<String> = [best.label, best.load].into_iter().flatten().filter(|text| !text.is_empty()).collect();
    let name = if parts.is_empty() { label(&best.metric) } else { parts.join(" · ") };
    let repeats = match best.n {
        Some(1) => " (one run)".to_owned(),
        Some(runs) => format!(" (mean of {runs} runs)"),
        None => String::new(),
    };
    // Of several sweeps a reader wants to know which.
    let of_sweep = if sweeps.len() > 1 { format!(", in sweep {}", best.sweep) } else { String::new() };
    Ok(Headline {
        purpose,
        value: format!("{} {unit}", estimate(value, best.ci95)),
        configuration: format!("{name}{repeats}{of_sweep}"),
        command: serve_command(sweeps, &best.sweep, best.serve_params.as_deref().unwrap_or_default())?,
        combination: Some((best.combination, name)),
    })
}

/// The exact command that serves a configuration.
fn serve_command(sweeps: &[Sweep], sweep: &str, serve_params: &str) -> Result<Option<String>, ReportError> {
    let manifest = match sweeps.iter().find(|known| known.name == sweep) {
        Some(sweep) => sweep.manifest().map_err(QueryError::from)?,
        None => None,
    };
    let params = serde_json::from_str(serve_params).unwrap_or_default();
    let set = ParamSet { name: None, params };
    let command = match manifest.filter(|manifest| !manifest.serve_cmd.is_empty()) {
        Some(manifest) => Command::parse("serve_cmd", &manifest.serve_cmd).ok(),
        // Of a folder of vLLM's only the flags are known.
        None => (!set.is_unchanged()).then(|| Command::new(["vllm", "serve", "MODEL"])),
    };
    Ok(command.map(|command| command.with_params(&set).quoted()))
}
