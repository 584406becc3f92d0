//! A sweep from params files to tables.

use crate::scratch::{Scratch, processes_with};
use serde_json::json;

#[test]
fn a_sweep_runs_every_combination_and_keeps_everything() {
    let scratch = Scratch::new();
    scratch.write("serve.json", r#"[{"max_num_seqs": 4}, {"max_num_seqs": 8, "enable_prefix_caching": false}]"#);
    scratch.write("bench.json", r#"{"low": {"max_concurrency": 1}, "high": {"max-concurrency": 4}}"#);
    let ran = scratch.ok(&[
        "serve",
        "--serve-cmd",
        &scratch.sim("--seed 7"),
        "--bench-cmd",
        &scratch.bench("--save-detailed"),
        "--serve-params",
        "serve.json",
        "--bench_params=bench.json",
        "-e",
        "first",
        "--num-runs",
        "2",
    ]);
    assert!(ran.stderr.contains("2 server(s), 8 run(s) to do") && ran.stderr.contains("[8/8"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");

    // vLLM's layout and names.
    let folder = "results/first/SERVE--max_num_seqs=8-enable_prefix_caching=False-BENCH--high";
    let expected = ["bench.log", "run=0.json", "run=0.parquet", "run=0.requests.parquet", "run=1.json", "summary.json"];
    for file in expected {
        assert!(scratch.exists(&format!("{folder}/{file}")), "{file} is missing: {:?}", scratch.files());
    }
    let run = scratch.json(&format!("{folder}/run=1.json"));
    assert_eq!(run["run_number"], 1);
    assert_eq!(
        (&run["max_num_seqs"], &run["enable_prefix_caching"], &run["max-concurrency"]),
        (&json!(8), &json!(false), &json!(4))
    );
    assert_eq!((&run["_benchmark_name"], &run["request_rate"]), (&json!("high"), &json!("inf")));
    assert_eq!(run["completed"], 6);
    assert_eq!(scratch.json(&format!("{folder}/summary.json")).as_array().unwrap().len(), 2);
    let csv = scratch.read("results/first/summary.csv");
    assert_eq!(csv.lines().count(), 9);
    assert!(csv.starts_with(",date,") && !csv.lines().next().unwrap().contains("itls"));

    // One server for each serve set: its log has one headline.
    let log = scratch.read("results/first/SERVE--max_num_seqs=4.server.log");
    assert_eq!(log.lines().filter(|line| line.starts_with("$ ")).count(), 1);
    assert!(log.contains("--max-num-seqs 4"), "{log}");

    // The same in the tables.
    let rows = scratch.query("results", "SELECT count(*) AS runs, count(DISTINCT combination) AS combinations, count(DISTINCT run_id) AS ids, min(gpu_count) AS gpus, min(startup_time_s) > 0 AS started FROM runs WHERE status = 'completed'");
    assert_eq!(rows[0], json!({"runs": 8, "combinations": 4, "ids": 8, "gpus": 1.0, "started": true}));
    let rows = scratch.query(
        "results",
        "SELECT count(*) AS requests, count(*) FILTER (WHERE ok) AS ok, min(output_len) AS tokens FROM requests",
    );
    assert_eq!(rows[0], json!({"requests": 48, "ok": 48, "tokens": 4}));
    let manifest = scratch.json("results/first/sweep.json");
    assert_eq!(
        (&manifest["format_version"], &manifest["state"], &manifest["runs"]),
        (&json!(2), &json!("completed"), &json!(8))
    );
    assert_eq!(
        (&manifest["environment"]["engine"], &manifest["environment"]["engine_version"]),
        (&json!("sweeplake-sim"), &json!(env!("CARGO_PKG_VERSION")))
    );
    assert!(processes_with(&format!("--port {}", scratch.port)).is_empty());
}

#[test]
fn a_dry_run_prints_what_would_run_and_touches_nothing() {
    let scratch = Scratch::new();
    scratch.write("serve.json", r#"[{"max_num_seqs": 4}, {"max_num_seqs": 8}]"#);
    scratch
        .write("bench.json", r#"[{"max_concurrency": 4, "metadata": ["a=two words", "b=1"]}, {"max_concurrency": 8}]"#);
    let before = scratch.files();
    let ran = scratch.ok(&[
        "serve",
        "--serve-cmd",
        "vllm serve m --max_num_seqs=1",
        "--bench-cmd",
        "vllm bench serve",
        "--serve-params",
        "serve.json",
        "--bench-params",
        "bench.json",
        "--link-vars",
        "max_num_seqs=max_concurrency",
        "-e",
        "x",
        "--dry-run=commands",
    ]);
    assert_eq!(scratch.files(), before);
    let commands: Vec<&str> = ran.stdout.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(commands.len(), 2 + 2 * 3);
    assert_eq!(commands[0], "vllm serve m --max-num-seqs 4");
    assert_eq!(
        commands[1],
        "vllm bench serve --max-concurrency 4 --metadata 'a=two words' b=1 --percentile-metrics ttft,tpot,itl,e2el \
         --save-result --result-dir results/x/SERVE--max_num_seqs=4-BENCH--max_concurrency=4-metadata=[\"a=two words\",\"b=1\"] \
         --result-filename run=0.partial.json"
            .replace("results/x/SERVE--max_num_seqs=4-BENCH--max_concurrency=4-metadata=[\"a=two words\",\"b=1\"]", "'results/x/SERVE--max_num_seqs=4-BENCH--max_concurrency=4-metadata=[\"a=two words\",\"b=1\"]'")
    );
    assert!(ran.stdout.trim_end().ends_with("# 2 server(s), 6 run(s)"), "{}", ran.stdout);
}

#[test]
fn a_dry_run_shows_warm_ups_and_what_runs_after() {
    let scratch = Scratch::new();
    let ran = scratch.ok(&[
        "serve",
        "--serve-cmd",
        "my-server",
        "--bench-cmd",
        "my-bench --num-prompts 9",
        "--after-bench-cmd",
        "sh -c 'echo x'",
        "-e",
        "x",
        "--num-runs",
        "1",
        "--warmup-num-prompts",
        "2",
        "--dry-run=commands",
    ]);
    let commands: Vec<&str> = ran.stdout.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(commands.len(), 5, "{commands:?}");
    assert!(
        commands[1].starts_with("my-bench --num-prompts 2 ") && commands[3].starts_with("my-bench --num-prompts 9 ")
    );
    assert_eq!((commands[2], commands[4]), ("sh -c 'echo x'", "sh -c 'echo x'"));
}

#[test]
fn commands_alone_make_a_sweep_of_one_combination() {
    let scratch = Scratch::new();
    scratch.ok(&[
        "serve",
        "--serve-cmd",
        &scratch.sim(""),
        "--bench-cmd",
        &scratch.bench(""),
        "-e",
        "one",
        "--num-runs",
        "1",
    ]);
    assert!(scratch.exists("results/one/run=0.json") && scratch.exists("results/one/server.log"));
    assert_eq!(scratch.query("results", "SELECT count(*) AS n FROM runs"), [json!({"n": 1})]);
}

#[test]
fn a_warm_up_is_run_and_not_kept() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    scratch.serve_ok(&sim, &bench, &["-e", "w", "--num-runs", "2", "--warmup-num-prompts", "2"]);
    let log = scratch.read("results/w/bench.log");
    let commands: Vec<&str> = log.lines().filter(|line| line.starts_with("$ ")).collect();
    assert_eq!(commands.len(), 3);
    assert!(commands[0].contains("--num-prompts 2 ") && commands[1].contains("--num-prompts 6 "), "{commands:?}");
    assert_eq!(
        scratch.query("results", "SELECT count(*) AS n, min(num_prompts) AS prompts FROM runs"),
        [json!({"n": 2, "prompts": 6.0})]
    );
    assert!(
        !scratch.files().iter().any(|file| file.contains("partial") || file.contains("run=-1")),
        "{:?}",
        scratch.files()
    );
}

#[test]
fn caches_are_reset_between_runs() {
    let scratch = Scratch::new();
    // All prompts are one shared prefix, and each run sends the same: only a reset makes the second run as slow.
    let bench = format!(
        "{} bench --port {} --random-input-len 1 --random-prefix-len 4000 --random-output-len 1 --num-prompts 1 --ignore-eos",
        crate::scratch::PROGRAM,
        scratch.port
    );
    let sim = format!("{} sim m --port {} --jitter 0", crate::scratch::PROGRAM, scratch.port);
    scratch.serve_ok(&sim, &bench, &["-e", "reset", "--num-runs", "2"]);
    scratch.serve_ok(&sim, &bench, &["-e", "kept", "--num-runs", "2", "--after-bench-cmd", "true"]);
    let ttft = |sweep: &str| {
        let rows = scratch.query(
            "results",
            &format!("SELECT median_ttft_ms AS t FROM runs WHERE sweep = '{sweep}' ORDER BY run_number"),
        );
        rows.iter().map(|row| row["t"].as_f64().unwrap()).collect::<Vec<_>>()
    };
    let (reset, kept) = (ttft("reset"), ttft("kept"));
    assert!(reset[1] > reset[0] * 0.5, "the cache was not reset: {reset:?}");
    assert!(kept[1] < kept[0] * 0.5, "without a reset the cache helps: {kept:?}");
}

#[test]
fn the_after_bench_command_runs_after_each_run() {
    let scratch = Scratch::new();
    let script = scratch.write("after.sh", "echo x >> after.txt\n");
    let after = format!("sh {}", script.display());
    scratch.ok(&[
        "serve",
        "--serve-cmd",
        &scratch.sim("--fault-no-resets"),
        "--bench-cmd",
        &scratch.bench(""),
        "-e",
        "a",
        "--after-bench-cmd",
        &after,
    ]);
    assert_eq!(scratch.read("after.txt").lines().count(), 3);
}

#[test]
fn show_stdout_shows_and_still_keeps_the_logs() {
    let scratch = Scratch::new();
    let ran = scratch.ok(&[
        "serve",
        "--serve-cmd",
        &scratch.sim(""),
        "--bench-cmd",
        &scratch.bench(""),
        "-e",
        "s",
        "--num-runs",
        "1",
        "--show-stdout",
    ]);
    for text in ["INFO: simulated server", "Serving Benchmark Result"] {
        assert!(ran.stderr.contains(text), "{}", ran.stderr);
    }
    assert!(scratch.read("results/s/server.log").contains("INFO: simulated server"));
    assert!(scratch.read("results/s/bench.log").contains("Serving Benchmark Result"));
}

#[test]
fn secrets_are_stored_nowhere() {
    let scratch = Scratch::new();
    scratch.write("serve.json", r#"[{"api_key": "s3cret-a"}]"#);
    let bench = format!("OPENAI_API_KEY=s3cret-a {}", scratch.bench(""));
    let serve = format!("HF_TOKEN=s3cret-b {}", scratch.sim("--api-key s3cret-c"));
    scratch.serve_ok(&serve, &bench, &["--serve-params", "serve.json", "-e", "k", "--num-runs", "1"]);
    for file in scratch.files().iter().filter(|file| file.starts_with("results")) {
        let bytes = std::fs::read(scratch.path(file)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("s3cret") && !file.contains("s3cret"), "{file} holds a secret");
    }
    let command = scratch.json("results/k/sweep.json")["serve_cmd"].as_str().unwrap().to_owned();
    assert!(command.contains("--api-key '***"), "{command}");
}

#[test]
fn values_reach_the_benchmark_as_written() {
    let scratch = Scratch::new();
    scratch.write(
        "bench.json",
        r#"[{"seed": 65536, "request_rate": 400.5, "goodput": ["ttft:5000", "e2el:9000"], "label": null}]"#,
    );
    scratch.ok(&[
        "serve",
        "--serve-cmd",
        &scratch.sim(""),
        "--bench-cmd",
        &scratch.bench("--label drop-me"),
        "--bench-params",
        "bench.json",
        "-e",
        "v",
        "--num-runs",
        "1",
    ]);
    let folder = scratch.files().iter().find(|file| file.ends_with("bench.log")).unwrap().clone();
    let log = scratch.read(&folder);
    assert!(
        log.contains("--ignore-eos --seed 65536 --request-rate 400.5 --goodput ttft:5000 e2el:9000 --percentile"),
        "{log}"
    );
    let rows =
        scratch.query("results", "SELECT request_rate, request_goodput = request_throughput AS all_good FROM runs");
    assert_eq!(rows[0], json!({"request_rate": 400.5, "all_good": true}));
}

#[test]
fn the_library_runs_a_plan_of_its_own() {
    // The example is compiled with the tests; here it is run.
    let scratch = Scratch::new();
    let built = std::path::Path::new(crate::scratch::PROGRAM).with_file_name("examples").join("library");
    let output = std::process::Command::new(&built)
        .arg(crate::scratch::PROGRAM)
        .arg(scratch.port.to_string())
        .arg(scratch.path("lake"))
        .output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", built.display()));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("tokens per second"),
        "{stdout}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_sweep_does_not_depend_on_who_reads_what_it_prints() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    let command = |name: &str| {
        let arguments = ["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "--num-runs", "2", "-e", name];
        scratch.command(&arguments)
    };
    // A reader that goes, and a disk that is full.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert!(command("closed").stderr(writer).status().unwrap().success());
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert!(command("full").stderr(full).status().unwrap().success());
    for name in ["closed", "full"] {
        assert!(scratch.read(&format!("results/{name}/sweep.json")).contains("\"state\": \"completed\""), "{name}");
    }
    // A result that could not be written is no success.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = scratch.command(&["tag", "latest", "kept"]).stdout(full).status().unwrap();
    assert_eq!(ran.code(), Some(1));
}
