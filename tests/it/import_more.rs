//! Results of further tools in one lake (tests/data/import-more): written by the tools themselves against the simulated server, or, where
//! a file's name begins with `made-`, built as the tool's source builds them.

use crate::scratch::{Scratch, copy_folder, data};
use serde_json::Value;
use std::process::Command;

fn imported() -> Scratch {
    let scratch = Scratch::new();
    let ran = scratch.ok(&["import", data("import-more").to_str().unwrap(), "-o", "lake"]);
    assert!(!ran.stderr.contains("not read:"), "{}", ran.stderr);
    scratch
}

/// The one run of a file, by the end of its path.
fn run(scratch: &Scratch, file: &str, columns: &str) -> Value {
    let rows = scratch.query("lake", &format!("SELECT {columns} FROM runs WHERE source_file LIKE '%{file}'"));
    assert_eq!(rows.len(), 1, "{file}: {rows:?}");
    rows[0].clone()
}

fn near(row: &Value, expected: &[(&str, f64)]) {
    for (name, expected) in expected {
        let value = row[*name].as_f64().unwrap_or_else(|| panic!("{name} of {row}"));
        assert!((value - expected).abs() <= 1e-6 * expected.abs(), "{name}: {value}, expected {expected}");
    }
}

fn file(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(data("import-more").join(name)).unwrap()).unwrap()
}

#[test]
fn every_tool_gets_a_sweep_of_its_own() {
    let scratch = imported();
    let sql =
        "SELECT source_tool AS tool, count(*) AS runs, count(DISTINCT sweep) AS sweeps FROM runs GROUP BY 1 ORDER BY 1";
    let counts: Vec<(String, i64, i64)> = scratch
        .query("lake", sql)
        .iter()
        .map(|row| {
            (row["tool"].as_str().unwrap().into(), row["runs"].as_i64().unwrap(), row["sweeps"].as_i64().unwrap())
        })
        .collect();
    let expected = [
        ("evalscope", 3),
        ("genai-bench", 5),
        ("inference-perf", 5),
        ("llama-bench", 10),
        ("llm-d", 1),
        ("llm-optimizer", 6),
        ("mlperf", 5),
        ("trtllm-bench", 2),
        ("vllm", 2),
    ];
    let found: Vec<(&str, i64)> = counts.iter().map(|(tool, runs, _)| (tool.as_str(), *runs)).collect();
    assert_eq!(found, expected);
    assert!(counts.iter().all(|(_, _, sweeps)| *sweeps == 1));
}

