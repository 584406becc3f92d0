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

/// What was asked of the engine, and what came out: all else tells engines and machines apart.
const OF_RUN: [&str; 13] = [
    "n_prompt",
    "n_gen",
    DEPTH,
    "test_time",
    "avg_ns",
    "stddev_ns",
    "avg_ts",
    "stddev_ts",
    "samples_ns",
    "samples_ts",
    "model_filename",
    "model_size",
    "model_n_params",
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
        let total = |tokens: f64| (tokens > 0.0).then_some((tokens * samples.len() as f64) as i64);
        run.put("total_input_tokens", total(prompt));
        run.put("total_output_tokens", total(generated));
    }
    run.started_at = text_at(document, "test_time").and_then(|time| time.parse().ok());
    run.version = text_at(document, "build_commit").filter(|commit| *commit != "unknown").map(str::to_owned);
    let named = |key: &str| known_at(document, key).filter(|value| value.as_str() != Some("")).cloned();
    let model = named("model_filename").or_else(|| named("model_type"));
    run.put("model_id", model.clone());
    let gpus = text_at(document, "gpu_info").and_then(gpus);
    let server = document.iter().filter(|(key, _)| !OF_RUN.contains(&key.as_str()));
    let server = server.map(|(key, value)| (key.as_str(), Some(value.clone())));
    run.serve = known(server.chain([("model", model), ("gpu_count", gpus.map(Value::from))]));
    run.bench = known([
        ("random_input_len", known_at(document, "n_prompt").cloned()),
        ("random_output_len", known_at(document, "n_gen").cloned()),
        (DEPTH, known_at(document, DEPTH).cloned()),
        ("max_concurrency", Some(1.into())),
        // Tokens are drawn at random.
        ("dataset", Some("random".into())),
    ]);
    document.iter().for_each(|(key, value)| flatten(value, key, &mut run.extra));
    Ok(vec![run])
}

/// How many GPUs a list of names has, which may have commas in them: of one kind only.
fn gpus(names: &str) -> Option<usize> {
    let parts: Vec<&str> = names.split(", ").filter(|name| !name.is_empty()).collect();
    let first = parts.first()?;
    parts.iter().all(|part| part == first).then_some(parts.len())
}
