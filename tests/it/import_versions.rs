//! Result files of many versions of each tool (tests/data/import-versions: from real runs against the simulated server), read into one
//! lake. Numbers are those of the files, checked by hand.

use crate::scratch::{Scratch, data};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// All files in one lake, as read only once.
static LAKE: LazyLock<Scratch> = LazyLock::new(|| {
    let scratch = Scratch::new();
    scratch.ok(&["import", data("import-versions").to_str().unwrap(), "-o", "lake"]);
    scratch
});

/// The runs of a file, in the order of their time.
fn runs(folder: &str) -> Vec<Value> {
    let sql = format!(
        "SELECT * FROM runs WHERE source_file LIKE '%/{folder}/%' ORDER BY started_at, run_number, bench_params"
    );
    LAKE.query("lake", &sql)
}

fn check(folder: &str, run: &Value, expected: &[(&str, Value)]) {
    for (name, expected) in expected {
        let value = &run[*name];
        let is_near =
            |expected: f64| value.as_f64().is_some_and(|value| (value - expected).abs() <= 1e-9 * expected.abs());
        let is_it = expected.as_f64().map_or(value == expected, is_near);
        assert!(is_it, "{folder}: {name} is {value}, the file says {expected}");
    }
}

/// The only run of a folder.
fn run(folder: &str, expected: &[(&str, Value)]) {
    let runs = runs(folder);
    assert_eq!(runs.len(), 1, "{folder}");
    check(folder, &runs[0], expected);
}

#[test]
fn aiperf() {
    run(
        "aiperf-0.1.1-c4",
        &[
            ("source_tool", json!("aiperf")),
            ("model_id", json!("sim-model")),
            ("mean_ttft_ms", json!(6.32618265)),
            ("p99_ttft_ms", json!(20.008978989999992)),
            ("mean_tpot_ms", json!(0.2376221495419858)),
            ("mean_e2el_ms", json!(8.99983665)),
            ("request_throughput", json!(241.19708137542105)),
            ("output_throughput", json!(2966.7241009176787)),
            ("completed", json!(20)),
            ("failed_requests", json!(0)),
            ("max_concurrency", json!(4)),
            ("num_prompts", json!(20)),
            ("duration", Value::Null),
            ("gpu_count", Value::Null),
            ("tokens_per_gpu", Value::Null),
            ("adj_p99_ttft_ms", json!(20.008978989999992)),
        ],
    );
    run(
        "aiperf-0.3.0-errors",
        &[
            ("completed", json!(18)),
            ("failed_requests", json!(2)),
            ("success_rate", json!(0.9)),
            ("status", json!("degraded")),
        ],
    );
    run(
        "aiperf-0.8.0-c4",
        &[
            ("source_version", json!("0.8.0")),
            ("max_concurrency", json!(4)),
            ("random_input_len", json!(32)),
            ("num_prompts", json!(20)),
        ],
    );
    // The warm-up had a concurrency of 2 and 6 requests; its phases have copies of the result that are no runs.
    run(
        "aiperf-0.13.0-warmup-conc",
        &[
            ("max_concurrency", json!(4)),
            ("num_prompts", json!(20)),
            ("completed", json!(20)),
            ("mean_ttft_ms", json!(5.597388)),
            ("p99_ttft_ms", json!(17.87594106)),
            ("mean_tpot_ms", json!(0.25658887)),
            ("p99_itl_ms", json!(4.518022059999997)),
            ("request_throughput", json!(218.8672954293625)),
            ("duration", json!(0.084442112)),
            ("tokens_per_user", json!(3501.8767268698 / 4.0)),
            ("total_token_throughput", json!(10505.630180609402)),
        ],
    );
    // Written in Tokyo without a zone; its requests say when it was.
    run("aiperf-0.13.0-tz-tokyo", &[("started_at", json!("2026-11-26T03:36:23.566388Z")), ("completed", json!(10))]);
    // Bounded by time: how many requests that were is no setting.
    run(
        "aiperf-0.13.0-duration",
        &[
            ("benchmark_duration", json!(1)),
            ("num_prompts", Value::Null),
            ("completed", json!(14)),
            ("duration", json!(1.1585244160000001)),
            ("request_throughput", json!(12.007366577716923)),
        ],
    );
}

