//! Samples what a server, GPUs and the machine report while a benchmark runs. It never disturbs a run: what does not answer in time
//! is not known.

use super::family::descendants_of;
use super::http::get;
use crate::params::Address;
use crate::telemetry::{Amd, Groups, Host, Kept, Nvidia, Reading, Samples, from_engine};
use nix::unistd::Pid;
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// A server that takes longer reports nothing.
const LIMIT: Duration = Duration::from_secs(1);
/// Seconds between questions to AMD's tools.
const AMD_INTERVAL: f64 = 10.0;
/// How long the last sample may take.
const PARTING: Duration = Duration::from_secs(5);
/// After so many questions without an answer in a row no more are asked in this run.
const PATIENCE: usize = 3;

/// What is sampled, and how often.
#[derive(Clone, Debug)]
pub struct Sampling {
    pub interval: Duration,
    pub kept: Kept,
    gpus: Arc<OnceLock<Gpus>>,
}

impl Sampling {
    pub fn new(interval: Duration, kept: Kept) -> Self {
        Self { interval, kept, gpus: Arc::default() }
    }
}

/// The GPUs of this machine, looked for once.
struct Gpus {
    nvidia: Option<Nvidia>,
    amd: Option<Amd>,
}

impl std::fmt::Debug for Gpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of NVIDIA, of AMD by {:?}", self.nvidia.as_ref().map_or(0, Nvidia::count), self.amd)
    }
}

impl Gpus {
    fn open() -> Self {
        let nvidia = Nvidia::open();
        let amd = if nvidia.is_none() { Amd::open() } else { None };
        Self { nvidia, amd }
    }

    fn readings(&self) -> Vec<Reading> {
        let of_nvidia = self.nvidia.as_ref().map(Nvidia::readings);
        of_nvidia.or_else(|| self.amd.map(Amd::readings)).unwrap_or_default()
    }
}

/// Whose processes are sampled.
#[derive(Clone, Debug)]
pub struct Subjects {
    pub server: Option<Pid>,
    pub client: Pid,
}

/// Where samples are while they are taken: what was sampled until a benchmark failed is known, too.
pub type Slot = Arc<Mutex<Samples>>;

