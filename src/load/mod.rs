//! The load generator: sends requests as `vllm bench serve` does, and measures with vLLM's definitions, and with its own where those
//! mislead.
//!
//! `wire` is HTTP, `api` what is said over it, `prompts` what is asked. A `worker` is a thread that sends; `answer` takes the times of
//! one stream, `result` makes what is stored of all of them.

mod answer;
pub mod api;
mod client;
mod config;
mod flight;
mod live;
mod measurement;
mod prepare;
pub mod prompts;
mod result;
mod schedule;
mod wire;
mod worker;

pub use config::{Config, Details, Edge, LoadConfig, LoraAssignment, ReportConfig, RequestConfig, ServerConfig};
pub use live::Glance;
pub use measurement::{CountedBy, Failure, FailureKind, Measurement};
pub use result::{result_json, summary_lines};
pub use schedule::{Extent, Ramp, RampStrategy, Traffic};
pub use wire::Trust;
pub use worker::Spent;

use crate::sla::Watch;
use api::PromptAs;
use flight::Flights;
use live::Live;
use prepare::{bodies_of, conversations_of, dialect_of, prepare};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use wire::Server;
use worker::{Job, Run, work};

/// Everything measured in one run.
#[derive(Clone, Debug)]
pub struct Measured {
    pub model: String,
    pub requests: Vec<Measurement>,
    pub duration: Duration,
    /// Of the clock that `start_times` are given on.
    pub started: f64,
    /// Why not all requests were waited for.
    pub stopped_early: Option<String>,
    /// Whether it was stopped because too many requests failed.
    pub has_failed: bool,
    /// What prompts were sent as.
    pub prompt_as: PromptAs,
    /// By worker.
    pub spent: Vec<Spent>,
}

