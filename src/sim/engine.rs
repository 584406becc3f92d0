//! The engine's loop: schedule, let the step's time pass, hand out the tokens.

use super::Config;
use super::cost::CostModel;
use super::faults::Faults;
use super::scheduler::{Counters, Scheduler, Sequence, Step};
use crate::pace::Pacer;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, LogNormal};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use std::time::Instant;
use tokio::sync::{Notify, mpsc};

/// Told to a request's client: one token came, or the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token {
    Next,
    Last,
}

/// One engine, shared by the requests sent to it.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    work: Notify,
    block_size: usize,
}

struct State {
    scheduler: Scheduler,
    clients: HashMap<u64, Client>,
    latencies: Latencies,
    next_id: u64,
    lengths: StdRng,
}

/// What `/metrics` shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    pub running: usize,
    pub waiting: usize,
    pub kv_cache_usage: f64,
    pub counters: Counters,
    pub latencies: Latencies,
}

/// A histogram of which only sum (in seconds) and count are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Total {
    pub seconds: f64,
    pub count: u64,
}

impl Total {
    fn add(&mut self, time: Duration) {
        self.seconds += time.as_secs_f64();
        self.count += 1;
    }
}

/// What the engine itself measures, as vLLM does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latencies {
    pub queue_time: Total,
    pub ttft: Total,
    pub itl: Total,
    pub e2el: Total,
}

/// Who waits for the tokens of a request, and since when.
struct Client {
    sender: mpsc::UnboundedSender<Token>,
    arrived: Instant,
    /// When the latest token was handed out.
    latest: Instant,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Prefill,
    Decode,
}

impl Engine {
    pub fn start(config: &Config, index: u64) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                scheduler: Scheduler::new(config.limits),
                clients: HashMap::new(),
                latencies: Latencies::default(),
                next_id: 0,
                lengths: StdRng::seed_from_u64(config.seed ^ 0x5eed ^ index),
            }),
            work: Notify::new(),
            block_size: config.limits.block_size,
        });
        let noise = Noise::new(config.jitter, config.seed.wrapping_add(index));
        tokio::spawn(run(shared.clone(), config.cost, noise, config.faults.clone(), Pacer::new()?));
        Ok(Self(shared))
    }

    /// Queues a request; its tokens arrive on the receiver. Without `ignore_eos` the output ends by itself
    /// somewhere in the second half of `max_tokens`.
    pub fn submit(&self, prompt: &[u32], max_tokens: usize, ignore_eos: bool) -> mpsc::UnboundedReceiver<Token> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        let output_len = match ignore_eos {
            true => max_tokens,
            false => state.lengths.random_range(max_tokens.div_ceil(2)..=max_tokens),
        };
        state.scheduler.add(Sequence::new(id, prompt, output_len, self.0.block_size));
        state
            .clients
            .insert(id, Client { sender, latest: Instant::now(), arrived: Instant::now(), stage: Stage::Waiting });
        drop(state);
        self.0.work.notify_one();
        receiver
    }

    pub fn reset_prefix_cache(&self) {
        self.lock().scheduler.reset_prefix_cache();
    }

    pub fn gauges(&self) -> Gauges {
        let state = self.lock();
        Gauges {
            running: state.scheduler.num_running(),
            waiting: state.scheduler.num_waiting(),
            kv_cache_usage: state.scheduler.kv_cache_usage(),
            counters: state.scheduler.counters,
            latencies: state.latencies,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    fn next_step(&mut self) -> Step {
        let step = self.scheduler.schedule();
        self.admit(&step);
        step
    }

    /// Notes who has left the queue.
    fn admit(&mut self, step: &Step) {
        for id in step.sequences() {
            if let Some(client) = self.clients.get_mut(&id).filter(|client| client.stage == Stage::Waiting) {
                client.stage = Stage::Prefill;
                self.latencies.queue_time.add(client.arrived.elapsed());
            }
        }
    }

    fn hand_out(&mut self, emitted: Vec<super::scheduler::Emitted>, stall_after: Option<u64>) {
        for token in emitted {
            if stall_after.is_some_and(|answered| token.id >= answered) {
                continue;
            }
            let told = if token.is_last { Token::Last } else { Token::Next };
            if let Some(client) = self.clients.get_mut(&token.id) {
                match client.stage {
                    Stage::Decode => self.latencies.itl.add(client.latest.elapsed()),
                    _ => self.latencies.ttft.add(client.arrived.elapsed()),
                }
                if token.is_last {
                    self.latencies.e2el.add(client.arrived.elapsed());
                }
                (client.stage, client.latest) = (Stage::Decode, Instant::now());
            }
            let is_gone = self.clients.get(&token.id).is_none_or(|client| client.sender.send(told).is_err());
            if is_gone && !token.is_last {
                self.scheduler.abort(token.id);
            }
            if is_gone || token.is_last {
                self.clients.remove(&token.id);
            }
        }
    }
}

async fn run(shared: Arc<Shared>, cost: CostModel, mut noise: Noise, faults: Faults, pacer: Pacer) {
    let mut free_at = Instant::now();
    let mut cold = faults.cold_steps;
    loop {
        let step = shared.lock().next_step();
        if step.is_empty() {
            shared.work.notified().await;
            free_at = Instant::now();
            continue;
        }
        // Steps follow each other on one time line, so that lateness does not add up.
        free_at = free_at.max(Instant::now() - STALE)
            + cost.step_time(step.load).mul_f64(noise.factor() * if cold > 0 { COLD } else { 1.0 });
        cold = cold.saturating_sub(1);
        pacer.until(free_at).await;
        let mut state = shared.lock();
        let emitted = state.scheduler.finish(step);
        state.hand_out(emitted, faults.stall_after);
        if faults.crash_after.is_some_and(|most| state.scheduler.counters.finished >= most) {
            super::log(format_args!("ERROR: engine core died (as requested)"));
            std::process::exit(1);
        }
    }
}

/// How much longer a step takes that was never taken before.
const COLD: f64 = 3.0;
/// How far the time line may lag behind the clock before it is moved on.
const STALE: Duration = Duration::from_millis(20);

/// The spread of step times.
pub struct Noise {
    random: StdRng,
    spread: Option<LogNormal<f64>>,
}

impl Noise {
    pub fn new(jitter: f64, seed: u64) -> Self {
        let spread = (jitter > 0.0).then(|| LogNormal::new(0.0, jitter).ok()).flatten();
        Self { random: StdRng::seed_from_u64(seed), spread }
    }

    pub fn factor(&mut self) -> f64 {
        self.spread.map_or(1.0, |spread| spread.sample(&mut self.random))
    }
}
