//! `sweeplake serve`: a sweep of servers and loads.

use super::lake::Keeping;
use super::progress::Progress;
use super::serve_sla::SLA_NAME;
use super::show::{failures_table, sla_table, summary_table};
use super::{Ended, Failure, block_on};
use crate::exec::{Interrupt, Interrupter, Logs, Reset};
use crate::metric::percentile_of;
use crate::params::{Command, ParamSet, read_params_file};
use crate::plan::{BenchPlan, Level, Link, Plan, PlanRequest};
use crate::record::Environment;
use crate::redact::Redactor;
use crate::sla::Sla;
use crate::store::{Manifest, SweepKind, SweepState, SweepWriter, WARM_UP_FILE, result_paths};
use crate::sweep::{
    Course, Next, Options, Repeats, Tuner, TunerOptions, Variable, Workload, bench_command, check_programs, run,
};
use crate::words::describe;
use chrono::{Local, Utc};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The flags of `vllm bench sweep serve`.
#[derive(clap::Args, Clone)]
#[group(id = "serve")]
pub struct Arguments {
    /// The command that runs the server: `vllm serve …`. Words NAME=value in front are its environment.
    #[arg(long)]
    pub serve_cmd: String,
    /// The command that runs the benchmark: `vllm bench serve …`, `sweeplake bench …`.
    #[arg(long)]
    pub bench_cmd: String,
    /// Run after each benchmark instead of resetting the server's caches over HTTP.
    #[arg(long)]
    pub after_bench_cmd: Option<String>,
    /// Show the output of the commands, too; it is always kept in log files.
    #[arg(long)]
    pub show_stdout: bool,
    /// Seconds to wait for a server to become ready.
    #[arg(long, default_value_t = 300)]
    pub server_ready_timeout: u64,
    /// Seconds that one benchmark may take; default: no limit.
    #[arg(long, value_name = "SECONDS", value_parser = super::positive_number)]
    pub bench_timeout: Option<f64>,
    /// JSON file with the sets of parameters of the server: a list of objects, or an object of named ones.
    #[arg(long, value_name = "FILE")]
    pub serve_params: Option<PathBuf>,
    /// JSON file with the sets of parameters of the benchmark. With both, every pair is run.
    #[arg(long, value_name = "FILE")]
    pub bench_params: Option<PathBuf>,
    /// Keep only pairs with equal values: max_num_seqs=max_concurrency,…
    #[arg(long, default_value = "")]
    pub link_vars: String,
    /// The lake: the folder in which sweeps are kept.
    #[arg(long, short, default_value = "results", value_name = "DIR", value_parser = super::lake::local_path)]
    pub output_dir: PathBuf,
    /// The sweep's folder in it; default: the present time as YYYYMMDD_HHMMSS.
    #[arg(long, short, value_name = "NAME")]
    pub experiment_name: Option<String>,
    /// Runs of each combination; default: 3 (serve_sla: 1 of each level, and more where noise asks for them).
    #[arg(long)]
    pub num_runs: Option<u32>,
    /// Before the first run of each combination, run its benchmark with so many prompts and drop the result.
    #[arg(long, default_value_t = 0)]
    pub warmup_num_prompts: u32,
    /// Go on after a failed run; the exit code still tells.
    #[arg(long)]
    pub continue_on_error: bool,
    #[command(flatten)]
    pub keeping: Keeping,
    /// Keep the output of the commands as they write it. Without it, secrets are taken out of the log files.
    #[arg(long)]
    pub raw_logs: bool,
    /// Print the commands that would be run, and touch nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Run only what is missing of the sweep named by -e (or named here).
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    pub resume: Option<String>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            serve_cmd: String::new(),
            bench_cmd: String::new(),
            after_bench_cmd: None,
            show_stdout: false,
            server_ready_timeout: 300,
            bench_timeout: None,
            serve_params: None,
            bench_params: None,
            link_vars: String::new(),
            output_dir: "results".into(),
            experiment_name: None,
            num_runs: None,
            warmup_num_prompts: 0,
            continue_on_error: false,
            keeping: Keeping::default(),
            raw_logs: false,
            dry_run: false,
            resume: None,
        }
    }
}

