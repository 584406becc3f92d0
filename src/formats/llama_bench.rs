//! llama.cpp's `llama-bench -o json|jsonl`: one sequence at a time, a test of prompt processing, of generation, or of both.

use super::document::{flatten, known_at, list_at, number_at, text_at};
use super::sign::Shape::{Number, Text};
use super::sign::Sign::{Any, Has};
use super::{Format, Run, known};
use serde_json::{Map, Value};
use std::path::Path;

pub const FORMAT: Format = Format {
    tool: "llama-bench",
    name: "llama.cpp llama-bench",
    needs: &[
        Has("n_prompt", Number),
        Has("n_gen", Number),
        Has("avg_ts", Number),
        Any(&[("model_filename", Text), ("model_type", Text)]),
    ],
    tells: &[Has("build_commit", Text), Has("avg_ns", Number)],
    definitions: &[
        (
            "input_throughput",
            "of a test without generation: tokens of all repetitions / the sum of samples_ns; else avg_ts",
        ),
        ("output_throughput", "of a test without a prompt: the same"),
        ("total_token_throughput", "of a test with both: the same"),
        ("tpot", "of a test without a prompt: avg_ns / n_gen"),
        ("duration", "the sum of samples_ns"),
    ],
    read,
};

/// What the engine was given.
const SERVER: [&str; 22] = [
    "backends",
    "gpu_info",
    "n_batch",
    "n_ubatch",
    "n_threads",
    "type_k",
    "type_v",
    "n_gpu_layers",
    "n_cpu_moe",
    "split_mode",
    "main_gpu",
    "no_kv_offload",
    "flash_attn",
    "tensor_split",
    "tensor_buft_overrides",
    "use_mmap",
    "load_mode",
    "embeddings",
    "no_op_offload",
    "cpu_mask",
    "cpu_strict",
    "poll",
];
const DEPTH: &str = "n_depth";

fn read(document: &Map<String, Value>, _: &Path) -> Result<Vec<Run>, String> {
    let mut run = Run::of(document);
    let of = |key: &str| number_at(document, key);
    let (prompt, generated) = (of("n_prompt").unwrap_or(0.0), of("n_gen").unwrap_or(0.0));
    let samples: Vec<f64> = list_at(document, "samples_ns").filter_map(Value::as_f64).collect();
    // The mean of the repetitions' rates is more than their tokens in all their time.
    let seconds = (!samples.is_empty()).then(|| samples.iter().sum::<f64>() / 1e9).filter(|seconds| *seconds > 0.0);
    let rate = seconds.map(|seconds| (prompt + generated) * samples.len() as f64 / seconds).or_else(|| of("avg_ts"));
    match (prompt > 0.0, generated > 0.0) {
        (true, true) => run.put("total_token_throughput", rate),
        (true, false) => run.put("input_throughput", rate),
        (false, _) => {
            run.put("output_throughput", rate);
            run.put("mean_tpot_ms", of("avg_ns").filter(|_| generated > 0.0).map(|time| time / generated / 1e6));
        }
    }
    if !samples.is_empty() {
        run.put("completed", Some(samples.len()));
        run.put("duration", seconds);
        // A test without a prompt, or without generation, measures nothing of them.
        let total = |tokens: f64| (tokens > 0.0).then(|| (tokens * samples.len() as f64) as i64);
        run.put("total_input_tokens", total(prompt));
        run.put("total_output_tokens", total(generated));
    }
    run.started_at = text_at(document, "test_time").and_then(|time| time.parse().ok());
    run.version = text_at(document, "build_commit").filter(|commit| *commit != "unknown").map(str::to_owned);
    let gpus = text_at(document, "gpu_info").filter(|gpus| !gpus.is_empty()).map(|gpus| gpus.split(", ").count());
    let model = known_at(document, "model_filename").or_else(|| known_at(document, "model_type")).cloned();
    run.put("model_id", model.clone());
    let server = SERVER.map(|key| (key, known_at(document, key).cloned()));
    run.serve = known(server.into_iter().chain([("model", model), ("gpu_count", gpus.map(Value::from))]));
    run.bench = known([
        ("random_input_len", known_at(document, "n_prompt").cloned()),
        ("random_output_len", known_at(document, "n_gen").cloned()),
        (DEPTH, known_at(document, DEPTH).cloned()),
        ("max_concurrency", Some(1.into())),
        // Tokens are drawn at random.
        ("dataset", Some("random".into())),
    ]);
    for (key, value) in document.iter().filter(|(key, _)| !SERVER.contains(&key.as_str())) {
        flatten(value, key, &mut run.extra);
    }
    Ok(vec![run])
}
