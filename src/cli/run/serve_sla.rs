//! `sweeplake serve_sla`: for each combination the greatest load that meets an SLA.

use super::job::Job;
use super::serve;
use crate::cli::sla_params::{read_slas, variable};
use crate::cli::{Ended, Failure, not_negative, positive_number};
use crate::sweep::{Seeds, TunerOptions, Variable};
use std::path::PathBuf;

/// The flags of `serve`, and those of the search.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    serve: serve::Arguments,
    /// JSON file with the SLAs: [{"p99_e2el_ms": "<=500", "p99_ttft_ms": "<=80"}, …].
    #[arg(long, value_name = "FILE")]
    sla_params: PathBuf,
    /// The load variable to search over: request_rate or max_concurrency.
    #[arg(long, value_name = "VAR", default_value = "request_rate", value_parser = variable)]
    sla_variable: Variable,
    /// Lowest value to try; default: 1, or 1/200 of the highest rate.
    #[arg(long, value_name = "LOAD", value_parser = positive_number)]
    sla_min: Option<f64>,
    /// Highest value to try; default: the number of prompts, or what a run at an unlimited rate achieves.
    #[arg(long, value_name = "LOAD", value_parser = positive_number)]
    sla_max: Option<f64>,
    /// How close the lowest failing value must be to the highest passing one (0.01 is 1 %); default: adjacent
    /// integers for max_concurrency, 0.01 for request_rate.
    #[arg(long, value_name = "SHARE", value_parser = positive_number)]
    sla_tolerance: Option<f64>,
    /// Maximum number of runs per SLA and combination.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(2..))]
    sla_max_iters: u32,
    /// Minimum length of the steady part of a run, without ramp-up and drain. Runs are longer near the answer, and where it is unclear
    /// whether the server keeps up. 0: send as many prompts as the command sets.
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0, value_parser = not_negative)]
    sla_min_duration: f64,
    /// Use the same seed for the prompts and arrival times of all runs. By default, each run uses its own, so that the answer
    /// also holds for other traffic.
    #[arg(long)]
    same_seed: bool,
}

pub fn exec(arguments: Arguments) -> Ended {
    if let (Some(min), Some(max)) = (arguments.sla_min, arguments.sla_max)
        && min >= max
    {
        return Err(Failure::input(format!("--sla-min {min} is not below --sla-max {max}")));
    }
    let is_whole = |value: Option<f64>| value.is_none_or(|value| value.fract() == 0.0);
    if arguments.sla_variable.is_integer() && !(is_whole(arguments.sla_min) && is_whole(arguments.sla_max)) {
        return Err(Failure::input("--sla-min, --sla-max: max_concurrency must be a whole number"));
    }
    let options = TunerOptions {
        slas: read_slas(&arguments.sla_params)?,
        variable: arguments.sla_variable,
        min: arguments.sla_min,
        max: arguments.sla_max,
        tolerance: arguments.sla_tolerance,
        max_iters: arguments.sla_max_iters as usize,
        num_runs: 1,
        min_duration: arguments.sla_min_duration,
        seeds: if arguments.same_seed { Seeds::OfCommand } else { Seeds::Own },
    };
    serve::prepare(arguments.serve, Job::Tune(options))?.exec()
}
