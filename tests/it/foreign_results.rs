//! Benchmarks of a sweep that are not vLLM's: their results are read as imports read them, and one that tells nothing is a failed run.

use crate::scratch::{PROGRAM, Scratch, data};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

/// A benchmark that copies a file to where its result is wanted.
fn benchmark(scratch: &Scratch, result: &str) -> String {
    let script = format!(
        "#!/bin/sh\nwhile [ $# -gt 0 ]; do case \"$1\" in --result-dir) dir=\"$2\" ;; --result-filename) file=\"$2\" ;; esac; shift; done\n\
         cp '{result}' \"$dir/$file\"\n"
    );
    let path = scratch.write("bench.sh", &script);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{} --port {}", path.display(), scratch.port)
}

/// The row of the only run of a sweep with that result.
fn row(result: &str) -> (Value, Scratch) {
    let scratch = Scratch::new();
    let ran = scratch.run(&[
        "serve",
        "--serve-cmd",
        &format!("{PROGRAM} sim m --port {} --speed 50", scratch.port),
        "--bench-cmd",
        &benchmark(&scratch, result),
        "-e",
        "x",
        "--num-runs",
        "1",
        "--continue-on-error",
    ]);
    let rows = scratch.query("results", "SELECT * FROM runs");
    assert_eq!(rows.len(), 1, "{}", ran.stderr);
    (rows[0].clone(), scratch)
}

#[test]
fn another_tools_result_is_read_as_an_import_reads_it() {
    let file = data("import-versions/aiperf-0.13.0-warmup-conc/profile_export_aiperf.json");
    let (row, scratch) = row(file.to_str().unwrap());
    assert_eq!((&row["status"], &row["source_tool"]), (&json!("completed"), &json!("aiperf")));
    assert_eq!((&row["mean_ttft_ms"], &row["completed"]), (&json!(5.597388), &json!(20)));
    assert_eq!(row["extra"]["warmup_metrics.request_count.avg"], "6.0");
    // The file beside the table says the same, under vLLM's names.
    let path = scratch.files().into_iter().find(|path| path.ends_with("run=0.json")).unwrap();
    assert_eq!(scratch.json(&path)["mean_ttft_ms"], json!(5.597388));
}

