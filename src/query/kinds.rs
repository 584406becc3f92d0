//! What sweeps measured. Sweeps of another model, engine, load or kind of hardware are of another kind, and no copies of each other.

use super::{Lake, QueryError};
use crate::params::Command;
use std::collections::{BTreeMap, BTreeSet};

/// What sweeps of one kind have in common.
pub type SweepKind = BTreeMap<String, String>;

/// Flags of a benchmark that change nothing of what it sends: where to, where its results go, how it looks.
pub const NO_LOAD: [&str; 24] = [
    "host",
    "port",
    "base_url",
    "endpoint",
    "model",
    "served_model_name",
    "tokenizer",
    "trust_remote_code",
    "result_dir",
    "result_filename",
    "save_result",
    "save_detailed",
    "append_result",
    "label",
    "metadata",
    "percentile_metrics",
    "metric_percentiles",
    "disable_tqdm",
    "profile",
    "header",
    "api_key",
    "request_id_prefix",
    "ready_check_timeout_sec",
    "seed",
];

/// The flags of a benchmark's command by name; nothing where it can't be read.
pub fn flags_of(bench_cmd: &str) -> Option<BTreeMap<String, String>> {
    Command::parse("bench_cmd", bench_cmd).ok().map(|command| command.flags())
}

/// The kind of a sweep of which these facts are known.
pub fn kind_of(fact: impl Fn(&str) -> Option<String>) -> SweepKind {
    let facts = ["engine", "model_id", "gpu", "gpu_count"].into_iter();
    let facts = facts.filter_map(|name| Some((name.to_owned(), fact(name)?)));
    let load = fact("bench_cmd").and_then(|command| flags_of(&command)).unwrap_or_default().into_iter();
    facts.chain(load.filter(|(name, _)| !NO_LOAD.contains(&name.as_str()))).collect()
}

/// Kinds by what differs between them; empty where all are one.
pub fn names_of(kinds: &[SweepKind]) -> Vec<String> {
    let facts: BTreeSet<&String> = kinds.iter().flat_map(BTreeMap::keys).collect();
    let differs = |fact: &&&String| {
        let values: BTreeSet<Option<&String>> = kinds.iter().map(|kind| kind.get(fact.as_str())).collect();
        values.len() > 1
    };
    let differing: Vec<&&String> = facts.iter().filter(differs).collect();
    let name = |kind: &SweepKind| {
        let parts = differing.iter().filter_map(|fact| Some(format!("{fact}={}", kind.get(fact.as_str())?)));
        parts.collect::<Vec<_>>().join(" ")
    };
    kinds.iter().map(name).collect()
}

super::typed_row! {
    struct Facts {
        sweep: String,
        engine: Option<String>,
        gpu: Option<String>,
        bench_cmd: Option<String>,
        model_id: Option<String>,
    }
}

impl Lake {
    /// The kind of each sweep, named by what differs; nothing where all are of one kind.
    pub async fn kinds(&self) -> Result<BTreeMap<String, String>, QueryError> {
        let model = match self.columns("runs").await?.has("model_id") {
            true => "(SELECT min(model_id) FROM runs WHERE runs.sweep = sweeps.sweep)",
            false => "CAST(NULL AS VARCHAR)",
        };
        let sql = format!("SELECT sweep, engine, gpu, bench_cmd, {model} AS model_id FROM sweeps ORDER BY sweep");
        let rows: Vec<Facts> = self.sql(&sql).await?.typed("kinds of sweeps")?;
        let kinds: Vec<SweepKind> = rows
            .iter()
            .map(|row| {
                kind_of(|name| match name {
                    "engine" => row.engine.clone(),
                    "gpu" => row.gpu.clone(),
                    "bench_cmd" => row.bench_cmd.clone(),
                    "model_id" => row.model_id.clone(),
                    _ => None,
                })
            })
            .collect();
        let names = names_of(&kinds);
        if names.iter().all(String::is_empty) {
            return Ok(BTreeMap::new());
        }
        Ok(rows.into_iter().map(|row| row.sweep).zip(names).collect())
    }
}
