//! Where the truth is known: what the searches, verdicts and intervals answer, how often they are right, and what others answer on
//! the same data. Each prints its table of docs/performance.md:
//!
//!     cargo run --release --example truth -- tune
//!     cargo run --release --example truth -- tune 10                 # fewer cases
//!     cargo run --release --example truth -- tune 50 surfaces.json   # the cases, too, for benches/tune_vs_optuna.py

mod compare;
mod designs;
mod race;
mod repeat;
mod search;
mod sla;
mod trend;
mod tune;

use clap::Parser;
use std::error::Error;
use std::path::PathBuf;

#[derive(Parser)]
enum Experiment {
    /// Verdicts between sweeps.
    Compare { pairs: Option<u64> },
    /// Verdicts of sweeps made in other ways.
    Designs { cases: Option<u64> },
    /// The frontier that a race answers.
    Race { races: Option<u64> },
    /// Intervals of `--repeat-until`.
    Repeat { sweeps: Option<usize> },
    /// The search for the greatest load on curves.
    Search { instances: Option<u64> },
    /// `serve_sla` on simulated servers.
    Sla { seeds: Option<u64> },
    /// Change points.
    Trend { lakes: Option<u64>, file: Option<PathBuf> },
    /// The frontier that `serve_tune` finds.
    Tune { surfaces: Option<u64>, file: Option<PathBuf> },
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    match Experiment::parse() {
        Experiment::Compare { pairs } => compare::run(pairs.unwrap_or(400)),
        Experiment::Designs { cases } => designs::run(cases.unwrap_or(400)),
        Experiment::Race { races } => race::run(races.unwrap_or(400)),
        Experiment::Repeat { sweeps } => repeat::run(sweeps.unwrap_or(20_000)),
        Experiment::Search { instances } => search::run(instances.unwrap_or(60)),
        Experiment::Sla { seeds } => sla::run(seeds.unwrap_or(20)),
        Experiment::Trend { lakes, file } => trend::run(lakes.unwrap_or(300), file)?,
        Experiment::Tune { surfaces, file } => tune::run(surfaces.unwrap_or(50), file)?,
    }
    Ok(())
}
