//! A server that somebody else runs: it is waited for, measured and cleaned, and neither started nor stopped.

use super::executor::{ProcessOptions, Waiting, left_over, read_any};
use super::http::get;
use super::ready::Probe;
use super::reset::{Reset, reset};
use super::{Against, BenchJob, Benched, Executor, Interrupt, Keeper, Ready, ServerJob, Stop};
use crate::params::Address;
use crate::record::{ErrorKind, Failure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(500);
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// Benchmarks against a server at an address.
pub struct Remote {
    options: ProcessOptions,
    waiting: Waiting,
    reset: Reset,
    keeper: Keeper,
    interrupt: Interrupt,
    address: Address,
    unclean: Option<Failure>,
    first_hit_rate: Option<f64>,
    /// Where the last benchmark wrote to.
    log: PathBuf,
}

impl Remote {
    /// `keeper` is the program that keeps watch over what is started: sweeplake itself.
    pub fn new(
        options: ProcessOptions,
        waiting: Waiting,
        reset: Reset,
        address: Address,
        keeper: &Path,
        interrupt: Interrupt,
    ) -> std::io::Result<Self> {
        let keeper = Keeper::start(keeper)?;
        Ok(Self {
            options,
            waiting,
            reset,
            keeper,
            interrupt,
            address,
            unclean: None,
            first_hit_rate: None,
            log: PathBuf::new(),
        })
    }

    async fn ask_version(&self) -> Option<String> {
        let answer = get(&self.address, "/version", PROBE_LIMIT).await.ok()?;
        let value: Value = serde_json::from_slice(&answer.body).ok()?;
        value.get("version").and_then(Value::as_str).map(str::to_owned)
    }

    /// Who the list of models says that it is of: `vllm`, `sglang`.
    async fn ask_engine(&self) -> Option<String> {
        let answer = get(&self.address, "/v1/models", PROBE_LIMIT).await.ok()?;
        let value: Value = serde_json::from_slice(&answer.body).ok()?;
        value.pointer("/data/0/owned_by").and_then(Value::as_str).map(str::to_owned)
    }
}

impl Executor for Remote {
    async fn start(&mut self, job: ServerJob<'_>) -> Result<Ready, Stop> {
        let output = self.options.output(job.log);
        let deadline = Instant::now() + self.waiting.timeout;
        loop {
            let probe = Probe {
                address: &self.address,
                limit: PROBE_LIMIT,
                output: &output,
                keeper: &self.keeper,
                interrupt: &self.interrupt,
            };
            let Err(seen) = self.waiting.until.ask(&probe).await else { break };
            if self.interrupt.is_set() {
                return Err(Stop::Interrupted);
            }
            if Instant::now() > deadline {
                let (address, seconds) = (&self.address, self.waiting.timeout.as_secs());
                let message = format!("the server at {address} was not ready within {seconds} s; last seen: {seen}");
                return Err(Failure::new(ErrorKind::ServerNotReady, message).into());
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.first_hit_rate = None;
        Ok(Ready { after: None, version: self.ask_version().await, engine: self.ask_engine().await })
    }

    async fn bench(&mut self, job: BenchJob<'_>) -> Result<Benched, Stop> {
        if let Some(failure) = self.unclean.take() {
            return Err(failure.into());
        }
        self.log = job.log.to_owned();
        let benchmark = self.options.benchmark(job);
        let against = Against::Address(&self.address);
        let mut benched = benchmark.run(against, read_any, &self.keeper, &mut self.interrupt).await?;
        benched.observed.compare_with_first(&mut self.first_hit_rate);
        Ok(benched)
    }

    async fn clean(&mut self) {
        let output = self.options.output(&self.log);
        let ended = reset(&self.reset, &self.address, &output, &self.keeper, &mut self.interrupt).await;
        if let Err(Stop::Failed(failure)) = ended {
            self.unclean = Some(failure);
        }
    }

    async fn stop(&mut self) -> Vec<String> {
        let unclean = self.unclean.take().map(|failure| failure.message);
        unclean.into_iter().chain(left_over(&self.keeper)).collect()
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.is_set()
    }
}
