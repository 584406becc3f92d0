//! `sweeplake startup`: how an engine starts under each set of parameters.

use super::lake::Keeping;
use super::progress::Progress;
use super::serve::{interrupt_on_signals, planned_folder, redactor_of, sets_of};
use super::show::{failures_table, startup_table};
use super::{Ended, Failure, block_on};
use crate::exec::Logs;
use crate::id::column_name;
use crate::params::{Command, ParamSet};
use crate::plan::{BenchPlan, Combination};
use crate::record::Environment;
use crate::redact::Redactor;
use crate::store::{Manifest, SweepKind, SweepState, SweepWriter, result_paths};
use crate::sweep::{StartupOptions, check_program, known_flags, run_startups, startup_command};
use crate::words::{describe, nearest_name};
use chrono::{Local, Utc};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The flags of `vllm bench sweep startup`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The command that measures a start; it must take --output-json FILE.
    #[arg(long, default_value = "vllm bench startup")]
    startup_cmd: String,
    /// JSON file with the sets of parameters of the engine.
    #[arg(long, value_name = "FILE")]
    serve_params: Option<PathBuf>,
    /// JSON file with the sets of parameters of the start-up benchmark. With both, every pair is run.
    #[arg(long, value_name = "FILE")]
    startup_params: Option<PathBuf>,
    /// Refuse parameters that the command does not know, instead of leaving them out.
    #[arg(long)]
    strict_params: bool,
    /// The lake: the folder in which sweeps are kept.
    #[arg(long, short, default_value = "results", value_name = "DIR", value_parser = super::lake::local_path)]
    output_dir: PathBuf,
    /// The sweep's folder in it; default: the present time as YYYYMMDD_HHMMSS.
    #[arg(long, short, value_name = "NAME")]
    experiment_name: Option<String>,
    /// Runs of each combination.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    num_runs: u32,
    /// Show the output of the command, too.
    #[arg(long)]
    show_stdout: bool,
    /// Go on after a failed run; the exit code still tells.
    #[arg(long)]
    continue_on_error: bool,
    #[command(flatten)]
    keeping: Keeping,
    /// Keep the output of the command as it writes it. Without it, secrets are taken out of the log files.
    #[arg(long)]
    raw_logs: bool,
    /// Print the commands that would be run, and touch nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Run only what is missing of the sweep named by -e (or named here).
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    resume: Option<String>,
}

pub fn exec(mut arguments: Arguments) -> Ended {
    if let Some(name) = arguments.resume.clone().filter(|name| !name.is_empty()) {
        arguments.experiment_name = Some(name);
    }
    let command = Command::parse("--startup-cmd", &arguments.startup_cmd).map_err(Failure::input)?;
    let mut serve_params = sets_of(arguments.serve_params.as_deref())?;
    let mut startup_params = sets_of(arguments.startup_params.as_deref())?;
    let redactor = redactor_of(std::iter::once(&command), serve_params.iter().chain(&startup_params));
    if !arguments.dry_run {
        check_program("--startup-cmd", &command).map_err(Failure::input)?;
    }
    // A dry run starts nothing, not even to ask for help.
    let known = if arguments.dry_run && !arguments.strict_params { None } else { known_flags(&command) };
    match known {
        Some(known) => {
            keep_known(&mut serve_params, "--serve-params", &known, arguments.strict_params)?;
            keep_known(&mut startup_params, "--startup-params", &known, arguments.strict_params)?;
        }
        None if arguments.strict_params => {
            return Err(Failure::input(format!(
                "--strict-params: `{}` does not tell its flags on --help, so they can't be checked",
                redactor.text(&command.quoted())
            )));
        }
        None => {}
    }
    let plan = plan_of(&command, &serve_params, &startup_params, &redactor);
    if arguments.dry_run {
        return print(&arguments, &plan, &redactor);
    }
    let records = |sets: &[ParamSet]| sets.iter().map(|set| set.redacted(&redactor).to_record()).collect();
    let environment = Environment::capture(Some(&command));
    let manifest = Manifest {
        kind: SweepKind::Startup,
        num_runs: arguments.num_runs,
        min_success: arguments.keeping.demands().min_success,
        serve_params: records(&serve_params),
        bench_params: records(&startup_params),
        ..Manifest::new(&command, &command, &redactor, Utc::now(), environment)
    };
    let combinations: Vec<Combination> = plan.iter().map(|bench| bench.combination.clone()).collect();
    let (lake, name) = (&arguments.output_dir, arguments.experiment_name.as_deref());
    let mut writer = match arguments.resume {
        Some(_) => SweepWriter::resume(lake, name, manifest, &combinations),
        None => SweepWriter::create(lake, name, Local::now(), manifest, &combinations),
    }
    .map_err(Failure::input)?;
    let options = StartupOptions {
        num_runs: arguments.num_runs,
        show_stdout: arguments.show_stdout,
        continue_on_error: arguments.continue_on_error,
        demands: arguments.keeping.demands(),
        logs: if arguments.raw_logs { Logs::Raw } else { Logs::Redacted },
        redactor,
        keeper: std::env::current_exe().map_err(Failure::work)?,
    };
    let mut progress = Progress::new();
    let ended = block_on(async {
        let mut interrupt = interrupt_on_signals()?;
        run_startups(&plan, &options, &mut writer, &mut progress, &mut interrupt).await.map_err(Failure::work)
    })??;
    let folder = writer.folder().to_owned();
    drop(writer);
    progress.finish();
    close(&folder, ended)
}

