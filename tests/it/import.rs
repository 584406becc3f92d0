//! Results that other tools wrote (tests/data/import, from their releases, run against the simulated server) in one lake.

use crate::scratch::{Scratch, copy_folder, data};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;

fn imported() -> Scratch {
    let scratch = Scratch::new();
    scratch.ok(&["import", data("import").to_str().unwrap(), "-o", "lake"]);
    scratch
}

fn run(scratch: &Scratch, columns: &str, condition: &str) -> Value {
    let rows = scratch.query("lake", &format!("SELECT {columns} FROM runs WHERE {condition}"));
    assert_eq!(rows.len(), 1, "{condition}: {rows:?}");
    rows[0].clone()
}

fn assert_near(row: &Value, expected: &[(&str, f64)]) {
    for (name, expected) in expected {
        let value = row[*name].as_f64().unwrap_or_else(|| panic!("{name} of {row}"));
        assert!((value - expected).abs() <= 1e-9 * expected.abs(), "{name}: {value}, the file has {expected}");
    }
}

#[test]
fn every_tool_is_read_once() {
    let scratch = imported();
    let tools =
        "SELECT source_tool AS tool, source_version AS version, count(*) AS runs FROM runs GROUP BY 1, 2 ORDER BY 1, 2";
    let expected = [
        json!({"tool": "aiperf", "version": "0.13.0", "runs": 1}),
        json!({"tool": "genai-perf", "version": null, "runs": 1}),
        json!({"tool": "guidellm", "version": "0.6.1", "runs": 1}),
        json!({"tool": "guidellm", "version": "0.8.1", "runs": 1}),
        json!({"tool": "sglang", "version": null, "runs": 3}),
        json!({"tool": "vllm", "version": null, "runs": 4}),
    ];
    assert_eq!(scratch.query("lake", tools), expected);
    // The same files again, from there and from elsewhere, add nothing.
    let again = scratch.ok(&["import", data("import").to_str().unwrap(), "-o", "lake"]);
    assert!(again.stderr.contains("0 runs imported; 11 already in the lake"), "{}", again.stderr);
    scratch.write("copy/plain.json", &std::fs::read_to_string(data("import/vllm/plain.json")).unwrap());
    scratch.ok(&["import", "copy/plain.json", "-o", "lake"]);
    assert_eq!(scratch.query("lake", tools), expected);
}

#[test]
fn what_comes_later_from_a_folder_joins_its_sweep() {
    let scratch = Scratch::new();
    let appended = std::fs::read_to_string(data("import/vllm/appended.json")).unwrap();
    let (first, _) = appended.split_once('\n').unwrap();
    scratch.write("bench/out.json", first);
    scratch.ok(&["import", "bench", "-o", "lake"]);
    scratch.write("bench/out.json", &appended);
    scratch.write("bench/detailed.json", &std::fs::read_to_string(data("import/vllm/errors-detailed.json")).unwrap());
    let ran = scratch.ok(&["import", "bench", "-o", "lake"]);
    assert!(
        ran.stderr.contains("2 runs imported; 1 degraded") && ran.stderr.contains("; 1 already in the lake"),
        "{}",
        ran.stderr
    );
    let rows = scratch.query("lake", "SELECT sweep, kind, runs, combinations FROM sweeps");
    assert_eq!(rows, [json!({"sweep": "bench", "kind": "import", "runs": 3, "combinations": 3})]);
    assert_eq!(
        scratch.query("lake", "SELECT count(*) AS n, count(DISTINCT run_id) AS runs FROM requests")[0]["runs"],
        3
    );
}