pub fn exec(arguments: Arguments) -> Ended {
    exec_job(arguments, Job::Serve)
}

/// What a sweep does with each combination.
pub enum Job {
    Serve,
    Tune(TunerOptions),
    Explore(Workload),
}

impl Job {
    fn kind(&self) -> SweepKind {
        match self {
            Self::Serve => SweepKind::Serve,
            Self::Tune(_) => SweepKind::ServeSla,
            Self::Explore(_) => SweepKind::ServeWorkload,
        }
    }

    fn default_num_runs(&self) -> u32 {
        match self {
            Self::Tune(_) => 1,
            Self::Serve | Self::Explore(_) => 3,
        }
    }

    /// The flag and the name of what the sweep itself turns.
    fn turned(&self) -> Option<(&'static str, Variable)> {
        match self {
            Self::Serve => None,
            Self::Tune(options) => Some(("--sla-variable", options.variable)),
            Self::Explore(workload) => Some(("--workload-var", workload.variable)),
        }
    }

    fn course(&self, num_runs: usize, answered: HashSet<(String, String)>) -> Box<dyn Course> {
        match self {
            Self::Serve => Box::new(Repeats { num_runs }),
            Self::Tune(options) => Box::new(Tuner::new(TunerOptions { num_runs, ..options.clone() }, answered)),
            Self::Explore(workload) => Box::new(Workload { num_runs, ..workload.clone() }),
        }
    }

    fn sla_records(&self) -> Vec<Map<String, Value>> {
        let Self::Tune(options) = self else { return Vec::new() };
        options.slas.iter().map(sla_record).collect()
    }

    /// Percentiles in the names of the SLAs' metrics: 95 of `p95_ttft_ms`.
    fn percentiles(&self) -> Vec<String> {
        let Self::Tune(options) = self else { return Vec::new() };
        let metrics = options.slas.iter().flat_map(|sla| &sla.constraints).map(|constraint| &constraint.metric);
        metrics.filter_map(|metric| Some(percentile_of(metric)?.to_owned())).collect()
    }
}

fn sla_record(sla: &Sla) -> Map<String, Value> {
    let name = sla.name.iter().map(|name| (SLA_NAME.to_owned(), name.as_str().into()));
    let constraints = sla.constraints.iter().map(|constraint| {
        let target = format!("{}{}", constraint.operator.as_str(), constraint.target);
        (constraint.metric.clone(), target.into())
    });
    name.chain(constraints).collect()
}

/// Prints or runs a sweep.
pub fn exec_job(arguments: Arguments, job: Job) -> Ended {
    let sweep = Prepared::new(arguments, job)?;
    for warning in &sweep.plan.warnings {
        eprintln!("warning: {warning}");
    }
    if sweep.arguments.dry_run { sweep.print() } else { sweep.run().map(|_| ()) }
}

/// A sweep that was checked and can start.
pub struct Prepared {
    arguments: Arguments,
    serve_cmd: Command,
    bench_cmd: Command,
    after_bench_cmd: Option<Command>,
    serve_params: Vec<ParamSet>,
    bench_params: Vec<ParamSet>,
    reset: Reset,
    plan: Plan,
    job: Job,
    redactor: Redactor,
}

