//! The driver: works off what is left of a plan on one executor, and hands each record to the store at once.

use super::agenda::{Agenda, Job, Step, missing};
use super::course::{Course, CourseError, Visit};
use super::event::{Event, Observer};
use super::ledger::{Ledger, Made, gpu_count};
use super::measuring::{KEPT_EVERY, Making, Measuring};
use super::options::{Limit, OnFailure, Options};
use super::{Ended, SweepError};
use crate::exec::{Benched, EvalJob, Executor, ServerJob, Stop};
use crate::id::run_id;
use crate::plan::{BenchPlan, Combination, Plan, Start};
use crate::record::{Failure, Outcome, Place, RunRecord, Status};
use crate::store::{StoreError, SweepState, SweepWriter};
use chrono::{DateTime, Utc};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// What runs that ended well took, together.
#[derive(Clone, Copy, Default)]
struct Took {
    time: Duration,
    runs: u32,
}

impl Took {
    fn add(&mut self, time: Duration) {
        self.time += time;
        self.runs += 1;
    }

    fn mean(&self) -> Option<Duration> {
        self.time.checked_div(self.runs)
    }
}

/// Runs what the course asks for of each combination of the plan, and is not there yet.
pub async fn run<E: Executor>(
    plan: &Plan,
    course: &mut dyn Course,
    options: &Options,
    executor: &mut E,
    writer: &mut SweepWriter,
    observer: &mut dyn Observer,
) -> Result<Ended, SweepError> {
    let heal = |record: &RunRecord| writer.make_whole(record);
    let mut ledger = Ledger::read(plan, writer.at(), options.demands, &options.redactor, course.detail(), heal)?;
    if options.on_failure == OnFailure::Accept {
        ledger.add_failed(plan, writer.at());
    }
    let skipped = ledger.count();
    let is_decided = skipped > 0 && course.is_decided(&ledger);
    let (servers, runs) = if is_decided { (0, Some(0)) } else { missing(plan, &ledger, course) };
    writer.set_planned(runs.map(|runs| runs + skipped))?;
    observer.event(Event::SweepStarted { folder: writer.folder(), servers, runs, ledger: &ledger });
    let ended = Ended {
        state: SweepState::Completed,
        planned: runs,
        runs: 0,
        failed: 0,
        degraded: 0,
        retried: 0,
        unscored: 0,
        skipped,
        is_over_budget: false,
    };
    let mut driver = Driver {
        plan,
        course,
        options,
        executor,
        writer,
        observer,
        ledger,
        server: None,
        hopeless: HashMap::new(),
        fresh: HashSet::new(),
        ended,
        began: Instant::now(),
        took: Took::default(),
        took_of: HashMap::new(),
    };
    let halted = driver.work().await.err();
    driver.course.end(&driver.ledger, driver.writer)?;
    driver.ended.state = match halted {
        None if driver.ended.unscored > 0 => SweepState::Failed,
        None if driver.ended.failed > 0 && (options.on_failure != OnFailure::Accept || !driver.ledger.has_result()) => {
            SweepState::Failed
        }
        None => SweepState::Completed,
        Some(Halt::Interrupted | Halt::OverBudget) => SweepState::Interrupted,
        Some(Halt::AtFailure | Halt::Course(_)) => SweepState::Failed,
        Some(Halt::Store(error)) => return Err(error.into()),
    };
    driver.ended.is_over_budget = matches!(halted, Some(Halt::OverBudget));
    driver.writer.finish(driver.ended.state, Utc::now())?;
    match halted {
        Some(Halt::Course(error)) => Err(error.into()),
        _ => Ok(driver.ended),
    }
}

/// Why a sweep ends before its end.
#[derive(Debug)]
enum Halt {
    Interrupted,
    OverBudget,
    AtFailure,
    Course(CourseError),
    Store(StoreError),
}

/// Why a run has no result.
enum RunError {
    Failed(Failure),
    Halt(Halt),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CourseError> for Halt {
    fn from(error: CourseError) -> Self {
        Self::Course(error)
    }
}

impl From<StoreError> for RunError {
    fn from(error: StoreError) -> Self {
        Self::Halt(error.into())
    }
}

impl From<Stop> for RunError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Failed(failure) => Self::Failed(failure),
            Stop::Interrupted => Self::Halt(Halt::Interrupted),
        }
    }
}

/// One start of a server.
struct Up {
    number: u32,
    /// Runs that were made on it.
    runs: u32,
    startup_time: Option<Duration>,
    /// Combinations that were warmed up on it.
    warm: HashSet<String>,
    /// Runs that were measured on it.
    measured: Vec<(Combination, i64)>,
}

