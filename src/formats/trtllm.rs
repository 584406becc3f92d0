//! TensorRT-LLM's `trtllm-bench … --report_json`: the engine alone, without HTTP.

use super::distribution::add_statistics;
use super::document::{flatten, known_at, number_at, rounded};
use super::sign::Shape::{Number, Object};
use super::sign::Sign::Has;
use super::{Format, Run, known};
use serde_json::{Map, Value};
use std::path::Path;

pub const FORMAT: Format = Format {
    tool: "trtllm-bench",
    name: "TensorRT-LLM trtllm-bench",
    needs: &[
        Has("engine", Object),
        Has("world_info", Object),
        Has("request_info", Object),
        Has("performance.total_latency_ms", Number),
    ],
    tells: &[Has("performance.system_output_throughput_tok_s", Number), Has("dataset", Object)],
    definitions: &[
        (
            "ttft",
            "ttft_percentiles, avg_ttft_ms: from the request's start in the engine; percentiles are values of the sample",
        ),
        ("tpot", "tpot_percentiles, avg_tpot_ms: (end - first token) / (output tokens - 1), per request"),
        ("e2el", "request_latency_percentiles_ms"),
        ("output_throughput", "system_output_throughput_tok_s"),
        ("total_token_throughput", "system_total_throughput_tok_s"),
        ("duration", "total_latency_ms: from the first start to the last end"),
    ],
    read,
};

fn read(document: &Map<String, Value>, _: &Path) -> Result<Vec<Run>, String> {
    let mut run = Run::of(document);
    let of = |path: &str| number_at(document, path);
    run.put("duration", of("performance.total_latency_ms").map(|milliseconds| milliseconds / 1000.0));
    let requests = of("request_info.num_requests");
    run.put("completed", requests.map(rounded));
    run.put("request_throughput", of("performance.request_throughput_req_s"));
    run.put("output_throughput", of("performance.system_output_throughput_tok_s"));
    run.put("total_token_throughput", of("performance.system_total_throughput_tok_s"));
    run.put("mean_concurrent_requests", of("request_info.avg_num_concurrent_requests"));
    let total = |path: &str| Some(rounded(of(path)? * requests?));
    run.put("total_input_tokens", total("request_info.avg_input_length"));
    run.put("total_output_tokens", total("request_info.avg_output_length"));
    for (path, latency) in [
        ("performance.request_latency_percentiles_ms", "e2el"),
        ("streaming_metrics.ttft_percentiles", "ttft"),
        ("streaming_metrics.tpot_percentiles", "tpot"),
    ] {
        add_statistics(known_at(document, path), latency, 1.0, &mut run.result);
    }
    run.put("mean_ttft_ms", of("streaming_metrics.avg_ttft_ms"));
    run.put("mean_tpot_ms", of("streaming_metrics.avg_tpot_ms"));
    run.put("mean_e2el_ms", of("performance.avg_request_latency_ms"));
    let known_text = |path: &str| known_at(document, path).cloned().filter(|value| value != "None");
    run.version = known_text("engine.version").and_then(|version| version.as_str().map(str::to_owned));
    run.serve = known([
        ("model", known_text("engine.model")),
        ("backend", known_text("engine.backend")),
        ("dtype", known_text("engine.dtype")),
        ("kv_cache_dtype", known_text("engine.kv_cache_dtype")),
        ("quantization", known_text("engine.quantization")),
        ("tensor_parallel_size", known_text("world_info.tp_size")),
        ("pipeline_parallel_size", known_text("world_info.pp_size")),
        ("max_batch_size", known_text("world_info.max_batch_size")),
        ("max_num_tokens", known_text("world_info.max_num_tokens")),
        ("scheduling_policy", known_text("world_info.scheduling_policy")),
        ("kv_cache_percentage", known_text("world_info.kv_cache_percentage")),
        ("gpu_type", known_text("machine.name")),
        ("gpu_count", known_text("world_info.world_size")),
    ]);
    run.put("model_id", run.serve.get("model").cloned());
    run.bench = known([
        ("num_prompts", known_text("dataset.num_requests")),
        ("dataset", known_text("dataset.dataset_path")),
        ("mean_input_len", known_text("dataset.avg_isl")),
        ("mean_output_len", known_text("dataset.avg_osl")),
    ]);
    for (key, value) in document {
        if key != "streaming_metrics" {
            flatten(value, key, &mut run.extra);
        }
    }
    // `issue_rate` is a rate by name, and no rate by what it is made of.
    run.extra.retain(|(path, _)| path != "world_info.issue_rate" && !path.starts_with("performance.request_latency"));
    Ok(vec![run])
}
