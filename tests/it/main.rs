//! The built program, driven as a user drives it: real processes, real sockets, real files.

mod architecture;
mod bad_input;
mod bench;
mod compare;
mod documents;
mod plot;
mod query;
mod report;
mod resume;
mod scratch;
mod server;
mod sim;
mod sla;
mod sweep;
mod weaknesses;