impl Prepared {
    /// Turns what was typed into what is meant; every mistake is found here, before anything starts.
    pub fn new(mut arguments: Arguments, job: Job) -> Result<Self, Failure> {
        let num_runs = arguments.num_runs.unwrap_or(job.default_num_runs());
        if num_runs == 0 {
            return Err(Failure::input("--num-runs must be at least 1"));
        }
        if let Some(name) = arguments.resume.clone().filter(|name| !name.is_empty()) {
            arguments.experiment_name = Some(name);
        }
        let serve_cmd = Command::parse("--serve-cmd", &arguments.serve_cmd).map_err(Failure::input)?;
        let bench_cmd = Command::parse("--bench-cmd", &arguments.bench_cmd).map_err(Failure::input)?;
        let after_bench_cmd = arguments.after_bench_cmd.as_deref().filter(|text| !text.is_empty());
        let after_bench_cmd = after_bench_cmd
            .map(|text| Command::parse("--after-bench-cmd", text))
            .transpose()
            .map_err(Failure::input)?;
        let serve_params = sets_of(arguments.serve_params.as_deref())?;
        let bench_params = sets_of(arguments.bench_params.as_deref())?;
        if let Some((flag, variable)) = job.turned() {
            check_is_free(flag, variable.key(), &bench_cmd, &bench_params)?;
            if matches!(job, Job::Explore(_)) {
                // The serial run is one at a time, whatever the variable.
                check_params(flag, Variable::MaxConcurrency.key(), &bench_params)?;
            }
        }
        let redactor = redactor_of(
            [Some(&serve_cmd), Some(&bench_cmd), after_bench_cmd.as_ref()].into_iter().flatten(),
            serve_params.iter().chain(&bench_params),
        );
        let plan = Plan::new(&PlanRequest {
            serve_cmd: serve_cmd.clone(),
            bench_cmd: bench_cmd.clone(),
            serve_params: serve_params.clone(),
            bench_params: bench_params.clone(),
            link_vars: Link::parse_list(&arguments.link_vars).map_err(Failure::input)?,
            num_runs,
            warmup_num_prompts: arguments.warmup_num_prompts,
            redactor: redactor.clone(),
        })
        .map_err(Failure::input)?;
        let reset = Reset::of(&serve_cmd, after_bench_cmd.clone()).map_err(Failure::input)?;
        if !arguments.dry_run {
            check_programs(&serve_cmd, &bench_cmd, after_bench_cmd.as_ref()).map_err(Failure::input)?;
        }
        Ok(Self {
            arguments,
            serve_cmd,
            bench_cmd,
            after_bench_cmd,
            serve_params,
            bench_params,
            reset,
            plan,
            job,
            redactor,
        })
    }

    /// The dry run: every command, quoted for a shell.
    fn print(&self) -> Ended {
        let folder = planned_folder(&self.arguments.output_dir, self.arguments.experiment_name.as_deref());
        // Which levels are missing only shows while they are measured: their first run stands for all.
        let is_resumed = self.arguments.resume.is_some() && matches!(self.job, Job::Serve);
        let mut runs = 0;
        let mut servers = 0;
        let mut lines = Vec::new();
        for server in &self.plan.servers {
            let mut benches = Vec::new();
            for bench in &server.benches {
                let level = self.first_level(bench)?;
                let paths = result_paths(
                    &folder,
                    self.job.kind(),
                    &bench.combination,
                    level.as_ref(),
                    self.plan.num_runs,
                    is_resumed,
                )
                .map_err(Failure::input)?;
                if paths.is_empty() {
                    continue;
                }
                benches.push(format!("# {}", describe(&bench.combination.serve, &bench.combination.bench)));
                let shown = |command: &Command| command.redacted(&self.redactor).quoted();
                let after = self.after_bench_cmd.iter().map(shown);
                if let Some(level) = level {
                    let first = bench.at(&level);
                    benches.push("# the first run; the others follow from what is measured".into());
                    benches.push(shown(&bench_command(&first.command, &self.job.percentiles(), &paths[0])));
                    benches.extend(after);
                    continue;
                }
                if self.plan.warmup_num_prompts > 0 {
                    let short = bench.warm_up(self.plan.warmup_num_prompts);
                    let path = paths[0].with_file_name(WARM_UP_FILE);
                    benches.push(format!("# warm-up, not kept\n{}", shown(&bench_command(&short, &[], &path))));
                    benches.extend(after.clone());
                }
                for path in &paths {
                    benches.push(shown(&bench_command(&bench.command, &[], path)));
                    benches.extend(after.clone());
                }
                runs += paths.len();
            }
            if !benches.is_empty() {
                servers += 1;
                lines.push(format!("# server {servers}, at {}", server.address));
                lines.push(server.command.redacted(&self.redactor).quoted());
                lines.extend(benches);
            }
        }
        lines.push(match self.job {
            Job::Serve => format!("# {servers} server(s), {runs} run(s)"),
            _ => format!("# {servers} server(s)"),
        });
        println!("{}", lines.join("\n"));
        Ok(())
    }

