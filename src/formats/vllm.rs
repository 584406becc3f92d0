//! `vllm bench serve`: one flat object; also those of its sweeps, whose parameters stand behind `run_number`.

use super::sign::Shape::{Number, Text};
use super::sign::Sign::{Any, Has, Lacks};
use super::{Format, Run, known};
use crate::metric::Metric;
use crate::params::value_text;
use crate::record::{local_date, params_of};
use serde_json::{Map, Value};
use std::path::Path;

pub const TOOL: &str = "vllm";

const DEFINITIONS: &[(&str, &str)] = &[
    ("tpot", "(E2E latency - TTFT) / (output tokens - 1), per request"),
    ("itl", "gaps between chunks, of all requests together"),
    ("e2el", "from sending to the last token, per request"),
];

pub const FORMAT: Format = Format {
    tool: TOOL,
    name: "vLLM bench serve",
    needs: &[
        Any(&[("completed", Number), ("request_throughput", Number), ("total_token_throughput", Number)]),
        Any(&[("duration", Number), ("run_number", Number)]),
        Any(&[("model_id", Text), ("backend", Text), ("endpoint_type", Text), ("date", Text), ("run_number", Number)]),
        Lacks("random_range_ratio", Number),
    ],
    tells: &[
        Has("num_prompts", Number),
        Any(&[("mean_ttft_ms", Number), ("median_ttft_ms", Number), ("mean_e2el_ms", Number)]),
    ],
    definitions: DEFINITIONS,
    read,
};

/// Start-up sweeps measure no requests, but times.
pub const STARTUP: Format = Format {
    tool: TOOL,
    name: "vLLM bench startup",
    needs: &[Has("avg_cold_startup_time", Number)],
    tells: &[],
    definitions: &[],
    read,
};

/// Texts that vLLM itself writes: every other is one of `--metadata`.
const OWN_TEXTS: [&str; 12] = [
    "date",
    "endpoint_type",
    "backend",
    "label",
    "model_id",
    "tokenizer_id",
    "request_rate",
    "ramp_up_strategy",
    "num_prompts",
    "max_concurrency",
    "burstiness",
    "_benchmark_name",
];

/// What a load with a rate that grows was asked for.
const RAMP_UP: [&str; 3] = ["ramp_up_strategy", "ramp_up_start_rps", "ramp_up_end_rps"];

fn read(document: &Map<String, Value>, _: &Path) -> Result<Vec<Run>, String> {
    let mut run = Run { whole: document.clone(), ..Run::of(document) };
    run.started_at = document.get("date").and_then(Value::as_str).and_then(local_date);
    run.bench = params_of(document);
    // With metadata of its name a setting may be anything: `many` prompts are no number that was asked for.
    if let Some(other) = run.bench.params.get("num_prompts").filter(|value| !value.is_number()) {
        run.cautions.push(format!("num_prompts is {other}, which is not a number"));
        run.extra.push(("num_prompts".into(), value_text(other)));
        run.bench.params.shift_remove("num_prompts");
    }
    run.bench.params.extend(known(RAMP_UP.map(|key| (key, document.get(key).cloned()))).params);
    let metadata = document.iter().filter(|(key, value)| {
        let is_own = OWN_TEXTS.contains(&key.as_str()) || Metric::of(key.trim_end_matches(':')).is_some();
        value.is_string() && !is_own && !run.bench.params.contains_key(*key)
    });
    run.serve = known([("model", document.get("model_id").cloned())]);
    run.serve.params.extend(metadata.map(|(key, value)| (key.clone(), value.clone())));
    let is_setting =
        |key: &str| run.bench.params.contains_key(key) || (key != "model_id" && run.serve.params.contains_key(key));
    let is_other = |key: &str| run.extra.iter().any(|(other, _)| other == key);
    let result = document.iter().filter(|(key, _)| !is_setting(key) && !is_other(key));
    run.result = result.map(|(key, value)| (key.clone(), value.clone())).collect();
    for (name, value) in in_milliseconds(document) {
        run.result.shift_remove(name.trim_end_matches("_ms"));
        run.cautions
            .push(format!("{} has no unit in its name: assumed to be in seconds", name.trim_end_matches("_ms")));
        run.result.entry(name).or_insert(value);
    }
    Ok(vec![run])
}

/// Latencies under names without `_ms`, which those who leave it out give in seconds.
fn in_milliseconds(document: &Map<String, Value>) -> Vec<(String, Value)> {
    let found = document.iter().filter_map(|(key, value)| {
        let name = format!("{key}_ms");
        let seconds = value.as_f64().filter(|_| Metric::of(&name).is_some())?;
        Some((name, (seconds * 1000.0).into()))
    });
    found.collect()
}