struct Driver<'a, E> {
    plan: &'a Plan,
    course: &'a mut dyn Course,
    options: &'a Options,
    executor: &'a mut E,
    writer: &'a mut SweepWriter,
    observer: &'a mut dyn Observer,
    ledger: Ledger,
    server: Option<Up>,
    /// Servers that could not be started: they would not start the next time either, so their other runs fail for the
    /// same reason without being tried.
    hopeless: HashMap<usize, (Failure, Up)>,
    /// Combinations with runs that their summaries don't have.
    fresh: HashSet<String>,
    ended: Ended,
    began: Instant,
    /// All runs of this sweep, and those of each combination.
    took: Took,
    took_of: HashMap<String, Took>,
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

impl<E: Executor> Driver<'_, E> {
    async fn work(&mut self) -> Result<(), Halt> {
        let mut round = 0;
        if self.ledger.count() > 0 && self.course.is_decided(&self.ledger) {
            return Ok(());
        }
        let mut planned = self.plan.starts();
        while let Some(start) = self.next_start(&mut planned) {
            if start.round > round && self.course.is_decided(&self.ledger) {
                break;
            }
            round = start.round;
            let mut agenda = Agenda::new(self.plan, start, self.options.order);
            let mut ended = match self.work_off(&mut agenda, start).await {
                Ok(()) => self.evaluate(start).await,
                halted => halted,
            };
            if ended.is_err() {
                // What is unfinished has its runs all the same.
                let kept = agenda.open().iter().try_for_each(|bench| self.conclude(bench));
                ended = ended.and(kept.map_err(Halt::from));
            }
            self.stop_server().await;
            ended?;
        }
        Ok(())
    }

    fn next_start(&mut self, planned: &mut impl Iterator<Item = Start>) -> Option<Start> {
        match self.course.visit(&self.ledger) {
            Visit::Planned => planned.next(),
            Visit::Server(server) => Some(Start { server, round: 0 }),
            Visit::Over => None,
        }
    }

    /// Scores the server that is running, once its loads are measured. Without scores its runs are what they are.
    async fn evaluate(&mut self, start: Start) -> Result<(), Halt> {
        let (Some(command), Some(up)) = (&self.options.evaluation, &mut self.server) else { return Ok(()) };
        let runs = std::mem::take(&mut up.measured);
        if runs.is_empty() {
            return Ok(());
        }
        self.observer.event(Event::Evaluating);
        let (result_path, log) = self.writer.evaluation(&self.plan.servers[start.server].serve)?;
        match self.executor.evaluate(EvalJob { command, result_path: &result_path, log: &log }).await {
            Ok(scores) => self.writer.add_scores(&runs, &scores)?,
            Err(Stop::Interrupted) => return Err(Halt::Interrupted),
            Err(Stop::Failed(failure)) => {
                self.ended.unscored += 1;
                let message = format!("{}; see {}", failure.message, log.display());
                self.observer.event(Event::Warning { message: &message });
            }
        }
        Ok(())
    }

    async fn work_off(&mut self, agenda: &mut Agenda<'_>, start: Start) -> Result<(), Halt> {
        while let Some(step) = agenda.next(&self.ledger, self.course)? {
            match step {
                Step::Finished(bench) => self.conclude(bench)?,
                Step::Run(job) => self.make(&job, start).await?,
            }
        }
        Ok(())
    }

    /// Writes what all runs of a combination say.
    fn conclude(&mut self, bench: &BenchPlan) -> Result<(), StoreError> {
        let made = self.ledger.of(bench);
        for at in made.iter().map(|made| bench.at_level(made.level.as_ref()).combination) {
            if self.fresh.remove(at.id.as_str()) {
                self.writer.finish_combination(&at)?;
                self.observer.event(Event::CombinationEnded { combination: &at });
            }
        }
        if made.is_empty() { Ok(()) } else { self.course.conclude(bench, made, self.writer) }
    }

    /// Makes one run, whatever comes of it.
    async fn make(&mut self, job: &Job<'_>, start: Start) -> Result<(), Halt> {
        self.writer.add(&job.of.combination)?;
        if let Some(level) = &job.level {
            self.writer.add_level(&job.of.combination, level, &job.bench.combination)?;
        }
        self.make_attempts(job, start).await?;
        if let Some(state) = self.course.state(job.of, self.ledger.of(job.of)) {
            self.observer.event(Event::Searched { combination: &job.of.combination, state: &state });
        }
        Ok(())
    }

    async fn make_attempts(&mut self, job: &Job<'_>, start: Start) -> Result<(), Halt> {
        for is_last in (0..=self.options.retries).map(|attempt| attempt == self.options.retries) {
            // What would not start for an earlier run was tried often enough.
            let is_hopeless = self.hopeless.contains_key(&start.server);
            let record = self.attempt(job, start).await?;
            let is_final = is_last || is_hopeless || record.failure().is_none();
            if is_final {
                self.count(&record);
            } else {
                self.ended.retried += 1;
                self.observer.event(Event::RunRetried { record: &record });
            }
            let Some(failure) = record.failure() else { return Ok(()) };
            if failure.kind.needs_new_server() {
                self.stop_server().await;
            }
            if is_final {
                break;
            }
            self.hopeless.remove(&start.server);
        }
        if self.options.on_failure == OnFailure::Stop { Err(Halt::AtFailure) } else { Ok(()) }
    }

    /// Counts a run that was made, and tells of it.
    fn count(&mut self, record: &RunRecord) {
        self.ended.runs += 1;
        if let Some(seconds) = record.wall_time_s.filter(|_| record.failure().is_none()) {
            let time = Duration::from_secs_f64(seconds);
            self.took.add(time);
            self.took_of.entry(record.combination.id.to_string()).or_default().add(time);
        }
        self.ended.failed += usize::from(record.status() == Status::Failed);
        self.ended.degraded += usize::from(record.status() == Status::Degraded);
        self.observer.event(Event::RunEnded { record });
    }

    /// One attempt at a run, stored whatever came of it.
    async fn attempt(&mut self, job: &Job<'_>, start: Start) -> Result<RunRecord, Halt> {
        if self.executor.is_interrupted() {
            return Err(Halt::Interrupted);
        }
        if self.is_over_budget(&job.bench.combination) {
            return Err(Halt::OverBudget);
        }
        let mut clock = Clock::start();
        let result = match self.run_one(job, start, &mut clock).await {
            Ok(measured) => Ok(measured),
            Err(RunError::Failed(failure)) => Err(failure),
            Err(RunError::Halt(halt)) => return Err(halt),
        };
        let record = self.record_of(job, start, clock, result);
        self.keep(job, &record)?;
        Ok(record)
    }

    /// Whether a run would end too late that takes as long as others of its combination did; where there were none, as long as
    /// all of this sweep.
    fn is_over_budget(&self, combination: &Combination) -> bool {
        let Some(budget) = &self.options.budget else { return false };
        let limit = match budget.limit {
            Limit::Runs(most) => return self.ledger.count() >= most,
            Limit::Time(limit) => limit,
        };
        let id = combination.id.as_str();
        let own = self.took_of.get(id).and_then(Took::mean).or_else(|| budget.usual.get(id).copied());
        let usual = own.or_else(|| self.took.mean()).unwrap_or_default();
        self.began.elapsed() + usual > limit
    }

    /// One run on a server that is ready and clean, whatever that takes.
    async fn run_one(&mut self, job: &Job<'_>, start: Start, clock: &mut Clock) -> Result<Benched, RunError> {
        if let Some((failure, _)) = self.hopeless.get(&start.server) {
            return Err(RunError::Failed(failure.clone()));
        }
        if self.server.is_none() {
            self.start_server(start).await?;
        }
        let is_cold = self.server.as_mut().is_some_and(|server| server.warm.insert(job.of.combination.id.to_string()));
        if is_cold && self.plan.warmup_num_prompts > 0 {
            self.warm_up(job).await?;
        }
        let combination = &job.bench.combination;
        self.observer.event(Event::RunStarted { combination, run_number: job.number });
        let result_path = self.writer.partial_result(combination, job.number)?;
        let command = self.options.bench.complete(&job.bench.command, &result_path);
        let log = self.writer.at().bench_log(combination);
        *clock = Clock::start();
        let id = self.run_id(job, clock);
        let run = Making { combination, number: job.number, id: &id, kept_every: KEPT_EVERY };
        let measuring = Measuring { command: &command, result_path: &result_path, log: &log, run: Some(run) };
        let result = measuring.bench(&mut *self.executor, &*self.writer).await;
        clock.stop();
        let benched = result?;
        self.writer.keep_result(combination, job.number)?;
        self.executor.clean().await;
        Ok(benched)
    }

    async fn start_server(&mut self, start: Start) -> Result<(), RunError> {
        let plan = &self.plan.servers[start.server];
        let number = self.writer.count_server_start()?;
        let up = |startup_time| Up { number, runs: 0, startup_time, warm: HashSet::new(), measured: Vec::new() };
        self.observer.event(Event::ServerStarting { serve: &plan.serve });
        let log = self.writer.at().server_log(&plan.serve);
        let job = ServerJob { command: &plan.command, address: &plan.address, log: &log };
        match self.executor.start(job).await {
            Ok(ready) => {
                if let Some(after) = ready.after {
                    self.observer.event(Event::ServerReady { after });
                }
                self.writer.set_engine(ready.engine.as_deref(), ready.version.as_deref())?;
                self.server = Some(up(ready.after));
                Ok(())
            }
            Err(stop) => {
                if let Stop::Failed(failure) = &stop {
                    self.hopeless.insert(start.server, (failure.clone(), up(None)));
                }
                Err(stop.into())
            }
        }
    }

    async fn stop_server(&mut self) {
        let Some(up) = self.server.take() else { return };
        if self.options.evaluation.is_some() && !up.measured.is_empty() {
            self.ended.unscored += 1;
            let message =
                format!("the server ended before its evaluation: {} run(s) on it have no scores", up.measured.len());
            self.observer.event(Event::Warning { message: &message });
        }
        self.observer.event(Event::ServerStopping);
        for message in self.executor.stop().await {
            self.observer.event(Event::Warning { message: &message });
        }
    }

    /// A run that is not kept, with a few prompts, before the first of a combination.
    async fn warm_up(&mut self, job: &Job<'_>) -> Result<(), RunError> {
        let (num_prompts, combination) = (self.plan.warmup_num_prompts, &job.bench.combination);
        self.observer.event(Event::WarmingUp { num_prompts });
        let result_path = self.writer.warm_up_result(combination)?;
        let command = self.options.bench.complete(&job.bench.warm_up(num_prompts), &result_path);
        let log = self.writer.at().bench_log(combination);
        let measuring = Measuring { command: &command, result_path: &result_path, log: &log, run: None };
        let ended = measuring.bench(&mut *self.executor, &*self.writer).await;
        if ended.is_ok() {
            self.executor.clean().await;
        }
        self.writer.warm_up_result(combination)?;
        ended?;
        Ok(())
    }

    fn run_id(&self, job: &Job<'_>, clock: &Clock) -> String {
        let started_at = clock.started_at.timestamp_micros();
        run_id(self.writer.name(), &job.bench.combination.id, job.number, started_at)
    }

    fn record_of(&mut self, job: &Job<'_>, start: Start, clock: Clock, ended: Result<Benched, Failure>) -> RunRecord {
        let combination = job.bench.combination.clone();
        let attempt = self.writer.at().next_attempt(&combination, job.number);
        let (outcome, source, observed) = match ended {
            Ok(Benched { measured, observed }) => {
                (Outcome::Completed(measured.result), measured.source, Some(observed))
            }
            Err(failure) => (failure.into(), None, None),
        };
        let up = self.server.as_mut().or_else(|| self.hopeless.get_mut(&start.server).map(|(_, up)| up));
        let place = up.map(|up| {
            up.runs += 1;
            let place = Place { round: job.round, server_start: up.number, run_order: up.runs - 1, attempt };
            (place, up.startup_time)
        });
        let sweep = self.writer.name();
        let record = RunRecord {
            sweep: sweep.to_owned(),
            run_id: self.run_id(job, &clock),
            run_number: job.number,
            started_at: Some(clock.started_at),
            wall_time_s: Some(clock.wall_time.as_secs_f64()),
            startup_time_s: place.and_then(|(_, time)| time).map(|time| time.as_secs_f64()),
            place: place.map(|(place, _)| place),
            machine: Some(self.writer.manifest().environment.machine()),
            gpu_count: gpu_count(&self.plan.servers[start.server], &combination),
            under: self.writer.manifest().under(),
            seed: job.seed,
            observed,
            source,
            ..RunRecord::new(combination, outcome)
        };
        record.redacted(&self.options.redactor).judged(&self.options.demands)
    }

    /// Stores a record.
    fn keep(&mut self, job: &Job<'_>, record: &RunRecord) -> Result<(), StoreError> {
        self.writer.save(record)?;
        self.fresh.insert(record.combination.id.to_string());
        if let Some(up) = self.server.as_mut().filter(|_| record.failure().is_none()) {
            up.measured.push((record.combination.clone(), record.run_number));
        }
        self.ledger.add(job.of, Made::of(record, job.level.clone(), self.course.detail()));
        Ok(())
    }
}
