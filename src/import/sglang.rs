//! SGLang's `bench_serving`: JSON lines, one object for each run.

use super::reading::{Format, Run, flatten, load};
use serde_json::{Map, Value};
use std::path::Path;

pub const FORMAT: Format = Format {
    tool: "sglang",
    definitions: &[
        ("tpot", "tpot: (latency - TTFT) / (output tokens - 1), per request"),
        ("itl", "itl: gaps between chunks, of all requests together"),
        ("e2el", "e2e_latency: from sending to the last token, per request"),
        ("total_token_throughput", "total_throughput"),
    ],
    is_it,
    read,
};

/// Keys that vLLM's results have too, with the same meaning.
const SAME: [&str; 16] = [
    "backend",
    "request_rate",
    "max_concurrency",
    "duration",
    "completed",
    "total_input_tokens",
    "total_output_tokens",
    "request_throughput",
    "output_throughput",
    "request_goodput",
    "max_output_tokens_per_s",
    "max_concurrent_requests",
    "input_lens",
    "output_lens",
    "ttfts",
    "itls",
];

fn is_it(document: &Map<String, Value>) -> bool {
    document.contains_key("mean_e2e_latency_ms")
}

fn read(document: &Map<String, Value>, _: &Path) -> Result<Vec<Run>, String> {
    let mut run = Run { text: Value::Object(document.clone()).to_string(), ..Run::default() };
    for (key, value) in document {
        let name = match key.as_str() {
            "total_throughput" => "total_token_throughput".to_owned(),
            "errors" | "generated_texts" => key.clone(),
            // `trace` is no rate: as a text it would make texts of all rates of the lake.
            "request_rate" if value.as_str().is_some_and(|text| text == "trace") => {
                flatten(value, key, &mut run.extra);
                continue;
            }
            key if SAME.contains(&key) => key.to_owned(),
            key => match latency(key) {
                Some(name) => name,
                None => {
                    flatten(value, key, &mut run.extra);
                    continue;
                }
            },
        };
        run.result.insert(name, value.clone());
    }
    let errors = document.get("errors").and_then(Value::as_array);
    let failed =
        errors.map(|errors| errors.iter().filter(|error| error.as_str().is_some_and(|text| !text.is_empty())).count());
    let completed = document.get("completed").and_then(Value::as_u64);
    let num_prompts = completed.map(|completed| completed + failed.unwrap_or(0) as u64);
    if let Some(failed) = failed {
        run.result.insert("failed".into(), failed.into());
    }
    run.result.insert("num_prompts".into(), num_prompts.into());
    let of_server = |key: &str| document.get("server_info").and_then(|info| info.get(key)).cloned();
    run.result.insert("model_id".into(), of_server("model_path").unwrap_or_default());
    run.serve = load([
        ("tensor_parallel_size", of_server("tp_size")),
        ("pipeline_parallel_size", of_server("pp_size")),
        ("data_parallel_size", of_server("dp_size")),
    ]);
    let setting = |key: &str| document.get(key).cloned().filter(|value| value.as_str() != Some("trace"));
    run.bench = load([
        ("num_prompts", num_prompts.map(Value::from)),
        ("max_concurrency", setting("max_concurrency")),
        ("request_rate", setting("request_rate")),
        ("random_input_len", setting("random_input_len")),
        ("random_output_len", setting("random_output_len")),
        ("backend", setting("backend")),
    ]);
    Ok(vec![run])
}

/// `p99_e2e_latency_ms` is `p99_e2el_ms`; the others are called as vLLM calls them.
fn latency(key: &str) -> Option<String> {
    let (statistic, rest) = key.split_once('_')?;
    let latency = match rest {
        "e2e_latency_ms" => "e2el",
        "ttft_ms" => "ttft",
        "tpot_ms" => "tpot",
        "itl_ms" => "itl",
        _ => return None,
    };
    Some(format!("{statistic}_{latency}_ms"))
}
