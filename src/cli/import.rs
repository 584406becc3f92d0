//! `sweeplake import`: results of other tools become runs of a lake.

use super::{Ended, Failure};
use crate::import::{Summary, import};
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(
    after_help = "Read are: `vllm bench serve` files (--append-result and --save-detailed too) and folders of `vllm bench sweep`, \
                  SGLang's bench_serving, guidellm's benchmarks.json, AIPerf's profile_export_aiperf.json and GenAI-Perf's \
                  profile_export_genai_perf.json with the requests beside them. Metrics get vLLM's names and units; what has \
                  no such name is kept in column `extra`. A run that the lake has is not added again."
)]
pub struct Arguments {
    /// Result files, or folders of them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The lake.
    #[arg(long, short, default_value = "results", value_name = "LAKE")]
    output_dir: PathBuf,
}

pub fn exec(arguments: Arguments) -> Ended {
    let summary = import(&arguments.paths, &arguments.output_dir).map_err(Failure::input)?;
    for (sweep, runs) in &summary.sweeps {
        println!("{}: {}", arguments.output_dir.join(sweep).display(), counted(*runs, "run"));
    }
    for (path, reason) in &summary.not_read {
        eprintln!("not read: {}: {reason}", path.display());
    }
    eprintln!("{}", told(&summary));
    match summary.runs + summary.known {
        0 => Err(Failure::input("there were no runs to import")),
        _ => Ok(()),
    }
}

fn told(summary: &Summary) -> String {
    let parts = [
        (summary.known, "were there already"),
        (summary.companions, "files beside results left out"),
        (summary.not_read.len(), "files not read, or not to their end"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("; {count} {what}"));
    format!("{} imported{}", counted(summary.runs, "run"), parts.collect::<String>())
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
