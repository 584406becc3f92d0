//! `sweeplake startup`: how an engine starts under each set of parameters.

use super::job::Job;
use super::places::Places;
use super::runner::Runner;
use super::space::one_side;
use super::sweep::Sweep;
use super::{Common, MOST_REPEATS, check_programs, parse_command, redactor_of};
use crate::cli::say::say;
use crate::cli::{Ended, Failure};
use crate::id::column_name;
use crate::params::{Address, Command, ParamSet};
use crate::plan::{BenchPlan, Combination, Plan, Rounds, ServerPlan};
use crate::record::Environment;
use crate::redact::Redactor;
use crate::store::{Manifest, SweepKind};
use crate::sweep::{Order, known_flags};
use crate::words::nearest_name;
use chrono::Utc;
use std::collections::HashSet;
use std::path::PathBuf;

/// The flags of `vllm bench sweep startup`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The command that measures a start; it must accept --output-json FILE.
    #[arg(long, value_name = "COMMAND", default_value = "vllm bench startup")]
    startup_cmd: String,
    /// File with sets of engine parameters (JSON, JSON Lines, CSV, TOML or YAML).
    #[arg(long, value_name = "FILE")]
    serve_params: Option<PathBuf>,
    /// File with sets of start-up benchmark parameters. With both files, every pair is run.
    #[arg(long, value_name = "FILE")]
    startup_params: Option<PathBuf>,
    /// Reject parameters that the command does not know, instead of dropping them.
    #[arg(long)]
    strict_params: bool,
    /// Runs of each combination.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MOST_REPEATS))]
    num_runs: u32,
    #[command(flatten)]
    pub common: Common,
}

pub fn exec(arguments: Arguments) -> Ended {
    prepare(arguments)?.exec()
}

fn prepare(arguments: Arguments) -> Result<Sweep, Failure> {
    let arguments = Arguments { common: arguments.common.localized()?, ..arguments };
    let command = parse_command("--startup-cmd", &arguments.startup_cmd)?;
    let mut serve_params = one_side("--serve-params", arguments.serve_params.as_deref(), &[])?;
    let mut startup_params = one_side("--startup-params", arguments.startup_params.as_deref(), &[])?;
    let redactor = redactor_of([&command], serve_params.iter().chain(&startup_params));
    let is_dry = arguments.common.is_dry();
    if !is_dry {
        check_programs([("--startup-cmd", &command)])?;
    }
    // A dry run starts nothing, not even to ask for help.
    let known = if is_dry && !arguments.strict_params { None } else { known_flags(&command) };
    match known {
        Some(known) => {
            keep_known(&mut serve_params, "--serve-params", &known, arguments.strict_params)?;
            keep_known(&mut startup_params, "--startup-params", &known, arguments.strict_params)?;
        }
        None if arguments.strict_params => {
            return Err(Failure::input(format!(
                "--strict-params: `{}` does not list its flags with --help, so parameters cannot be checked",
                redactor.text(&command.quoted())
            )));
        }
        None => {}
    }
    let plan = Plan {
        servers: plans_of(&command, &serve_params, &startup_params, &redactor),
        rounds: Rounds::InTurn(1),
        num_runs: arguments.num_runs,
        warmup_num_prompts: 0,
        warnings: Vec::new(),
    };
    let records = |sets: &[ParamSet]| sets.iter().map(|set| set.redacted(&redactor).to_record()).collect();
    let manifest = Manifest {
        kind: SweepKind::Startup,
        num_runs: arguments.num_runs,
        min_success: arguments.common.keeping.demands().min_success,
        serve_params: records(&serve_params),
        bench_params: records(&startup_params),
        ..Manifest::new(&command, &command, &redactor, Utc::now(), Environment::default())
    };
    Ok(Sweep {
        common: arguments.common,
        job: Job::Startup,
        plan,
        order: Order::Sequential,
        runner: Runner::Standalone,
        places: Places::one(),
        share: None,
        bench_timeout: None,
        after_bench_cmd: None,
        evaluation: None,
        commands: vec![("bench_cmd", command.clone())],
        sets: serve_params.into_iter().chain(startup_params).collect(),
        space: None,
        engine_cmd: command,
        manifest,
        redactor,
    })
}

/// Every pair of sets, once. Each starts what it measures.
fn plans_of(command: &Command, serve: &[ParamSet], startup: &[ParamSet], redactor: &Redactor) -> Vec<ServerPlan> {
    let mut seen = HashSet::new();
    let pairs = serve.iter().flat_map(|serve| startup.iter().map(move |startup| (serve, startup)));
    let benches = pairs.map(|(serve, startup)| BenchPlan {
        combination: Combination::new(serve.redacted(redactor), startup.redacted(redactor)),
        command: command.with_params(serve).with_params(startup),
    });
    let benches = benches.filter(|plan| seen.insert(plan.combination.id.clone()));
    let plans = benches.map(|bench| ServerPlan {
        serve: bench.combination.serve.clone(),
        command: bench.command.clone(),
        address: Address::default(),
        benches: vec![bench],
    });
    plans.collect()
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
                return Err(Failure::input(format!("{flag}: --startup-cmd does not know `{key}`{hint}")));
            }
            if told.insert(key.clone()) {
                say!("warning: {flag}: --startup-cmd does not know `{key}`; dropped{hint}");
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
