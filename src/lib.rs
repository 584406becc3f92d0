//! Parameter sweeps of LLM servers: run, stored, queried, shown and compared.
//!
//! The program `sweeplake` is the usual way in; this is the library under it, for programs of your own. A [`query::Lake`] answers SQL over
//! any number of sweeps, also of folders that vLLM wrote:
//!
//! ```
//! use sweeplake::query::Lake;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let lake = Lake::open(&["tests/data/format-2".into()])?;
//! let runtime = tokio::runtime::Runtime::new()?;
//! let sql = "SELECT max_concurrency, avg(output_throughput) AS mean FROM runs GROUP BY 1 ORDER BY 1";
//! let answer = runtime.block_on(lake.sql(sql))?;
//! for (load, mean) in answer.numbers("max_concurrency")?.into_iter().zip(answer.numbers("mean")?) {
//!     println!("{load:?}: {mean:?} tokens per second");
//! }
//! # assert!(answer.num_rows() > 0);
//! # Ok(())
//! # }
//! ```
//!
//! Where to look for what:
//!
//! | to | see |
//! | --- | --- |
//! | plan and run a sweep | [`params`], [`plan`], [`exec`], [`sweep`]; `examples/library.rs` is a whole program |
//! | write and find sweeps | [`store`], [`record`] |
//! | ask about them | [`query`] |
//! | compare them | [`compare`] |
//! | draw them, write reports | [`plot`], [`report`] |
//! | search for the highest load that meets an SLA | [`sla`] |
//! | read results of other tools | [`formats`] |
//! | measure a server, or simulate one | [`load`], [`sim`] |
//!
//! Until version 1.0, anything here may change with a minor version; CHANGELOG.md says what did.

#![deny(clippy::print_stdout, clippy::print_stderr)]
// Data and I/O can always be otherwise; what can't be says so where it stands.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

#[doc(hidden)]
pub mod cli;
pub mod compare;
pub mod exec;
pub(crate) mod explain;
pub(crate) mod files;
pub mod formats;
pub(crate) mod id;
pub(crate) mod import;
pub mod load;
pub mod metric;
pub mod node;
pub(crate) mod os;
pub(crate) mod pace;
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
pub(crate) mod telemetry;
pub(crate) mod words;

#[cfg(doctest)]
#[doc = include_str!("../docs/comparing.md")]
struct Comparing;