#[test]
fn units_and_definitions_become_vllms() {
    let scratch = imported();
    // Numbers from the files, as their tools wrote them; guidellm's request_latency is in seconds there.
    let aiperf = run(&scratch, "*", "source_tool = 'aiperf'");
    assert_near(
        &aiperf,
        &[
            ("mean_ttft_ms", 13.155957777777777),
            ("median_tpot_ms", 6.052203533333333),
            ("p99_itl_ms", 10.49944034),
            ("p99_e2el_ms", 115.34646964),
            ("output_throughput", 406.1179216914229),
            ("request_goodput", 22.562106760634606),
            ("duration", 0.3470976),
            ("completed", 9.0),
            ("failed", 11.0),
            ("num_prompts", 20.0),
            ("max_concurrency", 4.0),
            ("total_input_tokens", 281.0),
        ],
    );
    assert_eq!(aiperf["model_id"], "sim-model");
    let schema_2 = run(&scratch, "*", "source_version = '0.8.1'");
    assert_near(
        &schema_2,
        &[
            ("mean_ttft_ms", 10.519132018089294),
            ("p99.9_ttft_ms", 13.994932174682617),
            ("completed", 16.0),
            ("failed", 4.0),
            ("max_concurrency", 4.0),
            ("random_input_len", 32.0),
        ],
    );
    let latency =
        benchmark("guidellm-2")["metrics"]["request_latency"]["successful"]["percentiles"]["p90"].as_f64().unwrap();
    assert_near(&schema_2, &[("p90_e2el_ms", latency * 1000.0)]);
    let schema_1 = run(&scratch, "*", "source_version = '0.6.1'");
    assert_near(
        &schema_1,
        &[("mean_ttft_ms", 13.477760202744426), ("completed", 17.0), ("failed", 3.0), ("random_output_len", 16.0)],
    );
    let sglang = run(&scratch, "*", "source_tool = 'sglang' AND failed = 1");
    assert_near(
        &sglang,
        &[
            ("p95_e2el_ms", 93.62900864944095),
            ("total_token_throughput", 202.73797974383376 + 2.0),
            ("mean_itl_ms", 5.882258592296589),
            ("completed", 14.0),
            ("request_rate", 10.0),
        ],
    );
    let genai = run(&scratch, "*", "source_tool = 'genai-perf'");
    assert_near(
        &genai,
        &[
            ("p99_e2el_ms", 105.20728679),
            ("median_ttft_ms", 12.625218),
            ("mean_tpot_ms", 6.004209299999999),
            ("output_throughput", 620.2845592244838),
            ("max_concurrency", 4.0),
        ],
    );
    // Its ITL is only in the raw file: with one token a response it is near its TPOT.
    let itl = genai["mean_itl_ms"].as_f64().unwrap();
    assert!((itl - 6.0042093).abs() < 1e-6, "{itl}");
    let vllm =
        run(&scratch, "a, request_rate, request_goodput > 0 AS has_goodput", "source_tool = 'vllm' AND a IS NOT NULL");
    assert_eq!(vllm, json!({"a": "b", "request_rate": 10, "has_goodput": true}));
    let infinite = scratch
        .query("lake", "SELECT DISTINCT source_tool AS tool FROM runs WHERE request_rate = 'inf'::DOUBLE ORDER BY 1");
    assert_eq!(infinite.len(), 5, "{infinite:?}");
}

fn benchmark(folder: &str) -> Value {
    let text = std::fs::read_to_string(data(&format!("import/{folder}/benchmarks.json"))).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["benchmarks"][0].clone()
}

#[test]
fn requests_come_with_their_runs() {
    let scratch = imported();
    let sql = "SELECT source_tool AS tool, source_version AS version, count(*) AS n, count(*) FILTER (WHERE requests.ok = FALSE) AS bad \
               FROM requests JOIN runs USING (run_id) GROUP BY 1, 2 ORDER BY 1, 2";
    let expected = [
        json!({"tool": "aiperf", "version": "0.13.0", "n": 20, "bad": 11}),
        json!({"tool": "genai-perf", "version": null, "n": 20, "bad": 0}),
        json!({"tool": "guidellm", "version": "0.6.1", "n": 20, "bad": 3}),
        json!({"tool": "guidellm", "version": "0.8.1", "n": 20, "bad": 4}),
        json!({"tool": "sglang", "version": null, "n": 15, "bad": 1}),
        json!({"tool": "vllm", "version": null, "n": 60, "bad": 4}),
    ];
    assert_eq!(scratch.query("lake", sql), expected);
    // What the tools say of all requests is what their requests say.
    let sql = "SELECT source_tool AS tool, mean_ttft_ms AS told, avg(ttft_ms) AS ttft, mean_e2el_ms, avg(e2el_ms) AS e2el \
               FROM runs JOIN requests USING (run_id) WHERE ttft_ms IS NOT NULL GROUP BY 1, 2, 4, run_id";
    let rows = scratch.query("lake", sql);
    assert_eq!(rows.len(), 6, "{rows:?}");
    for row in rows {
        let number = |name: &str| row[name].as_f64().unwrap();
        assert!((number("told") / number("ttft") - 1.0).abs() < 1e-6, "{row}");
        // SGLang measures to the end of the response, its gaps to the last token.
        assert!((number("mean_e2el_ms") / number("e2el") - 1.0).abs() < 0.01, "{row}");
    }
}