#[test]
fn genai_perf() {
    run(
        "genai-perf-0.0.8-rate5-goodput",
        &[
            ("source_tool", json!("genai-perf")),
            ("model_id", json!("sim-model")),
            ("request_rate", json!(5)),
            ("max_concurrency", Value::Null),
            ("num_prompts", Value::Null),
            ("measurement_interval", json!(10000)),
            ("request_throughput", json!(5.1855135536697565)),
            ("request_goodput", json!(5.1855135536697565)),
            ("completed", json!(12)),
        ],
    );
    run(
        "genai-perf-0.0.12-c4",
        &[
            ("max_concurrency", json!(4)),
            ("num_prompts", json!(12)),
            ("completed", json!(12)),
            ("request_throughput", json!(33.106873672838546)),
            ("random_output_len", json!(24)),
        ],
    );
    // Not streamed: what it calls the time to the first token is the whole latency.
    run(
        "genai-perf-0.0.16-nostream",
        &[("mean_ttft_ms", Value::Null), ("mean_e2el_ms", json!(123.14830466666666)), ("max_concurrency", json!(2))],
    );
    let sql = "SELECT count(*) AS n, count(ttft_ms) AS ttft, count(e2el_ms) AS e2el FROM requests JOIN runs USING (run_id) \
               WHERE source_file LIKE '%nostream%'";
    assert_eq!(LAKE.query("lake", sql), [json!({"n": 12, "ttft": 0, "e2el": 12})]);
}

#[test]
fn guidellm() {
    run(
        "guidellm-0.3.1-concurrent4-warmup",
        &[
            ("source_tool", json!("guidellm")),
            ("model_id", json!("sim-model")),
            ("max_concurrency", json!(4)),
            ("num_prompts", json!(24)),
            ("completed", json!(16)),
            ("mean_ttft_ms", json!(16.15127921104431)),
            ("p99_ttft_ms", json!(27.19593048095703)),
            ("mean_tpot_ms", json!(6.026635567347209)),
            ("mean_e2el_ms", json!(395.8878815174103)),
            ("request_throughput", json!(9.94869080810502)),
            ("output_throughput", json!(636.0944185432149)),
            ("duration", json!(1.6082518100738525)),
            ("random_input_len", json!(32)),
        ],
    );
    run(
        "guidellm-0.4.0-synchronous",
        &[
            ("max_concurrency", json!(1)),
            ("num_prompts", json!(8)),
            ("completed", json!(8)),
            ("random_output_len", json!(64)),
        ],
    );
    run(
        "guidellm-0.8.1-concurrent4-warmup",
        &[
            ("source_version", json!("0.8.1")),
            ("max_seconds", json!(4)),
            ("num_prompts", Value::Null),
            ("completed", json!(16)),
            ("request_throughput", json!(4.999999801317858)),
            ("mean_e2el_ms", json!(968.1355357170105)),
            ("mean_ttft_ms", json!(11.38955354690552)),
            ("p99_ttft_ms", json!(16.538381576538086)),
            ("mean_tpot_ms", json!(6.012921344559148)),
            ("output_throughput", json!(655.4166406227494)),
        ],
    );
    // With windows for warming up and cooling down, the requests that were measured are kept, each with its own times.
    let sql = "SELECT source_version AS v, count(*) AS n, count(tpot_ms) AS tpot FROM requests JOIN runs USING (run_id) \
               WHERE source_tool = 'guidellm' GROUP BY 1 ORDER BY 1";
    let expected = [json!({"v": "0.8.1", "n": 16, "tpot": 16}), json!({"v": null, "n": 24, "tpot": 24})];
    assert_eq!(LAKE.query("lake", sql), expected);
}

#[test]
fn sglang() {
    run(
        "sglang-0.3.0-c4",
        &[
            ("source_tool", json!("sglang")),
            ("request_rate", json!(40)),
            ("median_ttft_ms", json!(2.5718294999705904)),
            ("mean_e2el_ms", json!(6.919345900018925)),
            ("output_throughput", json!(1365.273998160985)),
            ("completed", json!(10)),
            ("request_throughput", json!(10.0 / 0.11719259300002705)),
            ("derived", json!(["request_throughput", "total_token_throughput"])),
            ("failed_requests", Value::Null),
            ("success_rate", Value::Null),
        ],
    );
    // Three data sets in one file: three combinations, and lengths only where they were asked for.
    let found = runs("sglang-0.5.23-appended-datasets");
    let mut told: Vec<(&str, &Value, &Value)> = found
        .iter()
        .map(|run| (run["dataset_name"].as_str().unwrap(), &run["random_input_len"], &run["total_output_tokens"]))
        .collect();
    told.sort_by_key(|(name, ..)| *name);
    let expected = [
        ("generated-shared-prefix", &Value::Null, &json!(160)),
        ("random", &json!(32), &json!(160)),
        ("sharegpt", &Value::Null, &json!(199)),
    ];
    assert_eq!(told, expected);
    let combinations: std::collections::BTreeSet<&str> =
        found.iter().map(|run| run["combination"].as_str().unwrap()).collect();
    assert_eq!(combinations.len(), 3);
    check(
        "random",
        found.iter().find(|run| run["dataset_name"] == "random").unwrap(),
        &[
            ("mean_ttft_ms", json!(3.888147900011063)),
            ("p99_tpot_ms", json!(0.35028323998706884)),
            ("request_throughput", json!(43.63091672100239)),
        ],
    );
}

