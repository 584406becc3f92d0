//! `vllm bench throughput` and `vllm bench latency`: the engine alone, without a server. What was asked for stands in the file for
//! PyTorch's dashboard, if that was written.

use super::distribution::percentile;
use super::document::{flatten, known_at, list_at, number_at, unpacked};
use super::sign::Shape::{List, Number, Object};
use super::sign::Sign::{Has, Lacks};
use super::{Format, Run, known};
use crate::stats::population_std;
use serde_json::{Map, Value};
use std::path::Path;

pub const THROUGHPUT: Format = Format {
    tool: super::vllm::TOOL,
    name: "vLLM bench throughput",
    needs: &[
        Has("elapsed_time", Number),
        Has("total_num_tokens", Number),
        Has("requests_per_second", Number),
        Has("tokens_per_second", Number),
        Lacks("completed", Number),
    ],
    tells: &[Has("num_requests", Number)],
    definitions: &[
        ("total_token_throughput", "tokens_per_second: prompt and output tokens / elapsed_time"),
        ("duration", "elapsed_time of all prompts at once, without a server"),
    ],
    read: read_throughput,
};

pub const LATENCY: Format = Format {
    tool: super::vllm::TOOL,
    name: "vLLM bench latency",
    needs: &[Has("avg_latency", Number), Has("latencies", List), Has("percentiles", Object)],
    tells: &[],
    definitions: &[
        ("batch_latency", "avg_latency, latencies, percentiles, in seconds: of a whole batch, without a server"),
        ("output_throughput", "batch_size × output_len / avg_latency, where those are known"),
    ],
    read: read_latency,
};

/// What tells runs of one engine from those of another.
const SERVER: [&str; 9] = [
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "data_parallel_size",
    "max_num_seqs",
    "max_num_batched_tokens",
    "max_model_len",
    "quantization",
    "dtype",
    "kv_cache_dtype",
];
const LOAD: [&str; 7] =
    ["num_prompts", "input_len", "output_len", "batch_size", "dataset_name", "dataset_path", "backend"];

fn read_throughput(document: &Map<String, Value>, path: &Path) -> Result<Vec<Run>, String> {
    let mut run = offline(document, path);
    run.put("duration", number_at(document, "elapsed_time"));
    run.put("completed", known_at(document, "num_requests").cloned());
    run.put("request_throughput", number_at(document, "requests_per_second"));
    run.put("total_token_throughput", number_at(document, "tokens_per_second"));
    flatten(&Value::from(document.clone()), "", &mut run.extra);
    Ok(vec![run])
}

fn read_latency(document: &Map<String, Value>, path: &Path) -> Result<Vec<Run>, String> {
    let mut run = offline(document, path);
    let in_ms = |seconds: f64| seconds * 1000.0;
    let latencies: Vec<f64> = list_at(document, "latencies").filter_map(Value::as_f64).collect();
    run.put("mean_batch_latency_ms", number_at(document, "avg_latency").map(in_ms));
    for (share, value) in document.get("percentiles").and_then(Value::as_object).into_iter().flatten() {
        let Some(statistic) = percentile(share) else { continue };
        run.put(&format!("{statistic}_batch_latency_ms"), value.as_f64().map(in_ms));
    }
    run.put("std_batch_latency_ms", (latencies.len() > 1).then(|| in_ms(population_std(&latencies))));
    let asked = |key: &str| run.bench.get(key).and_then(Value::as_f64);
    let tokens = asked("batch_size").zip(asked("output_len")).map(|(batch, length)| batch * length);
    let mean = number_at(document, "avg_latency").filter(|mean| *mean > 0.0);
    run.put("output_throughput", tokens.zip(mean).map(|(tokens, mean)| tokens / mean));
    run.put("duration", (!latencies.is_empty()).then(|| latencies.iter().sum::<f64>()));
    document.get("latencies").iter().for_each(|value| flatten(value, "latencies", &mut run.extra));
    Ok(vec![run])
}

/// What both know: the model, and what was asked for.
fn offline(document: &Map<String, Value>, path: &Path) -> Run {
    let mut run = Run::of(document);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = unpacked(&name).trim_end_matches(".json");
    let record = run.beside(path, &format!("{name}.pytorch.json")).into_iter().next();
    let first = record.as_ref().and_then(|value| value.as_array().and_then(|all| all.first()).or(Some(value)));
    let arguments = first.and_then(|value| value.pointer("/benchmark/extra_info/args")?.as_object()).cloned();
    let arguments = arguments.unwrap_or_default();
    let of = |key: &'static str| (key, known_at(&arguments, key).cloned());
    let model = known_at(document, "model_id").or_else(|| known_at(&arguments, "model")).cloned();
    run.serve = known(SERVER.map(of).into_iter().chain([("model", model.clone())]));
    run.bench = known(LOAD.map(of));
    run.put("model_id", model);
    run
}
