//! The load generator against the simulated server.

use crate::scratch::Scratch;
use serde_json::{Value, json};

fn bench(scratch: &Scratch, more: &[&str]) -> Value {
    let port = scratch.port.to_string();
    let base = [
        "bench",
        "--port",
        &port,
        "--random-input-len",
        "16",
        "--random-output-len",
        "8",
        "--num-prompts",
        "10",
        "--save-result",
        "--result-filename",
        "r.json",
    ];
    scratch.ok(&[&base[..], more].concat());
    scratch.json("r.json")
}

#[test]
fn every_backend_measures_the_same_server() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--speed", "10"]);
    for backend in ["vllm", "openai", "openai-chat"] {
        let result = bench(&scratch, &["--backend", backend, "--ignore-eos", "--max-concurrency", "2"]);
        assert_eq!(
            (&result["completed"], &result["failed"], &result["total_output_tokens"]),
            (&json!(10), &json!(0), &json!(80)),
            "{backend}"
        );
        assert_eq!(result["total_input_tokens"], 160, "{backend}: as many tokens as asked");
        assert_eq!((&result["backend"], &result["model_id"]), (&json!(backend), &json!("m")));
        assert!(result["mean_tpot_ms"].as_f64().unwrap() > 0.0 && result["peak_concurrent_requests"] == 2, "{result}");
    }
}

#[test]
fn the_result_has_vllms_keys_in_vllms_order() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--speed", "10"]);
    let result = bench(
        &scratch,
        &[
            "--percentile-metrics",
            "ttft,tpot,itl,e2el",
            "--metric-percentiles",
            "50,99",
            "--metadata",
            "gpu=H100",
            "tp=2",
        ],
    );
    let keys: Vec<&str> = result.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = "date endpoint_type backend label model_id tokenizer_id num_prompts gpu tp request_rate burstiness max_concurrency duration \
        completed failed total_input_tokens total_output_tokens request_throughput request_goodput output_throughput total_token_throughput \
        latencies queue_times max_output_tokens_per_s max_concurrent_requests peak_concurrent_requests mean_concurrent_requests achieved_request_rate p99_send_lag_ms rtfx mean_ttft_ms median_ttft_ms std_ttft_ms p50_ttft_ms p99_ttft_ms \
        mean_tpot_ms median_tpot_ms std_tpot_ms p50_tpot_ms p99_tpot_ms mean_itl_ms median_itl_ms std_itl_ms p50_itl_ms p99_itl_ms \
        mean_e2el_ms median_e2el_ms std_e2el_ms p50_e2el_ms p99_e2el_ms";
    assert_eq!(keys, expected.split_whitespace().collect::<Vec<_>>());
    assert_eq!(result["max_concurrency"], Value::Null);
    let detailed = bench(&scratch, &["--save-detailed"]);
    for key in ["input_lens", "output_lens", "ttfts", "itls", "start_times", "generated_texts", "errors"] {
        assert_eq!(detailed[key].as_array().unwrap().len(), 10, "{key}");
    }
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--speed", "10"]);
    let result = bench(&scratch, &["--request-rate", "20", "--burstiness", "0.5"]);
    // The last of ten requests is sent after exactly half a second.
    let duration = result["duration"].as_f64().unwrap();
    assert!(duration >= 0.5 && result["request_rate"] == 20.0, "{result}");
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let scratch = Scratch::new();
    let port = scratch.port.to_string();
    let base = [
        "bench",
        "--port",
        &port,
        "--model",
        "m",
        "--num-prompts",
        "2",
        "--random-input-len",
        "4",
        "--random-output-len",
        "2",
    ];
    let ran = scratch.run(&[&base[..], &["--ready-check-timeout-sec", "1"]].concat());
    assert!(ran.code == Some(1) && ran.stderr.contains("did not answer a test request within 1 s"), "{}", ran.stderr);
    let child = scratch
        .command(&[&base[..], &["--ready-check-timeout-sec", "30", "--num-warmups", "2"]].concat())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let _server = scratch.start_sim(&["--speed", "10"]);
    assert!(child.wait_with_output().unwrap().status.success());
}

#[test]
fn failed_requests_are_counted_and_a_run_of_failures_fails() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--max-model-len", "100", "--speed", "10"]);
    let port = scratch.port.to_string();
    let long = ["bench", "--port", &port, "--num-prompts", "2", "--random-input-len", "400"];
    let ran = scratch.run(&long);
    assert!(
        ran.code == Some(1) && ran.stderr.contains("every request failed") && ran.stderr.contains("400"),
        "{}",
        ran.stderr
    );
    // Lengths on both sides of the limit: some fail, and those that don't are measured.
    let mixed = [
        "bench",
        "--port",
        &port,
        "--num-prompts",
        "20",
        "--random-input-len",
        "90",
        "--random-range-ratio",
        "0.3",
        "--random-output-len",
        "4",
    ];
    let ran = scratch.ok(&[&mixed[..], &["--save-result", "--result-filename", "r.json", "--save-detailed"]].concat());
    assert!(ran.stderr.contains("some requests failed"), "{}", ran.stderr);
    let result = scratch.json("r.json");
    let (completed, failed) = (result["completed"].as_u64().unwrap(), result["failed"].as_u64().unwrap());
    assert!(completed > 0 && failed > 0 && completed + failed == 20, "{completed} and {failed}");
    let errors = result["errors"].as_array().unwrap().iter().filter(|error| *error != "").count();
    assert_eq!(errors as u64, failed);
}

#[test]
fn bad_flags_are_refused() {
    let scratch = Scratch::new();
    let cases: [(&[&str], &str); 7] = [
        (&["--num-prompts", "0"], "--num-prompts must be at least 1"),
        (&["--request-rate", "-1"], "greater than 0, or inf"),
        (&["--burstiness", "0"], "--burstiness must be greater than 0"),
        (&["--random-range-ratio", "1.5"], "is not in [0, 1)"),
        (&["--percentile-metrics", "ttfs"], "expected ttft, tpot, itl or e2el"),
        (&["--goodput", "ttft=1"], "expected METRIC:MILLISECONDS"),
        (&["--base-url", "https://localhost"], "only http:// is supported"),
    ];
    for (flags, message) in cases {
        let ran = scratch.run(&[&["bench", "--model", "m"][..], flags].concat());
        assert_eq!(ran.code, Some(2), "{flags:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{flags:?}: {}", ran.stderr);
    }
}
