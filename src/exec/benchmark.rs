//! One run of a benchmark command against a running server.

use super::keeper::Keeper;
use super::process::{Group, Output, describe_exit};
use super::server::Server;
use super::{Interrupt, Stop};
use crate::formats::{Measured, measured};
use crate::params::Command;
use crate::record::{ErrorKind, Failure, read_result};
use std::path::Path;
use std::time::Duration;

const STOP_GRACE: Duration = Duration::from_secs(3);

/// A benchmark command and where its result will be.
pub struct Benchmark<'a> {
    pub command: &'a Command,
    pub output: Output,
    pub result_path: &'a Path,
    pub limit: Option<Duration>,
}

/// Runs the benchmark to its end and reads its result. A server that ends meanwhile ends the benchmark too.
pub async fn run_benchmark(
    benchmark: Benchmark<'_>,
    server: &mut Server,
    keeper: &Keeper,
    interrupt: &mut Interrupt,
) -> Result<Measured, Stop> {
    let Benchmark { command, output, result_path, limit } = benchmark;
    tokio::select! {
        biased;
        failure = server.ended("while it was measured") => return Err(failure.into()),
        ended = run_to_end(command, "the benchmark", ErrorKind::BenchmarkFailed, &output, limit, keeper, interrupt) => ended?,
    }
    let left = read_result(result_path).map_err(|error| format!("the benchmark left no result: {error}"));
    let told = left.and_then(|document| {
        measured(document, result_path).map_err(|reason| format!("the benchmark's result {reason}"))
    });
    told.map_err(|message| Failure::new(ErrorKind::BadResult, message).into())
}

/// Runs a command to its end; `name` and `kind` say what failed if it ends badly.
pub async fn run_to_end(
    command: &Command,
    name: &str,
    kind: ErrorKind,
    output: &Output,
    limit: Option<Duration>,
    keeper: &Keeper,
    interrupt: &mut Interrupt,
) -> Result<(), Stop> {
    let mut group = Group::spawn(command, output, &[], keeper)
        .map_err(|error| Failure::new(kind, format!("{name} could not be started: {error}")))?;
    let ended = tokio::select! {
        biased;
        () = interrupt.asked() => Err(Stop::Interrupted),
        () = out_of_time(limit) => {
            let message = format!("{name} did not end within {} s", limit.unwrap_or_default().as_secs_f64());
            Err(Failure::new(ErrorKind::TimedOut, message).with_log(None, group.log_tail()).into())
        }
        status = group.exited() => match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let message = format!("{name} ended with {}", describe_exit(status));
                Err(Failure::new(kind, message).with_log(status.code(), group.log_tail()).into())
            }
            Err(error) => Err(Failure::new(kind, format!("{name}: {error}")).into()),
        },
    };
    group.stop(STOP_GRACE).await;
    ended
}

async fn out_of_time(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}
