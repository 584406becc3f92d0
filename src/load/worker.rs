//! A thread that sends: its own runtime, its own connections, and nothing shared on the way of a token.

use super::answer::Texts;
use super::api::{Bodies, Dialect};
use super::client::Client;
use super::config::Config;
use super::flight::{Flight, Flights};
use super::live::Live;
use super::measurement::Measurement;
use super::prompts::{Content, Conversation, Prompt};
use super::wire::Server;
use crate::pace::Pacer;
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::LocalSet;

/// A conversation to hold.
pub struct Job {
    /// Of its first request.
    pub index: usize,
    /// When it begins, where that is given.
    pub at: Duration,
    pub model: Arc<str>,
    /// The body of its first request.
    pub body: Vec<u8>,
    pub conversation: Conversation,
}

/// What all workers of a run share.
pub struct Run {
    pub config: Config,
    pub server: Arc<Server>,
    pub dialect: Arc<Dialect>,
    pub bodies: Bodies,
    pub texts: Texts,
    pub clock: Instant,
    pub jobs: async_channel::Receiver<Job>,
    /// Slots of the open loop, where its concurrency is limited.
    pub slots: Arc<Semaphore>,
    /// No more requests are begun from then on.
    pub deadline: Option<Duration>,
    pub live: Arc<Live>,
    pub stop: watch::Receiver<bool>,
}

/// What one worker spent.
#[derive(Clone, Debug, Default)]
pub struct Spent {
    pub cpu: Duration,
    pub parsing: Duration,
    /// How late the thread came to what was due, every few milliseconds.
    pub delays: Vec<Duration>,
}

/// After so many answers were looked at, it is looked whether a request is due.
const EVENTS: u32 = 16;
/// How often a worker looks how late it is.
const BEAT: Duration = Duration::from_millis(5);

/// Works until there is nothing more to do; `users`: how many send at a time in the closed loop.
pub fn work(run: &Arc<Run>, flights: &Arc<Flights>, users: Option<usize>) -> std::io::Result<Spent> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().event_interval(EVENTS).build()?;
    let before = thread_cpu();
    let local = LocalSet::new();
    let worker = Rc::new(Worker {
        client: Client::new(&run.config, run.server.clone(), run.dialect.clone(), run.texts),
        run: run.clone(),
        flights: flights.clone(),
    });
    let mut delays = Vec::new();
    let mut stop = run.stop.clone();
    local.block_on(&runtime, async {
        let (sending, beating) = (Pacer::new()?, Pacer::new()?);
        let all = async {
            match users {
                Some(users) => worker.clone().closed(users).await,
                None => worker.clone().open(&sending).await,
            }
        };
        tokio::select! {
            () = all => {}
            _ = stop.wait_for(|stop| *stop) => {}
            () = beat(&beating, &mut delays) => {}
        }
        Ok::<_, std::io::Error>(())
    })?;
    let parsing = worker.client.parsing.total();
    // What is under way is dropped with its runtime.
    drop((local, runtime));
    Ok(Spent { cpu: thread_cpu().saturating_sub(before), parsing, delays })
}

/// Notes how late this thread is, for as long as it is asked.
async fn beat(pacer: &Pacer, delays: &mut Vec<Duration>) {
    let mut due = Instant::now();
    loop {
        due = (due + BEAT).max(Instant::now());
        pacer.until(due).await;
        delays.push(due.elapsed());
    }
}

fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

struct Worker {
    client: Client,
    run: Arc<Run>,
    flights: Arc<Flights>,
}

impl Worker {
    /// The closed loop: each user sends when the answer before has come.
    async fn closed(self: Rc<Self>, users: usize) {
        let tasks: Vec<_> = (0..users).map(|_| tokio::task::spawn_local(self.clone().user())).collect();
        futures::future::join_all(tasks).await;
    }

    async fn user(self: Rc<Self>) {
        loop {
            let free = self.run.clock.elapsed();
            if self.run.deadline.is_some_and(|deadline| free >= deadline) {
                return;
            }
            let Ok(job) = self.run.jobs.recv().await else { return };
            self.clone().converse(job, When::Free(free), None).await;
        }
    }

    /// The open loop: requests are sent when their time has come, in their order.
    async fn open(self: Rc<Self>, pacer: &Pacer) {
        let mut tasks = tokio::task::JoinSet::new();
        while let Ok(job) = self.run.jobs.recv().await {
            let due = job.at;
            pacer.until(self.run.clock + due).await;
            let free = self.run.slots.clone().try_acquire_owned().ok();
            let (slot, possible) = match free {
                Some(slot) => (Some(slot), due),
                // Whoever had to wait could be sent from now on.
                None => (self.run.slots.clone().acquire_owned().await.ok(), self.run.clock.elapsed()),
            };
            tasks.spawn_local(self.clone().converse(job, When::Due { due, possible }, slot));
            while tasks.try_join_next().is_some() {}
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Sends the turns of a conversation, one after the other.
    async fn converse(self: Rc<Self>, job: Job, when: When, slot: Option<OwnedSemaphorePermit>) {
        let Job { index, model, body, conversation, .. } = job;
        let mut history: Vec<Value> = Vec::new();
        let mut when = when;
        let mut body = body;
        let last = conversation.turns.len().saturating_sub(1);
        for (turn, prompt) in conversation.turns.into_iter().enumerate() {
            if turn > 0 {
                tokio::time::sleep(prompt.think).await;
                when = When::Free(self.run.clock.elapsed());
                history.extend(prompt.content.messages());
                let whole =
                    Prompt { content: Content::Messages(history.clone()), input_tokens: None, ..prompt.clone() };
                body = self.run.bodies.of(&model, &whole);
            } else if last > 0 {
                history = prompt.content.messages();
            }
            let answer = self.one(index + turn, &prompt, &body, when).await;
            let (Some(text), true) = (answer, turn < last) else { break };
            history.push(json!({"role": "assistant", "content": text}));
        }
        drop(slot);
    }

    /// Sends one request; the text of its answer, where it succeeded.
    async fn one(&self, index: usize, prompt: &Prompt, body: &[u8], when: When) -> Option<String> {
        let clock = self.run.clock;
        let (intended, possible) = match when {
            When::Free(_) => (None, None),
            When::Due { due, possible } => (Some(due), Some(possible)),
        };
        let now = clock.elapsed();
        let flight: Flight<'_> = self.flights.begin(index, prompt.input_tokens, intended.unwrap_or(now));
        let known = Measurement {
            index,
            input_tokens: prompt.input_tokens,
            intended: intended.unwrap_or(now),
            ..Measurement::default()
        };
        self.run.live.sent();
        let mut measurement = self.client.send(body, known, clock, flight).await;
        let free = if let When::Free(free) = when { free } else { Duration::ZERO };
        measurement.send_lag = measurement.start.saturating_sub(possible.unwrap_or(free));
        if intended.is_none() {
            measurement.intended = measurement.start;
        }
        self.run.live.ended(&measurement);
        let text = measurement.is_ok().then(|| measurement.text.clone());
        flight.ended(measurement);
        text
    }
}

/// When a request is sent.
#[derive(Clone, Copy)]
enum When {
    /// As soon as its user was free.
    Free(Duration),
    /// When it is due; it was possible from then on, where a slot had to become free.
    Due { due: Duration, possible: Duration },
}