impl Measured {
    /// Nothing yet.
    pub fn of_model(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            requests: Vec::new(),
            duration: Duration::ZERO,
            started: 0.0,
            stopped_early: None,
            has_failed: false,
            prompt_as: PromptAs::Ids,
            spent: Vec::new(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{url:?}: {reason}")]
    BadUrl { url: String, reason: String },
    #[error("the model is not known: {url} does not list one ({reason})")]
    NoModel { url: String, reason: String },
    #[error("the server did not answer a test request within {} s: {reason}", limit.as_secs())]
    NotReady { limit: Duration, reason: String },
    #[error("a prompt of {input} tokens and an answer of {output} exceed the context of {model}, {context} tokens")]
    BeyondContext { input: usize, output: usize, model: String, context: usize },
    #[error("{connections} connections at a time need more open files than the limit of {limit} allows")]
    TooFewFiles { connections: usize, limit: u64 },
    #[error("a run that ends by time needs a request rate or a maximum concurrency")]
    Endless,
    #[error("{path}: {reason}")]
    BadDataset { path: String, reason: String },
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// How often whoever watches is told, and the run asked whether it is worth going on.
const LOOK: Duration = Duration::from_millis(100);
/// How often it is looked whether all workers are done.
const STEP: Duration = Duration::from_millis(20);
/// Prompts that are made before they are needed, and their bytes at most.
const AHEAD: usize = 2048;
const AHEAD_BYTES: usize = 32 << 20;
/// How long whoever makes them rests when there are enough.
const PAUSE: Duration = Duration::from_millis(5);

/// Runs the benchmark; `watcher` is told now and then how it goes.
pub fn run(config: &Config, mut watcher: impl FnMut(&Glance)) -> Result<Measured, LoadError> {
    if matches!(config.load.extent, Extent::Time(_)) && !config.is_open() && config.load.max_concurrency.is_none() {
        return Err(LoadError::Endless);
    }
    let server = Arc::new(Server::new(&config.server.base_url, config.server.trust)?);
    let prepared = prepare(config, &server)?;
    let slots = config.load.max_concurrency.unwrap_or(Semaphore::MAX_PERMITS);
    let (sender, jobs) = async_channel::unbounded();
    let (stopper, stop) = watch::channel(false);
    // One instant, on both clocks: nothing may come between.
    let (clock, started) = (Instant::now(), crate::pace::monotonic_seconds());
    let run = Arc::new(Run {
        server,
        dialect: Arc::new(dialect_of(config)),
        bodies: bodies_of(config, prepared.prompt_as),
        texts: prepared.texts,
        clock,
        jobs,
        slots: Arc::new(Semaphore::new(slots)),
        deadline: match config.load.extent {
            Extent::Time(time) => Some(time),
            Extent::Prompts(_) => None,
        },
        live: Arc::new(Live::default()),
        stop,
        config: config.clone(),
    });
    let producing = {
        let (run, model, conversations) = (run.clone(), prepared.model_in_requests, prepared.conversations);
        std::thread::spawn(move || produce(&run, &model, conversations, &sender))
    };
    let workers = start(&run);
    let ending = wait(&run, &workers, &mut watcher);
    // Nobody takes a prompt any more; and whoever still waits for an answer lets go of it.
    run.jobs.close();
    let duration = run.clock.elapsed();
    // Of a run that is stopped, before what is under way is dropped.
    let mut requests: Vec<Measurement> = workers.iter().flat_map(|(flights, _)| flights.measurements()).collect();
    if ending.is_some() {
        let _ = stopper.send(true);
    }
    let mut spent = Vec::new();
    for (_, handle) in workers {
        spent.push(handle.join().map_err(|_| std::io::Error::other("a worker failed"))??);
    }
    let _ = producing.join();
    requests.sort_by_key(|request| request.index);
    requests.iter_mut().for_each(|request| count(request, &config.load.vocabulary));
    let last = requests.iter().map(|request| request.start + request.latency).max();
    Ok(Measured {
        model: prepared.model,
        requests,
        // The workers are looked at now and then; the run ended with its last answer.
        duration: if ending.is_some() { duration } else { last.unwrap_or(duration).min(duration) },
        started,
        has_failed: ending.as_ref().is_some_and(|(_, why)| *why == Why::Failures),
        stopped_early: ending.map(|(reason, _)| reason),
        prompt_as: prepared.prompt_as,
        spent,
    })
}

/// Counts the tokens of an answer that the server did not count, where a tokenizer is known.
fn count(request: &mut Measurement, vocabulary: &prompts::Vocabulary) {
    if request.is_ok() && request.output_tokens.is_none() && !request.text.is_empty() {
        request.output_tokens = vocabulary.count(&request.text);
        request.counted_by = if request.output_tokens.is_some() { CountedBy::Tokenizer } else { CountedBy::Nobody };
    }
}

type Workers = Vec<(Arc<Flights>, JoinHandle<std::io::Result<Spent>>)>;

/// Starts the workers; in the closed loop each has its share of the users.
fn start(run: &Arc<Run>) -> Workers {
    let load = &run.config.load;
    let users = load.max_concurrency.filter(|_| !run.config.is_open());
    let count = load.workers.clamp(1, users.unwrap_or(usize::MAX).max(1));
    let share = |worker: usize| users.map(|users| users / count + usize::from(worker < users % count));
    (0..count)
        .map(|worker| {
            let flights = Arc::new(Flights::new(run.clock));
            let (run, own, users) = (run.clone(), flights.clone(), share(worker));
            (flights, std::thread::spawn(move || work(&run, &own, users)))
        })
        .collect()
}

/// Why a run is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Missed,
    Failures,
}

/// Waits until all workers are done, or until it is not worth going on: then the reason.
fn wait(run: &Run, workers: &Workers, watcher: &mut impl FnMut(&Glance)) -> Option<(String, Why)> {
    let config = &run.config;
    let is_open = config.is_open();
    // In the closed loop the first wave comes at once.
    let ramp_up = config.load.max_concurrency.filter(|_| !is_open).unwrap_or(0);
    let num_prompts = config.load.num_prompts().unwrap_or(usize::MAX);
    let missed = Watch { slas: config.stop_when_missed.clone(), num_prompts, ramp_up };
    let mut looked = Instant::now();
    loop {
        let is_over = workers.iter().all(|(_, handle)| handle.is_finished());
        if is_over || looked.elapsed() >= LOOK {
            looked = Instant::now();
            watcher(&run.live.glance(run.clock.elapsed()));
            if let Some(most) = config.load.max_failures.filter(|most| run.live.failed() > *most) {
                return Some((format!("more than {most} requests failed"), Why::Failures));
            }
            if !missed.slas.is_empty() && !is_over {
                let mut seen: Vec<_> = workers.iter().flat_map(|(flights, _)| flights.seen(is_open)).collect();
                seen.sort_by(|left, right| left.arrival.total_cmp(&right.arrival));
                if let Some(reason) = missed.missed(&seen) {
                    return Some((reason, Why::Missed));
                }
            }
        }
        if is_over {
            return None;
        }
        std::thread::sleep(STEP);
    }
}

/// Makes prompts while the run goes, in their order.
fn produce(run: &Run, model: &str, conversations: prompts::Conversations, jobs: &async_channel::Sender<Job>) {
    let config = &run.config;
    let arrivals = config.load.traffic.arrivals(config.load.extent, config.seed);
    let most = match config.load.extent {
        Extent::Time(_) if !config.load.traffic.is_open() => usize::MAX,
        _ => arrivals.len(),
    };
    let adapters: Vec<Arc<str>> = config.request.lora.iter().map(|name| name.as_str().into()).collect();
    let model: Arc<str> = model.into();
    let mut random = StdRng::seed_from_u64(config.seed);
    let (mut index, mut produced) = (0, 0);
    for (number, conversation) in conversations.take(most).enumerate() {
        let model = match (adapters.len(), config.request.lora_assignment) {
            (0, _) => model.clone(),
            (count, LoraAssignment::RoundRobin) => adapters[number % count].clone(),
            (count, LoraAssignment::Random) => adapters[random.random_range(0..count)].clone(),
        };
        let at = conversation.at.or(arrivals.get(number).copied()).unwrap_or_default();
        if matches!(config.load.extent, Extent::Time(time) if at >= time) {
            return;
        }
        let Some(first) = conversation.turns.first() else { continue };
        let body = run.bodies.of(&model, first);
        let turns = conversation.turns.len();
        produced += body.len();
        if jobs.send_blocking(Job { index, at, model, body, conversation }).is_err() {
            return;
        }
        index += turns;
        // Waiting for each free place would wake this thread for each request.
        let each = produced / (number + 1);
        while jobs.len() >= AHEAD || jobs.len() * each > AHEAD_BYTES {
            if jobs.is_closed() {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// A request as it would be sent.
pub struct Preview {
    pub at: Duration,
    pub body: String,
}

/// The first requests of a run, without sending them.
pub fn preview(config: &Config, count: usize) -> Result<Vec<Preview>, LoadError> {
    let prompt_as = config.request.first_prompt_as();
    let bodies = bodies_of(config, prompt_as);
    let model = config.request.served_model_name.as_ref().or(config.request.model.as_ref());
    let model = model.map_or("MODEL", String::as_str);
    let arrivals = config.load.traffic.arrivals(config.load.extent, config.seed);
    let conversations = conversations_of(config)?;
    let first = conversations.take(count).enumerate().filter_map(|(number, conversation)| {
        let body = bodies.of(model, conversation.turns.first()?);
        let at = conversation.at.or(arrivals.get(number).copied()).unwrap_or_default();
        Some(Preview { at, body: String::from_utf8_lossy(&body).into_owned() })
    });
    Ok(first.collect())
}
