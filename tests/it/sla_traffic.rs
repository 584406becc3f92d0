//! SLA searches on a real server with real requests: rates that last, runs as long as they must be, hopeless ones stopped, ladders.

use crate::scratch::{Ran, Scratch};
use serde_json::{Value, json};

/// A server of two sequences at a time: it completes some 60 requests of eight tokens in a second.
const SIM: &str = "--max-num-seqs 2 --jitter 0";
const RATE: [&str; 6] = ["--sla-variable", "request_rate", "--sla-max-iters", "10", "--sla-min-duration", "1"];

fn bench(scratch: &Scratch, flags: &str) -> String {
    let program = env!("CARGO_BIN_EXE_sweeplake");
    format!("{program} bench --port {} --random-input-len 16 --random-output-len 8 --ignore-eos {flags}", scratch.port)
}

fn tune(scratch: &Scratch, slas: &str, flags: &[&str]) -> Ran {
    scratch.write("sla.json", slas);
    let (sim, bench) = (scratch.sim(SIM), bench(scratch, "--num-prompts 40"));
    // The simulated server's time runs as the clock does.
    let sim = sim.replace("--speed 20", "");
    let arguments = ["serve_sla", "--serve-cmd", &sim, "--bench-cmd", &bench, "--sla-params", "sla.json", "-e", "x"];
    scratch.run(&[&arguments[..], flags].concat())
}

#[test]
fn a_rate_that_piles_up_meets_no_sla_however_loose() {
    let scratch = Scratch::new();
    let ran = tune(&scratch, r#"[{"p95_e2el_ms": "<=60000"}]"#, &RATE);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let all = scratch.query("results", "SELECT max(request_throughput) AS most FROM runs");
    let capacity = all[0]["most"].as_f64().unwrap();
    let answer = &scratch.query("results", "SELECT value, upper, status, reason FROM sla")[0];
    let (value, upper) = (answer["value"].as_f64().unwrap(), answer["upper"].as_f64().unwrap());
    // Runs of a second end with a drain, and a busy machine serves less in one than in another: a quarter at most. What an
    // SLA that never binds answers without a test of the backlog is many times the capacity.
    assert!(value <= 1.25 * capacity && upper >= 0.8 * capacity, "{answer} {capacity}");
    // Whichever of its runs said so: that it grew, or that nobody could say that it did not.
    let reason = answer["reason"].as_str().unwrap();
    assert!(
        reason.contains("the server does not keep up") || reason.contains("whether the server keeps up"),
        "{answer}"
    );
    // What the search knows is told, with what is left.
    assert!(ran.stderr.contains("request_rate between") && ran.stderr.contains("more runs, about"), "{}", ran.stderr);
    // Runs send as many prompts as their rate asks for, never fewer than the command says.
    let runs = scratch.query(
        "results",
        "SELECT num_prompts / request_rate AS seconds, num_prompts, steady_duration_s FROM runs WHERE request_rate < 1e9",
    );
    assert!(runs.iter().all(|run| run["num_prompts"].as_f64().unwrap() >= 40.0), "{runs:?}");
    assert!(
        runs.iter().any(|run| run["seconds"].as_f64().unwrap() > 3.0),
        "near the answer they last longer: {runs:?}"
    );
}

#[test]
fn a_hopeless_run_is_stopped_and_says_so() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--max-num-seqs", "1", "--speed", "1"]);
    let bench = bench(&scratch, "--percentile-metrics ttft,e2el");
    let base: Vec<&str> = bench.split_whitespace().skip(1).collect();
    let flags = [
        "--request-rate",
        "100",
        "--num-prompts",
        "400",
        "--save-result",
        "--save-detailed",
        "--result-filename",
        "r.json",
    ];
    let sla = ["--stop-when-missed", "p99_e2el_ms<=100", "p99_ttft_ms<=80"];
    let ran = scratch.ok(&[&base[..], &flags, &sla].concat());
    assert!(ran.stderr.contains("SLA can no longer be met: p99_e2el_ms<=100; p99_ttft_ms<=80"), "{}", ran.stderr);
    let result = scratch.json("r.json");
    let number = |key: &str| result[key].as_f64().unwrap();
    assert!(
        number("completed") < 200.0 && result["failed"] == 0 && number("duration") < 3.0,
        "{}",
        number("completed")
    );
    // What was cut off counts with its time until then: the limit is missed in what was measured.
    assert!(number("p99_e2el_ms") > 100.0 && result["stopped_early"].as_str().unwrap().contains("p99_e2el_ms<=100"));
    let errors = result["errors"].as_array().unwrap();
    let cut_off = errors.iter().filter(|error| error.as_str().unwrap().starts_with("cut off")).count();
    assert!(cut_off > 0 && errors.len() == cut_off + number("completed") as usize);
    // An SLA that can be met lets the run go on.
    scratch.ok(&[
        &base[..],
        &["--num-prompts", "5", "--save-result", "--result-filename", "r.json"],
        &["--stop-when-missed", "p99_e2el_ms<=60000"],
    ]
    .concat());
    assert_eq!((&scratch.json("r.json")["completed"], scratch.json("r.json").get("stopped_early")), (&json!(5), None));
    let bad = scratch.run(&[&base[..], &["--stop-when-missed", "p99_e2el_ms"]].concat());
    assert!(bad.code == Some(2) && bad.stderr.contains("--stop-when-missed"), "{}", bad.stderr);
}

