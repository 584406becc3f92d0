//! The heart: drives servers and benchmarks through a plan, hands each record to the store at once, and resumes.

mod course;
mod event;
mod finding;
mod startup;
mod tuner;
mod workload;

pub use course::{Course, Made, Next, Repeats, too_few_succeeded};
pub use event::{Event, Observer};
pub use finding::{Finding, Runs, Variable};
pub use startup::{StartupOptions, known_flags, run_startups, startup_command};
pub use tuner::{Tuner, TunerOptions};
pub use workload::{Spacing, Workload};

use crate::exec::{
    Benchmark, Interrupt, Keeper, Logs, Output, Reset, Server, ServerSpec, Stop, find_program, run_benchmark,
};
use crate::formats::Measured;
use crate::id::run_id;
use crate::params::{Command, ParamSet};
use crate::plan::{BenchPlan, Combination, Level, Plan, ServerPlan};
use crate::record::{Demands, Failure, Outcome, RunRecord, Status, gpu_count_of};
use crate::redact::Redactor;
use crate::store::{StoreError, SweepState, SweepWriter, Terms};
use chrono::{DateTime, Utc};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How to drive a plan.
#[derive(Clone, Debug)]
pub struct Options {
    pub reset: Reset,
    pub show_stdout: bool,
    pub server_ready_timeout: Duration,
    pub bench_timeout: Option<Duration>,
    pub continue_on_error: bool,
    /// Percentiles that the benchmark is to report besides its own.
    pub percentiles: Vec<String>,
    /// The program that keeps watch over what is started: sweeplake itself.
    pub keeper: PathBuf,
    /// What a run must be to count.
    pub demands: Demands,
    /// Takes secrets out of all that is kept.
    pub redactor: Redactor,
    /// What log files keep.
    pub logs: Logs,
}

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub state: SweepState,
    /// Runs made now, failed ones included.
    pub runs: usize,
    pub failed: usize,
    /// Runs in which too many requests failed.
    pub degraded: usize,
    /// Runs that were there already.
    pub skipped: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the keeper process could not be started: {0}")]
    Keeper(std::io::Error),
    #[error("{0}")]
    Course(String),
    #[error("{flag}: `{program}` is not a program that can be found")]
    ProgramNotFound { flag: &'static str, program: String },
}

/// Checks before anything starts that the programs of the commands exist.
pub fn check_programs(
    serve_cmd: &Command,
    bench_cmd: &Command,
    after_bench_cmd: Option<&Command>,
) -> Result<(), SweepError> {
    let commands =
        [("--serve-cmd", Some(serve_cmd)), ("--bench-cmd", Some(bench_cmd)), ("--after-bench-cmd", after_bench_cmd)];
    commands
        .into_iter()
        .filter_map(|(flag, command)| Some((flag, command?)))
        .try_for_each(|(flag, command)| check_program(flag, command))
}

/// Checks that the program of a command exists.
pub fn check_program(flag: &'static str, command: &Command) -> Result<(), SweepError> {
    match find_program(command) {
        Some(_) => Ok(()),
        None => Err(SweepError::ProgramNotFound { flag, program: command.program().into() }),
    }
}

/// The benchmark's command with what tells it to measure everything and where to put its result.
pub fn bench_command(command: &Command, percentiles: &[String], result_path: &Path) -> Command {
    let folder = result_path.parent().unwrap_or(Path::new("."));
    let file = result_path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    with_percentiles(command, percentiles).with_words([
        "--percentile-metrics".to_owned(),
        "ttft,tpot,itl,e2el".into(),
        "--save-result".into(),
        "--result-dir".into(),
        folder.to_string_lossy().into_owned(),
        "--result-filename".into(),
        file,
    ])
}

/// The command with the percentiles that an SLA needs added to those that it reports anyway.
fn with_percentiles(command: &Command, percentiles: &[String]) -> Command {
    let own = command.flag(&["metric-percentiles"]).unwrap_or(DEFAULT_PERCENTILES);
    let mut all: Vec<&str> = own.split(',').map(str::trim).collect();
    let before = all.len();
    for percentile in percentiles {
        if !all.contains(&percentile.as_str()) {
            all.push(percentile);
        }
    }
    match all.len() > before {
        true => command.with_params(&ParamSet::unchanged().with("metric_percentiles", all.join(",").into())),
        false => command.clone(),
    }
}

/// What `vllm bench serve` reports without `--metric-percentiles`.
const DEFAULT_PERCENTILES: &str = "99";

