//! The heart: drives servers and benchmarks through a plan, hands each record to the store at once, and resumes.

mod event;

pub use event::{Event, Observer};

use crate::exec::{Benchmark, Interrupt, Keeper, Output, Reset, Server, ServerSpec, Stop, find_program, run_benchmark};
use crate::id::run_id;
use crate::params::Command;
use crate::plan::{BenchPlan, Combination, Plan, ServerPlan};
use crate::record::{Failure, Outcome, RunRecord, complete_result, gpu_count_of};
use crate::store::{StoreError, SweepState, SweepWriter};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
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
    /// The program that keeps watch over what is started: sweeplake itself.
    pub keeper: PathBuf,
}

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub state: SweepState,
    /// Runs made now, failed ones included.
    pub runs: usize,
    pub failed: usize,
    /// Runs that were there already.
    pub skipped: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the keeper process could not be started: {0}")]
    Keeper(std::io::Error),
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
    for (flag, command) in commands {
        if let Some(command) = command.filter(|command| find_program(command).is_none()) {
            return Err(SweepError::ProgramNotFound { flag, program: command.program().into() });
        }
    }
    Ok(())
}

/// The benchmark's command with what tells it to measure everything and where to put its result.
pub fn bench_command(command: &Command, result_path: &Path) -> Command {
    let folder = result_path.parent().unwrap_or(Path::new("."));
    let file = result_path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    command.with_words([
        "--percentile-metrics".to_owned(),
        "ttft,tpot,itl,e2el".into(),
        "--save-result".into(),
        "--result-dir".into(),
        folder.to_string_lossy().into_owned(),
        "--result-filename".into(),
        file,
    ])
}

/// Runs what is missing of the plan.
pub async fn run(
    plan: &Plan,
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
        num_runs: plan.num_runs,
        warmup_num_prompts: plan.warmup_num_prompts,
        ended: Ended { state: SweepState::Completed, runs: 0, failed: 0, skipped: 0 },
    };
    let missing = driver.missing(plan)?;
    driver.observer.event(Event::SweepStarted {
        folder: driver.writer.folder(),
        servers: missing.len(),
        runs: missing.iter().flat_map(|server| &server.benches).map(|bench| bench.run_numbers.len()).sum(),
        skipped: driver.ended.skipped,
    });
    let mut state = None;
    for todo in &missing {
        if let Err(stopped) = driver.run_server(todo).await? {
            state = Some(stopped);
            break;
        }
    }
    let state = state.unwrap_or(if driver.ended.failed > 0 { SweepState::Failed } else { SweepState::Completed });
    driver.ended.state = state;
    driver.writer.finish(state, Utc::now())?;
    Ok(driver.ended)
}

/// What is still to be measured on one server.
struct ServerTodo<'a> {
    plan: &'a ServerPlan,
    benches: Vec<BenchTodo<'a>>,
}

struct BenchTodo<'a> {
    plan: &'a BenchPlan,
    run_numbers: Vec<i64>,
}

struct Driver<'a> {
    options: &'a Options,
    writer: &'a mut SweepWriter,
    observer: &'a mut dyn Observer,
    interrupt: &'a mut Interrupt,
    keeper: Keeper,
    num_runs: u32,
    warmup_num_prompts: u32,
    ended: Ended,
}

