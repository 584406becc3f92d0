//! `sweeplake ab`: base and candidate in turn, until it is decided which is better.

use super::ending::pairs;
use super::job::{AbJob, Job, Until};
use super::places::Places;
use super::runner::Runner;
use super::serve::OrderName;
use super::servers::ServerFlags;
use super::space::one_side;
use super::sweep::Sweep;
use super::{Common, MOST_REPEATS, check_programs, parse_command, redactor_of};
use crate::cli::advice::{of_plan, of_reset};
use crate::cli::compare::Judging;
use crate::cli::{Ended, Failure};
use crate::compare::SIDES;
use crate::exec::Reset;
use crate::params::{Command, ParamSet};
use crate::plan::{Plan, PlanRequest, Rounds};
use crate::record::{Environment, engine_of};
use crate::redact::Redactor;
use crate::space::Axis;
use crate::store::{Manifest, SweepKind};
use chrono::Utc;
use std::path::PathBuf;

/// Base and candidate are started in turn (A B B A), each pair close in time, and measured under the same loads.
#[derive(clap::Args)]
pub struct Arguments {
    /// The command that runs the base server (the current one).
    #[arg(long, value_name = "COMMAND")]
    base_serve_cmd: String,
    /// The command that runs the candidate server (the proposed one).
    #[arg(long, value_name = "COMMAND")]
    candidate_serve_cmd: String,
    /// The command that runs the benchmark.
    #[arg(long, value_name = "COMMAND")]
    bench_cmd: String,
    /// File with the loads: sets of benchmark parameters (JSON, JSON Lines, CSV, TOML or YAML).
    #[arg(long, value_name = "FILE")]
    bench_params: Option<PathBuf>,
    /// Values of a benchmark parameter: max_concurrency=1..64*4. Repeated flags multiply.
    #[arg(long, value_name = "NAME=VALUES", value_parser = Axis::parse)]
    bench_grid: Vec<Axis>,
    #[command(flatten)]
    servers: ServerFlags,
    /// Number of pairs to measure; default: --until decided.
    #[arg(long, value_name = "N", conflicts_with_all = ["until", "max_pairs"], value_parser = clap::value_parser!(u32).range(2..=MOST_REPEATS))]
    pairs: Option<u32>,
    /// Stop as soon as every metric, over all loads, is shown to differ or to be the same. Checking after each pair does not raise
    /// the error rate.
    #[arg(long, value_name = "RESULT", value_enum)]
    until: Option<UntilName>,
    /// Maximum number of pairs with --until decided.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(2..=MOST_REPEATS))]
    max_pairs: u32,
    /// Runs of each load per server start.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MOST_REPEATS))]
    num_runs: u32,
    /// Before the first run of each load on a server, run the benchmark once with this many prompts and discard the result.
    #[arg(long, value_name = "N", default_value_t = 0)]
    warmup_num_prompts: u32,
    #[command(flatten)]
    judging: Judging,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum UntilName {
    Decided,
}

pub fn exec(arguments: Arguments) -> Ended {
    let judging = arguments.judging.clone();
    let is_dry = arguments.common.is_dry();
    let sweep = prepare(arguments)?;
    if is_dry {
        return sweep.exec();
    }
    sweep.warn();
    let folder = sweep.run()?;
    match &sweep.job {
        Job::Ab(job) => judging.close(&pairs(job, &folder)?.into()),
        _ => Ok(()),
    }
}

fn prepare(arguments: Arguments) -> Result<Sweep, Failure> {
    let arguments = Arguments { common: arguments.common.localized()?, ..arguments };
    arguments.judging.check_known()?;
    let servers = [
        parse_command("--base-serve-cmd", &arguments.base_serve_cmd)?,
        parse_command("--candidate-serve-cmd", &arguments.candidate_serve_cmd)?,
    ];
    let bench_cmd = parse_command("--bench-cmd", &arguments.bench_cmd)?;
    let commands = arguments.servers.commands()?;
    let after = &commands.after_bench;
    if after.is_none() && engine_of(&servers[0]) != engine_of(&servers[1]) {
        return Err(Failure::input(
            "the servers use different engines; specify how to reset both with --after-bench-cmd",
        ));
    }
    let bench_params = one_side("--bench-params", arguments.bench_params.as_deref(), &arguments.bench_grid)?;
    let redactor = redactor_of(
        servers.iter().chain([&bench_cmd]).chain(commands.named().map(|(_, command)| command)),
        &bench_params,
    );
    let max_pairs = arguments.pairs.unwrap_or(arguments.max_pairs);
    let plan = plan(&servers, &bench_cmd, &bench_params, &arguments, max_pairs, &redactor)?;
    let reset = Reset::of(&servers[0], after.clone()).map_err(|error| Failure::Input(of_reset(&error)))?;
    let waiting = arguments.servers.waiting(&commands, &servers[0])?;
    if !arguments.common.is_dry() {
        let named =
            [("--base-serve-cmd", &servers[0]), ("--candidate-serve-cmd", &servers[1]), ("--bench-cmd", &bench_cmd)];
        check_programs(named.into_iter().chain(commands.named()))?;
    }
    let benches = plan.servers[0].benches.iter().zip(&plan.servers[1].benches);
    let job = AbJob {
        request: arguments.judging.request(),
        until: if arguments.pairs.is_some() { Until::All } else { Until::Decided },
        cells: benches.map(|(base, candidate)| [base.clone(), candidate.clone()]).collect(),
    };
    let manifest = Manifest {
        candidate_serve_cmd: Some(servers[1].redacted(&redactor).quoted()),
        after_bench_cmd: after.as_ref().map(|command| command.redacted(&redactor).quoted()),
        kind: SweepKind::Ab,
        num_runs: arguments.num_runs,
        rounds: max_pairs,
        warmup_num_prompts: arguments.warmup_num_prompts,
        min_success: arguments.common.keeping.demands().min_success,
        serve_params: SIDES.map(|side| named(side).to_record()).to_vec(),
        bench_params: bench_params.iter().map(|set| set.redacted(&redactor).to_record()).collect(),
        ..Manifest::new(&servers[0], &bench_cmd, &redactor, Utc::now(), Environment::default())
    };
    let own =
        [("serve_cmd", servers[0].clone()), ("candidate_serve_cmd", servers[1].clone()), ("bench_cmd", bench_cmd)];
    let [base, _] = servers;
    Ok(Sweep {
        common: arguments.common,
        job: Job::Ab(job),
        plan,
        order: OrderName::Interleaved.order(None),
        runner: Runner::Servers { waiting, reset },
        places: Places::one(),
        share: None,
        bench_timeout: arguments.servers.bench_timeout(),
        commands: own.into_iter().chain(commands.by_key()).collect(),
        sets: bench_params,
        space: None,
        after_bench_cmd: commands.after_bench,
        evaluation: commands.evaluation,
        engine_cmd: base,
        manifest,
        redactor,
    })
}

/// Both servers under the same loads, in pairs.
fn plan(
    servers: &[Command; 2],
    bench_cmd: &Command,
    bench_params: &[ParamSet],
    arguments: &Arguments,
    max_pairs: u32,
    redactor: &Redactor,
) -> Result<Plan, Failure> {
    let of = |index: usize| {
        Plan::new(&PlanRequest {
            serve_cmd: servers[index].clone(),
            bench_cmd: bench_cmd.clone(),
            servers: vec![(named(SIDES[index]), bench_params.to_vec())],
            rounds: Rounds::Mirrored(max_pairs),
            num_runs: arguments.num_runs,
            warmup_num_prompts: arguments.warmup_num_prompts,
            redactor: redactor.clone(),
        })
        .map_err(|error| Failure::Input(of_plan(&error)))
    };
    let (mut base, candidate) = (of(0)?, of(1)?);
    base.servers.extend(candidate.servers);
    base.warnings.extend(candidate.warnings);
    base.warnings.dedup();
    Ok(base)
}

pub fn named(side: &str) -> ParamSet {
    ParamSet { name: Some(side.to_owned()), ..ParamSet::unchanged() }
}