    /// Where the sweep begins with a combination, if it chooses levels itself.
    fn first_level(&self, bench: &BenchPlan) -> Result<Option<Level>, Failure> {
        match self.job.course(1, HashSet::new()).next(bench, &[]).map_err(Failure::input)? {
            Next::Run(level) => Ok(level),
            Next::Enough => Ok(None),
        }
    }

    /// Runs the sweep and returns its folder.
    pub fn run(self) -> Result<PathBuf, Failure> {
        let mut writer = self.open_writer()?;
        let options = Options {
            reset: self.reset.clone(),
            show_stdout: self.arguments.show_stdout,
            server_ready_timeout: Duration::from_secs(self.arguments.server_ready_timeout),
            bench_timeout: self.arguments.bench_timeout.map(Duration::from_secs_f64),
            continue_on_error: self.arguments.continue_on_error,
            percentiles: self.job.percentiles(),
            demands: self.arguments.keeping.demands(),
            redactor: self.redactor.clone(),
            logs: if self.arguments.raw_logs { Logs::Raw } else { Logs::Redacted },
            keeper: std::env::current_exe().map_err(Failure::work)?,
        };
        let mut course = self.job.course(self.plan.num_runs as usize, writer.answered_slas().clone());
        let mut progress = Progress::new();
        let ended = block_on(async {
            let mut interrupt = interrupt_on_signals()?;
            run(&self.plan, course.as_mut(), &options, &mut writer, &mut progress, &mut interrupt)
                .await
                .map_err(Failure::work)
        })??;
        let folder = writer.folder().to_owned();
        drop(writer);
        progress.finish();
        if ended.runs > 0 || matches!(self.job, Job::Tune(_)) {
            match self.job {
                Job::Tune(_) => eprintln!("{}", sla_table(&folder)?),
                _ => eprintln!("{}", summary_table(&folder)?),
            }
            if ended.failed > 0 {
                eprintln!("failed runs:\n{}", failures_table(&folder)?);
            }
            if ended.degraded > 0 {
                eprintln!(
                    "{} run(s) are degraded: fewer requests succeeded than --min-success asks; they are never recommended",
                    ended.degraded
                );
            }
            if matches!(self.job, Job::Tune(_)) {
                super::sla::draw(&folder)?;
            }
            eprintln!("sweep: {}", folder.display());
            let quoted = quoted_path(&folder);
            eprintln!(
                "next:  sweeplake report {quoted}\n       sweeplake query {quoted} \"SELECT * FROM combinations\""
            );
        }
        let again = format!("add --resume -e {} to the same command to run what is missing", quoted_name(&folder));
        match ended.state {
            SweepState::Completed => Ok(folder),
            SweepState::Interrupted => {
                eprintln!(
                    "interrupted: {} run(s) are kept in {}; {again}",
                    ended.runs + ended.skipped,
                    folder.display()
                );
                Err(Failure::Interrupted)
            }
            SweepState::Failed | SweepState::Running => {
                Err(Failure::work(format!("{} of {} run(s) failed; {again}", ended.failed, ended.runs)))
            }
        }
    }

    fn open_writer(&self) -> Result<SweepWriter, Failure> {
        let combinations = self.plan.combinations();
        let (lake, name) = (&self.arguments.output_dir, self.arguments.experiment_name.as_deref());
        match self.arguments.resume {
            Some(_) => SweepWriter::resume(lake, name, self.manifest(), &combinations),
            None => SweepWriter::create(lake, name, Local::now(), self.manifest(), &combinations),
        }
        .map_err(Failure::input)
    }