#[test]
fn what_has_no_name_of_vllms_is_kept() {
    let scratch = imported();
    let row = run(
        &scratch,
        "extra['input_config.endpoint.type'] AS endpoint, extra['request_error_rate.avg'] AS rate, source_definitions['tpot'] AS tpot",
        "source_tool = 'aiperf'",
    );
    assert_eq!((row["endpoint"].as_str(), row["rate"].as_str()), (Some("chat"), Some("55.0")));
    assert!(row["tpot"].as_str().unwrap().starts_with("inter_token_latency: (request_latency - time_to_first_token)"));
    let row =
        run(&scratch, "extra['config.metadata.labels.gpu'] AS gpu, source_file AS file", "source_version = '0.8.1'");
    assert_eq!(row["gpu"], "none");
    assert!(row["file"].as_str().unwrap().ends_with("guidellm-2/benchmarks.json"));
}

#[test]
fn a_folder_of_vllms_sweeps_comes_in_as_it_reads_in_place() {
    let scratch = Scratch::new();
    crate::query::vllm_sweep(&scratch, "theirs/sweep");
    scratch.write(
        "theirs/sweep/max_concurrency=9/run=0.json",
        r#"{"date": "20261101-120000", "request_throughput": 1.0, "run_number": 0, "max_concurrency": 9}"#,
    );
    scratch
        .write("theirs/startup/STARTUP--x=1/run=0.json", r#"{"avg_cold_startup_time": 9.5, "run_number": 0, "x": 1}"#);
    scratch.ok(&["import", "theirs", "-o", "lake"]);
    let sql = "SELECT sweep, combination, run_number, output_throughput, max_num_seqs, avg_cold_startup_time FROM runs ORDER BY 1, 2, 3";
    let mut in_place = scratch.query("theirs", sql);
    assert_eq!(scratch.query("lake", sql), in_place);
    assert_eq!(in_place.split_off(8).len(), 2);
    // In the lake itself they are read in place already.
    let ran = scratch.run(&["import", "theirs", "-o", "theirs"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("is already in this lake, where it is read in place"), "{}", ran.stderr);
}

#[test]
fn imports_at_one_time_and_imports_that_are_killed_count_nothing_twice() {
    let scratch = Scratch::new();
    let import = || scratch.command(&["import", data("import").to_str().unwrap(), "-o", "lake"]).output().unwrap();
    let counts = "SELECT count(*) AS runs, count(DISTINCT run_id) AS ids, count(DISTINCT sweep) AS sweeps FROM runs";
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..3).map(|_| scope.spawn(import)).collect();
        assert!(all.into_iter().all(|one| one.join().unwrap().status.success()));
    });
    let expected = [json!({"runs": 11, "ids": 11, "sweeps": 5})];
    assert_eq!(scratch.query("lake", counts), expected);
    // What an import leaves that is killed before its folder has its name.
    copy_folder(&scratch.path("lake/import-vllm"), &scratch.path("lake/.import-killed"));
    assert_eq!(scratch.query("lake", counts), expected);
    import();
    assert!(!scratch.exists("lake/.import-killed"));
    assert_eq!(scratch.query("lake", counts), expected);
}

