//! Who runs the benchmarks of a sweep.

use crate::exec::{Reset, Waiting};
use crate::params::Address;

/// What a sweep starts besides benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starts {
    Servers,
    Nothing,
}

/// What runs a sweep's benchmarks.
pub enum Runner {
    /// Servers of its own, brought back to a clean state after each run.
    Servers { waiting: Waiting, reset: Reset },
    /// Somebody else: a server that is there, at an address.
    Remote { waiting: Waiting, reset: Reset, address: Address },
    /// Nothing: the benchmarks start what they measure.
    Standalone,
}

impl Runner {
    pub fn starts(&self) -> Starts {
        match self {
            Self::Servers { .. } => Starts::Servers,
            Self::Remote { .. } | Self::Standalone => Starts::Nothing,
        }
    }
}
