//! `sweeplake serve_workload`: each combination alone, at full load, and at levels in between.

use super::job::Job;
use super::serve;
use crate::cli::Ended;
use crate::cli::sla_params::variable;
use crate::sweep::{Spacing, Variable, Workload};

/// The flags of `vllm bench sweep serve_workload`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    serve: serve::Arguments,
    /// The load variable to vary: request_rate or max_concurrency.
    #[arg(long, value_name = "VAR", default_value = "request_rate", value_parser = variable)]
    workload_var: Variable,
    /// Number of levels, including the serial run and the batch run.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..))]
    workload_iters: u32,
    /// Spacing of the levels in between.
    #[arg(long, value_name = "SPACING", value_enum, default_value = "linear")]
    workload_spacing: SpacingName,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SpacingName {
    Linear,
    Geometric,
}

pub fn exec(arguments: Arguments) -> Ended {
    let workload = Workload {
        variable: arguments.workload_var,
        iters: arguments.workload_iters as usize,
        spacing: match arguments.workload_spacing {
            SpacingName::Linear => Spacing::Linear,
            SpacingName::Geometric => Spacing::Geometric,
        },
        num_runs: 1,
    };
    serve::prepare(arguments.serve, Job::Explore(workload))?.exec()
}
