//! What all lanes of a sweep share: what was made, what is stored, what is told. Nothing here waits.

use super::Ended;
use super::agenda::{Agenda, Job, Step};
use super::company::Neighbours;
use super::course::{Course, CourseError};
use super::event::{Event, Observer};
use super::ledger::{Ledger, Made, gpu_count};
use super::options::{Limit, Options};
use crate::exec::{Benched, Stop};
use crate::id::run_id;
use crate::plan::{BenchPlan, Combination, Plan, ServerPlan, Start};
use crate::record::{Failure, Outcome, Place, RunRecord, Status};
use crate::store::{StoreError, SweepWriter};
use crate::words::describe_set;
use chrono::{DateTime, Utc};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
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

/// Why a sweep ends before its end.
#[derive(Debug)]
pub enum Halt {
    Interrupted,
    /// Another lane did.
    Elsewhere,
    /// Another machine has taken over what this lane did.
    Lost,
    /// All that is left is done by other machines.
    LeftToOthers,
    OverBudget,
    AtFailure,
    Course(CourseError),
    Store(StoreError),
}

/// Why a run has no result.
pub enum RunError {
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

impl Halt {
    /// Of several the first that says why.
    pub fn is_reason(&self) -> bool {
        !matches!(self, Self::Elsewhere | Self::Lost)
    }
}

/// One start of a server.
pub struct Up {
    number: u32,
    /// Runs that were made on it.
    runs: u32,
    startup_time: Option<Duration>,
    /// Combinations that were warmed up on it.
    pub warm: HashSet<String>,
    /// Runs that were measured on it.
    pub measured: Vec<(Combination, i64)>,
}

impl Up {
    pub fn new(number: u32, startup_time: Option<Duration>) -> Self {
        Self { number, runs: 0, startup_time, warm: HashSet::new(), measured: Vec::new() }
    }
}

/// What the lanes share.
pub struct Core<'a> {
    pub plan: &'a Plan,
    pub course: &'a mut dyn Course,
    pub options: &'a Options,
    pub writer: &'a mut SweepWriter,
    pub observer: &'a mut dyn Observer,
    pub ledger: Ledger,
    pub neighbours: Neighbours,
    /// Runs that are being made.
    under_way: BTreeSet<usize>,
    /// Whether a lane has ended before its end.
    pub is_halting: bool,
    /// Servers that could not be started: they would not start the next time either, so their other runs fail for the
    /// same reason without being tried.
    pub hopeless: HashMap<usize, (Failure, Up)>,
    /// Combinations with runs that their summaries don't have.
    fresh: HashSet<String>,
    pub ended: Ended,
    began: Instant,
    /// All runs of this sweep, and those of each combination.
    took: Took,
    took_of: HashMap<String, Took>,
}

/// When the benchmark of a run began and how long it took; of what failed before it, if it never began.
#[derive(Clone, Copy)]
pub struct Clock {
    started_at: DateTime<Utc>,
    started: Instant,
    wall_time: Duration,
}

impl Clock {
    pub fn start() -> Self {
        Self { started_at: Utc::now(), started: Instant::now(), wall_time: Duration::ZERO }
    }

    pub fn stop(&mut self) {
        self.wall_time = self.started.elapsed();
    }
}

impl<'a> Core<'a> {
    pub fn new(
        (plan, options): (&'a Plan, &'a Options),
        course: &'a mut dyn Course,
        writer: &'a mut SweepWriter,
        observer: &'a mut dyn Observer,
        ledger: Ledger,
        ended: Ended,
    ) -> Self {
        Self {
            plan,
            course,
            options,
            writer,
            observer,
            ledger,
            neighbours: Neighbours::default(),
            under_way: BTreeSet::new(),
            is_halting: false,
            hopeless: HashMap::new(),
            fresh: HashSet::new(),
            ended,
            began: Instant::now(),
            took: Took::default(),
            took_of: HashMap::new(),
        }
    }

    pub fn tell(&mut self, lane: usize, event: Event<'_>) {
        self.observer.event(lane, event);
    }

