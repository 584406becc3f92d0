//! `sweeplake sla`: what stored runs say about an SLA, without running anything.

use super::plot::{Picture, plot_failure};
use super::serve_sla::{read_slas, variable};
use super::table::Output;
use super::{Ended, Failure, block_on, positive_number, query_failure};
use crate::params::ParamSet;
use crate::plan::Combination;
use crate::plot::sla_charts;
use crate::query::{Answer, Lake, SLAS, Value, quoted};
use crate::record::Row;
use crate::sla::Sla;
use crate::store::{SLA_FIGURES, figure_name};
use crate::sweep::{Finding, Made, Runs, Variable};
use rayon::prelude::*;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    /// Sweeps (or lakes): of `serve_sla`, or of any kind whose loads differ.
    #[arg(required = true, value_name = "SWEEP")]
    sweeps: Vec<PathBuf>,
    /// JSON file with the SLAs, as for `serve_sla`.
    #[arg(long, value_name = "FILE")]
    sla_params: PathBuf,
    /// The load whose greatest value is wanted: request_rate or max_concurrency; default: the one that differs.
    #[arg(long, value_parser = variable)]
    sla_variable: Option<Variable>,
    /// How close the least failing value must be to the greatest passing one to be called found.
    #[arg(long, value_parser = positive_number)]
    sla_tolerance: Option<f64>,
    #[command(flatten)]
    output: Output,
}

/// Columns in front of the metrics.
const FIRST_METRIC: usize = 7;

pub fn exec(arguments: Arguments) -> Ended {
    let slas = read_slas(&arguments.sla_params)?;
    let lake = Lake::open(&arguments.sweeps).map_err(query_failure)?;
    let variables = match arguments.sla_variable {
        Some(variable) => vec![variable],
        None => vec![Variable::MaxConcurrency, Variable::RequestRate],
    };
    let mut rows = Vec::new();
    for variable in variables {
        let tolerance = arguments.sla_tolerance.unwrap_or(variable.default_tolerance());
        rows.extend(block_on(answers(&lake, &slas, variable, tolerance, arguments.sla_variable.is_some()))??);
    }
    if rows.is_empty() {
        return Err(Failure::input("no combination was run at more than one max_concurrency or request_rate"));
    }
    let answer = block_on(Answer::of_rows(&rows).sql("sla", SLAS))?.map_err(query_failure)?;
    arguments.output.write(&answer)
}

/// Draws the chart of each answer of a sweep into its folder `sla`.
pub fn draw(folder: &Path) -> Result<(), Failure> {
    let lake = Lake::open(&[folder.to_owned()]).map_err(query_failure)?;
    let charts = block_on(sla_charts(&lake))?.map_err(plot_failure)?;
    charts.par_iter().try_for_each(|chart| {
        Picture::default().write(&folder.join(SLA_FIGURES).join(figure_name("SLA", &chart.group)), &chart.figure)
    })?;
    eprintln!("charts: {}", folder.join(SLA_FIGURES).display());
    Ok(())
}

/// A row for each SLA of each combination; unless the variable was asked for, only of those that it tells apart.
async fn answers(
    lake: &Lake,
    slas: &[Sla],
    variable: Variable,
    tolerance: f64,
    is_asked_for: bool,
) -> Result<Vec<Row>, Failure> {
    let mut metrics: Vec<&str> =
        slas.iter().flat_map(|sla| &sla.constraints).map(|each| each.metric.as_str()).collect();
    metrics.extend(["output_throughput", "request_throughput"]);
    metrics.sort_unstable();
    metrics.dedup();
    let columns: Vec<String> = metrics.iter().map(|metric| quoted(metric)).collect();
    let sql = format!(
        "SELECT sweep, serve_name, serve_params, bench_name, bench_params, {}, status = 'completed', {} FROM runs WHERE {} IS \
         NOT NULL ORDER BY started_at, run_number",
        quoted(variable.key()),
        columns.join(", "),
        quoted(variable.key()),
    );
    let runs = lake.sql(&sql).await.map_err(query_failure)?;
    let mut combinations: BTreeMap<(String, String), (Combination, Vec<Made>)> = BTreeMap::new();
    for row in runs.rows() {
        let combination = Combination::new(set_of(&row[1..3], None), set_of(&row[3..5], Some(variable)));
        let key = (row[0].to_text(), combination.id.to_string());
        let entry = combinations.entry(key).or_insert_with(|| (combination, Vec::new()));
        entry.1.push(made(&row, variable, &metrics));
    }
    let mut rows = Vec::new();
    for ((sweep, _), (combination, made)) in &combinations {
        let is_varied = made.iter().any(|other| other.level != made[0].level);
        if !is_varied && !is_asked_for {
            continue;
        }
        let runs = Runs::of(variable, made);
        for sla in slas {
            if let Some(answer) = runs.standing(sla, tolerance) {
                rows.push(Finding::new(sweep, combination, sla, &runs, answer).row());
            }
        }
    }
    Ok(rows)
}

/// A parameter set from its name and its JSON, without the variable.
fn set_of(cells: &[Value], without: Option<Variable>) -> ParamSet {
    let params: Map<String, Json> = serde_json::from_str(&cells[1].to_text()).unwrap_or_default();
    let is_other = |key: &str| without.is_none_or(|variable| crate::id::column_name(key) != variable.key());
    let params = params.into_iter().filter(|(key, _)| is_other(key)).collect();
    ParamSet { name: Some(cells[0].to_text()).filter(|name| !name.is_empty()), params }
}

fn made(row: &[Value], variable: Variable, metrics: &[&str]) -> Made {
    let numbers = metrics.iter().zip(&row[FIRST_METRIC..]);
    let numbers = numbers.filter_map(|(metric, value)| Some(((*metric).to_owned(), json!(value.as_f64()?))));
    Made {
        level: row[FIRST_METRIC - 2].as_f64().map(|value| variable.level(value)),
        number: 0,
        result: (row[FIRST_METRIC - 1] == Value::Bool(true)).then(|| numbers.collect()),
    }
}
