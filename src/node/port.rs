//! A port that nobody listens on, kept until its server has ended.

use crate::files::to_lock;
use crate::params::Address;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::net::TcpListener;

/// So many ports above the wanted one are tried.
const TRIED: u16 = 2000;

/// A port that is free, and that no other sweep of this machine takes meanwhile.
#[derive(Debug)]
pub struct Port {
    pub number: u16,
    _lease: Option<Flock<File>>,
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("no port between {first} and {last} of {host} is free")]
pub struct NoPort {
    host: String,
    first: u16,
    last: u16,
}

impl Port {
    /// The first that is free from the one that an address has. A server binds it only after it has loaded its model, so a lock says
    /// meanwhile that it is taken.
    pub fn free(wanted: &Address) -> Result<Self, NoPort> {
        let last = wanted.port.saturating_add(TRIED);
        (wanted.port..=last)
            .find_map(|number| {
                let lease = Lease::of(number)?;
                is_free(&wanted.host, number).then(|| Self { number, _lease: lease.0 })
            })
            .ok_or_else(|| NoPort { host: wanted.host.clone(), first: wanted.port, last })
    }
}

/// Nothing in it where the file can't be locked at all: then only the port itself tells.
struct Lease(Option<Flock<File>>);

impl Lease {
    /// None where somebody else has it.
    fn of(number: u16) -> Option<Self> {
        let path = std::env::temp_dir().join(format!("sweeplake-port-{number}.lock"));
        let Ok(file) = to_lock(&path) else { return Some(Self(None)) };
        Flock::lock(file, FlockArg::LockExclusiveNonblock).ok().map(|lock| Self(Some(lock)))
    }
}

/// Whether it can be listened on: at the address, and at all addresses.
fn is_free(host: &str, port: u16) -> bool {
    ["0.0.0.0", host].iter().all(|host| TcpListener::bind((*host, port)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_never_one_that_is_listened_on() {
        let at = |port| Address { host: "127.0.0.1".into(), port };
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let busy = listener.local_addr().unwrap().port();
        let one = Port::free(&at(busy)).unwrap();
        let other = Port::free(&at(busy)).unwrap();
        assert!(one.number > busy && other.number > one.number);
        let number = one.number;
        drop(one);
        assert_eq!(Port::free(&at(busy)).unwrap().number, number);
    }
}
