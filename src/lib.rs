//! sweeplake: parameter sweeps of LLM servers, run, stored, queried, shown and compared.
//!
//! ARCHITECTURE.md says what each module owns and which way they may depend on each other.

#![deny(clippy::print_stdout, clippy::print_stderr, unsafe_code)]
// Data and I/O can always be otherwise; what can't be says so where it stands.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod cli;
pub mod compare;
pub mod exec;
pub mod explain;
pub mod files;
pub mod formats;
pub mod id;
pub mod import;
pub mod load;
pub mod metric;
pub mod pace;
pub mod params;
pub mod plan;
pub mod plot;
pub mod query;
pub mod record;
pub mod redact;
pub mod report;
pub mod sim;
pub mod sla;
pub mod space;
pub mod stats;
pub mod store;
pub mod sweep;
pub mod table;
pub mod telemetry;
pub mod words;

#[cfg(doctest)]
#[doc = include_str!("../docs/comparing.md")]
struct Comparing;
