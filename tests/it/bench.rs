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
        completed failed total_input_tokens total_output_tokens output_tokens_counted_by request_throughput request_goodput output_throughput total_token_throughput \
        latencies queue_times max_output_tokens_per_s max_concurrent_requests peak_concurrent_requests mean_concurrent_requests achieved_request_rate p99_send_lag_ms \
        client_cpu_share client_parse_time_s p99_client_delay_ms client_share_of_ttft client_bound rtfx mean_ttft_ms median_ttft_ms std_ttft_ms p50_ttft_ms p99_ttft_ms \
        mean_tpot_ms median_tpot_ms std_tpot_ms p50_tpot_ms p99_tpot_ms mean_itl_ms median_itl_ms std_itl_ms p50_itl_ms p99_itl_ms \
        mean_e2el_ms median_e2el_ms std_e2el_ms p50_e2el_ms p99_e2el_ms \
        mean_ttft_chunk_ms median_ttft_chunk_ms std_ttft_chunk_ms p50_ttft_chunk_ms p99_ttft_chunk_ms";
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
    let told = "a prompt of 400 tokens and an answer of 128 exceed the context of m, 100 tokens";
    assert!(ran.code == Some(2) && ran.stderr.contains(told), "{}", ran.stderr);
    // A server that tells no such limit, or another model's, refuses them itself.
    let ran = scratch.run(&[&long[..], &["--served-model-name", "other"]].concat());
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("all 2 requests failed; first failure: http_status: HTTP status 404"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stdout.contains("Serving Benchmark Result"), "no table of nothing: {}", ran.stdout);
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
    assert!(ran.stderr.contains(" of 20 requests failed; first failure: http_status"), "{}", ran.stderr);
    let result = scratch.json("r.json");
    let (completed, failed) = (result["completed"].as_u64().unwrap(), result["failed"].as_u64().unwrap());
    assert!(completed > 0 && failed > 0 && completed + failed == 20, "{completed} and {failed}");
    let errors = result["errors"].as_array().unwrap().iter().filter(|error| *error != "").count();
    assert_eq!(errors as u64, failed);
}

#[test]
fn bad_flags_are_refused() {
    let scratch = Scratch::new();
    let cases: [(&[&str], &str); 16] = [
        (&["--num-prompts", "0"], "--num-prompts must be at least 1"),
        (&["--request-rate", "-1"], "greater than 0, or inf"),
        (&["--burstiness", "0"], "--burstiness must be greater than 0"),
        (&["--random-range-ratio", "1.5"], "is not in [0, 1)"),
        (&["--percentile-metrics", "ttfs"], "expected ttft, tpot, itl or e2el"),
        (&["--goodput", "ttft=1"], "expected METRIC:MILLISECONDS"),
        (&["--base-url", "ftp://localhost"], "expected http:// or https://"),
        (&["--base-url", "http://no.such.host.invalid"], "no.such.host.invalid"),
        (&["--dataset-name", "sharegpt"], "--dataset-name sharegpt needs --dataset-path; nothing is downloaded"),
        (&["--dataset-name", "custom", "--dataset-path", "nowhere"], "--dataset-path: nowhere: no such file or folder"),
        (&["--extra-body", "[1]"], "expected a JSON object"),
        (&["--input-len-dist", "normal:1"], "expected a number of tokens, uniform:LOW,HIGH"),
        (&["--duration", "5"], "--duration: a run that ends by time needs a request rate or a maximum concurrency"),
        (&["--use-beam-search"], "--use-beam-search is not supported: ask for it with --extra-body"),
        (&["--sweep-max-concurrency", "1,2"], "--sweep-max-concurrency is not supported: `sweeplake serve"),
        (&["--prompt-as", "ids", "--backend", "openai-chat"], "the backend openai-chat takes no token IDs"),
    ];
    for (flags, message) in cases {
        let ran = scratch.run(&[&["bench", "--model", "m"][..], flags].concat());
        assert_eq!(ran.code, Some(2), "{flags:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{flags:?}: {}", ran.stderr);
    }
}

