//! One run of a benchmark command against a running server.

use super::keeper::Keeper;
use super::process::Output;
use super::server::Server;
use super::to_end::run_to_end;
use super::{Interrupt, Stop};
use crate::formats::{Measured, measured};
use crate::params::Command;
use crate::record::{ErrorKind, Failure, read_result};
use std::path::Path;
use std::time::Duration;

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
