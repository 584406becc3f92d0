//! The built program, driven as a user drives it: real processes, real sockets, real files.

mod ab;
mod architecture;
mod bad_input;
mod bench;
mod cloud;
mod compare;
mod documents;
mod foreign_results;
mod import;
mod import_versions;
mod nothing_left;
mod one_truth;
mod plot;
mod query;
mod report;
mod resume;
mod rooms;
mod scratch;
mod secrets;
mod server;
mod shell;
mod sim;
mod sla;
mod store;
mod sweep;
mod weaknesses;
