//! A server's command, and those of its loads, where its seat puts them.

use super::clients::Client;
use super::commands::is_known_client;
use crate::node::{Port, Seat};
use crate::params::{Address, Command, PORT, Takes};
use crate::plan::ServerPlan;
use crate::record::{ErrorKind, Failure};

/// Whether servers listen where their commands say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    AsPlanned,
    /// Each gets one that is free.
    Free,
}

/// A server's place while it runs.
#[derive(Debug)]
pub struct Seated {
    pub address: Address,
    pub command: Command,
    takes_port: Option<Port>,
}

impl Seated {
    pub fn of(server: &ServerPlan, seat: &Seat, ports: Ports) -> Result<Self, Failure> {
        let command = server.command.filled(GPUS, &seat.gpus.join(","));
        if ports == Ports::AsPlanned && !command.has(PORT) {
            return Ok(Self { address: server.address.clone(), command, takes_port: None });
        }
        let port =
            Port::free(&server.address).map_err(|error| Failure::new(ErrorKind::PortTaken, error.to_string()))?;
        let address = Address { port: port.number, ..server.address.clone() };
        Ok(Self { command: address.serve(&command), address, takes_port: Some(port) })
    }

    /// The command of a load on it.
    pub fn bench(&self, command: &Command) -> Command {
        match &self.takes_port {
            None => self.address.fill(command),
            Some(_) => self.address.bench(command, takes(command)).unwrap_or_else(|| command.clone()),
        }
    }
}

/// How a benchmark is told where to send.
pub fn takes(command: &Command) -> Takes {
    match Client::of(command) {
        Some(client) => client.takes(),
        None if is_known_client(command) => Takes::Port,
        None => Takes::Nothing,
    }
}

/// Stands in a server's command for the GPUs that it is given: `0,1`.
pub const GPUS: &str = "{gpus}";
