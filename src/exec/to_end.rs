//! A command that is run to its end.

use super::keeper::Keeper;
use super::pauses::{Pauses, Watch};
use super::process::{Ground, Group, Output, describe_exit};
use super::sampler::{Before, Sampler, Sampling, Slot, Subjects};
use super::{Interrupt, Stop};
use crate::os::cpu_at_end;
use crate::params::{Address, Command};
use crate::record::{ErrorKind, Failure};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

const STOP_GRACE: Duration = Duration::from_secs(3);

/// A command, and what it is called.
#[derive(Debug)]
pub struct Task<'a> {
    pub command: &'a Command,
    pub name: &'static str,
    /// What failed if it ends badly.
    pub kind: ErrorKind,
    pub output: &'a Output,
    pub limit: Option<Duration>,
    /// A program that is measured meanwhile.
    pub measured: Option<(&'static str, Pid)>,
    /// What is sampled meanwhile.
    pub sampled: Option<Sampled<'a>>,
}

/// What is sampled while a command runs.
#[derive(Clone, Copy, Debug)]
pub struct Sampled<'a> {
    pub sampling: &'a Sampling,
    /// Whose metrics are asked for.
    pub address: Option<&'a Address>,
    /// Where they are while they are taken.
    pub slot: &'a Slot,
}

/// How a command lived that ended well.
#[derive(Debug)]
pub struct Lived {
    /// Cores that it and what it started kept busy.
    pub cores: Option<f64>,
    pub pauses: Pauses,
    /// Whether all was sampled that was to be.
    pub is_sampled: bool,
    /// What is left of its time.
    pub time_left: Option<Duration>,
}

/// Runs a command to its end.
pub async fn run_to_end(task: Task<'_>, keeper: &Keeper, interrupt: &mut Interrupt) -> Result<Lived, Stop> {
    let Task { command, name, kind, output, limit, measured, sampled } = task;
    let before = match sampled {
        Some(sampled) => Some((Before::look(sampled.sampling, sampled.address).await, sampled.slot)),
        None => None,
    };
    let (watch, started) = (Watch::start(), Instant::now());
    let mut group = Group::spawn(command, Ground::default(), output, keeper)
        .map_err(|error| Failure::new(kind, format!("{name} could not be started: {error}")))?;
    let programs: Vec<_> = measured.into_iter().chain([(name, group.id())]).collect();
    let sampler = before.map(|(before, slot)| {
        let server = measured.map(|(_, pid)| pid);
        Sampler::start(before, Subjects { server, client: group.id() }, slot)
    });
    let program = group.id();
    let mut cpu = None;
    let waited = async {
        // What it took is known until it is waited for.
        let exited = async {
            cpu = tokio::task::spawn_blocking(move || cpu_at_end(program)).await.ok().flatten();
            group.exited().await
        };
        let status = tokio::select! {
            biased;
            () = interrupt.asked() => return Err(Stop::Interrupted),
            status = exited => Some(status),
            // Where we were stopped ourselves, it may have ended well long before its time was up.
            () = out_of_time(limit) => group.status().map(Ok),
        };
        match status {
            Some(Ok(status)) if status.success() => Ok(()),
            Some(Ok(status)) => {
                let tail = group.log_tail();
                let words = own_words(&tail).map(|words| format!(": {words}")).unwrap_or_default();
                let message = format!("{name} exited with {}{words}", describe_exit(status));
                Err(Failure::new(kind, message).with_log(status.code(), tail).into())
            }
            Some(Err(error)) => Err(Failure::new(kind, format!("{name}: {error}")).into()),
            None => {
                let message = format!("{name} did not finish within {} s", limit.unwrap_or_default().as_secs_f64());
                Err(Failure::new(ErrorKind::TimedOut, message).with_log(None, group.log_tail()).into())
            }
        }
    };
    let (ended, pauses) = watch.over(&programs, waited).await;
    let lived = started.elapsed();
    let is_sampled = match sampler {
        Some(sampler) => sampler.finish().await,
        None => false,
    };
    group.stop(STOP_GRACE).await;
    ended.map(|()| Lived {
        cores: cpu.and_then(|cpu| share(cpu, lived)),
        pauses,
        is_sampled,
        time_left: limit.map(|limit| limit.saturating_sub(lived)),
    })
}

/// What a program said last of why it failed: a line `error: …`, or an exception of Python's.
fn own_words(tail: &[String]) -> Option<&str> {
    let says_why = |line: &&String| {
        let (kind, what) = line.trim().split_once(": ").unwrap_or_default();
        let name = kind.rsplit('.').next().unwrap_or(kind);
        let is_error = name.eq_ignore_ascii_case("error") || name.ends_with("Error") || name.ends_with("Exception");
        is_error && !kind.contains(' ') && !what.is_empty()
    };
    let line = tail.iter().rev().find(says_why)?.trim();
    Some(line.strip_prefix("error: ").unwrap_or(line))
}

/// Ends when the time is up; never, where there is no limit.
pub(super) async fn out_of_time(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// A process that lived for less than this spent its life on starting.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

fn share(cpu: Duration, lived: Duration) -> Option<f64> {
    (lived >= SHORTEST_LIFE).then(|| cpu.as_secs_f64() / lived.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::own_words;

    #[test]
    fn a_program_is_quoted_where_it_says_why_it_failed() {
        let words =
            |lines: &[&str]| own_words(&lines.iter().map(ToString::to_string).collect::<Vec<_>>()).map(str::to_owned);
        let ours = ["error: all 4 requests failed; first failure: http_status: token id 29894 is out of vocabulary"];
        assert_eq!(words(&ours).as_deref(), Some(&ours[0][7..]));
        let python = ["Traceback (most recent call last):", "  raise", "aiohttp.ClientError: refused", "bye"];
        assert_eq!(words(&python).as_deref(), Some("aiohttp.ClientError: refused"));
        assert_eq!(words(&["Failed requests: 4", "an error: somewhere"]), None);
    }
}