/// What a slot holds.
pub fn taken(slot: &Slot) -> Samples {
    std::mem::take(&mut *slot.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What a slot holds so far.
pub fn seen_so_far(slot: &Slot) -> Samples {
    slot.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// A sampler that runs beside a benchmark.
pub struct Sampler {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What the server said before the benchmark was started: what counts from then on is the benchmark's.
pub struct Before {
    sampling: Sampling,
    engine: Engine,
    told: Vec<Reading>,
    samples: Samples,
}

impl Before {
    /// `address`: whose metrics are asked for.
    pub async fn look(sampling: &Sampling, address: Option<&Address>) -> Self {
        let mut engine = Engine { address: address.cloned(), kept: sampling.kept, silent: 0, has_answered: false };
        let mut samples = Samples::default();
        let told = engine.readings(&mut samples).await;
        Self { sampling: sampling.clone(), engine, told, samples }
    }
}

impl Sampler {
    pub fn start(before: Before, subjects: Subjects, slot: &Slot) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(sample(before, subjects, stopped, slot.clone()));
        Self { stop, task }
    }

    /// Takes a last sample. A driver that hangs must not hold up the sweep: then it is said that nothing is known.
    pub async fn finish(self) -> bool {
        let _ = self.stop.send(());
        matches!(tokio::time::timeout(PARTING, self.task).await, Ok(Ok(())))
    }
}

async fn sample(before: Before, subjects: Subjects, mut stopped: oneshot::Receiver<()>, slot: Slot) {
    let began = Instant::now();
    let Before { sampling, mut engine, told, samples } = before;
    let with = |change: &mut dyn FnMut(&mut Samples)| change(&mut slot.lock().unwrap_or_else(PoisonError::into_inner));
    with(&mut |kept| *kept = samples.clone());
    let mut first = Some(told);
    let mut ticks = tokio::time::interval(sampling.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut machine =
        Machine { gpus: sampling.gpus, subjects, host: Host::default(), asked_amd: None, server_gpus: BTreeSet::new() };
    with(&mut |samples| samples.is_remote = machine.subjects.server.is_none());
    loop {
        let is_last = tokio::select! {
            biased;
            _ = &mut stopped => true,
            _ = ticks.tick() => false,
        };
        let at_s = began.elapsed().as_secs_f64();
        let seen = tokio::task::spawn_blocking(move || {
            let readings = machine.readings(at_s);
            (machine, readings)
        });
        let mut noted = Samples::default();
        let told = match first.take().filter(|_| !is_last) {
            Some(told) => told,
            None => engine.readings(&mut noted).await,
        };
        let Ok((back, readings)) = seen.await else {
            with(&mut |samples| samples.note("the machine could not be sampled".into()));
            return;
        };
        machine = back;
        // The server may report thousands.
        let mut readings: Vec<Reading> = readings.into_iter().chain(told).collect();
        let gpus: Vec<String> = machine.server_gpus.iter().cloned().collect();
        with(&mut |samples| {
            noted.notes.drain(..).for_each(|note| samples.note(note));
            readings.drain(..).for_each(|reading| samples.push(at_s, reading));
            samples.server_gpus = Some(gpus.clone()).filter(|gpus| !gpus.is_empty());
            samples.is_complete = is_last && (engine.address.is_some() || !engine.has_answered);
        });
        if is_last {
            return;
        }
    }
}

/// A server's `/metrics`.
struct Engine {
    address: Option<Address>,
    kept: Kept,
    silent: usize,
    has_answered: bool,
}

impl Engine {
    async fn readings(&mut self, samples: &mut Samples) -> Vec<Reading> {
        let Some(address) = &self.address else { return Vec::new() };
        let why = match get(address, "/metrics", LIMIT).await {
            Ok(answer) if answer.status == 200 => {
                (self.silent, self.has_answered) = (0, true);
                return from_engine(&String::from_utf8_lossy(&answer.body), self.kept);
            }
            Ok(answer) => format!("status {}", answer.status),
            Err(why) => why,
        };
        self.silent += 1;
        if self.has_answered {
            samples.note(format!("some samples of the server's metrics are missing: /metrics: {why}"));
        }
        if self.silent >= PATIENCE {
            self.address = None;
        }
        Vec::new()
    }
}

/// What is read on this machine, which may block.
struct Machine {
    gpus: Arc<OnceLock<Gpus>>,
    subjects: Subjects,
    host: Host,
    /// When AMD's tool was asked the last time.
    asked_amd: Option<f64>,
    /// Those on which processes of the server were seen.
    server_gpus: BTreeSet<String>,
}

impl Machine {
    fn readings(&mut self, at_s: f64) -> Vec<Reading> {
        let server = self.subjects.server.map(family_of).unwrap_or_default();
        let groups = Groups { server, client: family_of(self.subjects.client) };
        let mut readings = self.host.readings(at_s, &groups);
        let gpus = self.gpus.get_or_init(Gpus::open);
        if let Some(nvidia) = &gpus.nvidia {
            self.server_gpus.extend(nvidia.devices_of(&groups.server));
        }
        // AMD's tools are programs that take half a second of a core.
        let is_due = gpus.amd.is_none() || self.asked_amd.is_none_or(|asked| at_s - asked >= AMD_INTERVAL);
        if is_due {
            self.asked_amd = Some(at_s);
            self.server_gpus.extend(gpus.amd.iter().flat_map(|amd| amd.devices_of(&groups.server)));
            readings.extend(gpus.readings());
        }
        readings
    }
}

fn family_of(pid: Pid) -> HashSet<i32> {
    descendants_of(pid.as_raw()).into_iter().map(|member| member.pid).chain([pid.as_raw()]).collect()
}
