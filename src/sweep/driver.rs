//! The driver: works off what is left of a plan, on as many servers at a time as there are lanes, and hands each record to the store at
//! once.

use super::agenda::missing;
use super::core::{Core, Halt};
use super::course::Course;
use super::event::{Event, Observer};
use super::lane::Lane;
use super::ledger::Ledger;
use super::options::{OnFailure, Options};
use super::rota::{Need, Rota};
use super::seated::Ports;
use super::shared::{Begun, Concluded, Patience, Sharing};
use super::{Ended, SweepError};
use crate::exec::Executor;
use crate::node::{Seat, Seats};
use crate::plan::{Plan, ServerPlan, Start};
use crate::record::RunRecord;
use crate::store::{Lease, SweepState, SweepWriter};
use chrono::Utc;
use futures::stream::{FuturesUnordered, StreamExt};
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// Who does a sweep's work, and where.
pub struct Crew<E> {
    /// One for each server that runs at a time.
    pub executors: Vec<E>,
    pub seats: Seats,
    pub need: Need,
    /// Where other machines work at the sweep, too.
    pub sharing: Option<Sharing>,
}

impl<E> Crew<E> {
    /// One server at a time.
    pub fn one(executor: E) -> Self {
        Self { executors: vec![executor], seats: Seats::one(), need: Need::Each(0), sharing: None }
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
    let sharing = crew.sharing.clone();
    let mut halted = if is_decided { None } else { work(&core, crew).await };
    if let Some(sharing) = sharing.filter(|_| halted.is_none()) {
        halted = match sharing.conclude(&core).await? {
            Concluded::LeftToOthers => Some(Halt::LeftToOthers),
            Concluded::Here => core.borrow().writer.has_failed().then_some(Halt::AtFailure),
        };
    }
    let is_shared = core.borrow().writer.manifest().is_shared;
    let core = core.into_inner();
    core.course.end(&core.ledger, core.writer)?;
    let mut ended = core.ended;
    ended.state = match halted {
        None if ended.unscored > 0 => SweepState::Failed,
        None if ended.failed > 0 && (options.on_failure != OnFailure::Accept || !core.ledger.has_result()) => {
            SweepState::Failed
        }
        None => SweepState::Completed,
        Some(Halt::LeftToOthers) => SweepState::Running,
        Some(Halt::Interrupted | Halt::OverBudget | Halt::Elsewhere | Halt::Lost) => SweepState::Interrupted,
        Some(Halt::AtFailure | Halt::Course(_)) => SweepState::Failed,
        Some(Halt::Store(error)) => return Err(error.into()),
    };
    ended.is_over_budget = matches!(halted, Some(Halt::OverBudget));
    if !is_shared {
        core.writer.finish(ended.state, Utc::now())?;
    }
    match halted {
        Some(Halt::Course(error)) => Err(error.into()),
        _ => Ok(ended),
    }
}

/// What a lane brings back from a start of a server.
struct Back<E> {
    lane: usize,
    executor: E,
    start: Start,
    seat: Seat,
    ended: Result<Visited, Halt>,
}

/// Whether a start was made here.
enum Visited {
    Here,
    /// It took so long to learn that.
    Elsewhere(Duration),
    /// On machines of another kind.
    OfKind(String),
}

/// What all lanes are told.
#[derive(Clone, Copy)]
struct Setup<'c, 'a> {
    core: &'c RefCell<Core<'a>>,
    ports: Ports,
    sharing: Option<&'c Sharing>,
}

/// So often it is looked whether the user wants to stop, where nothing is under way.
const GLANCE: Duration = Duration::from_secs(1);

/// Starts servers as there is room for them; why it ended before its end, if it did.
async fn work<E: Executor>(core: &RefCell<Core<'_>>, crew: Crew<E>) -> Option<Halt> {
    let plan = core.borrow().plan;
    let ports = if crew.seats.most() > 1 { Ports::Free } else { Ports::AsPlanned };
    let setup = Setup { core, ports, sharing: crew.sharing.as_ref() };
    let rota = Rota::new(plan, crew.seats, crew.need, expected(&core.borrow()));
    let mut rota = if setup.sharing.is_some() { rota.shared() } else { rota };
    let mut idle: Vec<(usize, E)> = crew.executors.into_iter().enumerate().rev().collect();
    let mut running = FuturesUnordered::new();
    let mut halted: Option<Halt> = None;
    let mut looked = Instant::now();
    loop {
        while halted.is_none()
            && !rota.must_ask()
            && let Some((lane, executor)) = idle.pop()
        {
            let turn = {
                let core = &mut *core.borrow_mut();
                rota.turn(core.course, &core.ledger)
            };
            let Some((start, seat)) = turn else {
                idle.push((lane, executor));
                break;
            };
            running.push(work_at(setup, lane, executor, start, seat));
        }
        let others = setup.sharing.filter(|_| halted.is_none() && rota.has_others());
        let back = tokio::select! {
            biased;
            Some(back) = running.next() => back,
            () = tokio::time::sleep(if rota.must_ask() { Duration::ZERO } else { GLANCE }), if others.is_some() => {
                if idle.iter().any(|(_, executor)| executor.is_interrupted()) {
                    halted = Some(Halt::Interrupted);
                } else if let Some(sharing) = others.filter(|sharing| rota.must_ask() || looked.elapsed() > rota.pause(sharing.claims.patience())) {
                    let asked = Instant::now();
                    match sharing.claims.survey().await {
                        Ok(stands) => rota.look_again(&stands, asked.elapsed()),
                        Err(error) => halted = Some(error.into()),
                    }
                    looked = Instant::now();
                    if sharing.patience == Patience::Leave && rota.is_left_to_others() {
                        return Some(Halt::LeftToOthers);
                    }
                }
                continue;
            }
            else => return halted,
        };
        let Back { lane, executor, start, seat, ended } = back;
        idle.push((lane, executor));
        match ended {
            Ok(Visited::Here) => rota.is_ours(start, &seat),
            Ok(Visited::Elsewhere(took)) => rota.set_aside(start, &seat, took),
            Err(Halt::Lost) => rota.set_aside(start, &seat, Duration::ZERO),
            Ok(Visited::OfKind(kind)) => {
                if rota.set_apart(start, &seat) {
                    tell_apart(core, lane, &kind);
                }
            }
            Err(halt) => {
                rota.leave(start, &seat);
                core.borrow_mut().is_halting = true;
                if halt.is_reason() && halted.is_none() {
                    halted = Some(halt);
                }
            }
        }
    }
}

fn tell_apart(core: &RefCell<Core<'_>>, lane: usize, kind: &str) {
    let message = format!("servers were begun on machines with {kind}: others with these have to go on with them");
    core.borrow_mut().tell(lane, Event::Warning { message: &message });
}

/// Makes the runs of a start on a lane, where no other machine does.
async fn work_at<E: Executor>(setup: Setup<'_, '_>, lane: usize, executor: E, start: Start, seat: Seat) -> Back<E> {
    let mut executor = executor;
    let began = Instant::now();
    let lease = match setup.sharing {
        None => None,
        Some(sharing) => match sharing.begin(setup.core, start).await {
            Ok(Begun::Ours(lease)) => Some(lease),
            Ok(Begun::Elsewhere) => {
                return Back { lane, executor, start, seat, ended: Ok(Visited::Elsewhere(began.elapsed())) };
            }
            Ok(Begun::OtherKind(kind)) => {
                return Back { lane, executor, start, seat, ended: Ok(Visited::OfKind(kind)) };
            }
            Err(error) => return Back { lane, executor, start, seat, ended: Err(error.into()) },
        },
    };
    let visit = visit(setup, lane, &mut executor, (start, &seat), lease.as_ref());
    let mut ended = match &lease {
        None => visit.await,
        Some(lease) => tokio::select! {
            biased;
            ended = visit => ended,
            () = lease.keep() => Err(Halt::Lost),
        },
    };
    if matches!(ended, Err(Halt::Lost)) {
        executor.stop().await;
        setup.core.borrow_mut().clear(lane);
    }
    if let Some((sharing, lease)) = setup.sharing.zip(lease)
        && let Err(error) = sharing.end(lease, &ended).await
    {
        ended = ended.and(Err(error.into()));
    }
    Back { lane, executor, start, seat, ended: ended.map(|()| Visited::Here) }
}

async fn visit<E: Executor>(
    setup: Setup<'_, '_>,
    number: usize,
    executor: &mut E,
    (start, seat): (Start, &Seat),
    lease: Option<&Lease>,
) -> Result<(), Halt> {
    let (core, ports) = (setup.core, setup.ports);
    let (plan, options) = (core.borrow().plan, core.borrow().options);
    let lane = Lane { number, core, plan, options, executor, ports, seat, lease, seated: None, server: None };
    lane.visit(start).await
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