/// Runs what the course asks for of each combination of the plan, and is not there yet.
pub async fn run(
    plan: &Plan,
    course: &mut dyn Course,
    options: &Options,
    writer: &mut SweepWriter,
    observer: &mut dyn Observer,
    interrupt: &mut Interrupt,
) -> Result<Ended, SweepError> {
    let keeper = Keeper::start(&options.keeper).map_err(SweepError::Keeper)?;
    let mut driver = Driver {
        options,
        writer,
        observer,
        interrupt,
        keeper,
        course,
        warmup_num_prompts: plan.warmup_num_prompts,
        ended: Ended { state: SweepState::Completed, runs: 0, failed: 0, degraded: 0, skipped: 0 },
    };
    let todo = driver.todo(plan)?;
    driver.observer.event(Event::SweepStarted {
        folder: driver.writer.folder(),
        servers: todo.iter().filter(|server| server.missing != Some(0)).count(),
        runs: todo.iter().map(|server| server.missing).sum(),
        skipped: driver.ended.skipped,
    });
    let mut stopped = Ok(());
    for server in todo {
        stopped = driver.run_server(server).await?;
        if stopped.is_err() {
            break;
        }
    }
    let state = match stopped {
        Ok(()) if driver.ended.failed > 0 => SweepState::Failed,
        Ok(()) => SweepState::Completed,
        Err(Stopped::Interrupted) => SweepState::Interrupted,
        Err(Stopped::AtFailure | Stopped::ByCourse(_)) => SweepState::Failed,
    };
    driver.ended.state = state;
    driver.writer.finish(state, Utc::now())?;
    match stopped {
        Err(Stopped::ByCourse(reason)) => Err(SweepError::Course(reason)),
        _ => Ok(driver.ended),
    }
}

/// One server with what is there already of its benchmarks.
struct ServerTodo<'a> {
    plan: &'a ServerPlan,
    benches: Vec<(&'a BenchPlan, Vec<Made>)>,
    /// Runs that will be made, where that is known beforehand.
    missing: Option<usize>,
}

struct Driver<'a> {
    options: &'a Options,
    writer: &'a mut SweepWriter,
    observer: &'a mut dyn Observer,
    interrupt: &'a mut Interrupt,
    keeper: Keeper,
    course: &'a mut dyn Course,
    warmup_num_prompts: u32,
    ended: Ended,
}

/// Why a sweep ended before its end.
enum Stopped {
    Interrupted,
    AtFailure,
    ByCourse(String),
}

type Flow = Result<(), Stopped>;

/// One run to be made.
#[derive(Clone, Copy)]
struct Run<'a> {
    server: &'a ServerPlan,
    bench: &'a BenchPlan,
    number: i64,
}

/// When the benchmark of a run began and how long it took; of what failed before it, if it never began.
#[derive(Clone, Copy)]
struct Clock {
    started_at: DateTime<Utc>,
    started: Instant,
    wall_time: Duration,
}

impl Clock {
    fn start() -> Self {
        Self { started_at: Utc::now(), started: Instant::now(), wall_time: Duration::ZERO }
    }

    fn stop(&mut self) {
        self.wall_time = self.started.elapsed();
    }
}

/// The server of a serve parameter set. One that could not be started would not start the next time either: its
/// other runs fail for the same reason without being tried.
enum Slot {
    Empty,
    Ready(Box<Server>),
    Hopeless(Failure),
}

