//! One run of a benchmark command, and what it left.

use super::artifact::Artifact;
use super::counters::{Counters, since};
use super::keeper::Keeper;
use super::process::Output;
use super::sampler::{Sampling, Slot, taken};
use super::server::Server;
use super::to_end::{Lived, Sampled, Task, out_of_time, run_to_end};
use super::{Interrupt, Stop};
use crate::formats::Measured;
use crate::params::{Address, Command};
use crate::record::{ErrorKind, Failure, Observed, stopped_early};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A benchmark command and where its result will be.
pub struct Benchmark<'a> {
    pub command: &'a Command,
    pub output: Output,
    pub result_path: &'a Path,
    /// Where the result is found, if the command puts it elsewhere.
    pub artifact: Option<&'a Artifact>,
    pub limit: Option<Duration>,
    /// What is sampled meanwhile.
    pub sampling: Option<&'a Sampling>,
    pub slot: &'a Slot,
}

/// What a benchmark left, and what was seen meanwhile.
#[derive(Clone, Debug)]
pub struct Benched {
    pub measured: Measured,
    pub observed: Observed,
}

/// What a benchmark measures.
pub enum Against<'a> {
    /// A server of ours; one that ends meanwhile ends the benchmark too.
    Server(&'a mut Server),
    /// A server of somebody else.
    Address(&'a Address),
    /// What it starts itself.
    Nothing,
}

/// Reads a result that is there.
pub type Reader = fn(&Path) -> Result<Measured, String>;

impl Benchmark<'_> {
    /// Runs the benchmark to its end and reads its result. What was sampled until it failed is with its failure.
    pub async fn run(
        self,
        against: Against<'_>,
        read: Reader,
        keeper: &Keeper,
        interrupt: &mut Interrupt,
    ) -> Result<Benched, Stop> {
        let (artifact, slot) = (self.artifact, self.slot);
        artifact.iter().for_each(|artifact| artifact.clear());
        let ended = self.run_sampled(against, read, keeper, interrupt).await;
        // What a run leaves besides its result may hold anything: keys, too.
        artifact.iter().for_each(|artifact| artifact.clear());
        ended.map_err(|stop| match stop {
            Stop::Failed(failure) => {
                let samples = Some(taken(slot)).filter(|samples| !samples.is_empty());
                Stop::Failed(Failure { samples: failure.samples.or(samples.map(Arc::new)), ..failure })
            }
            Stop::Interrupted => Stop::Interrupted,
        })
    }

    async fn run_sampled(
        self,
        against: Against<'_>,
        read: Reader,
        keeper: &Keeper,
        interrupt: &mut Interrupt,
    ) -> Result<Benched, Stop> {
        let slot = self.slot;
        let mut task = Task {
            command: self.command,
            name: "the benchmark",
            kind: ErrorKind::BenchmarkFailed,
            output: &self.output,
            limit: self.limit,
            measured: None,
            sampled: None,
        };
        let sampled = |address| self.sampling.map(|sampling| Sampled { sampling, address, slot });
        let (lived, mut observed, address) = match against {
            Against::Nothing => {
                task.sampled = sampled(None);
                (run_to_end(task, keeper, interrupt).await?, Observed::default(), None)
            }
            Against::Address(address) => {
                task.sampled = sampled(Some(address));
                let before = Counters::of(address).await;
                let lived = run_to_end(task, keeper, interrupt).await?;
                (lived, observed_since(before, address).await, Some(address.clone()))
            }
            Against::Server(server) => {
                task.measured = Some(("the server", server.pid()));
                let address = server.address().clone();
                task.sampled = sampled(Some(&address));
                let before = Counters::of(&address).await;
                let lived = tokio::select! {
                    biased;
                    failure = server.ended("during the benchmark") => return Err(failure.into()),
                    ended = run_to_end(task, keeper, interrupt) => ended?,
                };
                (lived, observed_since(before, &address).await, Some(address))
            }
        };
        let measured = self.read(read, &lived, interrupt).await?;
        if let Some(address) = address.filter(|_| stopped_early(&|key: &str| measured.result.get(key)).is_some()) {
            // The server may be busy yet with what was cut off.
            until_idle(&address).await;
        }
        if let Some(spoiled) = lived.pauses.spoil() {
            return Err(Failure::new(ErrorKind::Stopped, spoiled).into());
        }
        observed.samples = lived.is_sampled.then(|| Arc::new(taken(slot)));
        observed.client_cores = lived.cores;
        observed.machine_cores = std::thread::available_parallelism().ok().map(NonZeroUsize::get);
        observed.disturbances.extend(lived.pauses.caution());
        Ok(Benched { measured, observed })
    }

    /// Reads the result, for as long as the benchmark itself may take; a file system that hangs would hold a sweep up for ever.
    async fn read(&self, read: Reader, lived: &Lived, interrupt: &mut Interrupt) -> Result<Measured, Stop> {
        if let Some(artifact) = self.artifact {
            artifact.put(self.result_path).map_err(|message| Failure::new(ErrorKind::BadResult, message))?;
        }
        let path = self.result_path.to_owned();
        let reading = tokio::task::spawn_blocking(move || read(&path));
        let limit = self.limit.map(|limit| lived.time_left.unwrap_or_default().max(limit.min(READING)));
        tokio::select! {
            biased;
            () = interrupt.asked() => Err(Stop::Interrupted),
            ended = reading => {
                let measured = ended.unwrap_or_else(|error| Err(error.to_string()));
                measured.map_err(|message| Failure::new(ErrorKind::BadResult, message).into())
            }
            () = out_of_time(limit) => {
                let path = self.result_path.display();
                let message = format!("the benchmark's result could not be read in time: reading {path} hung");
                Err(Failure::new(ErrorKind::TimedOut, message).into())
            }
        }
    }
}

/// What a result may take to be read, where the benchmark used its time up.
const READING: Duration = Duration::from_secs(30);

/// Waits until nothing is in the server any more, as far as it tells, and not for ever.
async fn until_idle(address: &Address) {
    let began = Instant::now();
    while began.elapsed() < IDLE_WITHIN && Counters::of(address).await.in_flight().is_some_and(|left| left > 0.0) {
        tokio::time::sleep(LOOK).await;
    }
}

const IDLE_WITHIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);

async fn observed_since(before: Counters, address: &Address) -> Observed {
    let after = Counters::of(address).await;
    Observed {
        requests_before: before.in_flight(),
        server_requests: since(after.finished, before.finished),
        preemptions: since(after.preemptions, before.preemptions),
        prefix_cache_hit_rate: after.hit_rate_since(&before),
        ..Observed::default()
    }
}
