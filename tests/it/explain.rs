//! Each explanation, on a simulated server that shows just that; costs and timelines of the same runs.

use crate::scratch::{PROGRAM, Scratch};
use crate::telemetry::nvml_stub;
use serde_json::Value;

/// A sweep, and what is found of it: the name of each finding with its runs.
fn found(scratch: &Scratch, sim: &str, bench: &str, serve: &[&str], variables: &[(&str, String)]) -> Vec<String> {
    let sim = format!("{PROGRAM} sim m --port {} {sim}", scratch.port);
    let bench = format!("{PROGRAM} bench --port {} --ignore-eos --save-detailed {bench}", scratch.port);
    let common = ["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "-e", "x", "--sample-interval", "0.1"];
    let ran = scratch.command(&[&common[..], serve].concat()).envs(variables.iter().cloned()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let told = scratch.ok(&["explain", "results/x", "--format", "json"]).stdout;
    let rows: Vec<Value> = if told.trim().is_empty() { Vec::new() } else { serde_json::from_str(&told).unwrap() };
    let text = |row: &Value| format!("{} {}", row["finding"].as_str().unwrap(), row["runs"].as_str().unwrap());
    rows.iter().map(text).collect()
}

/// That the finding is among those. What else is found depends on how busy the machine is, which tests in parallel make it.
fn assert_found(found: &[String], expected: &str) {
    assert!(found.iter().any(|finding| finding == expected), "{expected} is not in {found:?}");
}

const LIGHT: &str = "--random-input-len 32 --random-output-len 32 --num-prompts 30 --max-concurrency 2";

#[test]
fn a_server_at_ease_has_nothing_to_explain() {
    let scratch = Scratch::new();
    let found = found(&scratch, "--speed 4", LIGHT, &["--num-runs", "2"], &[]);
    let of_server = ["KV-bound", "prefill-bound", "clock-limited", "cold cache"];
    assert!(!found.iter().any(|finding| of_server.iter().any(|name| finding.starts_with(name))), "{found:?}");
}

#[test]
fn requests_that_wait_are_queue_bound() {
    let scratch = Scratch::new();
    let bench = "--random-input-len 32 --random-output-len 32 --num-prompts 60 --max-concurrency 16";
    assert_found(&found(&scratch, "--speed 4 --max-num-seqs 2", bench, &["--num-runs", "1"], &[]), "queue-bound 0");
    let told = scratch.ok(&["explain", "results/x"]).stdout;
    assert!(
        told.contains("requests waited in the server; a request waited") && told.contains("max_num_seqs"),
        "{told}"
    );
}

#[test]
fn a_cache_without_room_is_kv_bound() {
    let scratch = Scratch::new();
    let sim = "--speed 8 --max-model-len 512 --num-gpu-blocks-override 40";
    let bench = "--random-input-len 32 --random-output-len 200 --num-prompts 40 --max-concurrency 16";
    assert_found(&found(&scratch, sim, bench, &["--num-runs", "1"], &[]), "KV-bound 0");
}

#[test]
fn long_prompts_with_short_answers_are_prefill_bound() {
    let scratch = Scratch::new();
    let bench = "--random-input-len 3000 --random-output-len 2 --num-prompts 30 --max-concurrency 1";
    assert_found(&found(&scratch, "--speed 4", bench, &["--num-runs", "1"], &[]), "prefill-bound 0");
}

#[test]
fn clocks_that_are_held_down_are_told_with_the_reason() {
    let scratch = Scratch::new();
    let variables = [
        ("LD_LIBRARY_PATH", nvml_stub(&scratch).display().to_string()),
        ("NVML_STUB_PROCESS", format!("{PROGRAM} sim m --port {}", scratch.port)),
    ];
    assert_found(&found(&scratch, "--speed 4", LIGHT, &["--num-runs", "1"], &variables), "clock-limited 0");
    let told = scratch.ok(&["explain", "results/x"]).stdout;
    assert!(told.contains("the SM clock fell to 1380 MHz"), "{told}");
}

#[test]
fn a_first_run_that_fills_the_cache_for_the_others_is_cold() {
    let scratch = Scratch::new();
    let bench = "--random-input-len 256 --random-output-len 16 --num-prompts 30 --max-concurrency 2";
    let serve = ["--num-runs", "3", "--after-bench-cmd", "true"];
    let sim = "--speed 4 --enable-prefix-caching";
    assert_found(&found(&scratch, sim, bench, &serve, &[]), "cold cache 0");
}

#[test]
fn steps_that_are_slow_the_first_time_are_a_warm_up_inside_the_measurement() {
    let scratch = Scratch::new();
    let sim = "--speed 4 --fault-cold-steps 200";
    assert_found(&found(&scratch, sim, LIGHT, &["--num-runs", "3"], &[]), "warm-up inside the measurement 0");
}

#[test]
fn a_client_that_is_the_bottleneck_is_told() {
    let scratch = Scratch::new();
    let bench = "--random-input-len 8 --random-output-len 128 --num-prompts 20000 --max-concurrency 256 --workers 1";
    let found = found(&scratch, "--null", bench, &["--num-runs", "1", "--after-bench-cmd", "true"], &[]);
    assert_found(&found, "client-bound 0");
}

#[test]
fn one_run_is_explained_with_what_is_not_known() {
    let scratch = Scratch::new();
    found(&scratch, "--speed 8", LIGHT, &["--num-runs", "2"], &[]);
    let rows = scratch.query("results/x", "SELECT run_id FROM runs WHERE run_number = 1");
    let id = rows[0]["run_id"].as_str().unwrap();
    let told = scratch.ok(&["explain", "results/x", "--run", &id[..8]]).stdout;
    assert!(told.contains("Not judged, for lack of: ") && told.contains("clock-limited (gpu_throttled_s)"), "{told}");
    let ran = scratch.run(&["explain", "results/x", "--run", "nothing"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("no completed run has an ID that begins with nothing"));
}

#[test]
fn a_timeline_is_drawn_of_each_run_or_of_one() {
    let scratch = Scratch::new();
    found(&scratch, "--speed 2", LIGHT, &["--num-runs", "2"], &[]);
    let told = scratch.ok(&["plot", "results/x", "--timeline", "--dry-run"]).stdout;
    assert_eq!(told.matches("grid: 4 row(s) x 1 column(s)").count(), 2, "{told}");
    let rows = scratch.query("results/x", "SELECT run_id FROM runs WHERE run_number = 1");
    let id = rows[0]["run_id"].as_str().unwrap();
    scratch.ok(&["plot", "results/x", "--timeline", "--run", id, "-o", "one.png", "--fig-dpi", "60"]);
    assert!(scratch.exists("one.png"));
    let ran = scratch.run(&["plot", "results/x", "--timeline", "--run", "nothing"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("no run has an ID that begins with nothing"), "{}", ran.stderr);
}

#[test]
fn tokens_have_a_cost_where_a_price_is_given_and_none_is_stored() {
    let scratch = Scratch::new();
    let variables = [
        ("LD_LIBRARY_PATH", nvml_stub(&scratch).display().to_string()),
        ("NVML_STUB_PROCESS", format!("{PROGRAM} sim m --port {}", scratch.port)),
    ];
    let sim = "--speed 8 --tensor-parallel-size 2";
    found(&scratch, sim, LIGHT, &["--num-runs", "2"], &variables);
    let sql = "SELECT gpu_count * 2.5 / 3600 / output_throughput * 1e6 AS expected, usd_per_million_output_tokens AS cost FROM runs";
    let told = scratch.ok(&["query", "results/x", sql, "--gpu-hour-price", "2.5", "--format", "json"]).stdout;
    let rows: Vec<Value> = serde_json::from_str(&told).unwrap();
    let number = |row: &Value, name: &str| row[name].as_f64().unwrap_or_else(|| panic!("{name}: {row}"));
    assert!(
        rows.len() == 2 && rows.iter().all(|row| (number(row, "expected") / number(row, "cost") - 1.0).abs() < 1e-9)
    );
    // Of combinations, in a chart, and nowhere without a price.
    let sql = "SELECT usd_per_million_total_tokens_mean AS cost FROM combinations";
    let told = scratch.ok(&["query", "results/x", sql, "--gpu-hour-price", "2.5", "--format", "json"]).stdout;
    assert!(number(&serde_json::from_str::<Vec<Value>>(&told).unwrap()[0], "cost") > 0.0);
    let ran = scratch.run(&["query", "results/x", sql]);
    assert!(ran.code == Some(2) && ran.stderr.contains("--gpu-hour-price"), "{}", ran.stderr);
    let pareto = ["plot_pareto", "results/x", "--x", "output_throughput", "--y", "usd_per_million_output_tokens:min"];
    let ran = scratch.ok(&[&pareto[..], &["--gpu-hour-price", "2.5", "--dry-run"]].concat());
    assert!(ran.stdout.contains("usd_per_million_output_tokens"), "{}", ran.stdout);

    scratch.write("prices.json", r#"{"H100": 4, "nothing": 1}"#);
    scratch.write("other.yaml", "A100: 4\n");
    scratch.write("bad.toml", "H100 = -1\n");
    let sql = "SELECT usd_per_million_output_tokens AS cost FROM runs";
    let with = |file: &str| scratch.run(&["query", "results/x", sql, "--prices", file, "--format", "json"]);
    let rows: Vec<Value> = serde_json::from_str(&with("other.yaml").stdout).unwrap();
    assert!(rows.iter().all(|row| row["cost"].is_null()), "the price of this GPU is not known: {rows:?}");
    let costs = |file: &str| serde_json::from_str::<Vec<Value>>(&with(file).stdout).unwrap();
    let mut manifest = scratch.json("results/x/sweep.json");
    manifest["environment"]["gpus"] = serde_json::json!([{"name": "NVIDIA H100 80GB HBM3"}]);
    scratch.write("results/x/sweep.json", &manifest.to_string());
    assert!(costs("prices.json").iter().all(|row| row["cost"].is_number()));
    // A sweep that ended on another machine names the GPUs of that one.
    manifest["environment"]["host"] = "elsewhere".into();
    scratch.write("results/x/sweep.json", &manifest.to_string());
    assert!(costs("prices.json").iter().all(|row| row["cost"].is_null()));
    let ran = with("bad.toml");
    assert!(ran.code == Some(2) && ran.stderr.contains("bad.toml: the price of \"H100\" must be"), "{}", ran.stderr);
}