#[test]
fn runs_that_join_a_compacted_sweep_are_seen_even_if_their_writer_is_killed() {
    let scratch = Scratch::new();
    let copy = |name: &str| {
        let text = std::fs::read_to_string(data(&format!("import/vllm/{name}"))).unwrap();
        scratch.write(&format!("bench/{name}"), &text);
    };
    copy("plain.json");
    scratch.ok(&["import", "bench", "-o", "lake"]);
    scratch.ok(&["compact", "lake"]);
    copy("errors-detailed.json");
    // Killed at any instant, a run that is in the table is counted, and one that is not is imported the next time.
    for after in [0, 5, 10, 15, 20, 30, 40] {
        let mut child = scratch
            .command(&["import", "bench", "-o", "lake"])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(after));
        let _ = child.kill();
        child.wait().unwrap();
        let told = scratch.ok(&["import", "bench", "-o", "lake"]).stderr;
        let rows = scratch.query("lake", "SELECT count(*) AS n FROM runs");
        assert_eq!(rows, [json!({"n": 2})], "killed after {after} ms, then {told}");
        std::fs::remove_dir_all(scratch.path("lake")).unwrap();
        std::fs::remove_file(scratch.path("bench/errors-detailed.json")).unwrap();
        scratch.ok(&["import", "bench", "-o", "lake"]);
        scratch.ok(&["compact", "lake"]);
        copy("errors-detailed.json");
    }
}