/// The server's own log is the truth: nothing that a client tells may come before it.
#[test]
fn times_and_lengths_are_those_that_the_server_saw() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--request-log", "log.jsonl"]);
    for backend in ["openai", "openai-chat"] {
        let flags = [
            "--backend",
            backend,
            "--request-id-prefix",
            backend,
            "--ignore-eos",
            "--max-concurrency",
            "3",
            "--save-detailed",
        ];
        let result = bench(&scratch, &flags);
        let list = |key: &str| result[key].as_array().unwrap().clone();
        let log: Vec<Value> =
            scratch.read("log.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let starts = list("start_times");
        assert!(starts.is_sorted_by(|left, right| left.as_f64() <= right.as_f64()), "sent in their order");
        for (index, start) in starts.iter().filter_map(Value::as_f64).enumerate() {
            let own = log.iter().find(|one| one["request_id"] == format!("{backend}{index}")).unwrap();
            let tokens: Vec<f64> = own["token_times_s"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
            let seen = |key: &str| start + list(key)[index].as_f64().unwrap();
            assert!(start <= own["arrived_s"].as_f64().unwrap());
            assert!(seen("ttfts") >= tokens[0] && seen("latencies") >= tokens[7], "{own}");
            assert_eq!((&list("input_lens")[index], &list("output_lens")[index]), (&own["prompt_tokens"], &json!(8)));
            assert_eq!(list("itls")[index].as_array().unwrap().len(), 7);
        }
    }
}

#[test]
fn tokens_are_the_servers_or_the_tokenizers_or_unknown() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--speed", "10", "--fault-no-usage", "--fault-tokens-per-chunk", "4"]);
    let flags = ["--ignore-eos", "--save-detailed"];
    let unknown = bench(&scratch, &flags);
    for key in ["total_output_tokens", "output_throughput", "mean_tpot_ms", "max_output_tokens_per_s"] {
        assert_eq!(unknown[key], Value::Null, "{key}");
    }
    // Ten answers of two chunks each.
    assert_eq!(
        (&unknown["estimated_output_tokens"], &unknown["output_tokens_counted_by"]),
        (&json!(20), &json!("nobody"))
    );
    assert_eq!(unknown["output_lens"], json!(vec![Value::Null; 10]));
    // Of words: the server's is one of them.
    let words = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "token": 1, "time": 2}, "unk_token": "[UNK]"}});
    scratch.write("tokenizer.json", &words.to_string());
    let counted = bench(&scratch, &[&flags[..], &["--tokenizer", "tokenizer.json"]].concat());
    assert_eq!(
        (&counted["total_output_tokens"], &counted["output_tokens_counted_by"]),
        (&json!(80), &json!("tokenizer"))
    );
}

#[test]
fn chunks_of_several_tokens_are_as_many_tokens() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--speed", "10", "--fault-tokens-per-chunk", "4", "--fault-continuous-usage"]);
    let result = bench(&scratch, &["--ignore-eos", "--save-detailed"]);
    assert_eq!(result["total_output_tokens"], 80);
    // The first chunk has the first token's time, the second four tokens'.
    assert!(
        result["itls"].as_array().unwrap().iter().all(|gaps| gaps.as_array().unwrap().len() == 4),
        "{}",
        result["itls"]
    );
}

#[test]
fn a_stream_that_is_cut_is_no_short_success() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--speed", "10", "--fault-cut-after", "3"]);
    let port = scratch.port.to_string();
    let flags = ["bench", "--port", &port, "--num-prompts", "6", "--random-output-len", "8", "--ignore-eos"];
    let ran = scratch.run(&flags);
    assert!(ran.code == Some(1) && ran.stderr.contains("all 6 requests failed"), "{}", ran.stderr);
    assert!(ran.stderr.contains("ended_early") || ran.stderr.contains("connection_reset"), "{}", ran.stderr);
    let ran = scratch.run(&[&flags[..], &["--max-failures", "2", "--max-concurrency", "1"]].concat());
    assert!(ran.code == Some(1) && ran.stderr.contains("more than 2 requests failed"), "{}", ran.stderr);
}

