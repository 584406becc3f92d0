//! Several machines at one sweep: each takes what nobody has.

use super::Common;
use super::job::Job;
use super::runner::Runner;
use crate::cli::Failure;
use crate::plan::Plan;
use crate::record::Environment;
use crate::store::{Claims, Mix};
use crate::sweep::{Patience, Sharing};
use std::path::Path;
use std::time::Duration;

#[derive(clap::Args, Clone)]
pub struct ShareFlags {
    /// Work at the sweep named with -e together with other machines: run the same command on each, with the lake on a shared folder.
    /// Each takes one server after the other that nobody has; what a machine that died had is taken over. With =leave, a machine leaves
    /// once others have all that is left; by default it waits in case one of them dies.
    #[arg(long, value_name = "WHEN-IDLE", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "wait")]
    join: Option<Idle>,
    /// With --join: how long a machine that shows no sign of life keeps what it has taken.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = lease)]
    lease: f64,
    /// With --join: let repeats of a combination come from machines with different GPUs.
    #[arg(long, requires = "join")]
    mix_hosts: bool,
    /// Run every N-th server only, beginning with the I-th: for job arrays and CI matrices.
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<Shard>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Idle {
    Wait,
    Leave,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shard {
    index: usize,
    of: usize,
}

/// A lease is renewed thrice while it lasts; a store may take a while.
const SHORTEST_LEASE: f64 = 1.0;

fn lease(text: &str) -> Result<f64, String> {
    match crate::cli::positive_number(text)? {
        seconds if seconds < SHORTEST_LEASE => Err(format!("expected at least {SHORTEST_LEASE} second")),
        seconds => Ok(seconds),
    }
}

fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
    match parts {
        Some((index, of)) if (1..=of).contains(&index) => Ok(Shard { index, of }),
        _ => Err("expected I/N with I from 1 to N, such as 2/8".into()),
    }
}

/// How a sweep is shared with other machines.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    patience: Patience,
    lease: Duration,
    mix: Mix,
}

impl ShareFlags {
    /// Whether and how the sweep is shared.
    pub fn share(&self, job: &Job, common: &Common, runner: &Runner) -> Result<Option<Share>, Failure> {
        let Some(idle) = self.join else { return Ok(None) };
        if !matches!(runner, Runner::Servers { .. }) {
            return Err(Failure::input(
                "--join: only where sweeplake starts the servers; machines that measure one server disturb each other",
            ));
        }
        if common.bucket.is_some() {
            return Err(Failure::input(
                "--join: the lake must be a folder that all machines see, and not an object store (-o)",
            ));
        }
        if common.name().is_none() {
            return Err(Failure::input("--join: all machines must name the same sweep; name it with -e"));
        }
        if !matches!(job, Job::Serve(_) | Job::Tune(_) | Job::Explore(_)) {
            return Err(Failure::input(
                "--join: not with --race or serve_tune, which choose by what all combinations showed; run them on one machine",
            ));
        }
        Ok(Some(Share {
            patience: if idle == Idle::Leave { Patience::Leave } else { Patience::Wait },
            lease: Duration::from_secs_f64(self.lease),
            mix: if self.mix_hosts { Mix::Allowed } else { Mix::Refused },
        }))
    }

    /// The part of a plan that is this machine's.
    pub fn shard(&self, mut plan: Plan) -> Result<Plan, Failure> {
        let Some(Shard { index, of }) = self.shard else { return Ok(plan) };
        let servers = plan.servers.len();
        plan.servers = plan.servers.into_iter().skip(index - 1).step_by(of).collect();
        match plan.servers.is_empty() {
            true => Err(Failure::input(format!(
                "--shard {index}/{of}: there are {servers} servers, and none for this shard"
            ))),
            false => Ok(plan),
        }
    }
}

impl Share {
    /// Claims beside the runs of a sweep, for a machine of a kind.
    pub fn sharing(self, folder: &Path, environment: &Environment) -> Result<Sharing, Failure> {
        let node = format!("{}-{}", environment.host, std::process::id());
        let claims = Claims::in_folder(folder, &node, &kind_of(environment), self.lease).map_err(Failure::work)?;
        Ok(Sharing { claims, mix: self.mix, patience: self.patience })
    }
}

/// What makes machines of one kind: their GPUs, else their processor.
fn kind_of(environment: &Environment) -> String {
    let mut names: Vec<&str> = environment.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { environment.cpu.clone() } else { names.join(" + ") }
}