fn close(folder: &Path, ended: crate::sweep::Ended) -> Ended {
    if ended.runs > 0 {
        eprintln!("{}", startup_table(folder)?);
    }
    if ended.failed > 0 {
        eprintln!("failed runs:\n{}", failures_table(folder)?);
    }
    eprintln!("sweep: {}", folder.display());
    match ended.state {
        SweepState::Completed => Ok(()),
        SweepState::Interrupted => Err(Failure::Interrupted),
        SweepState::Failed | SweepState::Running => Err(Failure::work(format!(
            "{} of {} run(s) failed; add --resume to run what is missing",
            ended.failed, ended.runs
        ))),
    }
}

/// Every pair of sets, once.
fn plan_of(command: &Command, serve: &[ParamSet], startup: &[ParamSet], redactor: &Redactor) -> Vec<BenchPlan> {
    let mut seen = HashSet::new();
    let pairs = serve.iter().flat_map(|serve| startup.iter().map(move |startup| (serve, startup)));
    let plans = pairs.map(|(serve, startup)| BenchPlan {
        combination: Combination::new(serve.redacted(redactor), startup.redacted(redactor)),
        command: command.with_params(serve).with_params(startup),
    });
    plans.filter(|plan| seen.insert(plan.combination.id.clone())).collect()
}

/// Leaves out what the command does not know, with a message; with `is_strict` that is an error.
fn keep_known(sets: &mut [ParamSet], flag: &str, known: &[String], is_strict: bool) -> Result<(), Failure> {
    let mut told = HashSet::new();
    for set in sets {
        let unknown: Vec<String> = set.params.keys().filter(|key| !is_known(key, known)).cloned().collect();
        for key in unknown {
            let hint = nearest_name(&key, known.iter().map(String::as_str));
            let hint = hint.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            if is_strict {
                return Err(Failure::input(format!("{flag}: --startup-cmd knows no `{key}`{hint}")));
            }
            if told.insert(key.clone()) {
                eprintln!("warning: {flag}: --startup-cmd knows no `{key}`, left out{hint}");
            }
            set.params.shift_remove(&key);
        }
    }
    Ok(())
}

/// `compilation_config.level` is a part of `compilation_config`.
fn is_known(key: &str, known: &[String]) -> bool {
    let name = column_name(key.split('.').next().unwrap_or(key));
    known.contains(&name)
}

fn print(arguments: &Arguments, plan: &[BenchPlan], redactor: &Redactor) -> Ended {
    let folder = planned_folder(&arguments.output_dir, arguments.experiment_name.as_deref());
    let mut runs = 0;
    for bench in plan {
        let is_resumed = arguments.resume.is_some();
        let paths = result_paths(&folder, SweepKind::Startup, &bench.combination, None, arguments.num_runs, is_resumed)
            .map_err(Failure::input)?;
        if !paths.is_empty() {
            println!("# {}", describe(&bench.combination.serve, &bench.combination.bench));
        }
        for path in &paths {
            println!("{}", startup_command(&bench.command, path).redacted(redactor).quoted());
        }
        runs += paths.len();
    }
    println!("# {runs} run(s)");
    Ok(())
}