#[test]
fn a_role_is_no_token_and_reasoning_is_no_answer() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--fault-role-first", "--fault-reasoning", "4"]);
    let result = bench(&scratch, &["--backend", "openai-chat", "--ignore-eos"]);
    let mean = |metric: &str| result[format!("mean_{metric}_ms")].as_f64().unwrap();
    assert!(mean("ttft_chunk") < mean("ttft") && mean("ttft") < mean("ttft_answer"), "{result}");
    assert_eq!((&result["total_output_tokens"], &result["total_reasoning_tokens"]), (&json!(80), &json!(40)));
}

#[test]
fn a_server_that_takes_text_only_is_sent_text() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--speed", "10", "--fault-text-only"]);
    let result = bench(&scratch, &["--ready-check-timeout-sec", "5"]);
    assert_eq!(
        (&result["prompt_as"], &result["completed"], &result["total_input_tokens"]),
        (&json!("text"), &json!(10), &json!(160))
    );
    let port = scratch.port.to_string();
    let ran = scratch.run(&["bench", "--port", &port, "--num-prompts", "2", "--random-output-len", "2"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("--prompt-as text sends prompts as text"), "{}", ran.stderr);
}

#[test]
fn data_sets_are_read_from_disk() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--speed", "10"]);
    let turn = |from: &str, words: usize| json!({"from": from, "value": vec!["time"; words].join(" ")});
    let chats: Vec<Value> =
        (0..4).map(|index| json!({"conversations": [turn("human", 5 + index), turn("gpt", 6)]})).collect();
    scratch.write("chats.json", &Value::from(chats).to_string());
    scratch.write("lines.jsonl", "{\"prompt\": \"one two three\", \"output_tokens\": 4}\n{\"prompt\": \"one\"}\n");
    scratch.write("trace.csv", "timestamp,input_length,output_length\n0,10,3\n100,20,4\n200,30,5\n");
    scratch.write(
        "questions.jsonl",
        "{\"turns\": [\"what time\"], \"category\": \"math\"}\n{\"turns\": [\"who\"], \"category\": \"x\"}\n",
    );
    let cases: [(&[&str], u64, u64); 6] = [
        (&["--dataset-name", "sharegpt", "--dataset-path", "chats.json", "--sharegpt-output-len", "5"], 10, 50),
        (
            &[
                "--dataset-name",
                "custom",
                "--dataset-path",
                "lines.jsonl",
                "--no-oversample",
                "--custom-output-len",
                "7",
            ],
            2,
            14,
        ),
        (
            &[
                "--dataset-name",
                "spec_bench",
                "--dataset-path",
                "questions.jsonl",
                "--spec-bench-category",
                "math",
                "--spec-bench-output-len",
                "3",
            ],
            10,
            30,
        ),
        (&["--dataset-name", "hf", "--dataset-path", "lines.jsonl", "--hf-output-len", "2"], 10, 20),
        (
            &["--dataset-name", "timed_trace", "--dataset-path", "trace.csv", "--timed-trace-sec-multiplier", "0.001"],
            3,
            12,
        ),
        (&["--dataset-name", "prefix_repetition", "--prefix-repetition-output-len", "6"], 10, 60),
    ];
    for (flags, completed, tokens) in cases {
        let result = bench(&scratch, &[flags, &["--ignore-eos", "--max-concurrency", "4"]].concat());
        assert_eq!(
            (&result["completed"], &result["total_output_tokens"]),
            (&json!(completed), &json!(tokens)),
            "{flags:?}"
        );
    }
    let port = scratch.port.to_string();
    scratch.write("bad.jsonl", "{\"question\": \"x\"}\n{nonsense\n");
    for (file, name, told) in [
        ("bad.jsonl", "custom", "bad.jsonl: line 2 is not a JSON object"),
        ("lines.jsonl", "sharegpt", "none of its 2 row(s) can be used: no list `conversations`"),
    ] {
        let ran = scratch.run(&["bench", "--port", &port, "--dataset-name", name, "--dataset-path", file]);
        assert!(ran.code == Some(2) && ran.stderr.contains(told), "{}", ran.stderr);
    }
}