#[test]
fn vllm() {
    run(
        "vllm-0.8.5-c4",
        &[
            ("source_tool", json!("vllm")),
            ("completed", json!(10)),
            ("failed_requests", json!(0)),
            ("mean_ttft_ms", json!(5.387014500047371)),
            ("max_concurrency", json!(4)),
            ("gpus", json!(1)),
        ],
    );
    run(
        "vllm-0.33.0-queue-saturated",
        &[
            ("mean_client_queue_time_ms", json!(220.8748449166175)),
            ("mean_e2el_including_client_queue_ms", json!(322.93901608329634)),
            ("mean_e2el_ms", json!(102.06417116667883)),
            ("max_concurrency", json!(2)),
            // vLLM's count in buckets of a second is above what was allowed.
            ("max_concurrent_requests", json!(12)),
            ("peak_concurrent_requests", Value::Null),
        ],
    );
    // Metadata that stands in the way of vLLM's own: a number of prompts that is none is no setting.
    run(
        "vllm-0.32.0-metadata-shadow",
        &[("model_id", json!("other")), ("gpus", json!(8)), ("num_prompts", Value::Null), ("completed", json!(10))],
    );
    run(
        "vllm-0.32.0-rampup",
        &[("ramp_up_strategy", json!("linear")), ("ramp_up_end_rps", json!(40)), ("request_rate", json!("inf"))],
    );
    run(
        "vllm-0.33.0-detailed-errors",
        &[
            ("completed", json!(6)),
            ("failed_requests", json!(6)),
            ("status", json!("degraded")),
            ("mean_e2el_ms", json!(6.927864000014476)),
            ("adj_p50_e2el_ms", Value::Null),
        ],
    );
}

#[test]
fn inferencex() {
    let found = runs("inferencex-run-agg_bmk");
    assert_eq!(found.len(), 2);
    let of = |concurrency: i64| found.iter().find(|run| run["max_concurrency"] == concurrency).unwrap();
    check(
        "single node",
        of(4),
        &[
            ("source_tool", json!("inferencex")),
            ("mean_ttft_ms", json!(5.119294799987984)),
            ("mean_tpot_ms", json!(0.32244835333282635)),
            ("gpu_count", json!(4)),
            ("total_token_throughput", json!(16640.1850833026)),
            ("output_throughput", json!(5546.728361100867)),
            ("tokens_per_gpu", json!(1386.6820902752168)),
            ("random_input_len", json!(32)),
            ("framework", json!("vllm")),
            ("completed", Value::Null),
        ],
    );
    // Prefill and decode on GPUs of their own: 4 and 8.
    check(
        "two nodes",
        of(8),
        &[
            ("gpu_count", json!(12)),
            ("total_token_throughput", json!(2011.5505748360356 * 12.0)),
            ("output_throughput", json!(1005.7752874180178 * 8.0)),
            ("mean_e2el_ms", json!(11.79517174996363)),
        ],
    );
    // The same run as the benchmark itself tells it.
    run(
        "inferencex-run-bench_serving",
        &[
            ("mean_ttft_ms", json!(5.119294799987983)),
            ("total_token_throughput", json!(16640.1850833026)),
            ("gpu_count", Value::Null),
        ],
    );
}

#[test]
fn what_a_file_is_is_said_with_its_reasons() {
    let ran = LAKE.ok(&["import", "--explain", data("import-versions").to_str().unwrap()]);
    for expected in [
        "aiperf-0.3.0-errors/profile_export_aiperf.json: AIPerf (6 of 6 signs match), 1 run",
        "    yes: `input_config.endpoint` is an object",
        "    not vLLM bench serve: not met: `completed` is a number or `request_throughput` is a number",
        "phases/warmup/profile_export_aiperf.json: companion of a result file, not read on its own",
        "inferencex-run-agg_bmk/agg_bmk.json: InferenceX (6 of 6 signs match), 1 run",
    ] {
        assert!(ran.stdout.contains(expected), "{expected:?} is not in {}", ran.stdout);
    }
}