#[test]
fn a_ladder_compares_servers_under_each_sla() {
    let scratch = Scratch::new();
    scratch.write("serve.json", r#"[{"max_num_seqs": 1}, {"max_num_seqs": 8}]"#);
    let slas = r#"[{"_sla_name": "tight", "p95_e2el_ms": "<=90"}, {"_sla_name": "loose", "p95_e2el_ms": "<=400"}]"#;
    let flags =
        ["--sla-variable", "max_concurrency", "--sla-max", "32", "--sla-max-iters", "8", "--sla-min-duration", "0.3"];
    let ran = tune(&scratch, slas, &[&flags[..], &["--serve-params", "serve.json"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let sql = "SELECT sla_name, max(value) FILTER (WHERE serve_params LIKE '%8%') AS eight, coalesce(max(value) FILTER (WHERE serve_params LIKE '%1%'), 0) AS one FROM sla GROUP BY 1 ORDER BY 1";
    let rows = scratch.query("results", sql);
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row["eight"].as_f64() > row["one"].as_f64()), "{rows:?}");
    assert!(rows[0]["eight"].as_f64() > rows[1]["eight"].as_f64(), "the looser SLA bears more: {rows:?}");
    let best = scratch.ok(&["query", "results", "--name", "sla", "--param", "gpu_hour_price=2", "--format", "json"]);
    let best: Value = serde_json::from_str(&best.stdout).unwrap();
    for row in best.as_array().unwrap() {
        let is_eight = row["label"].as_str().unwrap().contains('8');
        let probability = row["best_probability"].as_f64().unwrap();
        assert!(if is_eight { probability > 0.9 } else { probability < 0.1 }, "{row}");
    }
    assert!(scratch.files().iter().any(|file| file.starts_with("results/x/sla/LADDER")), "{:?}", scratch.files());
    let asked = scratch.ok(&["sla", "results", "--sla-params", "sla.json", "--gpu-hour-price", "2", "--format", "csv"]);
    assert!(asked.stdout.lines().next().unwrap().contains("usd_per_million_output_tokens"), "{}", asked.stdout);
    let page = scratch.ok(&["report", "results/x", "--gpu-hour-price", "2"]);
    assert!(scratch.read(page.stdout.trim()).contains("Highest max_concurrency within each SLA"));
}

#[test]
fn what_a_result_lacks_stored_requests_tell() {
    let scratch = Scratch::new();
    scratch.write("loads.json", r#"[{"max_concurrency": 1}, {"max_concurrency": 8}]"#);
    let bench = bench(&scratch, "--num-prompts 40 --save-detailed");
    scratch.ok(&[
        "serve",
        "--serve-cmd",
        &scratch.sim(SIM),
        "--bench-cmd",
        &bench,
        "--bench-params",
        "loads.json",
        "--num-runs",
        "1",
    ]);
    scratch.write("sla.json", r#"[{"p95_ttft_ms": "<=1000"}, {"p90_itl_ms": "<=1000"}]"#);
    let ran = scratch.ok(&["sla", "results", "--sla-params", "sla.json", "--format", "json"]);
    let rows: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert!(
        rows.as_array().unwrap().iter().all(|row| row["status"] == "passes_everywhere" && row["value"] == 8.0),
        "{rows}"
    );
}

#[test]
fn a_budget_ends_a_search_with_what_is_known_and_a_dry_run_says_the_worst() {
    let scratch = Scratch::new();
    let told = tune(&scratch, r#"[{"p95_e2el_ms": "<=100"}]"#, &[&RATE[..], &["--dry-run=commands"]].concat());
    assert!(
        told.stdout
            .contains("# Each search: at most 10 runs, each with a steady part of 1 to 12 s: at most about 2 min"),
        "{}",
        told.stdout
    );
    let ran = tune(&scratch, r#"[{"p95_e2el_ms": "<=100"}]"#, &[&RATE[..], &["--budget", "6s"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("budget used up"), "{}", ran.stderr);
    let answer = &scratch.query("results", "SELECT status, runs FROM sla")[0];
    assert_eq!(answer["status"], "wide", "{answer}");
    // The history and the answer rest on the same runs.
    let history = scratch.query("results", "SELECT sum(runs) AS runs FROM sla_history");
    assert_eq!(history[0]["runs"], answer["runs"]);
}