#[test]
fn seconds_milliseconds_and_nanoseconds_become_milliseconds() {
    let scratch = imported();
    let latencies = "mean_ttft_ms, p99_ttft_ms, mean_tpot_ms, median_e2el_ms, request_throughput, output_throughput, completed, failed_requests AS failed";
    // In seconds.
    let told = file("inference-perf-rate/stage_0_lifecycle_metrics.json");
    let of = |pointer: &str| told.pointer(pointer).and_then(Value::as_f64).unwrap();
    near(
        &run(&scratch, "inference-perf-rate/stage_0_lifecycle_metrics.json", latencies),
        &[
            ("mean_ttft_ms", 1000.0 * of("/successes/latency/time_to_first_token/mean")),
            ("p99_ttft_ms", 1000.0 * of("/successes/latency/time_to_first_token/p99")),
            ("mean_tpot_ms", 1000.0 * of("/successes/latency/time_per_output_token/mean")),
            ("median_e2el_ms", 1000.0 * of("/successes/latency/request_latency/median")),
            ("output_throughput", of("/successes/throughput/output_tokens_per_sec")),
        ],
    );
    // In a unit that the file names; counts that it gets wrong are counted.
    let told = file("genai-bench/exp_err/N120_20_40_10_text-to-text_num_concurrency_2_time_2s.json");
    let of = |pointer: &str| told.pointer(pointer).and_then(Value::as_f64).unwrap();
    let row = run(&scratch, "exp_err/N120_20_40_10_text-to-text_num_concurrency_2_time_2s.json", latencies);
    near(
        &row,
        &[
            ("mean_ttft_ms", 1000.0 * of("/aggregated_metrics/stats/ttft/mean")),
            ("completed", of("/aggregated_metrics/num_completed_requests")),
            ("failed", 18.0),
        ],
    );
    let told = file("genai-bench/exp_ms/N120_20_40_10_text-to-text_num_concurrency_2_time_3s.json");
    let of = |pointer: &str| told.pointer(pointer).and_then(Value::as_f64).unwrap();
    let row = run(
        &scratch,
        "exp_ms/N120_20_40_10_text-to-text_num_concurrency_2_time_3s.json",
        "mean_ttft_ms, total_output_tokens, output_throughput, gpu_count, caution",
    );
    let tokens = told["individual_request_metrics"].as_array().unwrap().iter();
    let tokens: f64 = tokens.filter_map(|request| request["num_output_tokens"].as_f64()).sum();
    near(
        &row,
        &[
            ("mean_ttft_ms", of("/aggregated_metrics/stats/ttft/mean")),
            ("total_output_tokens", tokens),
            ("output_throughput", tokens / of("/aggregated_metrics/run_duration")),
            ("gpu_count", 2.0),
        ],
    );
    assert!(row["caution"].to_string().contains("warm-up and cool-down"), "{row}");
    // In units that stand in the keys.
    let row = run(&scratch, "err/parallel_2_number_20/benchmark_summary.json", "*");
    near(
        &row,
        &[
            ("mean_e2el_ms", 210.5),
            ("mean_ttft_ms", 12.0),
            ("failed_requests", 1.0),
            ("max_concurrency", 2.0),
            ("min_e2el_ms", 140.3),
            ("output_throughput", 319.6311),
        ],
    );
    let open = run(&scratch, "open/rate_4.0_number_16/benchmark_summary.json", "request_rate, max_concurrency");
    assert!(open["request_rate"] == 4.0 && open["max_concurrency"].is_null(), "{open}");
    // In nanoseconds.
    near(
        &run(&scratch, "mlperf/server-tokens/mlperf_log_summary.txt", "*"),
        &[
            ("mean_e2el_ms", 16.006330),
            ("p99_ttft_ms", 13.476101),
            ("median_tpot_ms", 1.011963),
            ("request_throughput", 117.99),
            ("output_throughput", 1421.34),
            ("request_rate", 120.0),
        ],
    );
}

#[test]
fn tokens_that_a_client_counted_anew_make_no_rate() {
    let scratch = imported();
    let told = file("inference-perf-tokens/stage_1_lifecycle_metrics.json");
    let of = |pointer: &str| told.pointer(pointer).and_then(Value::as_f64).unwrap();
    let columns = "output_throughput, mean_tpot_ms, mean_itl_ms, mean_ttft_ms, total_output_tokens, caution, max_concurrency, request_rate";
    let row = run(&scratch, "inference-perf-tokens/stage_1_lifecycle_metrics.json", columns);
    let tokens = of("/successes/output_tokens/total");
    near(
        &row,
        &[
            ("output_throughput", tokens / of("/benchmark_time_seconds")),
            ("total_output_tokens", tokens),
            ("max_concurrency", 4.0),
        ],
    );
    assert!(row["mean_tpot_ms"].is_null() && row["mean_itl_ms"].is_null() && row["request_rate"].is_null(), "{row}");
    assert!(row["caution"].to_string().contains("its own tokenizer"), "{row}");
    // The requests of each stage are its own.
    let sql = "SELECT count(*) AS n, avg(ttft_ms) AS ttft FROM requests JOIN runs USING (sweep, run_id) WHERE source_file LIKE '%inference-perf-tokens/stage_1%'";
    let requests = &scratch.query("lake", sql)[0];
    assert_eq!(requests["n"], 14);
    near(requests, &[("ttft", 1000.0 * of("/successes/latency/time_to_first_token/mean"))]);
}

#[test]
fn what_is_no_latency_of_a_request_is_none() {
    let scratch = imported();
    // All samples of Offline are scheduled at once, those of MultiStream are asked for together.
    for scenario in ["offline-tokens", "multistream"] {
        let row = run(&scratch, &format!("mlperf/{scenario}/mlperf_log_summary.txt"), "mean_e2el_ms, scenario");
        assert!(row["mean_e2el_ms"].is_null(), "{row}");
    }
    let invalid = run(&scratch, "mlperf/server-tokens-invalid/mlperf_log_summary.txt", "caution");
    assert!(invalid["caution"].to_string().contains("INVALID"), "{invalid}");
    // A batch is no request.
    let batch =
        run(&scratch, "vllm-offline/made-latency.json", "mean_batch_latency_ms, median_batch_latency_ms, model_id");
    near(&batch, &[("mean_batch_latency_ms", 943.3166666666666), ("median_batch_latency_ms", 942.3)]);
    let offline = run(
        &scratch,
        "vllm-offline/made-throughput.json",
        "total_token_throughput, output_throughput, tensor_parallel_size",
    );
    near(&offline, &[("total_token_throughput", 27911.339158028437), ("tensor_parallel_size", 2.0)]);
    assert!(offline["output_throughput"].is_null(), "{offline}");
}

