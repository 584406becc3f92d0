//! What only Linux tells of processes and of the machine. Elsewhere the same names tell nothing, and no sweep can be run: results can
//! be read, queried, plotted, compared and reported. The feature `portable` builds on Linux what other systems get, to check it.

#[cfg_attr(all(target_os = "linux", not(feature = "portable")), path = "linux.rs")]
#[cfg_attr(not(all(target_os = "linux", not(feature = "portable"))), path = "elsewhere.rs")]
mod system;

pub use system::{
    Timer, adopt_orphans, children_of, cpu_at_end, ignored_signals, machine, name_this, namespace, numa_node_of,
    numa_nodes, process, processes, slept, variable_of, was_stopped, with_cores,
};

/// A process as it was seen.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// Clock ticks since the machine was started.
    pub started: u64,
    pub name: String,
    /// It has ended, and its parent has not asked for its status yet.
    pub is_ended: bool,
    pub memory_bytes: u64,
    /// Seconds of CPU that it has taken.
    pub cpu_s: f64,
}

/// The machine as it was seen; what is not known is not there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    /// Seconds that all cores together were busy since the machine was started.
    pub busy_s: Option<f64>,
    pub memory_used_bytes: Option<f64>,
    pub load_1m: Option<f64>,
    /// Received and sent since the machine was started, by interfaces that are devices.
    pub network_bytes: Option<(f64, f64)>,
}

/// Why this system can't run sweeps; nothing where it can.
pub fn check() -> Result<(), &'static str> {
    match processes().next() {
        Some(_) => Ok(()),
        None => Err("sweeps run only on Linux with a readable /proc, which tells which processes a server started"),
    }
}
