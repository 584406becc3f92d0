//! `sweeplake serve_tune`: the frontier of a space too large to measure.

use super::job::Job;
use super::objectives::default_objectives;
use super::space::MethodName;
use super::{serve, tune};
use crate::cli::say::say;
use crate::cli::sla_params::read_slas;
use crate::cli::{Ended, Failure};
use crate::params::{ParamsError, read_document};
use crate::space::Axis;
use crate::sweep::tune::TuneOptions;
use crate::sweep::{Goals, Limit};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The flags of `serve`, and those of the search.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    serve: serve::Arguments,
    /// File with the space: JSON, TOML or YAML with the tables serve and bench (NAME = values, as for --serve-grid), and optionally
    /// where, serve_set and bench_set. It adds to the other flags.
    #[arg(long, value_name = "FILE")]
    space: Option<PathBuf>,
    /// File with one SLA, as for serve_sla, that every recommended combination must meet.
    #[arg(long, value_name = "FILE")]
    constraints: Option<PathBuf>,
    /// Start from what a lake knows of the same commands.
    #[arg(long, value_name = "LAKE")]
    init_from: Option<PathBuf>,
    /// Seed of the search; the same seed and the same results lead to the same proposals.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    optimizer_seed: u64,
}

/// Combinations that are measured where nothing is said.
const DEFAULT_RUNS: usize = 60;

pub fn exec(mut arguments: Arguments) -> Ended {
    if let Some(path) = &arguments.space {
        add_space(path, &mut arguments.serve)?;
    }
    // Of a space with more combinations than are allowed an even sample stands for all.
    let space = &mut arguments.serve.space;
    if space.sample.is_none() {
        space.sample = Some(space.max_combinations);
        space.sample_method = MethodName::Sobol;
    }
    let slas = arguments.constraints.as_deref().map(read_slas).transpose()?.unwrap_or_default();
    if slas.len() > 1 {
        return Err(Failure::input("--constraints: the file has several SLAs; put all limits into one"));
    }
    let objectives = match arguments.serve.race.objectives() {
        [] => default_objectives(),
        given => given.to_vec(),
    };
    let max_runs = match arguments.serve.common.budget() {
        Some(Limit::Runs(runs)) => runs,
        Some(Limit::Time(_)) => usize::MAX,
        None => DEFAULT_RUNS,
    };
    let goals = Goals { objectives, slas };
    let options = TuneOptions { goals, max_runs, seed: arguments.optimizer_seed, known: Vec::new() };
    let mut sweep = serve::prepare(arguments.serve, Job::Optimize(options))?;
    if sweep.plan.num_combinations() < 2 {
        return Err(Failure::input(
            "there is nothing to choose from: name the values of parameters with --space, --serve-grid or --bench-grid",
        ));
    }
    let Job::Optimize(options) = &mut sweep.job else { return sweep.exec() };
    if let Some(lake) = &arguments.init_from {
        let bench_cmd = sweep.commands.iter().find(|(name, _)| *name == "bench_cmd").map(|(_, command)| command);
        let commands = [&sweep.engine_cmd, bench_cmd.unwrap_or(&sweep.engine_cmd)];
        let own_name = sweep.common.name();
        options.known = tune::known(lake, own_name, commands, &sweep.plan, &options.goals)?;
        say!("--init-from: {} combinations of {} are known", options.known.len(), lake.display());
    }
    sweep.exec()
}

/// Adds what a file says of the space to what was typed.
fn add_space(path: &Path, serve: &mut serve::Arguments) -> Result<(), Failure> {
    let wrong = |reason: String| Failure::input(format!("{}: {reason}", path.display()));
    let document = read_document(path).map_err(|error: ParamsError| Failure::input(error))?;
    let Value::Object(document) = document else {
        return Err(wrong("expected a table with the keys serve and bench".into()));
    };
    let space = &mut serve.space;
    for (key, value) in document {
        match (key.as_str(), value) {
            ("serve", Value::Object(grid)) => space.serve_grid.extend(axes(&grid).map_err(&wrong)?),
            ("bench", Value::Object(grid)) => space.bench_grid.extend(axes(&grid).map_err(&wrong)?),
            ("where", Value::String(condition)) => space.conditions.push(condition),
            ("serve_set", Value::Object(sets)) => space.serve_set.extend(derived(&sets)),
            ("bench_set", Value::Object(sets)) => space.bench_set.extend(derived(&sets)),
            (key @ ("serve" | "bench" | "where" | "serve_set" | "bench_set"), other) => {
                let expected = if key == "where" { "a text" } else { "a table" };
                return Err(wrong(format!("{key:?}: expected {expected}, found {other}")));
            }
            (key, _) => {
                return Err(wrong(format!(
                    "{key:?} is not known; expected serve, bench, where, serve_set or bench_set"
                )));
            }
        }
    }
    Ok(())
}

fn axes(grid: &Map<String, Value>) -> Result<Vec<Axis>, String> {
    let axis = |(name, value): (&String, &Value)| match value {
        Value::Object(_) => Err(format!("{name:?}: expected values, found a table")),
        value => Axis::of_json(name, value).map_err(|reason| format!("{name:?}: {reason}")),
    };
    grid.iter().map(axis).collect()
}

fn derived(sets: &Map<String, Value>) -> impl Iterator<Item = String> + '_ {
    sets.iter().map(|(name, value)| match value {
        Value::String(expression) => format!("{name} = {expression}"),
        other => format!("{name} = {other}"),
    })
}
