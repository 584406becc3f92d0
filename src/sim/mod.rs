//! A simulated LLM server: real HTTP, real time, no model.
//!
//! Inside, a continuous-batching scheduler works in steps as vLLM's does: a waiting queue, a running batch,
//! chunked prefill within a token budget, a KV cache that can run out, a prefix cache. How long a step takes is
//! told by [`cost`]. So throughput saturates, latency climbs with load, and the flags matter.

mod api;
mod cache;
pub mod cost;
mod engine;
mod faults;
pub mod null;

mod replay;
mod requests;
mod scheduler;
mod stream;
mod tokens;

pub use cost::CostModel;
pub use faults::{Faults, StreamFaults};
pub use replay::{Arrival, Replay, Seen};
pub use scheduler::Limits;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that the server can be told.
#[derive(Clone, Debug)]
pub struct Config {
    pub model: String,
    pub host: String,
    pub port: u16,
    pub api_key: Option<String>,
    pub max_model_len: usize,
    pub limits: Limits,
    pub cost: CostModel,
    /// Independent engines behind one address.
    pub data_parallel_size: usize,
    /// Spread of a step's time, as the standard deviation of its logarithm.
    pub jitter: f64,
    pub seed: u64,
    /// How long loading the model takes.
    pub startup: Duration,
    pub faults: Faults,
    /// Answer at once, and always the same.
    pub canned: Option<null::Canned>,
    /// The model's `tokenizer.json`, to count tokens of texts exactly.
    pub tokenizer: Option<PathBuf>,
    /// Where each request is noted, with the times of its tokens.
    pub request_log: Option<PathBuf>,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    #[error(
        "To serve at least one request with max_model_len={max_model_len}, {needed} KV cache blocks are needed, but \
         only {available} are available. Lower max_model_len or raise num_gpu_blocks_override"
    )]
    KvCacheTooSmall { max_model_len: usize, needed: usize, available: usize },
    #[error("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate for max_num_seqs={max_num_seqs}")]
    OutOfMemory { max_num_seqs: usize },
    #[error("exit, as requested")]
    Asked { code: u8 },
    #[error("[Errno 98] error while attempting to bind on address ('{host}', {port}): {source}")]
    Bind { host: String, port: u16, source: std::io::Error },
    #[error("{path}: {reason}")]
    BadFile { path: String, reason: String },
    #[error("server: {0}")]
    Serve(std::io::Error),
}

/// Serves until the process is ended.
pub async fn serve(config: Config) -> Result<(), SimError> {
    check(&config)?;
    faults::at_start(&config.faults, config.limits.max_num_seqs)?;
    let bind = |source| SimError::Bind { host: config.host.clone(), port: config.port, source };
    let listener = tokio::net::TcpListener::bind((config.host.as_str(), config.port)).await.map_err(bind)?;
    if let Some(canned) = config.canned {
        log(format_args!("INFO: server of canned answers at {}:{}", config.host, config.port));
        return null::serve(listener, canned).await;
    }
    tokio::time::sleep(config.startup).await;
    let engines = (0..config.data_parallel_size).map(|index| engine::Engine::start(&config, index as u64));
    let engines = engines.collect::<Result<_, _>>().map_err(SimError::Serve)?;
    let tokens = tokens::Counter::new(config.tokenizer.as_deref())?;
    let requests = requests::Requests::new(config.request_log.as_deref())?;
    let address: Option<SocketAddr> = listener.local_addr().ok();
    log(format_args!(
        "INFO: simulated server for {} at {}",
        config.model,
        address.map(|address| address.to_string()).unwrap_or_default()
    ));
    axum::serve(NoDelay(listener), api::router(api::App::new(config, engines, tokens, requests)))
        .await
        .map_err(SimError::Serve)
}

fn check(config: &Config) -> Result<(), SimError> {
    let needed = config.max_model_len.div_ceil(config.limits.block_size);
    let available = config.limits.num_blocks;
    if needed > available {
        return Err(SimError::KvCacheTooSmall { max_model_len: config.max_model_len, needed, available });
    }
    Ok(())
}

/// A listener whose connections send each token at once.
struct NoDelay(tokio::net::TcpListener);

impl axum::serve::Listener for NoDelay {
    type Io = tokio::net::TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        let _ = stream.set_nodelay(true);
        (stream, address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// A line of the server's log. A log that can't be written stops no server.
fn log(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
