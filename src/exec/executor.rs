//! What a sweep does to servers and benchmarks, as a trait: a sweep can be driven without either.

use super::artifact::Artifact;
use super::evaluation::{EvalJob, Scores};
use super::gpu_memory::Baseline;
use super::sampler::{Sampling, Slot};
use super::{Against, Benched, Benchmark, Interrupt, Keeper, Logs, Output, Readiness, Reset, Server, ServerSpec, Stop};
use crate::formats::{Measured, measured};
use crate::node::Seat;
use crate::params::{Address, Command};
use crate::record::{ErrorKind, Failure, UsualHits, read_result};
use crate::redact::Redactor;
use serde_json::{Map, Value};
use std::path::Path;
use std::time::Duration;

/// A server to be started.
#[derive(Clone, Copy, Debug)]
pub struct ServerJob<'a> {
    pub command: &'a Command,
    pub address: &'a Address,
    /// The name that was given to its parameters.
    pub name: Option<&'a str>,
    /// What it is given of the machine.
    pub seat: &'a Seat,
    pub log: &'a Path,
}

/// A benchmark to be run.
#[derive(Clone, Copy, Debug)]
pub struct BenchJob<'a> {
    pub command: &'a Command,
    pub result_path: &'a Path,
    /// Where the result is found, if the command puts it elsewhere.
    pub artifact: Option<&'a Artifact>,
    pub log: &'a Path,
    /// Where samples are while they are taken.
    pub samples: &'a Slot,
}

/// What is known of a server once it is ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// From the start of its process; nothing where none was started.
    pub after: Option<Duration>,
    /// What it says of its version.
    pub version: Option<String>,
    /// Which engine it says it is, where that is not known from the command.
    pub engine: Option<String>,
}

/// Starts and stops one server at a time, and runs benchmarks against it.
#[expect(async_fn_in_trait, reason = "a sweep is driven by one task")]
pub trait Executor {
    async fn start(&mut self, job: ServerJob<'_>) -> Result<Ready, Stop>;

    /// Runs a benchmark on a clean server. It fails where the server is gone, or could not be cleaned after the run before.
    async fn bench(&mut self, job: BenchJob<'_>) -> Result<Benched, Stop>;

    /// Runs an evaluation of the server that is running.
    async fn evaluate(&mut self, job: EvalJob<'_>) -> Result<Scores, Stop>;

    /// Brings the server back to a clean state. Where that fails, the next benchmark does.
    async fn clean(&mut self);

    /// Stops the server; returns what is to be said of its end.
    async fn stop(&mut self) -> Vec<String>;

    /// Whether the user asked to stop.
    fn is_interrupted(&self) -> bool;
}

/// How processes are run.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    pub show_stdout: bool,
    /// Takes secrets out of log files.
    pub redactor: Redactor,
    pub logs: Logs,
    pub bench_timeout: Option<Duration>,
    /// What is sampled while benchmarks run.
    pub sampling: Option<Sampling>,
}

impl ProcessOptions {
    pub(super) fn benchmark<'a>(&'a self, job: BenchJob<'a>) -> Benchmark<'a> {
        Benchmark {
            command: job.command,
            output: self.output(job.log),
            result_path: job.result_path,
            artifact: job.artifact,
            limit: self.bench_timeout,
            sampling: self.sampling.as_ref(),
            slot: job.samples,
        }
    }

    pub(super) fn output(&self, log: &Path) -> Output {
        Output { log: log.to_owned(), show: self.show_stdout, redactor: self.redactor.clone(), logs: self.logs }
    }
}

/// For what is waited after the start of a server.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub until: Readiness,
    pub timeout: Duration,
}

impl Waiting {
    /// What is known of the engine that a command starts.
    pub fn of(serve_cmd: &Command, timeout: Duration) -> Self {
        Self { until: Readiness::of(serve_cmd), timeout }
    }
}

/// Servers and benchmarks as processes of this machine.
pub struct Processes {
    options: ProcessOptions,
    waiting: Waiting,
    reset: Reset,
    keeper: Keeper,
    interrupt: Interrupt,
    server: Option<Server>,
    /// Of the server that is running.
    usual_hits: UsualHits,
    /// What the GPUs of its seat hold while no server of ours is running there.
    baseline: Baseline,
    /// What a server before the one that is running left on the GPUs.
    undrained: Option<String>,
}

impl Processes {
    /// `keeper` is the program that keeps watch over what is started: sweeplake itself.
    pub fn new(
        options: ProcessOptions,
        waiting: Waiting,
        reset: Reset,
        keeper: &Path,
        interrupt: Interrupt,
    ) -> std::io::Result<Self> {
        Ok(Self::with(options, waiting, reset, Keeper::start(keeper)?, interrupt))
    }

