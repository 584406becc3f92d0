//! Lakes as commands open them.

use super::{Failure, query_failure};
use crate::cli::say::say;
use crate::params::read_document;
use crate::query::{Lake, OpenOptions, Prices, Strictness, Workers};
use crate::record::{self, Demands};
use crate::store::is_remote;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// How sweeps and lakes are read.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Opening {
    /// Fail if any sweep of a lake cannot be read. By default, such sweeps are skipped with a warning on stderr.
    #[arg(long)]
    strict: bool,
    /// Price of one GPU per hour in dollars. Adds the columns usd_per_million_output_tokens and usd_per_million_total_tokens to runs and
    /// combinations, and costs to answers.
    #[arg(long, value_name = "USD", value_parser = super::positive_number)]
    gpu_hour_price: Option<f64>,
    /// File of such prices by GPU, {"H100": 2.5, "L4": 0.7} (JSON, TOML or YAML); a name counts if it is part of what the GPU is called.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
}

impl Opening {
    /// Opens sweeps and lakes for a command, and says afterwards what of them was left out.
    pub fn with<T>(&self, paths: &[PathBuf], work: impl FnOnce(&Lake) -> Result<T, Failure>) -> Result<T, Failure> {
        self.with_limit(paths, None, work)
    }

    pub fn with_limit<T>(
        &self,
        paths: &[PathBuf],
        memory_limit: Option<usize>,
        work: impl FnOnce(&Lake) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let lake = self.open(paths, memory_limit)?;
        let done = work(&lake);
        tell(&lake);
        done
    }

    pub fn open(&self, paths: &[PathBuf], memory_limit: Option<usize>) -> Result<Lake, Failure> {
        self.open_on(paths, memory_limit, None)
    }

    /// Opens sweeps and lakes for queries that other machines help to answer, if there are some.
    pub fn open_on(
        &self,
        paths: &[PathBuf],
        memory_limit: Option<usize>,
        workers: Option<Workers>,
    ) -> Result<Lake, Failure> {
        let strictness = if self.strict { Strictness::Refuse } else { Strictness::LeaveOut };
        let by_name = self.prices.as_deref().map(prices_of).transpose()?.unwrap_or_default();
        let prices = Prices { other: self.gpu_hour_price, by_name };
        Lake::open_with(paths, &OpenOptions { memory_limit, strictness, prices, workers }).map_err(query_failure)
    }
}

/// Prices by the names of GPUs.
fn prices_of(path: &Path) -> Result<Vec<(String, f64)>, Failure> {
    let bad = |reason: &str| Failure::Input(format!("--prices: {}: {reason}", path.display()));
    let Value::Object(entries) = read_document(path).map_err(Failure::input)? else {
        return Err(bad("expected an object of GPU names and prices, such as {\"H100\": 2.5}"));
    };
    let price = |(name, value): (String, Value)| match value.as_f64().filter(|price| *price > 0.0) {
        Some(price) if !name.trim().is_empty() => Ok((name.trim().to_owned(), price)),
        _ => Err(bad(&format!("the price of {name:?} must be a number above 0, found {value}"))),
    };
    let prices: Vec<(String, f64)> = entries.into_iter().map(price).collect::<Result<_, _>>()?;
    for (index, (name, _)) in prices.iter().enumerate() {
        if prices.iter().take(index).any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err(bad(&format!("{name:?} has two prices")));
        }
    }
    if prices.is_empty() { Err(bad("holds no price")) } else { Ok(prices) }
}

/// A place that is written to: a path of this machine.
pub fn local_path(text: &str) -> Result<PathBuf, String> {
    match is_remote(Path::new(text)) {
        true => Err(
            "output must be a local path; copy the result to the object store afterwards (queries can read it there)"
                .into(),
        ),
        false => Ok(text.into()),
    }
}

/// What a run must be to count, and what is kept of it.
#[derive(clap::Args, Clone, Debug)]
pub struct Keeping {
    /// Minimum share of requests that must succeed. A run below it is degraded: it is kept, but never recommended.
    #[arg(long, default_value = "100%", value_name = "SHARE", value_parser = share)]
    min_success: f64,
    /// Count a run as failed if its numbers are impossible (a negative duration, a P99 below the median, …). By default, such a
    /// run is kept with a caution.
    #[arg(long, help_heading = "How to run")]
    strict: bool,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { min_success: 1.0, strict: false }
    }
}

impl Keeping {
    pub fn demands(&self) -> Demands {
        let strictness = if self.strict { record::Strictness::Fail } else { record::Strictness::Caution };
        Demands { min_success: self.min_success, strictness }
    }
}

/// `95%` or `0.95` as 0.95.
fn share(text: &str) -> Result<f64, String> {
    let number = match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|number| number / 100.0),
        None => text.trim().parse(),
    };
    match number {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a share such as 95%".into()),
    }
}

/// Says what there is to say about the tables that were asked.
pub fn tell(lake: &Lake) {
    lake.take_warnings().iter().for_each(|warning| say!("warning: {warning}"));
}
