//! The load generator: sends requests to an OpenAI-compatible server as `vllm bench serve` does, and measures
//! with vLLM's definitions.

mod client;
mod dataset;
mod flight;
mod result;
mod schedule;

pub use result::{result_json, summary_lines};

use crate::sla::{Sla, Watch};
use client::Client;
use dataset::{Prompt, RandomDataset};
use flight::Flights;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Which API is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Vllm,
    Openai,
    OpenaiChat,
}

/// What is sent, how fast, and what is measured.
#[derive(Clone, Debug)]
pub struct Config {
    pub backend: Backend,
    /// Scheme, host and port: `http://127.0.0.1:8000`.
    pub base_url: String,
    pub endpoint: String,
    /// `None`: the first that the server names.
    pub model: Option<String>,
    pub served_model_name: Option<String>,
    pub tokenizer: Option<String>,
    pub label: Option<String>,
    pub api_key: Option<String>,
    pub dataset: RandomLengths,
    pub num_prompts: usize,
    /// Requests per second; infinite for all at once.
    pub request_rate: f64,
    pub burstiness: f64,
    pub max_concurrency: Option<usize>,
    pub num_warmups: usize,
    pub ready_check_timeout: Duration,
    pub seed: u64,
    pub ignore_eos: bool,
    pub temperature: Option<f64>,
    /// `ttft`, `tpot`, `itl`, `e2el`.
    pub percentile_metrics: Vec<String>,
    pub metric_percentiles: Vec<f64>,
    /// Limits in milliseconds by metric, for `request_goodput`.
    pub goodput: Vec<(String, f64)>,
    pub save_detailed: bool,
    /// The run ends early when none of these can be met any more.
    pub stop_when_missed: Vec<Sla>,
    pub metadata: Map<String, Value>,
}

/// `--dataset-name random`: lengths in tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomLengths {
    pub input_len: usize,
    pub output_len: usize,
    pub range_ratio: f64,
    pub prefix_len: usize,
}

/// One answered or failed request. Times are since the start of the measurement.
#[derive(Clone, Debug, Default)]
pub struct Measurement {
    pub prompt_len: usize,
    pub output_len: usize,
    pub start: Duration,
    /// Between the request's turn and its being sent.
    pub queue_time: Duration,
    /// How much later it was sent than it could have been: after its time had come and a slot was free.
    pub send_lag: Duration,
    pub ttft: Duration,
    pub latency: Duration,
    pub itl: Vec<Duration>,
    pub text: String,
    /// `None` for a request that succeeded.
    pub error: Option<String>,
}

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
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{url:?}: {reason}")]
    BadUrl { url: String, reason: String },
    #[error("{url} lists no model ({reason})")]
    NoModel { url: String, reason: String },
    #[error("the server did not answer a test request within {} s: {reason}", limit.as_secs())]
    NotReady { limit: Duration, reason: String },
    #[error("the range ratio {ratio} is not in [0, 1)")]
    BadRange { ratio: f64 },
}

/// Runs the benchmark; `progress` is told after each request how many are done.
pub async fn run(config: &Config, progress: impl Fn(usize) + Send + Sync + 'static) -> Result<Measured, LoadError> {
    let client = Arc::new(Client::new(config)?);
    let model = match &config.model {
        Some(model) => model.clone(),
        None => client.first_model().await?,
    };
    let model_in_requests = config.served_model_name.as_ref().unwrap_or(&model);
    let mut random = StdRng::seed_from_u64(config.seed);
    let dataset = RandomDataset::new(config.dataset)?;
    let prompts = dataset.sample(config.num_prompts, &mut random);
    let bodies: Vec<(Prompt, bytes::Bytes)> =
        prompts.into_iter().map(|prompt| (prompt.clone(), client::body(config, model_in_requests, &prompt))).collect();
    let delays = schedule::delays(config.num_prompts, config.request_rate, config.burstiness, &mut random);
    if let Some((prompt, body)) = bodies.first() {
        wait_until_ready(&client, prompt, body, config.ready_check_timeout).await?;
        warm_up(&client, prompt, body, config).await;
    }

    let clock = Instant::now();
    let started = schedule::monotonic_seconds();
    let flights = Arc::new(Flights::new(clock, bodies.iter().map(|(prompt, _)| prompt.tokens.len()).collect()));
    let is_open = config.request_rate.is_finite();
    // In the closed loop the first wave comes at once.
    let ramp_up = config.max_concurrency.filter(|_| !is_open).unwrap_or(0);
    let watch = Watch { slas: config.stop_when_missed.clone(), num_prompts: config.num_prompts, ramp_up };
    let stopped_early = tokio::select! {
        () = send_all(&client, bodies, delays, config, &flights, progress) => None,
        reason = flights.stopped(&watch, is_open), if !watch.slas.is_empty() => Some(reason),
    };
    let duration = clock.elapsed();
    Ok(Measured { model, requests: flights.measurements(), duration, started, stopped_early })
}

