//! Other systems: nothing is known of processes and of the machine.

use super::{Machine, Process};
use nix::unistd::Pid;
use std::ffi::CStr;
use std::io;
use std::time::{Duration, Instant};

pub fn processes() -> impl Iterator<Item = Process> {
    std::iter::empty()
}

pub fn process(_: i32) -> Option<Process> {
    None
}

pub fn variable_of(_: i32, _: &str) -> Option<String> {
    None
}

pub fn children_of(_: i32) -> Vec<i32> {
    Vec::new()
}

pub fn namespace() -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

pub fn adopt_orphans() {}

pub fn name_this(_: &CStr) {}

pub fn ignored_signals() -> u64 {
    0
}

pub fn was_stopped(_: Pid) -> bool {
    false
}

pub fn cpu_at_end(_: Pid) -> Option<Duration> {
    None
}

pub fn slept() -> Duration {
    Duration::ZERO
}

pub fn numa_nodes() -> Vec<Vec<usize>> {
    Vec::new()
}

pub fn numa_node_of(_: &str) -> Option<usize> {
    None
}

pub fn with_cores<T>(_: &[usize], work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    work()
}

pub fn machine() -> Machine {
    Machine::default()
}

/// tokio's timer for the most of it, and for the rest other tasks come first.
pub struct Timer(());

/// How late tokio's timers may be.
const TICK: Duration = Duration::from_millis(2);

impl Timer {
    pub fn new() -> io::Result<Self> {
        Ok(Self(()))
    }

    /// Waits for so long.
    pub async fn wait(&self, left: Duration) -> io::Result<()> {
        let end = Instant::now() + left;
        tokio::time::sleep(left.saturating_sub(TICK)).await;
        while Instant::now() < end {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
