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
    /// How many seconds the steady part of a run lasts at least, without ramp-up and drain. Near the answer, and where it can't be told
    /// whether the server keeps up, runs are longer. 0: send as many prompts as the command says.
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0, value_parser = not_negative)]
    sla_min_duration: f64,
    /// Draw the prompts and arrival times of all runs by the same seed. Without it each run draws its own, so that the answer
    /// holds for other traffic, too.
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
        min_duration: arguments.sla_min_duration,
        seeds: if arguments.same_seed { Seeds::OfCommand } else { Seeds::Own },
    };
    serve::prepare(arguments.serve, Job::Tune(options))?.exec()
}
