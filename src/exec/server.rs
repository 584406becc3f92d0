//! The life of one server: refused where its port is taken, started, ready or failed, reset between runs,
//! stopped, and gone.

use super::http::{accepts_connections, version_of};
use super::keeper::Keeper;
use super::process::{Ground, Group, Output, describe_exit};
use super::ready::{PROBE_LIMIT, Probe, Readiness};
use super::reset::{Reset, reset};
use super::{Interrupt, Stop};
use crate::node::Seat;
use crate::params::{Address, Command};
use crate::record::{ErrorKind, Failure};
use nix::unistd::Pid;
use std::cell::Cell;
use std::time::{Duration, Instant};

const FIRST_POLL: Duration = Duration::from_millis(100);
const STOP_GRACE: Duration = Duration::from_secs(10);
const PORT_LIMIT: Duration = Duration::from_secs(10);

/// How to start a server.
pub struct ServerSpec<'a> {
    pub command: &'a Command,
    pub address: &'a Address,
    pub seat: &'a Seat,
    pub output: Output,
    pub ready_timeout: Duration,
    pub readiness: &'a Readiness,
    pub reset: &'a Reset,
}

/// A server that is ready.
pub struct Server {
    group: Group,
    address: Address,
    reset: Reset,
    output: Output,
    pub startup_time: Duration,
    /// What `/version` said.
    pub version: Option<String>,
    /// Why the caches could not be emptied.
    unclean: Option<Failure>,
}

impl Server {
    /// Starts a server and waits until it is ready. A port that is already served is refused: the benchmark
    /// would measure the wrong server.
    pub async fn start(spec: ServerSpec<'_>, keeper: &Keeper, interrupt: &mut Interrupt) -> Result<Self, Stop> {
        if accepts_connections(spec.address).await {
            let message =
                format!("{} is already in use by another process; stop it or choose another port", spec.address);
            return Err(Failure::new(ErrorKind::PortTaken, message).into());
        }
        let started = Instant::now();
        // vLLM offers its reset endpoints only in this mode.
        let own = spec.seat.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let env: Vec<(&str, &str)> = [("VLLM_SERVER_DEV_MODE", "1")].into_iter().chain(own).collect();
        let ground = Ground { env: &env, cores: &spec.seat.cores };
        let group = Group::spawn(spec.command, ground, &spec.output, keeper).map_err(|error| {
            Failure::new(ErrorKind::ServerExited, format!("the server could not be started: {error}"))
        })?;
        let mut server = Self {
            group,
            address: spec.address.clone(),
            reset: spec.reset.clone(),
            output: spec.output,
            startup_time: Duration::ZERO,
            version: None,
            unclean: None,
        };
        match server.wait_until_ready(spec.ready_timeout, spec.readiness, keeper, interrupt).await {
            Ok(()) => {
                server.startup_time = started.elapsed();
                server.version = version_of(&server.address, PROBE_LIMIT).await;
                Ok(server)
            }
            Err(stop) => {
                server.stop().await;
                Err(stop)
            }
        }
    }

    async fn wait_until_ready(
        &mut self,
        limit: Duration,
        readiness: &Readiness,
        keeper: &Keeper,
        interrupt: &mut Interrupt,
    ) -> Result<(), Stop> {
        let (address, output, for_probes) = (self.address.clone(), self.output.clone(), interrupt.clone());
        let last = Cell::new(None);
        let probe = Probe { address: &address, limit: PROBE_LIMIT, output: &output, keeper, interrupt: &for_probes };
        let became_ready = readiness.wait(probe, &last);
        tokio::select! {
            biased;
            () = interrupt.asked() => Err(Stop::Interrupted),
            failure = self.ended("during start-up") => Err(failure.into()),
            ready = tokio::time::timeout(limit, became_ready) => ready.map_err(|_| {
                let seen = last.take().unwrap_or_else(|| "no response yet".into());
                let message = format!("the server was not ready after {} s; last check: {seen}", limit.as_secs());
                Failure::new(ErrorKind::ServerNotReady, message).with_log(None, self.group.log_tail()).into()
            }),
        }
    }

    /// Ends when the server's process does, which it should not.
    pub async fn ended(&mut self, when: &str) -> Failure {
        let status = self.group.exited().await;
        let (how, code) = match &status {
            Ok(status) => (describe_exit(*status), status.code()),
            Err(error) => (error.to_string(), None),
        };
        Failure::new(ErrorKind::ServerExited, format!("the server exited {when} with {how}"))
            .with_log(code, self.group.log_tail())
    }

    /// Empties the caches, so that the next run starts clean. Trouble is told by [`Server::check`].
    pub async fn reset_caches(&mut self, keeper: &Keeper, interrupt: &mut Interrupt) {
        let ended = reset(&self.reset, &self.address, &self.output, keeper, interrupt).await;
        if let Err(Stop::Failed(failure)) = ended {
            self.unclean = Some(failure);
        }
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        self.group.id()
    }

    /// Fails when the server is gone, or when its caches could not be emptied after the run before.
    pub async fn check(&mut self) -> Result<(), Failure> {
        let ended = self.ended("between runs");
        if let Ok(failure) = tokio::time::timeout(Duration::ZERO, ended).await {
            return Err(failure);
        }
        self.unclean.clone().map_or(Ok(()), Err)
    }

    /// Why the caches could not be emptied after the last run.
    pub fn unclean(&self) -> Option<&Failure> {
        self.unclean.as_ref()
    }

    /// Stops the server and waits until its group is gone and its port is free.
    pub async fn stop(self) {
        self.group.stop(STOP_GRACE).await;
        let deadline = Instant::now() + PORT_LIMIT;
        while accepts_connections(&self.address).await && Instant::now() < deadline {
            tokio::time::sleep(FIRST_POLL).await;
        }
    }
}
