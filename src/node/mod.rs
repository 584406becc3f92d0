//! What of this machine a server gets: GPUs, a port, cores; and how many servers fit side by side.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

mod gpus;
mod order;
mod port;
mod presence;
mod seats;

#[cfg(test)]
pub use gpus::Vendor;
pub use gpus::{Gpus, given, parse_gpus};
pub use order::{Waiting, arrange, makespan};
pub use port::Port;
pub use presence::{Presence, enter};
pub use seats::{Pin, Seat, Seats};
