//! The driver: works off what is left of a plan, on as many servers at a time as there are lanes, and hands each record to the store at
//! once.

use super::agenda::missing;
use super::core::{Core, Halt};
use super::course::Course;
use super::event::{Event, Observer};
use super::lane::Lane;
use super::ledger::Ledger;
use super::options::{OnFailure, Options};
use super::rota::{Need, Rota, Turn};
use super::seated::Ports;
use super::{Ended, SweepError};
use crate::exec::Executor;
use crate::node::Seats;
use crate::plan::{Plan, ServerPlan};
use crate::record::RunRecord;
use crate::store::{SweepState, SweepWriter};
use chrono::Utc;
use futures::stream::{FuturesUnordered, StreamExt};
use std::cell::RefCell;
use std::time::Duration;

/// Who does a sweep's work, and where.
pub struct Crew<E> {
    /// One for each server that runs at a time.
    pub executors: Vec<E>,
    pub seats: Seats,
    pub need: Need,
}

impl<E> Crew<E> {
    /// One server at a time.
    pub fn one(executor: E) -> Self {
        Self { executors: vec![executor], seats: Seats::one(), need: Need::Each(0) }
    }
}

/// Runs what the course asks for of each combination of the plan, and is not there yet.
pub async fn run<E: Executor>(
    plan: &Plan,
    course: &mut dyn Course,
    options: &Options,
    crew: Crew<E>,
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
    observer.event(0, Event::SweepStarted { folder: writer.folder(), servers, runs, ledger: &ledger });
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
    let core = RefCell::new(Core::new((plan, options), course, writer, observer, ledger, ended));
    let halted = if is_decided { None } else { work(&core, crew).await };
    let core = core.into_inner();
    core.course.end(&core.ledger, core.writer)?;
    let mut ended = core.ended;
    ended.state = match halted {
        None if ended.unscored > 0 => SweepState::Failed,
        None if ended.failed > 0 && (options.on_failure != OnFailure::Accept || !core.ledger.has_result()) => {
            SweepState::Failed
        }
        None => SweepState::Completed,
        Some(Halt::Interrupted | Halt::OverBudget | Halt::Elsewhere) => SweepState::Interrupted,
        Some(Halt::AtFailure | Halt::Course(_)) => SweepState::Failed,
        Some(Halt::Store(error)) => return Err(error.into()),
    };
    ended.is_over_budget = matches!(halted, Some(Halt::OverBudget));
    core.writer.finish(ended.state, Utc::now())?;
    match halted {
        Some(Halt::Course(error)) => Err(error.into()),
        _ => Ok(ended),
    }
}

/// Starts servers as there is room for them; why it ended before its end, if it did.
async fn work<E: Executor>(core: &RefCell<Core<'_>>, crew: Crew<E>) -> Option<Halt> {
    let (plan, options) = (core.borrow().plan, core.borrow().options);
    let ports = if crew.seats.most() > 1 { Ports::Free } else { Ports::AsPlanned };
    let expected = expected(&core.borrow());
    let mut rota = Rota::new(plan, crew.seats, crew.need, expected);
    let mut idle: Vec<(usize, E)> = crew.executors.into_iter().enumerate().rev().collect();
    let mut running = FuturesUnordered::new();
    let mut halted: Option<Halt> = None;
    loop {
        while let Some((number, mut executor)) = idle.pop() {
            let turn = match halted {
                None => {
                    let core = &mut *core.borrow_mut();
                    rota.turn(core.course, &core.ledger)
                }
                Some(_) => Turn::Over,
            };
            let Turn::Go(start, seat) = turn else {
                idle.push((number, executor));
                break;
            };
            running.push(async move {
                let (executor_of_lane, seat_of_lane) = (&mut executor, &seat);
                let lane = Lane {
                    number,
                    core,
                    plan,
                    options,
                    executor: executor_of_lane,
                    ports,
                    seat: seat_of_lane,
                    seated: None,
                    server: None,
                };
                let ended = lane.visit(start).await;
                (number, executor, start, seat, ended)
            });
        }
        let Some((number, executor, start, seat, ended)) = running.next().await else { return halted };
        idle.push((number, executor));
        rota.leave(start, &seat);
        if let Err(halt) = ended {
            core.borrow_mut().is_halting = true;
            if halt.is_reason() && halted.is_none() {
                halted = Some(halt);
            }
        }
    }
}

/// About how long the runs of each server take: as those took that the lake has, else all the same.
fn expected(core: &Core<'_>) -> Vec<Duration> {
    let each = core.course.runs_of_each().unwrap_or(1) as u32;
    let usual = &core.options.usual;
    let others = usual.values().sum::<Duration>().checked_div(usual.len() as u32).unwrap_or(Duration::from_secs(1));
    let of = |server: &ServerPlan| {
        let times =
            server.benches.iter().map(|bench| usual.get(bench.combination.id.as_str()).copied().unwrap_or(others));
        times.sum::<Duration>() * each
    };
    core.plan.servers.iter().map(of).collect()
}