#[test]
fn conversations_grow_with_each_turn() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--speed", "10"]);
    let flags = ["--backend", "openai-chat", "--multi-turn", "--multi-turn-num-turns", "3", "--max-concurrency", "2"];
    let result = bench(&scratch, &[&flags[..], &["--ignore-eos", "--save-detailed"]].concat());
    assert_eq!(result["completed"], 30);
    let lens: Vec<u64> = result["input_lens"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    // 16 tokens a turn, and the 8 of each answer before.
    assert!(lens.chunks(3).all(|turns| turns == [16, 40, 64]), "{lens:?}");
}

#[test]
fn a_run_can_end_by_time_and_ramp_its_rate() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--speed", "10"]);
    let timed = bench(&scratch, &["--duration", "1", "--max-concurrency", "2", "--ignore-eos"]);
    assert!(timed["completed"].as_u64().unwrap() > 10 && timed["duration"].as_f64().unwrap() >= 1.0, "{timed}");
    let ramp = ["--ramp-up-strategy", "linear", "--ramp-up-start-rps", "20", "--ramp-up-end-rps", "200"];
    let ramped = bench(&scratch, &ramp);
    assert_eq!((&ramped["ramp_up_strategy"], &ramped["completed"]), (&json!("linear"), &json!(10)));
    assert!(
        ramped["mean_ttft_including_client_queue_ms"].as_f64().unwrap() >= ramped["mean_ttft_ms"].as_f64().unwrap()
    );
}

#[test]
fn the_ends_of_a_run_are_left_out_and_its_requests_saved_as_they_were_measured() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--speed", "10"]);
    let load = ["--duration", "1", "--max-concurrency", "3", "--ignore-eos", "--save-detailed"];
    let saved = ["--save-requests", "out/requests.parquet"];
    let whole = bench(&scratch, &[&load[..], &saved].concat());
    let table = sweeplake::store::read_parquet(&scratch.path("out/requests.parquet")).unwrap();
    let column = |name: &str| -> Vec<Value> {
        let rows: Vec<Value> = rows_of(&table);
        rows.iter().map(|row| row[name].clone()).collect()
    };
    assert_eq!(table.num_rows() as u64, whole["completed"].as_u64().unwrap());
    for (name, list, factor) in
        [("ttft_ms", "ttfts", 1000.0), ("e2el_ms", "latencies", 1000.0), ("output_len", "output_lens", 1.0)]
    {
        let listed = whole[list].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() * factor);
        let stored: Vec<f64> = column(name).iter().map(|value| value.as_f64().unwrap()).collect();
        assert!(stored.iter().zip(listed).all(|(stored, listed)| (stored - listed).abs() < 0.01), "{name}: {stored:?}");
    }
    let left = bench(&scratch, &[&load[..], &saved, &["--warmup-window", "0.3", "--cooldown-window", "20%"]].concat());
    let table = sweeplake::store::read_parquet(&scratch.path("out/requests.parquet")).unwrap();
    let left_out = rows_of(&table).iter().filter(|row| row["left_out"] == true).count() as u64;
    let of = |key: &str| left[key].as_u64().unwrap();
    assert!(left_out > 0 && of("requests_left_out") == left_out, "{left_out}");
    assert_eq!(of("completed") + left_out, table.num_rows() as u64);
    assert!((left["duration"].as_f64().unwrap() - (left["whole_duration"].as_f64().unwrap() * 0.8 - 0.3)).abs() < 1e-6);
    let port = scratch.port.to_string();
    for flags in
        [["--warmup-window", "60%", "--cooldown-window", "40%"], ["--warmup-window", "1", "--cooldown-window", "0"]]
    {
        let words = ["bench", "--port", &port, "--duration", "1", "--max-concurrency", "1"];
        let ran = scratch.run(&[&words[..], &flags].concat());
        assert!(ran.code == Some(2) && ran.stderr.contains("leave nothing of the run"), "{}", ran.stderr);
    }
}

fn rows_of(table: &arrow::array::RecordBatch) -> Vec<Value> {
    let mut text = Vec::new();
    let mut writer = arrow::json::ArrayWriter::new(&mut text);
    writer.write(table).unwrap();
    writer.finish().unwrap();
    serde_json::from_slice(&text).unwrap()
}