/// `Err` ends the sweep in that state.
type Flow = Result<(), SweepState>;

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
    /// The plan without the runs that are finished.
    fn missing<'p>(&mut self, plan: &'p Plan) -> Result<Vec<ServerTodo<'p>>, StoreError> {
        let mut missing = Vec::new();
        for server in &plan.servers {
            let mut benches = Vec::new();
            for bench in &server.benches {
                let mut run_numbers = Vec::new();
                for run_number in 0..i64::from(self.num_runs) {
                    let gpu_count = gpu_count(server, &bench.combination);
                    match self.writer.is_finished(&bench.combination, run_number, gpu_count)? {
                        true => self.ended.skipped += 1,
                        false => run_numbers.push(run_number),
                    }
                }
                if !run_numbers.is_empty() {
                    benches.push(BenchTodo { plan: bench, run_numbers });
                }
            }
            if !benches.is_empty() {
                missing.push(ServerTodo { plan: server, benches });
            }
        }
        Ok(missing)
    }

    async fn run_server(&mut self, todo: &ServerTodo<'_>) -> Result<Flow, StoreError> {
        let mut slot = Slot::Empty;
        let mut flow = Ok(());
        for bench in &todo.benches {
            flow = self.run_bench(todo.plan, bench, &mut slot).await?;
            self.writer.finish_combination(&bench.plan.combination)?;
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
        bench: &BenchTodo<'_>,
        slot: &mut Slot,
    ) -> Result<Flow, StoreError> {
        let mut is_warm = self.warmup_num_prompts == 0;
        for run_number in &bench.run_numbers {
            let run = Run { server, bench: bench.plan, number: *run_number };
            let mut clock = Clock::start();
            let outcome = match self.run_one(run, &mut is_warm, &mut clock, slot).await? {
                Ok(result) => Outcome::Completed(result),
                Err(Stop::Failed(failure)) => Outcome::Failed(failure),
                Err(Stop::Interrupted) => return Ok(Err(SweepState::Interrupted)),
            };
            let record = self.record_of(run, clock, slot, outcome);
            self.keep(&record)?;
            if let Some(failure) = record.failure() {
                if failure.kind.needs_new_server() {
                    self.stop_server(slot).await;
                }
                if !self.options.continue_on_error {
                    return Ok(Err(SweepState::Failed));
                }
            }
        }
        Ok(Ok(()))
    }

    /// One run on a server that is ready and clean, whatever that takes.
    async fn run_one(
        &mut self,
        run: Run<'_>,
        is_warm: &mut bool,
        clock: &mut Clock,
        slot: &mut Slot,
    ) -> Result<Result<Map<String, Value>, Stop>, StoreError> {
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
        let command = bench_command(&run.bench.command, &result_path);
        *clock = Clock::start();
        let result = self.benchmark(&command, &run.bench.combination, &result_path, server).await;
        clock.stop();
        if result.is_ok() {
            server.reset_caches(&self.keeper, self.interrupt).await;
        }
        Ok(result.map(|result| complete_result(result, run.number, &run.bench.combination)))
    }

    async fn start_server(&mut self, plan: &ServerPlan, slot: &mut Slot) -> Result<Result<(), Stop>, StoreError> {
        self.observer.event(Event::ServerStarting { serve: &plan.serve });
        let spec = ServerSpec {
            command: &plan.command,
            address: &plan.address,
            output: Output { log: self.writer.server_log(&plan.serve), show: self.options.show_stdout },
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
        let command = bench_command(&bench.warm_up(self.warmup_num_prompts), &result_path);
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
    ) -> Result<Map<String, Value>, Stop> {
        server.check().await?;
        let benchmark = Benchmark {
            command,
            output: Output { log: self.writer.bench_log(combination), show: self.options.show_stdout },
            result_path,
            limit: self.options.bench_timeout,
        };
        run_benchmark(benchmark, server, &self.keeper, self.interrupt).await
    }

    fn record_of(&self, run: Run<'_>, clock: Clock, slot: &Slot, outcome: Outcome) -> RunRecord {
        let combination = run.bench.combination.clone();
        let Clock { started_at, wall_time, .. } = clock;
        RunRecord {
            sweep: self.writer.name().to_owned(),
            run_id: run_id(self.writer.name(), &combination.id, run.number, started_at.timestamp_micros()),
            run_number: run.number,
            started_at,
            wall_time_s: wall_time.as_secs_f64(),
            startup_time_s: match slot {
                Slot::Ready(server) => Some(server.startup_time.as_secs_f64()),
                _ => None,
            },
            gpu_count: gpu_count(run.server, &combination),
            combination,
            outcome,
        }
    }

    /// Stores a record and tells of it.
    fn keep(&mut self, record: &RunRecord) -> Result<(), StoreError> {
        self.writer.save(record)?;
        self.ended.runs += 1;
        self.ended.failed += usize::from(record.failure().is_some());
        self.observer.event(Event::RunEnded { record });
        Ok(())
    }
}

fn gpu_count(server: &ServerPlan, combination: &Combination) -> f64 {
    gpu_count_of(Some(&server.command), &combination.serve.params)
}