#[test]
fn files_that_are_no_results_are_listed_and_stop_nothing() {
    let scratch = Scratch::new();
    scratch.write("mixed/good.json", &std::fs::read_to_string(data("import/vllm/plain.json")).unwrap());
    scratch.write("mixed/cut.json", "{\"date\": \"2026");
    scratch.write("mixed/config.json", "{\"model\": \"m\"}");
    scratch.write(
        "mixed/profile_export_aiperf_aggregate.json",
        r#"{"metadata": {"aggregation_type": "confidence"}, "metrics": {}}"#,
    );
    scratch.write("mixed/new.json", r#"{"metadata": {"version": 3}, "benchmarks": []}"#);
    scratch.write("mixed/good.pytorch.json", "[]");
    let ran = scratch.ok(&["import", "mixed", "-o", "lake"]);
    for expected in [
        "cut.json: is not valid JSON from line 1",
        "config.json: is not the result of a known benchmark (its keys: model, …)",
        "aggregate.json: is a summary of runs; import the runs themselves",
        "new.json: uses guidellm schema 3, but only schemas up to 2 are supported",
        "1 run imported; 1 file read with others or skipped; 4 files not read, or only in part",
    ] {
        assert!(ran.stderr.contains(expected), "{expected:?} is not in {}", ran.stderr);
    }
    // What stands before the end of a file that is being written is read, and the rest when it is there.
    let appended = std::fs::read_to_string(data("import/vllm/appended.json")).unwrap();
    scratch.write("growing/out.json", &appended[..appended.len() - 40]);
    let ran = scratch.ok(&["import", "growing", "-o", "grown"]);
    assert!(ran.stderr.contains("out.json: is not valid JSON from line 2"), "{}", ran.stderr);
    assert!(ran.stderr.contains("1 run imported; 1 file not read, or only in part"), "{}", ran.stderr);
    scratch.write("growing/out.json", &appended);
    let ran = scratch.ok(&["import", "growing", "-o", "grown"]);
    assert!(ran.stderr.contains("1 run imported; 1 already in the lake"), "{}", ran.stderr);
    let nothing = scratch.run(&["import", "mixed/cut.json", "-o", "other"]);
    assert_eq!(nothing.code, Some(2));
    assert!(nothing.stderr.contains("error: no runs to import"), "{}", nothing.stderr);
}

#[test]
fn a_server_that_sglang_describes_has_its_gpus_and_a_trace_is_no_rate() {
    let scratch = Scratch::new();
    let line = std::fs::read_to_string(data("import/sglang/plain.jsonl")).unwrap();
    let mut run: Value = parse_first(&line);
    run["server_info"] = json!({"model_path": "qwen", "tp_size": 4, "dp_size": 2, "pp_size": null});
    run["request_rate"] = json!("trace");
    scratch.write("sglang/run.jsonl", &run.to_string());
    std::os::unix::fs::symlink("nowhere", scratch.path("sglang/link.jsonl")).unwrap();
    let ran = scratch.ok(&["import", "sglang", data("import/vllm").to_str().unwrap(), "-o", "lake"]);
    assert!(ran.stderr.contains("link.jsonl: No such file"), "{}", ran.stderr);
    let rows = scratch.query(
        "lake",
        "SELECT model_id, gpu_count, tensor_parallel_size, request_rate FROM runs WHERE source_tool = 'sglang'",
    );
    let expected = json!({
        "model_id": "qwen", "gpu_count": 8, "tensor_parallel_size": 4, "request_rate": "trace",
    });
    assert_eq!(rows, [expected]);
    assert_eq!(scratch.query("lake", "SELECT count(*) AS n FROM runs WHERE request_rate = 10")[0]["n"], 1);
}

/// The first line, with the infinite rate that JSON lacks.
fn parse_first(lines: &str) -> Value {
    serde_json::from_str(&lines.lines().next().unwrap().replace("Infinity", "null")).unwrap()
}

/// How many combinations the lake's runs are of, and how many runs they have.
fn combinations(scratch: &Scratch, lake: &str) -> (i64, i64) {
    let rows = scratch.query(lake, "SELECT count(DISTINCT combination) AS combinations, count(*) AS runs FROM runs");
    (rows[0]["combinations"].as_i64().unwrap(), rows[0]["runs"].as_i64().unwrap())
}

#[test]
fn runs_of_different_files_are_repeats_only_where_that_is_known() {
    let scratch = Scratch::new();
    // vLLM's files do not say what was sent: three runs of one load may be of three data sets.
    let plain: Value = serde_json::from_str(&std::fs::read_to_string(data("import/vllm/plain.json")).unwrap()).unwrap();
    for (index, throughput) in [2048.0, 746.0, 2040.0].into_iter().enumerate() {
        let mut run = plain.clone();
        run["output_throughput"] = json!(throughput);
        scratch.write(&format!("bench/{index}.json"), &run.to_string());
    }
    let ran = scratch.ok(&["import", "bench", "-o", "apart"]);
    assert!(
        ran.stderr.contains("3 files do not specify: workload. Runs of such files are kept apart"),
        "{}",
        ran.stderr
    );
    assert_eq!(combinations(&scratch, "apart"), (3, 3));
    scratch.ok(&["import", "bench", "-o", "said", "--set", "dataset=sharegpt"]);
    assert_eq!(combinations(&scratch, "said"), (1, 3));
    scratch.ok(&["import", "bench", "-o", "repeats", "--repeats-of", "bench/0.json"]);
    assert_eq!(combinations(&scratch, "repeats"), (1, 3));
    // Repeats do not lie so far apart: that is said wherever they are used.
    let shown = scratch.ok(&["show", "repeats"]);
    assert!((shown.stdout + &shown.stderr).contains("differ"), "pooled runs that lie apart");
    let ran = scratch.run(&["import", "bench", "-o", "never", "--repeats-of", "apart/bench/sweep.json"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("is not among the imported files"), "{}", ran.stderr);
    assert!(!scratch.exists("never"), "nothing was started");
}

#[test]
fn files_of_servers_that_only_their_paths_tell_apart_are_not_pooled() {
    let scratch = Scratch::new();
    let file = std::fs::read_to_string(data("import/guidellm-2/benchmarks.json")).unwrap();
    for (folder, start) in [("tp2_conc4", "1.5"), ("tp4_conc4", "1.25")] {
        let key = "\"scheduler_overhead\"";
        let copy = file.replacen("\"benchmarks\"", &format!("{key}: {start}, \"benchmarks\""), 1);
        // Other runs: their numbers differ.
        scratch.write(
            &format!("bench/{folder}/benchmarks.json"),
            &copy.replace("\"duration\"", &format!("\"x\": {start}, \"duration\"")),
        );
    }
    scratch.ok(&["import", "bench", "-o", "lake"]);
    assert_eq!(combinations(&scratch, "lake"), (2, 2));
    let pattern = r"tp(?<tensor_parallel_size>\d+)_conc(?<max_concurrency>\d+)";
    scratch.ok(&["import", "bench", "-o", "told", "--set-from-path", pattern, "--set", "gpu_type=h100"]);
    let rows =
        scratch.query("told", "SELECT tensor_parallel_size, gpu_count, gpu_type, max_concurrency FROM runs ORDER BY 1");
    let expected =
        |size: i64| json!({"tensor_parallel_size": size, "gpu_count": size, "gpu_type": "h100", "max_concurrency": 4});
    assert_eq!(rows, [expected(2), expected(4)]);
    // What contradicts the file is not believed, and what matches nothing is an error.
    let ran = scratch.run(&["import", "bench", "-o", "other", "--set", "max_concurrency=8"]);
    assert!(
        ran.code == Some(2) && ran.stderr.contains("the file says that max_concurrency is 4, not 8"),
        "{}",
        ran.stderr
    );
    let ran = scratch.run(&["import", "bench", "-o", "other", "--set-from-path", "pp(?<pp>x)"]);
    assert!(
        ran.code == Some(2) && ran.stderr.contains("none of the paths of 2 file(s) matches pp(?<pp>x)"),
        "{}",
        ran.stderr
    );
}

#[test]
fn numbers_that_metadata_wrote_as_text_are_numbers() {
    let scratch = Scratch::new();
    let mut run: Value =
        serde_json::from_str(&std::fs::read_to_string(data("import/vllm/plain.json")).unwrap()).unwrap();
    run["num_gpus"] = json!("16");
    scratch.write("bench/run.json", &run.to_string());
    scratch.ok(&["import", "bench", "-o", "lake"]);
    let rows = scratch.query("lake", "SELECT CAST(num_gpus + 1 AS INT) AS more, gpu_count, CAST(round(output_throughput / tokens_per_gpu) AS INT) AS gpus FROM runs");
    assert_eq!(rows, [json!({"more": 17, "gpu_count": 16, "gpus": 16})]);
    scratch.ok(&["plot_pareto", "lake", "--gpu-count-var", "num_gpus"]);
}

#[test]
fn packed_files_are_read_or_named() {
    let scratch = Scratch::new();
    let text = std::fs::read(data("import/vllm/plain.json")).unwrap();
    std::fs::create_dir_all(scratch.path("bench")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, &text).unwrap();
    std::fs::write(scratch.path("bench/run.json.gz"), packed.finish().unwrap()).unwrap();
    std::fs::write(scratch.path("bench/other.json.zst"), b"\x28\xb5\x2f\xfd").unwrap();
    let ran = scratch.ok(&["import", "bench", "-o", "lake"]);
    assert!(ran.stderr.contains("other.json.zst: is compressed (.zst); unpack it"), "{}", ran.stderr);
    assert_eq!(scratch.query("lake", "SELECT count(*) AS n FROM runs")[0]["n"], 1);
}

#[test]
fn secrets_in_what_is_imported_are_not_kept() {
    let scratch = Scratch::new();
    let mut run: Value =
        serde_json::from_str(&std::fs::read_to_string(data("import/vllm/plain.json")).unwrap()).unwrap();
    run["hf_token"] = json!("a-token-of-mine");
    run["note"] = json!("see https://me:pass4me@host/ or hf_abcdefghijklmnopqrstuvwxyzabcdefgh");
    scratch.write("bench/run.json", &run.to_string());
    scratch.ok(&["import", "bench", "-o", "lake"]);
    let told = scratch.ok(&["query", "lake", "SELECT * FROM runs", "--format", "json"]).stdout;
    for secret in ["a-token-of-mine", "pass4me", "hf_abcdefghijklmnop"] {
        assert!(!told.contains(secret), "{secret} is in {told}");
    }
    assert!(told.contains("https://***"), "{told}");
}