#[test]
fn what_was_measured_without_http_keeps_its_meaning() {
    let scratch = imported();
    let told = file("trtllm/made-report-streaming.json");
    let of = |pointer: &str| told.pointer(pointer).and_then(Value::as_f64).unwrap();
    near(
        &run(&scratch, "trtllm/made-report-streaming.json", "*"),
        &[
            ("p99_ttft_ms", of("/streaming_metrics/ttft_percentiles/p99")),
            ("mean_tpot_ms", of("/streaming_metrics/avg_tpot_ms")),
            ("p90_e2el_ms", of("/performance/request_latency_percentiles_ms/p90")),
            ("output_throughput", of("/performance/system_output_throughput_tok_s")),
            ("duration", of("/performance/total_latency_ms") / 1000.0),
            ("gpu_count", 2.0),
        ],
    );
    let tests = scratch.query(
        "lake",
        "SELECT random_input_len AS prompt, random_output_len AS generated, input_throughput, output_throughput, total_token_throughput, mean_tpot_ms \
         FROM runs WHERE source_file LIKE '%llama-bench/bench.json' AND n_threads = 1 ORDER BY 1, 2",
    );
    for test in &tests {
        let (prompt, generated) = (test["prompt"].as_i64().unwrap(), test["generated"].as_i64().unwrap());
        let is_of = [prompt > 0 && generated == 0, generated > 0];
        for (column, is_of) in ["input_throughput", "output_throughput"].iter().zip(is_of) {
            assert_eq!(test[*column].is_number(), is_of, "{column} of {test}");
        }
        assert_eq!(test["total_token_throughput"].is_number(), prompt > 0 && generated > 0, "{test}");
        // One sequence at a time: the time per token is the other side of the rate.
        if prompt == 0 {
            let product = test["mean_tpot_ms"].as_f64().unwrap() * test["output_throughput"].as_f64().unwrap();
            assert!((999.9..1000.1).contains(&product), "{test}");
        }
    }
    assert_eq!(tests.len(), 4, "{tests:?}");
}

#[test]
fn records_of_every_release_of_llm_optimizer_are_the_same_runs() {
    let scratch = Scratch::new();
    for (folder, name) in
        [("first", "made-results-first-release.json"), ("lines", "made-results.jsonl"), ("whole", "made-results.json")]
    {
        let text = std::fs::read_to_string(data("import-more/llm-optimizer").join(name)).unwrap();
        scratch.write(&format!("{folder}/{name}"), &text);
        scratch.ok(&["import", folder, "-o", "lake"]);
    }
    let sql = "SELECT model, tensor_parallel_size AS tp, max_concurrency AS users, request_rate AS rate, random_input_len AS isl, \
               round(total_token_throughput - output_throughput) AS input, failed_requests AS failed FROM runs ORDER BY 2, 3, 4";
    for row in scratch.query("lake", sql) {
        assert_eq!(row["model"], "meta-llama/Llama-3.1-8B-Instruct", "{row}");
        assert!(row["tp"].is_number() && row["users"].is_number() && row["input"].as_f64().unwrap() > 0.0, "{row}");
        assert_eq!(row["isl"], 1024, "{row}");
    }
}

#[test]
fn keys_in_what_is_imported_are_not_kept() {
    let scratch = imported();
    for name in scratch.files() {
        let bytes = std::fs::read(scratch.path(&name)).unwrap();
        assert!(!bytes.windows(9).any(|window| window == b"dummy-key"), "{name}");
    }
}

