//! `sweeplake serve_sla`: for each combination the greatest load that meets an SLA.

use super::job::Job;
use super::serve;
use crate::cli::{Ended, Failure, positive_number};
use crate::params::{ParamSet, ParamsError, read_params_file};
use crate::sla::{Constraint, Sla};
use crate::sweep::{TunerOptions, Variable};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The key of an SLA that names it instead of constraining a metric.
pub const SLA_NAME: &str = "_sla_name";

/// The flags of `serve`, and those of the search.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    serve: serve::Arguments,
    /// JSON file with the SLAs: [{"p99_e2el_ms": "<=500", "p99_ttft_ms": "<=80"}, …].
    #[arg(long, value_name = "FILE")]
    sla_params: PathBuf,
    /// What is turned until the SLA just holds: request_rate or max_concurrency.
    #[arg(long, default_value = "request_rate", value_parser = variable)]
    sla_variable: Variable,
    /// The least value to try; default: 1, or 1/200 of the greatest rate.
    #[arg(long, value_parser = positive_number)]
    sla_min: Option<f64>,
    /// The greatest value to try; default: the number of prompts, or what a run at an unlimited rate shows.
    #[arg(long, value_parser = positive_number)]
    sla_max: Option<f64>,
    /// How close the least failing value must be to the greatest passing one: 0.01 is 1 %; default: adjacent
    /// integers for max_concurrency, 0.01 for request_rate.
    #[arg(long, value_parser = positive_number)]
    sla_tolerance: Option<f64>,
    /// Most runs for one SLA of one combination.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(2..))]
    sla_max_iters: u32,
}

pub fn exec(arguments: Arguments) -> Ended {
    if let (Some(min), Some(max)) = (arguments.sla_min, arguments.sla_max)
        && min >= max
    {
        return Err(Failure::input(format!("--sla-min {min} is not below --sla-max {max}")));
    }
    let is_whole = |value: Option<f64>| value.is_none_or(|value| value.fract() == 0.0);
    if arguments.sla_variable.is_integer() && !(is_whole(arguments.sla_min) && is_whole(arguments.sla_max)) {
        return Err(Failure::input("--sla-min, --sla-max: max_concurrency is a whole number"));
    }
    let options = TunerOptions {
        slas: read_slas(&arguments.sla_params)?,
        variable: arguments.sla_variable,
        min: arguments.sla_min,
        max: arguments.sla_max,
        tolerance: arguments.sla_tolerance,
        max_iters: arguments.sla_max_iters as usize,
        num_runs: 1,
    };
    serve::prepare(arguments.serve, Job::Tune(options))?.exec()
}

/// A variable that can be turned, by its name in either spelling.
pub fn variable(text: &str) -> Result<Variable, String> {
    let variables = [Variable::RequestRate, Variable::MaxConcurrency];
    let found = variables.into_iter().find(|variable| variable.key() == text.replace('-', "_"));
    found.ok_or_else(|| "expected request_rate or max_concurrency".into())
}

/// Reads and checks a file of SLAs.
pub fn read_slas(path: &Path) -> Result<Vec<Sla>, Failure> {
    let sets = read_params_file(path).map_err(|error| match error {
        ParamsError::Empty { path } => Failure::input(format!("{}: holds no SLA", path.display())),
        other => Failure::input(other),
    })?;
    let slas = sets.into_iter().enumerate().map(|(index, set)| {
        sla_of(set).map_err(|reason| Failure::input(format!("{}: SLA {}: {reason}", path.display(), index + 1)))
    });
    let slas: Vec<Sla> = slas.collect::<Result<_, _>>()?;
    for (index, sla) in slas.iter().enumerate() {
        let is_same = |other: &&Sla| other.to_string() == sla.to_string() || other.file_text() == sla.file_text();
        if slas[..index].iter().any(|other| is_same(&other)) {
            return Err(Failure::input(format!("{}: SLA {} is given twice: {sla}", path.display(), index + 1)));
        }
    }
    Ok(slas)
}

fn sla_of(set: ParamSet) -> Result<Sla, String> {
    let mut name = set.name;
    let mut constraints = Vec::new();
    for (key, value) in set.params {
        match value {
            Value::String(text) if key == SLA_NAME => name = Some(text),
            Value::String(text) => constraints.push(Constraint::parse(&key, &text)?),
            other => return Err(format!("`{key}` must be a text like \"<=500\", found {other}")),
        }
    }
    if constraints.is_empty() {
        return Err("has no constraint".into());
    }
    Ok(Sla { name, constraints })
}