#[test]
fn a_result_that_tells_nothing_is_a_failed_run() {
    let scratch = Scratch::new();
    let several = data("import/sglang/plain.jsonl");
    for (text, message) in [
        (r#"{"score": 0.7, "task": "gsm8k"}"#, "contains no known metric (its keys: score, task)"),
        (r#"{"request_throughput": "fast", "p99_ttft_ms": null}"#, "contains no known metric"),
        (r#"{"completed": 0, "failed": 5, "num_prompts": 5, "mean_ttft_ms": 0.0}"#, "no request succeeded"),
        (&std::fs::read_to_string(several).unwrap(), "the benchmark left no readable result"),
    ] {
        let path = scratch.write("result.json", text);
        let (row, _) = row(path.to_str().unwrap());
        assert_eq!((&row["status"], &row["error_kind"]), (&json!("failed"), &json!("bad_result")), "{text}");
        assert!(row["error"].as_str().unwrap().contains(message), "{}", row["error"]);
    }
}

#[test]
fn what_failed_is_listed_runs_and_requests_by_their_kind() {
    let scratch = Scratch::new();
    let mut result: Value =
        serde_json::from_str(&std::fs::read_to_string(data("import/vllm/errors-detailed.json")).unwrap()).unwrap();
    let failed = result["failed"].as_i64().unwrap();
    scratch.write("bench/some.json", &result.to_string());
    result["completed"] = json!(0);
    scratch.write("bench/all.json", &result.to_string());
    scratch.ok(&["import", "bench", "-o", "lake"]);
    let ran = scratch.ok(&["query", "lake", "--name", "failures", "--format", "json"]);
    let rows: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
    let of = |status: &str| rows.iter().filter(|row| row["status"] == status).collect::<Vec<_>>();
    assert_eq!((of("failed").len(), &of("failed")[0]["error_kind"]), (1, &json!("bad_result")));
    let requests: i64 = of("degraded").iter().map(|row| row["requests"].as_i64().unwrap()).sum();
    assert_eq!(requests, failed, "{rows:?}");
}

/// Clients that are called as real ones are, and do what those do: write a result of theirs where they are told, and what they were told.
fn pretend(scratch: &Scratch, name: &str, flag: &str, copied: &str) -> String {
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> words\nwhile [ $# -gt 0 ]; do [ \"$1\" = {flag} ] && to=\"$2\"; shift; done\n{copied}\n"
    );
    scratch.script(name, &script);
    format!("./{name}")
}

#[test]
fn clients_of_others_are_turned_by_their_own_flags() {
    let aiperf = data("import-versions/aiperf-0.13.0-warmup-conc/profile_export_aiperf.json");
    let sglang = data("import/sglang/plain.jsonl");
    let of_aiperf =
        format!("mkdir -p \"$to/deep\" && cp '{}' \"$to/deep/\" && echo x > \"$to/inputs.json\"", aiperf.display());
    let of_sglang = format!("head -n 1 '{}' >> \"$to\"", sglang.display());
    for (name, command, flag, copied, told) in [
        ("aiperf", "profile --concurrency 3", "--artifact-dir", &of_aiperf, "--concurrency 5 --artifact-dir"),
        ("sglang.bench_serving", "--backend vllm", "--output-file", &of_sglang, "--max-concurrency 5 --output-file"),
    ] {
        let scratch = Scratch::new();
        let bench = format!("{} {command}", pretend(&scratch, name, flag, copied));
        let sim = scratch.sim("--startup-seconds 0");
        let ran = scratch.run(&[
            "serve",
            "--serve-cmd",
            &sim,
            "--bench-cmd",
            &bench,
            "--bench-grid",
            "max_concurrency=5",
            "--num-runs",
            "2",
            "-e",
            "x",
        ]);
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.stderr);
        let words = scratch.read("words");
        assert!(words.lines().count() == 2 && words.lines().all(|line| line.contains(told)), "{words}");
        assert!(!words.contains("--save-result") && !words.contains("--percentile-metrics"), "{words}");
        let runs = scratch.query(
            "results",
            "SELECT count(mean_ttft_ms) AS n, min(max_concurrency) AS users, min(status) AS status FROM runs",
        );
        assert_eq!(runs, [json!({"n": 2, "users": 5.0, "status": "completed"})], "{name}");
        let left: Vec<String> =
            scratch.files().into_iter().filter(|path| path.contains("artifacts") || path.contains("partial")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_search_turns_the_flag_of_a_client_and_no_other_may() {
    let scratch = Scratch::new();
    scratch.write("sla.json", r#"[{"p99_ttft_ms": "<=100"}]"#);
    let sim = scratch.sim("");
    let bench = "aiperf profile --concurrency 3";
    let flags = [
        "serve_sla",
        "--serve-cmd",
        &sim,
        "--bench-cmd",
        bench,
        "--sla-params",
        "sla.json",
        "--sla-variable",
        "max_concurrency",
    ];
    let ran = scratch.run(&flags);
    assert!(ran.code == Some(2) && ran.stderr.contains("--bench-cmd also sets it (--concurrency)"), "{}", ran.stderr);
}

#[test]
fn what_a_failed_client_wrote_does_not_stay() {
    let scratch = Scratch::new();
    let failing = "mkdir -p \"$to\" && echo '{\"api_key\": \"sk-SECRET\"}' > \"$to/inputs.json\"; exit 3";
    let bench = format!("{} profile", pretend(&scratch, "aiperf", "--artifact-dir", failing));
    let sim = scratch.sim("--startup-seconds 0");
    let ran = scratch.run(&["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "--num-runs", "1", "-e", "x"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(!scratch.files().iter().any(|path| path.contains("artifacts")), "{:?}", scratch.files());
}

#[test]
fn one_flag_carries_one_load_and_no_limit_is_no_flag() {
    let scratch = Scratch::new();
    let sim = scratch.sim("");
    let plan = |bench: &str, grids: &[&str]| {
        let flags = ["serve", "--serve-cmd", &sim, "--bench-cmd", bench, "--dry-run=commands", "-e", "x"];
        let grids = grids.iter().flat_map(|grid| ["--bench-grid", grid]);
        scratch.run(&flags.into_iter().chain(grids).collect::<Vec<_>>())
    };
    let ran = plan("guidellm run --target x", &["max_concurrency=1", "request_rate=5"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("either max_concurrency or request_rate"), "{}", ran.stderr);
    let ran = plan("aiperf profile", &["request_rate=inf"]);
    assert!(ran.code == Some(0) && !ran.stdout.contains("--request-rate"), "{}", ran.stdout);
    let ran = plan("guidellm run --seed kind=static,value=7", &["max_concurrency=4"]);
    assert!(ran.stdout.contains("--seed kind=static,value=7 ") && ran.stdout.contains("streams=4"), "{}", ran.stdout);
}
