//! `vllm bench serve`: one flat object; also those of its sweeps, whose parameters stand behind `run_number`.

use super::reading::{Format, Run};
use crate::record::{local_date, params_of};
use serde_json::{Map, Value};
use std::path::Path;

pub const FORMAT: Format = Format {
    tool: "vllm",
    definitions: &[
        ("tpot", "(E2E latency - TTFT) / (output tokens - 1), per request"),
        ("itl", "gaps between chunks, of all requests together"),
        ("e2el", "from sending to the last token, per request"),
    ],
    is_it,
    read,
};

/// Start-up sweeps measure no requests, but times.
const TELLING: [&str; 5] = [
    "request_throughput",
    "total_token_throughput",
    "input_sequence_throughput",
    "avg_cold_startup_time",
    "run_number",
];

fn is_it(document: &Map<String, Value>) -> bool {
    TELLING.iter().any(|key| document.contains_key(*key))
}

fn read(document: &Map<String, Value>, _: &Path) -> Result<Vec<Run>, String> {
    let date = document.get("date").and_then(Value::as_str);
    Ok(vec![Run {
        result: document.clone(),
        bench: params_of(document),
        started_at: date.and_then(local_date),
        text: Value::Object(document.clone()).to_string(),
        ..Run::default()
    }])
}
