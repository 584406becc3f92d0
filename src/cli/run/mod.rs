//! The sub-commands that run sweeps: each turns its flags into a [`Sweep`](sweep::Sweep), which is printed or run.

pub mod ab;
mod bucket;
mod checks;
pub mod demo;
pub mod doctor;
mod dry_run;
mod ending;
mod estimate;
mod job;
mod neighbours;
mod objectives;
mod places;
mod progress;
mod race;
mod runner;
pub mod serve;
pub mod serve_sla;
pub mod serve_tune;
pub mod serve_workload;
mod servers;
mod share;
mod space;
pub mod startup;
mod sweep;
mod tune;
mod values;

use super::Failure;
use super::lake::Keeping;
use crate::cli::say::say;
use crate::exec::{Interrupt, Interrupter, Sampling};
use crate::os::ignored_signals;
use crate::params::{Command, ParamSet};
use crate::redact::Redactor;
use crate::store::OnChange;
use crate::sweep::{Limit, OnFailure, check_program};
use crate::telemetry::Kept;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

/// More repeats than this are a slip of the finger.
const MOST_REPEATS: i64 = 10_000;

/// The flags of all commands that run sweeps.
#[derive(clap::Args, Clone)]
pub struct Common {
    /// Also show the output of the commands, which is always kept in log files.
    #[arg(long)]
    pub show_stdout: bool,
    /// The lake: the folder in which sweeps are stored, or s3://BUCKET/PATH (gs://, az://). Then a sweep is written into a local cache, and
    /// uploaded as its runs end.
    #[arg(long, short, default_value = "results", value_name = "DIR|URL")]
    pub output_dir: PathBuf,
    /// Where its sweeps belong, if that is an object store.
    #[arg(skip)]
    bucket: Option<Url>,
    /// Name of the sweep's folder in the lake; default: the current time as YYYYMMDD_HHMMSS.
    #[arg(long, short, value_name = "NAME")]
    experiment_name: Option<String>,
    /// Continue after a failed run (still exits with 1).
    #[arg(long)]
    pub continue_on_error: bool,
    /// Retry a failed run up to N times. Every attempt is kept; the last one counts.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retries: u32,
    /// Time budget, such as 6h or 90m: do not start a run that would exceed it. Run times are estimated from runs of the same commands
    /// in the lake and from this sweep; the very first run has no estimate. Or a number of runs, such as '60 runs'. Run what is left
    /// with --resume.
    #[arg(long, value_name = "DURATION|RUNS", value_parser = values::limit)]
    budget: Option<Limit>,
    #[command(flatten)]
    pub keeping: Keeping,
    /// Keep the output of the commands verbatim. By default, secrets are removed from the log files.
    #[arg(long)]
    pub raw_logs: bool,
    #[command(flatten)]
    pub sampling: SamplingFlags,
    /// Run nothing: show the plan, or with --dry-run=commands every command.
    #[arg(long, value_name = "WHAT", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "plan")]
    pub dry_run: Option<DryRun>,
    /// Run only what is missing from the sweep named here or with -e.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    resume: Option<String>,
    /// With --resume: continue even though commands, programs, files or the environment have changed. Column `fingerprint`
    /// distinguishes the runs from before and after, and no mean combines them.
    #[arg(long)]
    accept_changes: bool,
}

/// What is sampled while benchmarks run.
#[derive(clap::Args, Clone, Copy)]
pub struct SamplingFlags {
    /// Interval for sampling the server's metrics, the GPUs and the machine during a benchmark (table `telemetry`); 0 disables it.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = sample_interval)]
    sample_interval: f64,
    /// Keep every metric that the server exports, under its own name, not only the known ones.
    #[arg(long)]
    sample_all: bool,
}

/// Below this the sampler would be what is measured.
const SHORTEST_INTERVAL: f64 = 0.05;

fn sample_interval(text: &str) -> Result<f64, String> {
    match super::not_negative(text)? {
        seconds if seconds > 0.0 && seconds < SHORTEST_INTERVAL => {
            Err(format!("expected 0 (never) or at least {SHORTEST_INTERVAL} seconds"))
        }
        seconds => Ok(seconds),
    }
}

impl SamplingFlags {
    pub fn sampling(self) -> Option<Sampling> {
        let kept = if self.sample_all { Kept::All } else { Kept::Known };
        (self.sample_interval > 0.0).then(|| Sampling::new(Duration::from_secs_f64(self.sample_interval), kept))
    }
}

/// What a dry run shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DryRun {
    Plan,
    Commands,
}

impl Common {
    pub fn is_dry(&self) -> bool {
        self.dry_run.is_some()
    }

    /// The folder of the sweep that is resumed.
    pub fn resumed_folder(&self) -> Option<PathBuf> {
        self.name().filter(|_| self.is_resumed()).map(|name| self.output_dir.join(name))
    }

    pub fn is_resumed(&self) -> bool {
        self.resume.is_some()
    }

    pub fn budget(&self) -> Option<Limit> {
        self.budget
    }

    pub fn on_failure(&self) -> OnFailure {
        if self.continue_on_error { OnFailure::Continue } else { OnFailure::Stop }
    }

    pub fn on_change(&self) -> OnChange {
        if self.accept_changes { OnChange::Accept } else { OnChange::Refuse }
    }

    /// The name that was given to the sweep.
    pub fn name(&self) -> Option<&str> {
        let resumed = self.resume.as_deref().filter(|name| !name.is_empty());
        resumed.or(self.experiment_name.as_deref())
    }
}

/// A command that was typed, with its flag for errors.
fn parse_command(flag: &str, text: &str) -> Result<Command, Failure> {
    Command::parse(flag, text).map_err(Failure::input)
}

/// The program of a command must exist.
fn check_programs<'a>(commands: impl IntoIterator<Item = (&'static str, &'a Command)>) -> Result<(), Failure> {
    commands.into_iter().try_for_each(|(flag, command)| {
        check_program(command).map_err(|error| Failure::input(format!("{flag}: {error}")))
    })
}

/// Whether this process ignores a signal, as it was started.
fn is_ignored(kind: SignalKind) -> bool {
    ignored_signals() & (1 << (kind.as_raw_value() - 1)) != 0
}

/// Knows the secrets of the environment, of the commands and of the parameters.
fn redactor_of<'a>(
    commands: impl IntoIterator<Item = &'a Command>,
    sets: impl IntoIterator<Item = &'a ParamSet>,
) -> Redactor {
    let redactor = commands
        .into_iter()
        .fold(Redactor::of_environment(), |redactor, command| redactor.knowing_command(&command.env, &command.words));
    sets.into_iter().fold(redactor, |redactor, set| redactor.knowing_params(&set.params))
}

/// Ctrl-C, SIGTERM and SIGHUP ask to stop; a second one stops at once, and the keeper ends what is left. A signal that whoever started
/// us has us ignore is ignored: `nohup` does that with SIGHUP.
fn interrupt_on_signals() -> Result<Interrupt, Failure> {
    let (interrupter, interrupt) = Interrupter::new();
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let heard = kinds.into_iter().filter(|kind| !is_ignored(*kind));
    let mut signals = heard.map(signal).collect::<Result<Vec<_>, _>>().map_err(Failure::work)?;
    tokio::spawn(async move {
        for is_first in [true, false] {
            let waits = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
            futures::future::select_all(waits).await;
            if is_first {
                interrupter.interrupt();
                say!("stopping; interrupt again to stop immediately");
            } else {
                std::process::exit(130);
            }
        }
    });
    Ok(interrupt)
}
