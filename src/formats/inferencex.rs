//! InferenceX (InferenceMAX): rows of its dashboard, one for each run. Its times are in seconds, its throughputs per GPU.

use super::document::{flatten, known_at, list_at, number_at};
use super::sign::Shape::{Number, Text};
use super::sign::Sign::Any;
use super::{Format, Run, known};
use crate::metric::Metric;
use serde_json::{Map, Value};
use std::path::Path;

pub const FORMAT: Format = Format {
    tool: "inferencex",
    name: "InferenceX",
    needs: &[
        Any(&[("hw", Text), ("benchmarks.0.hw", Text)]),
        Any(&[("framework", Text), ("benchmarks.0.framework", Text)]),
        Any(&[("conc", Number), ("benchmarks.0.conc", Number)]),
        Any(&[("isl", Number), ("benchmarks.0.isl", Number)]),
        Any(&[("tput_per_gpu", Number), ("benchmarks.0.tput_per_gpu", Number)]),
    ],
    tells: &[Any(&[("median_ttft", Number), ("benchmarks.0.median_ttft", Number)])],
    definitions: &[
        ("ttft", "ttft, in seconds"),
        ("tpot", "tpot, in seconds: (E2E latency - TTFT) / (output tokens - 1), per request"),
        ("itl", "itl, in seconds: gaps between chunks, of all requests together"),
        ("e2el", "e2el, in seconds"),
        ("output_throughput", "output_tput_per_gpu × the GPUs that decode"),
        ("total_token_throughput", "tput_per_gpu × all GPUs"),
    ],
    read,
};

/// What the server was.
const SERVER: [&str; 27] = [
    "hw",
    "framework",
    "precision",
    "spec_decoding",
    "image",
    "disagg",
    "is_multinode",
    "tp",
    "pp",
    "dcp_size",
    "pcp_size",
    "ep",
    "dp_attention",
    "recipe_fingerprint",
    "prefill_tp",
    "prefill_pp",
    "prefill_ep",
    "prefill_dp_attention",
    "prefill_num_workers",
    "prefill_hw",
    "decode_tp",
    "decode_pp",
    "decode_ep",
    "decode_dp_attention",
    "decode_num_workers",
    "decode_hw",
    "num_prefill_gpu",
];
const DECODING_GPUS: &str = "num_decode_gpu";

fn read(document: &Map<String, Value>, _: &Path) -> Result<Vec<Run>, String> {
    match document.contains_key("hw") {
        true => Ok(vec![run(document)]),
        false => Ok(list_at(document, "benchmarks").filter_map(Value::as_object).map(run).collect()),
    }
}

fn run(row: &Map<String, Value>) -> Run {
    let mut run = Run::of(row);
    let of_server = |key: &str| SERVER.contains(&key) || key == DECODING_GPUS;
    for (key, value) in row {
        let name = format!("{key}_ms");
        if Metric::of(&name).is_some() {
            run.put(&name, value.as_f64().map(|seconds| seconds * 1000.0));
        } else if !of_server(key) && !["model", "isl", "osl", "conc"].contains(&key.as_str()) {
            flatten(value, key, &mut run.extra);
        }
    }
    let gpus = gpus(row);
    let decoding = number_at(row, DECODING_GPUS).filter(|count| *count > 0.0).or(gpus);
    let times = |key: &str, gpus: Option<f64>| Some(number_at(row, key)? * gpus?);
    run.put("total_token_throughput", times("tput_per_gpu", gpus));
    run.put("output_throughput", times("output_tput_per_gpu", decoding));
    run.put("model_id", known_at(row, "model").cloned());
    for (key, path) in [("num_prompts", "requested"), ("completed", "completed"), ("failed", "failed")] {
        run.put(key, known_at(row, &format!("benchmark_outcome.{path}")).cloned());
    }
    let server = row.iter().filter(|(key, value)| of_server(key) && value.as_str() != Some(""));
    run.serve = known([("model", known_at(row, "model").cloned())]);
    run.serve.params.extend(known(server.map(|(key, value)| (key.as_str(), Some(value.clone())))).params);
    run.serve.params.extend(known([("gpu_count", gpus.map(Value::from))]).params);
    run.bench = known([
        ("max_concurrency", known_at(row, "conc").cloned()),
        ("random_input_len", known_at(row, "isl").cloned()),
        ("random_output_len", known_at(row, "osl").cloned()),
    ]);
    run
}

/// All GPUs: those of both sides where prefill and decode are apart, else the product of the sizes that multiply.
fn gpus(row: &Map<String, Value>) -> Option<f64> {
    let of = |key: &str| number_at(row, key);
    let apart = of("num_prefill_gpu").zip(of(DECODING_GPUS)).map(|(prefill, decode)| prefill + decode);
    apart.or_else(|| Some(of("tp")? * of("pp").unwrap_or(1.0) * of("pcp_size").unwrap_or(1.0)))
}