impl Driver<'_> {
    /// The plan with the runs that are finished.
    fn todo<'p>(&mut self, plan: &'p Plan) -> Result<Vec<ServerTodo<'p>>, StoreError> {
        let mut todo = Vec::new();
        for server in &plan.servers {
            let mut missing = self.course.runs_of_each().map(|_| 0);
            let mut benches = Vec::new();
            for bench in &server.benches {
                let made = self.finished(server, bench)?;
                let left = self.course.runs_of_each().map(|runs| runs.saturating_sub(made.len()));
                missing = missing.zip(left).map(|(sum, left)| sum + left);
                self.ended.skipped += made.len();
                benches.push((bench, made));
            }
            todo.push(ServerTodo { plan: server, benches, missing });
        }
        Ok(todo)
    }

    /// The finished runs of a combination and of its levels.
    fn finished(&self, server: &ServerPlan, bench: &BenchPlan) -> Result<Vec<Made>, StoreError> {
        let levels = self.writer.levels_of(&bench.combination).into_iter().map(Some);
        let mut made = Vec::new();
        for level in std::iter::once(None).chain(levels) {
            let bench_at = at(bench, level.as_ref());
            let terms = Terms {
                gpu_count: gpu_count(server, &bench_at.combination),
                demands: self.options.demands,
                redactor: self.options.redactor.clone(),
            };
            let runs = self.writer.finished_runs(&bench_at.combination, &terms)?;
            made.extend(runs.iter().map(|record| Made::of(record, level.clone())));
        }
        // In the order in which they were measured.
        made.sort_by(|left, right| left.date.cmp(&right.date));
        Ok(made)
    }

    async fn run_server(&mut self, todo: ServerTodo<'_>) -> Result<Flow, StoreError> {
        let mut slot = Slot::Empty;
        let mut flow = Ok(());
        for (bench, mut made) in todo.benches {
            flow = self.run_bench(todo.plan, bench, &mut made, &mut slot).await?;
            let mut levels: Vec<Option<Level>> = Vec::new();
            for level in made.iter().map(|made| &made.level) {
                if !levels.contains(level) {
                    levels.push(level.clone());
                    let bench_at = at(bench, level.as_ref());
                    self.writer.finish_combination(&bench_at.combination)?;
                }
            }
            self.course.conclude(bench, &made, self.writer)?;
            if flow.is_err() {
                break;
            }
        }
        self.stop_server(&mut slot).await;
        Ok(flow)
    }

    /// All missing runs of one combination.
    async fn run_bench(
        &mut self,
        server: &ServerPlan,
        bench: &BenchPlan,
        made: &mut Vec<Made>,
        slot: &mut Slot,
    ) -> Result<Flow, StoreError> {
        let mut is_warm = self.warmup_num_prompts == 0;
        loop {
            let level = match self.course.next(bench, made) {
                Ok(Next::Run(level)) => level,
                Ok(Next::Enough) => return Ok(Ok(())),
                Err(reason) => return Ok(Err(Stopped::ByCourse(reason))),
            };
            let bench_at = at(bench, level.as_ref());
            if let Some(level) = &level {
                self.writer.add_level(&bench.combination, level, &bench_at.combination)?;
            }
            let is_taken = |number: &i64| made.iter().any(|made| made.level == level && made.number == *number);
            let number = (0..).find(|number| !is_taken(number)).unwrap_or(0);
            let run = Run { server, bench: &bench_at, number };
            let mut clock = Clock::start();
            let ended = match self.run_one(run, &mut is_warm, &mut clock, slot).await? {
                Ok(measured) => Ok(measured),
                Err(Stop::Failed(failure)) => Err(failure),
                Err(Stop::Interrupted) => return Ok(Err(Stopped::Interrupted)),
            };
            let record = self.record_of(run, clock, slot, ended);
            self.keep(&record)?;
            made.push(Made::of(&record, level));
            if let Some(failure) = record.failure() {
                if failure.kind.needs_new_server() {
                    self.stop_server(slot).await;
                }
                if !self.options.continue_on_error {
                    return Ok(Err(Stopped::AtFailure));
                }
            }
        }
    }

    /// One run on a server that is ready and clean, whatever that takes.
    async fn run_one(
        &mut self,
        run: Run<'_>,
        is_warm: &mut bool,
        clock: &mut Clock,
        slot: &mut Slot,
    ) -> Result<Result<Measured, Stop>, StoreError> {
        if self.interrupt.is_set() {
            return Ok(Err(Stop::Interrupted));
        }
        if matches!(slot, Slot::Empty) {
            if let Err(stop) = self.start_server(run.server, slot).await? {
                return Ok(Err(stop));
            }
            *is_warm = self.warmup_num_prompts == 0;
        }
        let server = match slot {
            Slot::Ready(server) => server,
            Slot::Hopeless(failure) => return Ok(Err(Stop::Failed(failure.clone()))),
            Slot::Empty => return Ok(Err(Stop::Interrupted)),
        };
        if !*is_warm {
            if let Err(stop) = self.warm_up(run.bench, server).await? {
                return Ok(Err(stop));
            }
            *is_warm = true;
        }
        self.observer.event(Event::RunStarted { combination: &run.bench.combination, run_number: run.number });
        let result_path = self.writer.partial_result(&run.bench.combination, run.number)?;
        let command = bench_command(&run.bench.command, &self.options.percentiles, &result_path);
        *clock = Clock::start();
        let result = self.benchmark(&command, &run.bench.combination, &result_path, server).await;
        clock.stop();
        if result.is_ok() {
            server.reset_caches(&self.keeper, self.interrupt).await;
        }
        Ok(result)
    }

    async fn start_server(&mut self, plan: &ServerPlan, slot: &mut Slot) -> Result<Result<(), Stop>, StoreError> {
        self.observer.event(Event::ServerStarting { serve: &plan.serve });
        let spec = ServerSpec {
            command: &plan.command,
            address: &plan.address,
            output: self.output(self.writer.server_log(&plan.serve)),
            ready_timeout: self.options.server_ready_timeout,
            reset: &self.options.reset,
        };
        match Server::start(spec, &self.keeper, self.interrupt).await {
            Ok(server) => {
                self.observer.event(Event::ServerReady { after: server.startup_time });
                if let Some(version) = &server.version {
                    self.writer.set_engine_version(version)?;
                }
                *slot = Slot::Ready(Box::new(server));
                Ok(Ok(()))
            }
            Err(stop) => {
                if let Stop::Failed(failure) = &stop {
                    *slot = Slot::Hopeless(failure.clone());
                }
                Ok(Err(stop))
            }
        }
    }

    async fn stop_server(&mut self, slot: &mut Slot) {
        match std::mem::replace(slot, Slot::Empty) {
            Slot::Ready(server) => {
                if let Some(failure) = server.unclean() {
                    self.observer.event(Event::Warning { message: &failure.message });
                }
                self.observer.event(Event::ServerStopping);
                server.stop().await;
            }
            other => *slot = other,
        }
    }

    /// A run that is not kept, with a few prompts, before the first of a combination.
    async fn warm_up(&mut self, bench: &BenchPlan, server: &mut Server) -> Result<Result<(), Stop>, StoreError> {
        self.observer.event(Event::WarmingUp { num_prompts: self.warmup_num_prompts });
        let result_path = self.writer.warm_up_result(&bench.combination)?;
        let command = bench_command(&bench.warm_up(self.warmup_num_prompts), &[], &result_path);
        let ended = self.benchmark(&command, &bench.combination, &result_path, server).await;
        if ended.is_ok() {
            server.reset_caches(&self.keeper, self.interrupt).await;
        }
        self.writer.warm_up_result(&bench.combination)?;
        Ok(ended.map(|_| ()))
    }

    /// The benchmark on a clean server. Emptying the caches behind it is another step: where that fails, it does not
    /// spoil what was measured, but the run behind, which could not start clean.
    async fn benchmark(
        &mut self,
        command: &Command,
        combination: &Combination,
        result_path: &Path,
        server: &mut Server,
    ) -> Result<Measured, Stop> {
        server.check().await?;
        let benchmark = Benchmark {
            command,
            output: self.output(self.writer.bench_log(combination)),
            result_path,
            limit: self.options.bench_timeout,
        };
        run_benchmark(benchmark, server, &self.keeper, self.interrupt).await
    }

    fn output(&self, log: PathBuf) -> Output {
        let Options { show_stdout: show, redactor, logs, .. } = self.options;
        Output { log, show: *show, redactor: redactor.clone(), logs: *logs }
    }

    fn record_of(&self, run: Run<'_>, clock: Clock, slot: &Slot, ended: Result<Measured, Failure>) -> RunRecord {
        let combination = run.bench.combination.clone();
        let Clock { started_at, wall_time, .. } = clock;
        let (outcome, source) = match ended {
            Ok(measured) => (Outcome::Completed(measured.result), measured.source),
            Err(failure) => (failure.into(), None),
        };
        let record = RunRecord {
            sweep: self.writer.name().to_owned(),
            run_id: run_id(self.writer.name(), &combination.id, run.number, started_at.timestamp_micros()),
            run_number: run.number,
            started_at: Some(started_at),
            wall_time_s: Some(wall_time.as_secs_f64()),
            startup_time_s: match slot {
                Slot::Ready(server) => Some(server.startup_time.as_secs_f64()),
                _ => None,
            },
            gpu_count: gpu_count(run.server, &combination),
            combination,
            outcome,
            is_degraded: false,
            cautions: Vec::new(),
            source,
        };
        record.redacted(&self.options.redactor).judged(&self.options.demands)
    }

    /// Stores a record and tells of it.
    fn keep(&mut self, record: &RunRecord) -> Result<(), StoreError> {
        self.writer.save(record)?;
        self.ended.runs += 1;
        self.ended.failed += usize::from(record.status() == Status::Failed);
        self.ended.degraded += usize::from(record.status() == Status::Degraded);
        self.observer.event(Event::RunEnded { record });
        Ok(())
    }
}

/// A combination as it is, or at a level.
fn at(bench: &BenchPlan, level: Option<&Level>) -> BenchPlan {
    level.map_or_else(|| bench.clone(), |level| bench.at(level))
}

fn gpu_count(server: &ServerPlan, combination: &Combination) -> Option<f64> {
    gpu_count_of(Some(&server.command), &combination.serve.params)
}
