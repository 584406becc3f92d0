//! A server that somebody else runs: it is waited for, measured and cleaned, and neither started nor stopped.

use super::counters::Counters;
use super::executor::{ProcessOptions, Waiting, left_over, read_any};
use super::http::{get_json, version_of};
use super::ready::{PROBE_LIMIT, Probe};
use super::reset::{Reset, reset};
use super::{Against, BenchJob, Benched, EvalJob, Executor, Interrupt, Keeper, Ready, Scores, ServerJob, Stop};
use crate::params::Address;
use crate::record::{ErrorKind, Failure, UsualHits};
use serde_json::Value;
use std::cell::Cell;
use std::path::{Path, PathBuf};

/// Benchmarks against a server at an address.
pub struct Remote {
    options: ProcessOptions,
    waiting: Waiting,
    reset: Reset,
    keeper: Keeper,
    interrupt: Interrupt,
    address: Address,
    unclean: Option<Failure>,
    usual_hits: UsualHits,
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
            usual_hits: UsualHits::Unknown,
            log: PathBuf::new(),
        })
    }

    /// What its prefix cache may do in the first run. A command is believed to clean up; that it did can't be seen.
    async fn hits_so_far(&self) -> UsualHits {
        if !matches!(self.reset, Reset::Command(_)) {
            return UsualHits::Unknown;
        }
        let is_used = Counters::of(&self.address).await.prefix_queries.is_some_and(|queries| queries > 0.0);
        if is_used { UsualHits::OfUsedServer } else { UsualHits::Unknown }
    }

    /// Who the list of models says that it is of: `vllm`, `sglang`.
    async fn ask_engine(&self) -> Option<String> {
        let models = get_json(&self.address, "/v1/models", PROBE_LIMIT).await?;
        models.pointer("/data/0/owned_by").and_then(Value::as_str).map(engine_named)
    }
}

/// The simulated server is told from the program that runs it.
fn engine_named(owner: &str) -> String {
    if owner == "sweeplake" { "sweeplake-sim".into() } else { owner.to_owned() }
}

impl Executor for Remote {
    async fn start(&mut self, job: ServerJob<'_>) -> Result<Ready, Stop> {
        let output = self.options.output(job.log);
        let (keeper, interrupt, last) = (&self.keeper, &self.interrupt, Cell::new(None));
        let probe = Probe { address: &self.address, limit: PROBE_LIMIT, output: &output, keeper, interrupt };
        let became_ready = self.waiting.until.wait(probe, &last);
        let mut asked = interrupt.clone();
        tokio::select! {
            biased;
            () = asked.asked() => return Err(Stop::Interrupted),
            ready = tokio::time::timeout(self.waiting.timeout, became_ready) => if ready.is_err() {
                let (address, seconds) = (&self.address, self.waiting.timeout.as_secs());
                let seen = last.take().unwrap_or_else(|| "no response yet".into());
                let message = format!("the server at {address} was not ready within {seconds} s; last check: {seen}");
                return Err(Failure::new(ErrorKind::ServerNotReady, message).into());
            },
        }
        self.log = job.log.to_owned();
        self.usual_hits = self.hits_so_far().await;
        self.clean().await;
        Ok(Ready {
            after: None,
            version: version_of(&self.address, PROBE_LIMIT).await,
            engine: self.ask_engine().await,
        })
    }

    async fn bench(&mut self, job: BenchJob<'_>) -> Result<Benched, Stop> {
        if let Some(failure) = self.unclean.take() {
            return Err(failure.into());
        }
        self.log = job.log.to_owned();
        let benchmark = self.options.benchmark(job);
        let against = Against::Address(&self.address);
        let mut benched = benchmark.run(against, read_any, &self.keeper, &mut self.interrupt).await?;
        benched.observed.compare_hits(&mut self.usual_hits);
        Ok(benched)
    }

    async fn evaluate(&mut self, job: EvalJob<'_>) -> Result<Scores, Stop> {
        let output = self.options.output(job.log);
        job.run(&self.address, &output, &self.keeper, &mut self.interrupt).await
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