#[test]
fn all_runs_go_where_they_are_asked_to() {
    let scratch = Scratch::new();
    copy_folder(&data("import-more/evalscope"), &scratch.path("a"));
    copy_folder(&data("import-more/genai-bench/exp_s"), &scratch.path("b"));
    scratch.ok(&["import", "a", "b", "-o", "lake", "-e", "clients"]);
    let sql = "SELECT sweep, count(*) AS n FROM runs GROUP BY 1";
    assert_eq!(scratch.query("lake", sql), [serde_json::json!({"sweep": "clients", "n": 5})]);
    // What comes later joins it, and what is there already does not come twice.
    copy_folder(&data("import-more/llama-bench"), &scratch.path("c"));
    scratch.ok(&["import", "c", "a", "-o", "lake", "-e", "clients"]);
    assert_eq!(scratch.query("lake", sql), [serde_json::json!({"sweep": "clients", "n": 15})]);
    // Without a name, a folder of two tools becomes two sweeps, and what comes later joins its tool's.
    scratch.ok(&["import", "a", "-o", "apart"]);
    copy_folder(&data("import-more/llama-bench"), &scratch.path("a/llama"));
    scratch.ok(&["import", "a", "-o", "apart"]);
    scratch.ok(&["import", "a", "-o", "together"]);
    let sql = "SELECT DISTINCT sweep FROM runs ORDER BY 1";
    let names = [serde_json::json!({"sweep": "a-evalscope"}), serde_json::json!({"sweep": "a-llama-bench"})];
    assert_eq!(scratch.query("together", sql), names);
    let sql = "SELECT sweep, count(DISTINCT source_tool) AS tools, count(*) AS n FROM runs GROUP BY 1 ORDER BY 1";
    let expected = [
        serde_json::json!({"sweep": "a", "tools": 1, "n": 3}),
        serde_json::json!({"sweep": "a-llama-bench", "tools": 1, "n": 10}),
    ];
    assert_eq!(scratch.query("apart", sql), expected);
    // A sweep that was run is nobody's to add to.
    copy_folder(&data("format-2/finished"), &scratch.path("lake/finished"));
    let ran = scratch.run(&["import", "c", "-o", "lake", "-e", "finished"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("is not an imported sweep"), "{}", ran.stderr);
    let ran = scratch.run(&["import", "c", "-o", "lake", "-e", "../x"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("-e/--experiment-name"), "{}", ran.stderr);
}

#[test]
fn repeats_that_are_imported_one_by_one_are_numbered_on() {
    let scratch = Scratch::new();
    let whole = std::fs::read_to_string(data("import-more/llama-bench/bench.json")).unwrap();
    let runs: Vec<Value> = serde_json::from_str(&whole).unwrap();
    for (day, count) in [(1, 4), (2, 5)] {
        let mut first = runs[0].clone();
        for hour in 0..count {
            first["test_time"] = format!("2026-11-{day:02}T{hour:02}:00:00Z").into();
            scratch.write(&format!("day/{day}-{hour}.json"), &first.to_string());
        }
        scratch.ok(&["import", "day", "-o", "lake"]);
    }
    let sql = "SELECT count(*) AS n, count(DISTINCT run_number) AS numbers, max(run_number) AS last FROM runs";
    assert_eq!(scratch.query("lake", sql), [serde_json::json!({"n": 9, "numbers": 9, "last": 8})]);
}

#[test]
fn settings_that_differ_are_no_repeats() {
    let scratch = Scratch::new();
    let changed = |from: &str, to: &str, edits: &[(&str, &str)]| {
        copy_folder(&data("import-more").join(from), &scratch.path(to));
        for name in scratch.files().into_iter().filter(|name| name.starts_with(&format!("{to}/"))) {
            let text = scratch.read(&name);
            let edited = edits.iter().fold(text, |text, (from, to)| text.replace(from, to));
            scratch.write(&name, &edited);
        }
    };
    changed("evalscope/closed", "r/evalscope-1", &[]);
    changed("evalscope/closed", "r/evalscope-2", &[("\"temperature\": 0.0", "\"temperature\": 0.7"), ("19", "18")]);
    changed("genai-bench/exp_s", "r/genai-1", &[]);
    let request = ("\"additional_request_params\": {}", "\"additional_request_params\": {\"ignore_eos\": true}");
    changed("genai-bench/exp_s", "r/genai-2", &[request, ("\"num_requests\": 2", "\"num_requests\": 3")]);
    changed("inference-perf-rate", "r/perf-1", &[]);
    changed("inference-perf-rate", "r/perf-2", &[("std_dev: 8.0", "std_dev: 9.0"), ("\"count\": 19", "\"count\": 18")]);
    changed("llama-bench", "r/llama-1", &[]);
    changed("llama-bench", "r/llama-2", &[("AMD EPYC", "another"), ("\"avg_ns\": 3", "\"avg_ns\": 4")]);
    scratch.ok(&["import", "r", "-o", "lake"]);
    let sql = "SELECT combination FROM runs GROUP BY 1 HAVING count(*) > 1";
    assert_eq!(scratch.query("lake", sql), Vec::<Value>::new());
}

#[test]
fn parts_of_stages_and_other_forms_of_them_are_no_runs() {
    let scratch = Scratch::new();
    let from = data("import-more/inference-perf-rate");
    for name in [
        "stage_0_lifecycle_metrics.json",
        "stage_1_lifecycle_metrics.json",
        "summary_lifecycle_metrics.json",
        "config.yaml",
    ] {
        let text = std::fs::read_to_string(from.join(name)).unwrap();
        scratch.write(&format!("pre/a-{name}"), &text);
        scratch.write(&format!("plain/{name}"), &text);
        scratch.write(&format!("plain/adapter_x_{name}"), &text);
    }
    let report = std::fs::read_to_string(from.join("inference-perf.partial.stage_1.yaml")).unwrap();
    scratch.write("pre/a-inference-perf.partial.stage_1.yaml", &report);
    scratch.ok(&["import", "pre", "-o", "pre-lake"]);
    scratch.ok(&["import", "plain", "-o", "plain-lake"]);
    for lake in ["pre-lake", "plain-lake"] {
        let rows =
            scratch.query(lake, "SELECT count(*) AS n, min(model) AS model, min(request_rate) AS rate FROM runs");
        assert_eq!(rows, [serde_json::json!({"n": 2, "model": "sim/llama-8b", "rate": 4.0})], "{lake}");
    }
}

#[test]
fn what_is_packed_reads_as_what_is_not() {
    let scratch = Scratch::new();
    for tool in ["evalscope", "genai-bench", "inference-perf-tokens", "mlperf", "llm-d", "trtllm", "vllm-offline"] {
        copy_folder(&data("import-more").join(tool), &scratch.path(&format!("plain/{tool}")));
        copy_folder(&data("import-more").join(tool), &scratch.path(&format!("packed/{tool}")));
    }
    let packed = Command::new("gzip").args(["-r", "packed"]).current_dir(scratch.path("")).status().unwrap();
    assert!(packed.success());
    scratch.ok(&["import", "plain", "-o", "a"]);
    scratch.ok(&["import", "packed", "-o", "b"]);
    let sql = "SELECT source_tool, model_id, round(output_throughput, 6) AS out, round(p99_ttft_ms, 6) AS ttft, completed, max_concurrency, \
               request_rate, tensor_parallel_size FROM runs ORDER BY 1, 3, 4, 5, 6, 7, 8";
    assert_eq!(scratch.query("a", sql), scratch.query("b", sql));
}

#[test]
fn what_is_damaged_is_told_and_tells_no_number() {
    let scratch = Scratch::new();
    let summary = std::fs::read_to_string(data("import-more/mlperf/server-tokens/mlperf_log_summary.txt")).unwrap();
    let cut = summary.find("16006330").unwrap() + 3;
    scratch.write("cut/mlperf_log_summary.txt", &summary[..cut]);
    let ran = scratch.run(&["import", "cut", "-o", "lake"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("is not a whole summary of LoadGen"), "{}", ran.stderr);
    // A file beside a result that can't be read is named, and the result is read.
    copy_folder(&data("import-more/evalscope/closed"), &scratch.path("closed"));
    let settings = scratch.files().into_iter().find(|name| name.ends_with("benchmark_args.json")).unwrap();
    scratch.write(&settings, "{\"model\": ");
    let ran = scratch.ok(&["import", "closed", "-o", "lake"]);
    assert!(ran.stderr.contains("benchmark_args.json is not valid JSON"), "{}", ran.stderr);
    // What is no percentile makes no column, and nothing waits for it.
    let mut report = file("trtllm/made-report-streaming.json");
    report["streaming_metrics"]["ttft_percentiles"] = serde_json::json!({"pnan": 9, "p99": 5, "pinf": 3, "p200": 1});
    scratch.write("odd/report.json", &report.to_string());
    scratch.ok(&["import", "odd", "-o", "odd-lake"]);
    let columns = scratch.query(
        "odd-lake",
        "SELECT column_name AS c FROM columns WHERE table_name = 'runs' AND column_name LIKE 'p%ttft_ms'",
    );
    assert_eq!(columns, [serde_json::json!({"c": "p99_ttft_ms"})]);
}