    pub fn next_step(&mut self, agenda: &mut Agenda<'a>) -> Result<Option<Step<'a>>, CourseError> {
        agenda.next(&self.ledger, self.course)
    }

    /// Writes what all runs of a combination say.
    pub fn conclude(&mut self, lane: usize, bench: &BenchPlan) -> Result<(), StoreError> {
        let made = self.ledger.of(bench);
        for at in made.iter().map(|made| bench.at_level(made.level.as_ref()).combination) {
            if self.fresh.remove(at.id.as_str()) {
                self.writer.finish_combination(&at)?;
                self.observer.event(lane, Event::CombinationEnded { combination: &at });
            }
        }
        if made.is_empty() { Ok(()) } else { self.course.conclude(bench, made, self.writer) }
    }

    /// A run is to be made on a lane.
    pub fn announce(&mut self, lane: usize, job: &Job<'_>) -> Result<(), StoreError> {
        self.writer.add(&job.of.combination)?;
        if let Some(level) = &job.level {
            self.writer.add_level(&job.of.combination, level, &job.bench.combination)?;
        }
        self.under_way.insert(lane);
        Ok(())
    }

    /// It was made, or given up.
    pub fn made(&mut self, lane: usize) {
        self.under_way.remove(&lane);
    }

    /// A lane stands still: nothing of it is up.
    pub fn clear(&mut self, lane: usize) {
        self.made(lane);
        self.neighbours.left(lane);
    }

    /// Learns what others made of a server's runs.
    pub fn learn(&mut self, server: usize) -> Result<(), StoreError> {
        self.writer.refresh()?;
        let terms = (self.options.demands, &self.options.redactor, self.course.detail());
        let writer = &*self.writer;
        let Some(server) = self.plan.servers.get(server) else { return Ok(()) };
        self.ledger.read_server(server, writer.at(), terms, |record| writer.make_whole(record))
    }

    /// What a search knows now.
    pub fn tell_state(&mut self, lane: usize, job: &Job<'_>) {
        if let Some(state) = self.course.state(job.of, self.ledger.of(job.of)) {
            self.observer.event(lane, Event::Searched { combination: &job.of.combination, state: &state });
        }
    }

    /// A server is started: the how many-th, and its log.
    pub fn server_starts(&mut self, lane: usize, plan: &ServerPlan) -> Result<(u32, PathBuf), StoreError> {
        let number = self.writer.count_server_start()?;
        self.neighbours.came(lane, describe_set(&plan.serve));
        self.observer.event(lane, Event::ServerStarting { serve: &plan.serve });
        Ok((number, self.writer.at().server_log(&plan.serve)))
    }

    /// The measuring of a run begins; where its result and its log go.
    pub fn begin(&mut self, lane: usize, job: &Job<'_>) -> Result<(PathBuf, PathBuf), StoreError> {
        let combination = &job.bench.combination;
        self.observer.event(lane, Event::RunStarted { combination, run_number: job.number });
        self.neighbours.measure(lane);
        Ok((self.writer.partial_result(combination, job.number)?, self.writer.at().bench_log(combination)))
    }

    /// Counts an attempt that was made, and tells of it.
    pub fn count(&mut self, lane: usize, record: &RunRecord, is_final: bool) {
        if !is_final {
            self.ended.retried += 1;
            self.observer.event(lane, Event::RunRetried { record });
            return;
        }
        self.ended.runs += 1;
        if let Some(seconds) = record.wall_time_s.filter(|_| record.failure().is_none()) {
            let time = Duration::from_secs_f64(seconds);
            self.took.add(time);
            self.took_of.entry(record.combination.id.to_string()).or_default().add(time);
        }
        self.ended.failed += usize::from(record.status() == Status::Failed);
        self.ended.degraded += usize::from(record.status() == Status::Degraded);
        self.observer.event(lane, Event::RunEnded { record });
    }

    /// Whether another run may begin: none does once a lane has ended before its end, or that would end too late. A run is taken to last
    /// as long as others of its combination did; where there were none, as long as all of this sweep.
    pub fn check(&self, combination: &Combination) -> Result<(), Halt> {
        if self.is_halting {
            return Err(Halt::Elsewhere);
        }
        let id = combination.id.as_str();
        let is_over = match self.options.limit {
            None => false,
            // The run that asks is under way itself.
            Some(Limit::Runs(most)) => self.ledger.count() + self.under_way.len() > most,
            Some(Limit::Time(limit)) => {
                let own = self.took_of.get(id).and_then(Took::mean);
                let own = own.or_else(|| self.options.usual.get(id).copied());
                self.began.elapsed() + own.or_else(|| self.took.mean()).unwrap_or_default() > limit
            }
        };
        if is_over { Err(Halt::OverBudget) } else { Ok(()) }
    }

    pub fn run_id(&self, job: &Job<'_>, clock: &Clock) -> String {
        let started_at = clock.started_at.timestamp_micros();
        run_id(self.writer.name(), &job.bench.combination.id, job.number, started_at)
    }

    pub fn record_of(
        &mut self,
        job: &Job<'_>,
        start: Start,
        clock: Clock,
        ended: Result<Benched, Failure>,
        server: Option<&mut Up>,
    ) -> RunRecord {
        let combination = job.bench.combination.clone();
        let attempt = self.writer.at().next_attempt(&combination, job.number);
        let (outcome, source, observed) = match ended {
            Ok(Benched { measured, observed }) => {
                (Outcome::Completed(measured.result), measured.source, Some(observed))
            }
            Err(failure) => (failure.into(), None, None),
        };
        let up = server.or_else(|| self.hopeless.get_mut(&start.server).map(|(_, up)| up));
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
    pub fn keep(&mut self, job: &Job<'_>, record: &RunRecord, server: Option<&mut Up>) -> Result<(), StoreError> {
        self.writer.save(record)?;
        self.fresh.insert(record.combination.id.to_string());
        if let Some(up) = server.filter(|_| record.failure().is_none()) {
            up.measured.push((record.combination.clone(), record.run_number));
        }
        self.ledger.add(job.of, Made::of(record, job.level.clone(), self.course.detail()));
        Ok(())
    }
}
