//! SGLang's `bench_serving`: JSON lines, one object for each run.

use super::document::{flatten, known_at, list_at};
use super::sign::Shape::{Number, Text};
use super::sign::Sign::Has;
use super::{Format, Run, known};
use crate::metric::Metric;
use serde_json::{Map, Value};
use std::path::Path;

pub const FORMAT: Format = Format {
    tool: "sglang",
    name: "SGLang bench_serving",
    needs: &[
        Has("backend", Text),
        Has("dataset_name", Text),
        Has("random_range_ratio", Number),
        Has("duration", Number),
        Has("completed", Number),
    ],
    tells: &[Has("mean_e2e_latency_ms", Number), Has("total_output_tokens", Number)],
    definitions: &[
        ("tpot", "tpot: (latency - TTFT) / (output tokens - 1), per request"),
        ("itl", "itl: gaps between chunks, of all requests together; of its own server per token of the chunk"),
        ("e2el", "e2e_latency: from sending to the last token, per request"),
        ("total_token_throughput", "total_throughput"),
        ("mean_concurrent_requests", "concurrency: the sum of all latencies / duration"),
    ],
    read,
};

/// Keys of what came out that vLLM's results have too, with the same meaning.
const SAME: [&str; 14] = [
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
    "errors",
];

/// What is asked for whatever the data set is.
const ASKED: [&str; 5] = ["backend", "dataset_name", "request_rate", "max_concurrency", "tag"];
/// What says something only of random data: its defaults are written for every data set.
const OF_RANDOM_DATA: [&str; 3] = ["random_input_len", "random_output_len", "random_range_ratio"];
const OF_SHAREGPT: &str = "sharegpt_output_len";

fn read(document: &Map<String, Value>, _: &Path) -> Result<Vec<Run>, String> {
    let mut run = Run::of(document);
    put_results(document, &mut run);
    let of_server = |key: &str| known_at(document, &format!("server_info.{key}")).cloned();
    run.put("model_id", of_server("model_path"));
    run.serve = known([
        ("model", of_server("model_path")),
        ("tensor_parallel_size", of_server("tp_size")),
        ("pipeline_parallel_size", of_server("pp_size")),
        ("data_parallel_size", of_server("dp_size")),
    ]);
    run.bench = known(asked(document).into_iter().map(|(key, value)| (key, Some(value))));
    Ok(vec![run])
}

/// What came out, under vLLM's names.
pub fn put_results(results: &Map<String, Value>, run: &mut Run) {
    for (key, value) in results {
        let name = match key.as_str() {
            "total_throughput" => Some("total_token_throughput".to_owned()),
            "concurrency" => Some("mean_concurrent_requests".to_owned()),
            key if SAME.contains(&key) => Some(key.to_owned()),
            key => latency(key),
        };
        match name {
            Some(name) => run.put(&name, Some(value.clone())),
            None if is_asked(key, results) || key == "generated_texts" => {}
            None => flatten(value, key, &mut run.extra),
        }
    }
    if results.contains_key("errors") {
        let failed =
            list_at(results, "errors").filter(|error| error.as_str().is_some_and(|text| !text.is_empty())).count();
        run.put("failed", Some(failed));
    }
}

/// What was asked for.
pub fn asked(results: &Map<String, Value>) -> Vec<(&str, Value)> {
    let asked = results.iter().filter(|(key, _)| is_asked(key, results));
    asked.map(|(key, value)| (key.as_str(), value.clone())).collect()
}

/// Whether a key says what was asked for.
fn is_asked(key: &str, document: &Map<String, Value>) -> bool {
    let dataset = document.get("dataset_name").and_then(Value::as_str).unwrap_or_default();
    let is_random = dataset.starts_with("random") || dataset == "image";
    ASKED.contains(&key) || (is_random && OF_RANDOM_DATA.contains(&key)) || (!is_random && key == OF_SHAREGPT)
}

/// `p99_e2e_latency_ms` is `p99_e2el_ms`; the others are called as vLLM calls them.
fn latency(key: &str) -> Option<String> {
    let name = key.replace("_e2e_latency_ms", "_e2el_ms");
    (name.ends_with("_ms") && Metric::of(&name).is_some()).then_some(name)
}