/// Sends each request when its time has come and a slot is free, and waits for all. Dropped, it drops those under way.
async fn send_all(
    client: &Arc<Client>,
    bodies: Vec<(Prompt, bytes::Bytes)>,
    delays: Vec<Duration>,
    config: &Config,
    flights: &Arc<Flights>,
    progress: impl Fn(usize) + Send + Sync + 'static,
) {
    let slots = Arc::new(Semaphore::new(config.max_concurrency.unwrap_or(Semaphore::MAX_PERMITS)));
    let done = Arc::new(AtomicUsize::new(0));
    let progress = Arc::new(progress);
    let clock = flights.clock();
    let mut tasks = JoinSet::new();
    for (index, ((prompt, body), delay)) in bodies.into_iter().zip(delays).enumerate() {
        if !delay.is_zero() {
            tokio::time::sleep_until((clock + delay).into()).await;
        }
        let (client, slots, done, progress) = (client.clone(), slots.clone(), done.clone(), progress.clone());
        let flights = flights.clone();
        let arrived = clock.elapsed();
        flights.of(index).arrived();
        tasks.spawn(async move {
            let flight = flights.of(index);
            let is_free = slots.available_permits() > 0;
            let _slot = slots.acquire().await;
            // Who had to wait could be sent from now on.
            let possible = if is_free { delay } else { clock.elapsed() };
            let mut measurement = client.send(&prompt, body, clock, flight).await;
            measurement.send_lag = measurement.start.saturating_sub(possible);
            measurement.queue_time = measurement.start.saturating_sub(arrived);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            flight.ended(measurement);
        });
    }
    while tasks.join_next().await.is_some() {}
}

async fn wait_until_ready(
    client: &Client,
    prompt: &Prompt,
    body: &bytes::Bytes,
    limit: Duration,
) -> Result<(), LoadError> {
    let started = Instant::now();
    let alone = Flights::new(started, vec![prompt.tokens.len()]);
    let mut reason = String::new();
    while !limit.is_zero() {
        let left = limit.saturating_sub(started.elapsed());
        match tokio::time::timeout(left, client.send(prompt, body.clone(), Instant::now(), alone.of(0))).await {
            Ok(Measurement { error: None, .. }) => return Ok(()),
            Ok(Measurement { error: Some(error), .. }) => reason = error,
            Err(_) if reason.is_empty() => reason = "no response".into(),
            Err(_) => {}
        }
        if started.elapsed() >= limit {
            return Err(LoadError::NotReady { limit, reason });
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn warm_up(client: &Arc<Client>, prompt: &Prompt, body: &bytes::Bytes, config: &Config) {
    let slots = Arc::new(Semaphore::new(config.max_concurrency.unwrap_or(Semaphore::MAX_PERMITS)));
    let tasks = (0..config.num_warmups).map(|_| {
        let (client, prompt, body, slots) = (client.clone(), prompt.clone(), body.clone(), slots.clone());
        tokio::spawn(async move {
            let _slot = slots.acquire().await;
            let now = Instant::now();
            client.send(&prompt, body, now, Flights::new(now, vec![0]).of(0)).await
        })
    });
    futures::future::join_all(tasks.collect::<Vec<_>>()).await;
}
