//! `sweeplake plot_pareto`: the Pareto chart, and the frontier as a table.

use super::lake::Opening;
use super::picture::{Picture, check_ending, plot_failure};
use super::plot::names;
use super::table::Output;
use super::{Ended, block_on};
use crate::cli::say::{out, say};
use crate::plot::{Objective, ParetoRequest};
use crate::store::PARETO_FIGURE;
use std::path::PathBuf;

/// The flags of `vllm bench sweep plot_pareto`, and other objectives than its two.
#[derive(clap::Args)]
pub struct Arguments {
    /// Sweeps (or lakes).
    #[arg(default_value = "results", value_name = "EXPERIMENT_DIR")]
    sweeps: Vec<PathBuf>,
    /// Variable with the number of users; max_concurrent_requests is used where it has no value.
    #[arg(long, value_name = "VAR")]
    user_count_var: Option<String>,
    /// Variable with the number of GPUs; default: num_gpus or gpu_count, else tensor × pipeline × data parallel size.
    #[arg(long, value_name = "VAR")]
    gpu_count_var: Option<String>,
    /// Variables whose values label the points. Default: the load and the server settings that vary; more are added where two points
    /// would be called alike.
    #[arg(long, value_name = "VAR,…", default_value = "", value_delimiter = ',')]
    label_by: Vec<String>,
    /// Draw one frontier for each combination of these variables' values.
    #[arg(long, value_name = "VAR,…", default_value = "", value_delimiter = ',')]
    group_by: Vec<String>,
    /// Metric of the x axis, and whether lower or higher is better; default: tokens/s/user.
    #[arg(long, value_name = "METRIC[:min|:max]")]
    x: Option<String>,
    /// Metric of the y axis, likewise; default: tokens/s/GPU.
    #[arg(long, value_name = "METRIC[:min|:max]")]
    y: Option<String>,
    /// Keep only matching runs, as in `plot`.
    #[arg(long, value_name = "CONDITIONS", default_value = "")]
    filter_by: String,
    /// Write the chart to this file (.png, .svg or .pdf); default: pareto/PARETO.png in the first EXPERIMENT_DIR.
    #[arg(long, value_name = "FILE", value_parser = super::lake::local_path)]
    fig: Option<PathBuf>,
    #[command(flatten)]
    picture: Picture,
    /// Print what would be drawn, without drawing it.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    opening: Opening,
    #[command(flatten)]
    output: Output,
}

pub fn exec(arguments: Arguments) -> Ended {
    arguments.output.kind()?;
    arguments.fig.as_deref().map_or(Ok(()), check_ending)?;
    let request = request_of(&arguments).map_err(plot_failure)?;
    let frontier =
        arguments.opening.with(&arguments.sweeps, |lake| block_on(request.draw(lake))?.map_err(plot_failure))?;
    let path = arguments.fig.clone().unwrap_or_else(|| arguments.sweeps[0].join(PARETO_FIGURE));
    if arguments.dry_run {
        out!("{}", path.display());
        out!("  {} configuration(s), {} on the frontier", frontier.configurations, frontier.table.num_rows());
        frontier.figure.caption.iter().for_each(|line| out!("  {line}"));
        return Ok(());
    }
    arguments.picture.write(&path, &frontier.figure)?;
    say!("{}", path.display());
    if frontier.skipped > 0 {
        say!("warning: {} run(s) skipped because they lack one of the two values", frontier.skipped);
    }
    arguments.output.write(&frontier.table)
}

fn request_of(arguments: &Arguments) -> Result<ParetoRequest, crate::plot::PlotError> {
    let objective = |text: &Option<String>| text.as_deref().map(Objective::parse).transpose();
    Ok(ParetoRequest {
        x: objective(&arguments.x)?.unwrap_or(Objective::PerUser { count_var: arguments.user_count_var.clone() }),
        y: objective(&arguments.y)?.unwrap_or(Objective::PerGpu { count_var: arguments.gpu_count_var.clone() }),
        label_by: names(&arguments.label_by).collect(),
        group_by: names(&arguments.group_by).collect(),
        filter_by: arguments.filter_by.clone(),
        dress: arguments.picture.dress(),
    })
}
