//! One server at a time, with its loads, from its start to its end. Several lanes share what is known of the sweep.

use super::agenda::{Agenda, Job, Step};
use super::core::{Clock, Core, Halt, RunError, Up};
use super::event::Event;
use super::measuring::{KEPT_EVERY, Making, Measuring};
use super::options::{OnFailure, Options};
use super::seated::{Ports, Seated};
use crate::exec::{Benched, EvalJob, Executor, ServerJob, Stop};
use crate::node::Seat;
use crate::params::Command;
use crate::plan::{Plan, Start};
use crate::record::{Failure, RunRecord};
use crate::store::Lease;
use std::cell::RefCell;

/// A lane of a sweep.
pub(super) struct Lane<'c, 'a, E> {
    pub number: usize,
    pub core: &'c RefCell<Core<'a>>,
    pub plan: &'a Plan,
    pub options: &'a Options,
    pub executor: &'c mut E,
    pub ports: Ports,
    pub seat: &'c Seat,
    /// Of a sweep at which other machines work, too: as long as it is ours, so is this start.
    pub lease: Option<&'c Lease>,
    /// Where the server that is up, or was last, listens.
    pub seated: Option<Seated>,
    pub server: Option<Up>,
}

impl<'a, E: Executor> Lane<'_, 'a, E> {
    /// Makes all runs of a start.
    pub async fn visit(mut self, start: Start) -> Result<(), Halt> {
        let mut agenda = Agenda::new(self.plan, start, self.options.order);
        let mut ended = match self.work_off(&mut agenda, start).await {
            Ok(()) => self.evaluate(start).await,
            halted => halted,
        };
        if ended.is_err() {
            // What is unfinished has its runs all the same.
            let mut core = self.core.borrow_mut();
            let kept = agenda.open().iter().try_for_each(|bench| core.conclude(self.number, bench));
            ended = ended.and(kept.map_err(Halt::from));
        }
        self.stop_server().await;
        ended
    }

    fn tell(&self, event: Event<'_>) {
        self.core.borrow_mut().tell(self.number, event);
    }

    /// Scores the server that is running, once its loads are measured. Without scores its runs are what they are.
    async fn evaluate(&mut self, start: Start) -> Result<(), Halt> {
        let (Some(command), Some(up)) = (&self.options.evaluation, &mut self.server) else { return Ok(()) };
        let runs = std::mem::take(&mut up.measured);
        if runs.is_empty() {
            return Ok(());
        }
        self.tell(Event::Evaluating);
        let (result_path, log) = self.core.borrow_mut().writer.evaluation(&self.plan.servers[start.server].serve)?;
        let scored = self.executor.evaluate(EvalJob { command, result_path: &result_path, log: &log }).await;
        let mut core = self.core.borrow_mut();
        match scored {
            Ok(scores) => core.writer.add_scores(&runs, &scores)?,
            Err(Stop::Interrupted) => return Err(Halt::Interrupted),
            Err(Stop::Failed(failure)) => {
                core.ended.unscored += 1;
                let message = format!("{}; see {}", failure.message, log.display());
                core.tell(self.number, Event::Warning { message: &message });
            }
        }
        Ok(())
    }

    async fn work_off(&mut self, agenda: &mut Agenda<'a>, start: Start) -> Result<(), Halt> {
        loop {
            let step = self.core.borrow_mut().next_step(agenda)?;
            match step {
                None => return Ok(()),
                Some(Step::Finished(bench)) => self.core.borrow_mut().conclude(self.number, bench)?,
                Some(Step::Run(job)) => self.make(&job, start).await?,
            }
        }
    }

    /// Makes one run, whatever comes of it.
    async fn make(&mut self, job: &Job<'a>, start: Start) -> Result<(), Halt> {
        self.core.borrow_mut().announce(self.number, job)?;
        let made = self.make_attempts(job, start).await;
        self.core.borrow_mut().made(self.number);
        made?;
        self.core.borrow_mut().tell_state(self.number, job);
        Ok(())
    }

    async fn make_attempts(&mut self, job: &Job<'a>, start: Start) -> Result<(), Halt> {
        for is_last in (0..=self.options.retries).map(|attempt| attempt == self.options.retries) {
            // What would not start for an earlier run was tried often enough.
            let is_hopeless = self.core.borrow().hopeless.contains_key(&start.server);
            let record = self.attempt(job, start).await?;
            let is_final = is_last || is_hopeless || record.failure().is_none();
            self.core.borrow_mut().count(self.number, &record, is_final);
            let Some(failure) = record.failure() else { return Ok(()) };
            if failure.kind.needs_new_server() {
                self.stop_server().await;
            }
            if is_final {
                break;
            }
            self.core.borrow_mut().hopeless.remove(&start.server);
        }
        if self.options.on_failure == OnFailure::Stop { Err(Halt::AtFailure) } else { Ok(()) }
    }

    /// One attempt at a run, stored whatever came of it.
    async fn attempt(&mut self, job: &Job<'a>, start: Start) -> Result<RunRecord, Halt> {
        if self.executor.is_interrupted() {
            return Err(Halt::Interrupted);
        }
        self.core.borrow().check(&job.bench.combination)?;
        let mut clock = Clock::start();
        let result = match self.run_one(job, start, &mut clock).await {
            Ok(measured) => Ok(measured),
            Err(RunError::Failed(failure)) => Err(failure),
            Err(RunError::Halt(halt)) => return Err(halt),
        };
        if let Some(lease) = self.lease
            && !lease.is_ours().await?
        {
            return Err(Halt::Lost);
        }
        let mut core = self.core.borrow_mut();
        let company = core.neighbours.measured(self.number, &self.seat.gpus);
        let record = core.record_of(job, start, clock, result, self.server.as_mut());
        let record = RunRecord { company: Some(company), ..record };
        core.keep(job, &record, self.server.as_mut())?;
        Ok(record)
    }

    /// One run on a server that is ready and clean, whatever that takes.
    async fn run_one(&mut self, job: &Job<'a>, start: Start, clock: &mut Clock) -> Result<Benched, RunError> {
        if let Some((failure, _)) = self.core.borrow().hopeless.get(&start.server) {
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
        let (result_path, log) = self.core.borrow_mut().begin(self.number, job)?;
        let command = self.options.bench.complete(&self.placed(&job.bench.command), &result_path);
        *clock = Clock::start();
        let id = self.core.borrow().run_id(job, clock);
        let run = Making { combination, number: job.number, id: &id, kept_every: KEPT_EVERY };
        let measuring = Measuring { command: &command, result_path: &result_path, log: &log, run: Some(run) };
        let core = self.core;
        let result = measuring
            .bench(&mut *self.executor, |run, samples| {
                core.borrow().writer.keep_samples(run.combination, (run.number, run.id), samples)
            })
            .await;
        clock.stop();
        let benched = result?;
        self.core.borrow_mut().writer.keep_result(combination, job.number)?;
        self.executor.clean().await;
        Ok(benched)
    }

    /// The command of a load, sent to the server that is up.
    fn placed(&self, command: &Command) -> Command {
        self.seated.as_ref().map_or_else(|| command.clone(), |seated| seated.bench(command))
    }

    async fn start_server(&mut self, start: Start) -> Result<(), RunError> {
        let plan = &self.plan.servers[start.server];
        let (number, log) = self.core.borrow_mut().server_starts(self.number, plan)?;
        let ready = match Seated::of(plan, self.seat, self.ports) {
            Err(failure) => Err(Stop::Failed(failure)),
            Ok(seated) => {
                let job = ServerJob {
                    command: &seated.command,
                    address: &seated.address,
                    seat: self.seat,
                    name: plan.serve.name.as_deref(),
                    log: &log,
                };
                let ready = self.executor.start(job).await;
                self.seated = Some(seated);
                ready
            }
        };
        let mut core = self.core.borrow_mut();
        match ready {
            Ok(ready) => {
                if let Some(after) = ready.after {
                    core.tell(self.number, Event::ServerReady { after });
                }
                core.writer.set_engine(ready.engine.as_deref(), ready.version.as_deref())?;
                self.server = Some(Up::new(number, ready.after));
                Ok(())
            }
            Err(stop) => {
                core.neighbours.left(self.number);
                if let Stop::Failed(failure) = &stop {
                    core.hopeless.insert(start.server, (Failure::clone(failure), Up::new(number, None)));
                }
                Err(stop.into())
            }
        }
    }

    async fn stop_server(&mut self) {
        let Some(up) = self.server.take() else { return };
        if self.options.evaluation.is_some() && !up.measured.is_empty() {
            self.core.borrow_mut().ended.unscored += 1;
            let message =
                format!("the server ended before its evaluation: {} run(s) on it have no scores", up.measured.len());
            self.tell(Event::Warning { message: &message });
        }
        self.tell(Event::ServerStopping);
        for message in self.executor.stop().await {
            self.tell(Event::Warning { message: &message });
        }
        self.core.borrow_mut().neighbours.left(self.number);
        // Its port is free again.
        self.seated = None;
    }

    /// A run that is not kept, with a few prompts, before the first of a combination.
    async fn warm_up(&mut self, job: &Job<'a>) -> Result<(), RunError> {
        let (num_prompts, combination) = (self.plan.warmup_num_prompts, &job.bench.combination);
        self.tell(Event::WarmingUp { num_prompts });
        let (result_path, log) = {
            let core = self.core.borrow_mut();
            (core.writer.warm_up_result(combination)?, core.writer.at().bench_log(combination))
        };
        let command = self.options.bench.complete(&self.placed(&job.bench.warm_up(num_prompts)), &result_path);
        let measuring = Measuring { command: &command, result_path: &result_path, log: &log, run: None };
        let ended = measuring.bench(&mut *self.executor, |_, _| Ok(())).await;
        if ended.is_ok() {
            self.executor.clean().await;
        }
        self.core.borrow_mut().writer.warm_up_result(combination)?;
        ended?;
        Ok(())
    }
}
