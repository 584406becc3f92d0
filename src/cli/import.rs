//! `sweeplake import`: results of other tools become runs of a lake.

use super::advice::{of_store, of_told};
use super::lake::Keeping;
use super::{Ended, Failure};
use crate::cli::say::{out, say};
use crate::formats::{Document, NotRead, read_file};
use crate::import::{ImportError, Request, Summary, Told, import, result_files_at};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(
    after_help = "Supported: `vllm bench serve` files (also with --append-result or --save-detailed), `vllm bench throughput` and `latency`, \
                  folders of `vllm bench sweep`; SGLang's bench_serving, guidellm, AIPerf, GenAI-Perf, inference-perf, llm-d's benchmark \
                  reports, genai-bench, evalscope perf, llm-optimizer, trtllm-bench, llama-bench, MLPerf Inference, and InferenceX's rows. \
                  What a tool writes besides its result, such as single requests or settings, is read from the same folder. All may be gzipped. \
                  Metrics get vLLM's names and units; anything without such a name is kept in column `extra`. Runs that are \
                  already in the lake are not added again.\n\n\
                  Runs with the same parameters are repeats of each other. If a file does not say which model, workload and \
                  load it measured, its runs are kept apart from those of other files unless --set, --set-from-path or \
                  --repeats-of supplies what is missing."
)]
pub struct Arguments {
    /// Result files, or folders that contain them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The lake to import into.
    #[arg(long, short, default_value = "results", value_name = "LAKE", value_parser = super::lake::local_path)]
    output_dir: PathBuf,
    /// Add all runs to the imported sweep of this name; default: a sweep for each source and tool, named after the source.
    #[arg(long, short, value_name = "NAME")]
    experiment_name: Option<String>,
    /// Set a fact about the runs that the files do not contain: gpu_count=16, model_id=…, dataset=…. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Take parameters from the files' paths, using a regular expression with named groups:
    /// 'tp(?<tensor_parallel_size>\d+)_conc(?<max_concurrency>\d+)'.
    #[arg(long, value_name = "REGEX")]
    set_from_path: Option<String>,
    /// Treat all files as measuring the same model, workload and load as this one, unless they say otherwise.
    #[arg(long, value_name = "FILE")]
    repeats_of: Option<PathBuf>,
    /// Show how each file is recognized, and why, without importing anything.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    keeping: Keeping,
}

pub fn exec(arguments: Arguments) -> Ended {
    if arguments.explain {
        arguments.paths.iter().flat_map(|path| result_files_at(path)).for_each(|path| explain(&path));
        return Ok(());
    }
    let told = Told::parse(&arguments.set, arguments.set_from_path.as_deref(), arguments.repeats_of);
    let request = Request {
        paths: &arguments.paths,
        lake: &arguments.output_dir,
        name: arguments.experiment_name.as_deref(),
        told: told.map_err(|error| Failure::Input(of_told(&error)))?,
        demands: arguments.keeping.demands(),
    };
    let summary = import(&request).map_err(|error| match error {
        ImportError::Told(error) => Failure::Input(of_told(&error)),
        ImportError::Store(error) => Failure::Input(of_store(&error)),
    })?;
    for (sweep, runs) in &summary.sweeps {
        out!("{}: {}", arguments.output_dir.join(sweep).display(), counted(*runs, "run"));
    }
    for (path, reason) in &summary.not_read {
        say!("not read: {}: {reason}", path.display());
    }
    for (path, note) in &summary.notes {
        say!("note: {}: {note}", path.display());
    }
    for (unknown, files) in &summary.kept_apart {
        say!(
            "note: {} not specify: {unknown}. Runs of such files are kept apart; use --set, --set-from-path or --repeats-of to fill it in",
            if *files == 1 { "1 file does".into() } else { format!("{files} files do") }
        );
    }
    if arguments.experiment_name.is_some() && summary.known > 0 {
        say!("note: runs that are already in the lake stay in their sweeps");
    }
    say!("{}", told_of(&summary));
    match summary.runs + summary.known {
        0 => Err(Failure::input("no runs to import")),
        _ => Ok(()),
    }
}

fn told_of(summary: &Summary) -> String {
    let files = |count: usize, what: &str| (count, format!("{} {what}", counted(count, "file")));
    let parts = [
        (summary.failed, format!("{} failed", summary.failed)),
        (summary.degraded, format!("{} degraded (too many requests failed)", summary.degraded)),
        (summary.known, format!("{} already in the lake", summary.known)),
        files(summary.unmatched, "with a path that does not match --set-from-path"),
        files(summary.companions, "read with others or skipped"),
        files(summary.not_read.len(), "not read, or only in part"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(_, text)| format!("; {text}"));
    format!("{} imported{}", counted(summary.runs, "run"), parts.collect::<String>())
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// What a file is read as, with what speaks for it, and what speaks against the next best.
fn explain(path: &Path) {
    let contents = read_file(path);
    for document in &contents.documents {
        out!("{}: {}", path.display(), reasons(document));
    }
    match contents.not_read {
        Some(NotRead::Companion) => out!("{}: companion of a result file, not read on its own", path.display()),
        Some(NotRead::Because(reason)) => out!("{}: not read: {reason}", path.display()),
        None => {}
    }
}

fn reasons(document: &Document) -> String {
    let best = &document.fits[0];
    let signs = best.held.len() + best.missing.len();
    let mut text = format!(
        "{} ({} of {signs} signs match), {}",
        best.format.name,
        best.held.len(),
        counted(document.runs.len(), "run")
    );
    for sign in &best.held {
        text += &format!("\n    yes: {sign}");
    }
    for sign in &best.missing {
        text += &format!("\n    no:  {sign}");
    }
    for other in document.fits[1..].iter().filter(|other| !other.held.is_empty()).take(2) {
        let against: Vec<String> = other.missing.iter().map(ToString::to_string).collect();
        text += &format!("\n    not {}: not met: {}", other.format.name, against.join("; "));
    }
    text
}