    fn manifest(&self) -> Manifest {
        let environment = Environment::capture(Some(&self.serve_cmd));
        let records = |sets: &[ParamSet]| sets.iter().map(|set| set.redacted(&self.redactor).to_record()).collect();
        Manifest {
            after_bench_cmd: self.after_bench_cmd.as_ref().map(|command| command.redacted(&self.redactor).quoted()),
            link_vars: self.arguments.link_vars.clone(),
            kind: self.job.kind(),
            num_runs: self.plan.num_runs,
            sla_params: self.job.sla_records(),
            variable: self.job.turned().map(|(_, variable)| variable.key().to_owned()),
            warmup_num_prompts: self.arguments.warmup_num_prompts,
            min_success: self.arguments.keeping.demands().min_success,
            serve_params: records(&self.serve_params),
            bench_params: records(&self.bench_params),
            ..Manifest::new(&self.serve_cmd, &self.bench_cmd, &self.redactor, Utc::now(), environment)
        }
    }
}

/// Knows the secrets of the environment, of the commands and of the parameters.
pub fn redactor_of<'a>(
    commands: impl Iterator<Item = &'a Command>,
    sets: impl Iterator<Item = &'a ParamSet>,
) -> Redactor {
    let redactor = commands
        .fold(Redactor::of_environment(), |redactor, command| redactor.knowing_command(&command.env, &command.words));
    sets.fold(redactor, |redactor, set| redactor.knowing_params(&set.params))
}

/// What the sweep turns may not be set elsewhere.
fn check_is_free(flag: &str, key: &str, bench_cmd: &Command, bench_params: &[ParamSet]) -> Result<(), Failure> {
    if bench_cmd.flag(&[key]).is_some() {
        return Err(Failure::input(format!("{flag} {key}: --bench-cmd sets it, too; take it out there")));
    }
    check_params(flag, key, bench_params)
}

fn check_params(flag: &str, key: &str, bench_params: &[ParamSet]) -> Result<(), Failure> {
    match bench_params.iter().position(|set| set.get(key).is_some()) {
        Some(index) => Err(Failure::input(format!(
            "{flag} {key}: --bench-params sets it, too (parameter set {}); take it out there",
            index + 1
        ))),
        None => Ok(()),
    }
}

/// The folder that a sweep would get.
pub fn planned_folder(lake: &Path, name: Option<&str>) -> PathBuf {
    match name {
        Some(name) => lake.join(name),
        None => lake.join(Local::now().format("%Y%m%d_%H%M%S").to_string()),
    }
}

pub fn sets_of(path: Option<&Path>) -> Result<Vec<ParamSet>, Failure> {
    match path {
        Some(path) => read_params_file(path).map_err(Failure::input),
        None => Ok(vec![ParamSet::unchanged()]),
    }
}

/// Ctrl-C, SIGTERM and SIGHUP ask to stop; a second one stops at once, and the keeper ends what is left.
pub fn interrupt_on_signals() -> Result<Interrupt, Failure> {
    let (interrupter, interrupt) = Interrupter::new();
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut signals = kinds.into_iter().map(signal).collect::<Result<Vec<_>, _>>().map_err(Failure::work)?;
    tokio::spawn(async move {
        for is_first in [true, false] {
            let waits = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
            futures::future::select_all(waits).await;
            if is_first {
                eprintln!("stopping; once more to stop at once");
                interrupter.interrupt();
            } else {
                std::process::exit(130);
            }
        }
    });
    Ok(interrupt)
}

fn quoted_name(folder: &Path) -> String {
    quoted_path(folder.file_name().map(Path::new).unwrap_or(folder))
}

fn quoted_path(path: &Path) -> String {
    Command::new([path.to_string_lossy()]).quoted()
}