    fn with(options: ProcessOptions, waiting: Waiting, reset: Reset, keeper: Keeper, interrupt: Interrupt) -> Self {
        Self {
            options,
            waiting,
            reset,
            keeper,
            interrupt,
            server: None,
            usual_hits: UsualHits::Unknown,
            baseline: Baseline::default(),
            undrained: None,
        }
    }

    /// For a server beside that of this one.
    pub fn another(&self) -> Self {
        let (options, waiting, reset) = (self.options.clone(), self.waiting.clone(), self.reset.clone());
        Self::with(options, waiting, reset, self.keeper.clone(), self.interrupt.clone())
    }
}

impl Executor for Processes {
    async fn start(&mut self, job: ServerJob<'_>) -> Result<Ready, Stop> {
        self.baseline.look(&job.seat.gpus).await;
        let spec = ServerSpec {
            command: job.command,
            address: job.address,
            seat: job.seat,
            output: self.options.output(job.log),
            ready_timeout: self.waiting.timeout,
            readiness: &self.waiting.until,
            reset: &self.reset,
        };
        let server = Server::start(spec, &self.keeper, &mut self.interrupt).await?;
        let ready = Ready { after: Some(server.startup_time), version: server.version.clone(), engine: None };
        self.server = Some(server);
        self.usual_hits = UsualHits::Unknown;
        Ok(ready)
    }

    async fn bench(&mut self, job: BenchJob<'_>) -> Result<Benched, Stop> {
        let Some(server) = &mut self.server else {
            return Err(Failure::new(ErrorKind::ServerExited, "no server is running").into());
        };
        server.check().await?;
        let benchmark = self.options.benchmark(job);
        let ended = benchmark.run(Against::Server(server), read_any, &self.keeper, &mut self.interrupt).await;
        ended.map(|mut benched| {
            benched.observed.compare_hits(&mut self.usual_hits);
            benched.observed.disturbances.extend(self.undrained.clone());
            benched
        })
    }

    async fn evaluate(&mut self, job: EvalJob<'_>) -> Result<Scores, Stop> {
        let Some(server) = &mut self.server else {
            return Err(Failure::new(ErrorKind::ServerExited, "no server is running").into());
        };
        let (output, address) = (self.options.output(job.log), server.address().clone());
        tokio::select! {
            biased;
            failure = server.ended("during the evaluation") => Err(failure.into()),
            ended = job.run(&address, &output, &self.keeper, &mut self.interrupt) => ended,
        }
    }

    async fn clean(&mut self) {
        if let Some(server) = &mut self.server {
            server.reset_caches(&self.keeper, &mut self.interrupt).await;
        }
    }

    async fn stop(&mut self) -> Vec<String> {
        let Some(server) = self.server.take() else { return left_over(&self.keeper) };
        let unclean = server.unclean().map(|failure| failure.message.clone());
        server.stop().await;
        self.undrained = self.baseline.wait_until_free().await.err();
        unclean.into_iter().chain(self.undrained.clone()).chain(left_over(&self.keeper)).collect()
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.is_set()
    }
}

/// A result of any tool.
pub(super) fn read_any(path: &Path) -> Result<Measured, String> {
    let document = read(path)?;
    measured(document, path).map_err(|reason| format!("the benchmark's result {reason}"))
}

/// A result as it stands.
fn read_own(path: &Path) -> Result<Measured, String> {
    Ok(Measured { result: read(path)?, source: None })
}

fn read(path: &Path) -> Result<Map<String, Value>, String> {
    read_result(path).map_err(|error| format!("the benchmark left no readable result: {error}"))
}

/// What is to be said of those that could not be ended.
pub(super) fn left_over(keeper: &Keeper) -> Vec<String> {
    let left = keeper.take_left();
    left.iter().map(|member| format!("{member} could not be stopped and is still running")).collect()
}

/// Benchmarks that start what they measure themselves.
pub struct Standalone {
    options: ProcessOptions,
    keeper: Keeper,
    interrupt: Interrupt,
}

impl Standalone {
    /// `keeper` is the program that keeps watch over what is started: sweeplake itself.
    pub fn new(options: ProcessOptions, keeper: &Path, interrupt: Interrupt) -> std::io::Result<Self> {
        Ok(Self { options, keeper: Keeper::start(keeper)?, interrupt })
    }
}

impl Executor for Standalone {
    async fn start(&mut self, _: ServerJob<'_>) -> Result<Ready, Stop> {
        Ok(Ready::default())
    }

    async fn bench(&mut self, job: BenchJob<'_>) -> Result<Benched, Stop> {
        let benchmark = self.options.benchmark(job);
        benchmark.run(Against::Nothing, read_own, &self.keeper, &mut self.interrupt).await
    }

    async fn evaluate(&mut self, _: EvalJob<'_>) -> Result<Scores, Stop> {
        Err(Failure::new(ErrorKind::ServerExited, "no server is running").into())
    }

    async fn clean(&mut self) {}

    async fn stop(&mut self) -> Vec<String> {
        left_over(&self.keeper)
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.is_set()
    }
}
