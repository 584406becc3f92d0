//! SLA tuning, workload exploration and start-up sweeps: real servers and processes, a benchmark whose curve is known.

use crate::scratch::{Ran, Scratch};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

/// A benchmark that measures nothing: P99 latency is 10 ms a concurrent request, throughput saturates at 40 requests a
/// second, and each run is told in a file.
const BENCH: &str = r#"#!/bin/sh
users=64; rate=inf
[ -f "$(dirname "$0")/crash-above" ] && limit=$(cat "$(dirname "$0")/crash-above") || limit=100000
while [ $# -gt 0 ]; do
  case "$1" in
    --max-concurrency) users="$2"; shift ;;
    --request-rate) rate="$2"; shift ;;
    --result-dir) folder="$2"; shift ;;
    --result-filename) file="$2"; shift ;;
    --metric-percentiles) echo "$2" > "$(dirname "$0")/percentiles" ;;
  esac
  shift
done
echo "$users $rate" >> "$(dirname "$0")/runs"
[ "$users" -gt "$limit" ] && exit 7
awk -v users="$users" -v rate="$rate" 'BEGIN {
  busy = rate == "inf" ? 2 : rate / 40
  latency = rate == "inf" ? 10 * users : (busy < 0.99 ? 5 / (1 - busy) : 500 * busy)
  throughput = rate == "inf" ? 40 : (rate < 40 ? rate : 40)
  printf "{\"date\": \"20261101-120000\", \"completed\": 8, \"request_throughput\": %.6f, \"output_throughput\": %.6f, \"p99_e2el_ms\": %.6f, \"p95_ttft_ms\": %.6f, \"mean_e2el_ms\": %.6f}", throughput, 100 * throughput, latency, latency / 10, latency
}' > "$folder/$file"
"#;

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    script(&scratch, "bench.sh", BENCH);
    scratch
}

fn script(scratch: &Scratch, name: &str, text: &str) {
    let path = scratch.write(name, text);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn tune(scratch: &Scratch, slas: &str, more: &[&str]) -> Ran {
    scratch.write("sla.json", slas);
    let sim = scratch.sim("");
    let arguments = ["serve_sla", "--serve-cmd", &sim, "--bench-cmd", "./bench.sh", "--sla-params", "sla.json"];
    scratch.run(&[&arguments[..], more].concat())
}

fn made_runs(scratch: &Scratch) -> Vec<String> {
    scratch.read("runs").lines().map(str::to_owned).collect()
}

#[test]
fn the_greatest_concurrency_within_an_sla_is_found_and_stored() {
    let scratch = scratch();
    scratch.write("serve.json", r#"[{"max_num_seqs": 8}]"#);
    let flags = ["--sla-variable", "max_concurrency", "--sla-max", "200", "--serve-params", "serve.json", "-e", "x"];
    let ran = tune(
        &scratch,
        r#"[{"p99_e2el_ms": "<=375"}, {"_sla_name": "fast", "p99_e2el_ms": "<100", "output_throughput": ">=1"}]"#,
        &flags,
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let rows = scratch.query("results", "SELECT sla, sla_name, variable, value, lower, upper, status, is_monotone, binding, output_throughput FROM sla ORDER BY value DESC");
    let row = |sla: &str, name: Option<&str>, value: f64| {
        json!({"sla": sla, "sla_name": name, "variable": "max_concurrency", "value": value, "lower": value, "upper": value + 1.0,
               "status": "found", "is_monotone": true, "binding": "p99_e2el_ms", "output_throughput": 4000.0})
    };
    assert_eq!(
        rows,
        [row("p99_e2el_ms<=375", None, 37.0), row("p99_e2el_ms<100, output_throughput>=1", Some("fast"), 9.0)]
    );
    // The layout of vLLM's, and no value measured twice but to ask for noise.
    for file in [
        "max_concurrency=37/run=0.json",
        "max_concurrency=200/summary.json",
        "SLA--p99_e2el_ms<=375.json",
        "SLA--fast.json",
    ] {
        assert!(scratch.exists(&format!("results/x/SERVE--max_num_seqs=8/{file}")), "{file}: {:?}", scratch.files());
    }
    assert_eq!(scratch.files().iter().filter(|file| file.starts_with("results/x/sla/SLA-")).count(), 2);
    let history = scratch.query("results", "SELECT count(*) AS levels, sum(runs) AS runs, bool_and(passes = (value <= 37)) AS right FROM sla_history WHERE sla = 'p99_e2el_ms<=375'");
    assert_eq!(history[0]["runs"], json!(made_runs(&scratch).len()));
    assert_eq!(history[0]["right"], json!(true));
    assert!(
        made_runs(&scratch).len() <= history[0]["levels"].as_u64().unwrap() as usize + 2,
        "{:?}",
        made_runs(&scratch)
    );
    let runs =
        scratch.query("results", "SELECT count(*) AS n FROM runs WHERE max_num_seqs = 8 AND status = 'completed'");
    assert_eq!(runs, [json!({"n": made_runs(&scratch).len()})]);
    assert!(ran.stderr.contains("p99_e2el_ms<=375") && ran.stderr.contains("37"), "{}", ran.stderr);
}

#[test]
fn a_new_sla_over_a_finished_sweep_uses_what_is_stored() {
    let scratch = scratch();
    let flags = ["--sla-variable", "max_concurrency", "--sla-max", "200"];
    tune(&scratch, r#"[{"p99_e2el_ms": "<=375"}]"#, &[&flags[..], &["-e", "x"]].concat());
    let before = made_runs(&scratch).len();

    // From stored runs alone, with how wide the bracket is.
    scratch.write("other.json", r#"[{"p99_e2el_ms": "<=375"}, {"p99_e2el_ms": "<=30"}]"#);
    let ran = scratch.ok(&["sla", "results", "--sla-params", "other.json", "--format", "json"]);
    let rows: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let of = |sla: &str| rows.as_array().unwrap().iter().find(|row| row["sla"] == sla).unwrap().clone();
    assert_eq!((&of("p99_e2el_ms<=375")["value"], &of("p99_e2el_ms<=375")["status"]), (&json!(37.0), &json!("found")));
    // The search came down from above: what lies lower was not measured, and is not guessed.
    let unknown = of("p99_e2el_ms<=30");
    assert_eq!((&unknown["status"], &unknown["value"]), (&json!("fails_everywhere"), &json!(null)));
    assert!(unknown["upper"].as_f64().unwrap() > 4.0);
    assert_eq!(made_runs(&scratch).len(), before);

    // Resumed, it measures only what is missing, and the first answer stays.
    let ran = tune(&scratch, r#"[{"p99_e2el_ms": "<=30"}]"#, &[&flags[..], &["--resume", "x"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let added = made_runs(&scratch)[before..].to_vec();
    assert!(!added.is_empty() && added.len() <= 9, "{added:?}");
    assert!(!added.iter().any(|run| run.starts_with("200 ")), "the greatest was there: {added:?}");
    let rows = scratch.query("results", "SELECT value FROM sla ORDER BY value");
    assert_eq!(rows, [json!({"value": 3.0}), json!({"value": 37.0})]);
}

#[test]
fn a_rate_is_bounded_by_what_a_run_at_full_load_shows() {
    let scratch = scratch();
    let ran = tune(
        &scratch,
        r#"[{"p95_ttft_ms": "<=2"}, {"p95_ttft_ms": "<=1e9"}, {"p95_ttft_ms": "<=0.1"}]"#,
        &["-e", "x", "--sla-max-iters", "20"],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    // Down from where runs are cheap: the least rate is tried last.
    let runs = made_runs(&scratch);
    assert!(runs[0] == "64 inf" && runs[1] != "64 0.4" && runs.contains(&"64 0.4".to_owned()), "{runs:?}");
    // The percentile of the SLA is asked for.
    assert_eq!(scratch.read("percentiles").trim(), "99,95");
    // 0.5 / (1 - rate / 40) <= 2 holds up to 30.
    let rows = scratch.query("results", "SELECT sla, value, lower, upper, status, reason FROM sla ORDER BY sla");
    let number = |row: usize, key: &str| rows[row][key].as_f64().unwrap();
    assert_eq!(rows[0]["status"], "fails_everywhere");
    assert_eq!(rows[0]["reason"], "even 0.4 fails: p95_ttft_ms 0.505 > 0.1");
    assert_eq!(rows[1]["status"], "passes_everywhere");
    assert_eq!(rows[2]["status"], "found");
    assert!(
        number(2, "lower") <= 30.0 && 30.0 <= number(2, "upper") && number(2, "upper") / number(2, "lower") <= 1.011
    );
    assert!(scratch.exists("results/x/request_rate=inf/run=0.json"));
}

#[test]
fn a_constraint_that_wants_a_high_load_does_not_bound_it() {
    let scratch = scratch();
    let ran = tune(
        &scratch,
        r#"[{"p99_e2el_ms": "<=25", "output_throughput": ">=1000"}, {"p99_e2el_ms": "<=6", "output_throughput": ">=1000"}]"#,
        &["-e", "x"],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let rows = scratch.query("results", "SELECT value, status, binding, reason FROM sla ORDER BY value NULLS LAST");
    assert!((rows[0]["value"].as_f64().unwrap() / 32.0 - 1.0).abs() < 0.01, "{rows:?}");
    // At the greatest rate with 6 ms, 6.67 a second, throughput is 667.
    assert_eq!((&rows[1]["status"], &rows[1]["binding"]), (&json!("fails_everywhere"), &json!("output_throughput")));
    assert!(
        rows[1]["reason"].as_str().unwrap().contains("is the highest that meets the other constraints"),
        "{rows:?}"
    );
}

#[test]
fn w28_an_sla_that_is_never_met_has_no_value() {
    let scratch = scratch();
    let ran = tune(&scratch, r#"[{"p99_e2el_ms": "<=5"}]"#, &["--sla-variable", "max_concurrency", "-e", "x"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let rows = scratch.query("results", "SELECT value, status, reason FROM sla");
    assert_eq!(
        rows,
        [json!({"value": null, "status": "fails_everywhere", "reason": "even 1 fails: p99_e2el_ms 10.000 > 5"})]
    );
    assert_eq!(made_runs(&scratch), ["1000 inf", "67 inf", "5 inf", "1 inf"]);
}

#[test]
fn a_metric_that_is_not_reported_is_told_after_the_first_run_and_nothing_is_lost() {
    let scratch = scratch();
    let flags = ["--sla-variable", "max_concurrency", "--sla-max", "50"];
    let ran = tune(&scratch, r#"[{"p99_e2e_ms": "<=200"}]"#, &[&flags[..], &["-e", "x"]].concat());
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("the benchmark does not report `p99_e2e_ms`; did you mean `p99_e2el_ms`?"),
        "{}",
        ran.stderr
    );
    assert_eq!(made_runs(&scratch), ["50 inf"]);
    let ran = tune(&scratch, r#"[{"p99_e2el_ms": "<=200"}]"#, &[&flags[..], &["--resume", "x"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(made_runs(&scratch).iter().filter(|run| *run == "50 inf").count(), 1);
    assert_eq!(scratch.query("results", "SELECT value FROM sla"), [json!({"value": 20.0})]);
}

#[test]
fn a_load_that_crashes_fails_the_sla_and_the_search_goes_on() {
    let scratch = scratch();
    scratch.write("crash-above", "50");
    let slas = r#"[{"p99_e2el_ms": "<=5000", "output_throughput": ">=1000"}]"#;
    let users = ["--sla-variable", "max_concurrency", "--sla-max", "200", "-e", "x"];
    // Without --continue-on-error the first failure ends it, and nothing is claimed of loads that were not tried.
    let ran = tune(&scratch, slas, &users);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let rows = scratch.query("results", "SELECT value, status FROM sla");
    assert_eq!(rows, [json!({"value": null, "status": "wide"})]);
    let ran = tune(&scratch, slas, &[&users[..4], &["--resume", "x", "--continue-on-error"]].concat());
    assert_eq!(ran.code, Some(1), "the failed runs are in the exit code: {}", ran.stderr);
    let rows = scratch.query("results", "SELECT value, upper, status FROM sla");
    assert_eq!(rows, [json!({"value": 50.0, "upper": 51.0, "status": "found"})]);
}

#[test]
fn a_server_that_never_starts_does_not_end_the_search_for_the_others() {
    let scratch = scratch();
    scratch.write("serve.json", r#"[{"fault-exit-at-start": 3}, {"max_num_seqs": 8}]"#);
    let ran = tune(
        &scratch,
        r#"[{"p99_e2el_ms": "<=25"}]"#,
        &["--serve-params", "serve.json", "--continue-on-error", "-e", "x"],
    );
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let rows = scratch.query("results", "SELECT serve_params, status FROM sla");
    assert_eq!(rows, [json!({"serve_params": "{\"max_num_seqs\":8}", "status": "found"})]);
}

#[test]
fn a_finished_search_that_is_resumed_makes_no_run_again() {
    let scratch = scratch();
    let flags = ["--sla-variable", "max_concurrency", "--sla-max", "200"];
    let sla = r#"[{"p99_e2el_ms": "<=375"}]"#;
    tune(&scratch, sla, &[&flags[..], &["-e", "x"]].concat());
    let before = made_runs(&scratch).len();
    let ran = tune(&scratch, sla, &[&flags[..], &["--resume", "x"]].concat());
    assert_eq!((ran.code, made_runs(&scratch).len()), (Some(0), before), "{}", ran.stderr);
    // Other bounds of a rate are measured, whatever an unlimited one showed.
    tune(&scratch, r#"[{"p99_e2el_ms": "<=25"}]"#, &["-e", "rates"]);
    let ran = tune(&scratch, r#"[{"p99_e2el_ms": "<=25"}]"#, &["--sla-max", "5", "--resume", "rates"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let rows = scratch.query("results/rates", "SELECT value, status FROM sla");
    assert_eq!(rows, [json!({"value": 5.0, "status": "passes_everywhere"})]);
}

#[test]
fn what_can_not_be_tuned_is_refused_before_anything_starts() {
    let scratch = scratch();
    scratch.write("loads.json", r#"[{"a": 1}, {"max-concurrency": 4}]"#);
    let good = r#"[{"p99_e2el_ms": "<=200"}]"#;
    let users = ["--sla-variable", "max_concurrency"];
    let cases: [(&str, &[&str], &str); 10] = [
        (r#"[]"#, &[], "sla.json: contains no SLA"),
        (r#"[{}]"#, &[], "SLA 1: has no constraint"),
        (r#"[{"p99_e2el_ms": "200"}]"#, &[], "must begin with <=, <, >= or >"),
        (r#"[{"p99_e2el_ms": "<=fast"}]"#, &[], "\"fast\" is not a number"),
        (r#"[{"p99_e2el_ms": 200}]"#, &[], "must be a string such as \"<=500\", found 200"),
        (r#"[{"p99_e2el_ms": "<=5"}, {"p99_e2el_ms": "<=5"}]"#, &[], "SLA 2 is a duplicate: p99_e2el_ms<=5"),
        (good, &["--sla-variable", "num_prompts"], "expected request_rate or max_concurrency"),
        (good, &["--sla-min", "9", "--sla-max", "3"], "--sla-min 9 is not below --sla-max 3"),
        (good, &[users[0], users[1], "--bench-params", "loads.json"], "--bench-params also sets it (parameter set 2)"),
        (good, &[users[0], users[1], "--bench-cmd", "./bench.sh --max-concurrency=3"], "--bench-cmd also sets it"),
    ];
    let before = scratch.files();
    for (slas, flags, message) in cases {
        let ran = tune(&scratch, slas, flags);
        assert_eq!(ran.code, Some(2), "{flags:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{flags:?}: {}", ran.stderr);
    }
    assert_eq!(scratch.files().iter().filter(|file| *file != "sla.json").count(), before.len());
    let ran = tune(&scratch, good, &["--sla-variable", "max_concurrency", "--dry-run=commands", "-e", "x"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("--max-concurrency 1000") && ran.stdout.contains("x/max_concurrency=1000"),
        "{}",
        ran.stdout
    );
    assert!(!scratch.exists("results"));
}

#[test]
fn a_workload_is_the_serial_run_the_batch_and_levels_between() {
    let scratch = scratch();
    let sim = scratch.sim("");
    let arguments =
        ["serve_workload", "--serve-cmd", &sim, "--bench-cmd", "./bench.sh --num-prompts 32", "--num-runs", "1"];
    let ran = scratch.run(&[&arguments[..], &["--workload-iters", "4", "-e", "rates"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    // Serial and batch both complete 40 a second in this benchmark.
    assert_eq!(made_runs(&scratch), ["1 inf", "64 inf", "64 40.0"]);
    let flags = [
        "--workload-var",
        "max_concurrency",
        "--workload-iters",
        "3",
        "--workload-spacing",
        "geometric",
        "-e",
        "users",
    ];
    scratch.ok(&[&arguments[..], &flags[..]].concat());
    // 40 a second for 10 ms and for 320 ms: 0.4 and 12.8 requests in the system, 2.26 between them.
    assert_eq!(made_runs(&scratch)[3..], ["1 inf", "32 inf", "2 inf"]);
    assert!(scratch.exists("results/users/WL--max_concurrency=2/run=0.json"), "{:?}", scratch.files());
    let rows = scratch.query("results/users", "SELECT kind FROM sweeps");
    assert_eq!(rows, [json!({"kind": "serve_workload"})]);
}

const STARTUP: &str = r#"#!/bin/sh
case "$*" in *--help*) echo "usage: --load-format FORMAT --num-iters-cold N --output-json FILE"; exit 0 ;; esac
format=auto
while [ $# -gt 0 ]; do
  case "$1" in
    --load-format) format="$2"; shift ;;
    --output-json) file="$2"; shift ;;
  esac
  shift
done
[ "$format" = broken ] && exit 3
[ "$format" = auto ] && time=20.5 || time=2.5
echo "{\"avg_cold_startup_time\": $time, \"avg_warm_startup_time\": 1.5, \"cold_startup_percentiles\": {\"50\": $time}}" > "$file"
"#;

#[test]
fn a_start_up_sweep_measures_every_pair_and_leaves_out_what_is_unknown() {
    let scratch = Scratch::new();
    script(&scratch, "startup.sh", STARTUP);
    scratch.write("serve.json", r#"[{"load_format": "auto"}, {"load-format": "dummy", "bogus_key": 1}]"#);
    let arguments = ["startup", "--startup-cmd", "./startup.sh", "--serve-params", "serve.json", "-e", "x"];
    let ran = scratch.run(&[&arguments[..], &["--strict-params"]].concat());
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("--serve-params: --startup-cmd does not know `bogus_key`"), "{}", ran.stderr);
    assert!(!scratch.exists("results"));

    scratch.write("startup.json", r#"[{"num_iters_cold": 2}]"#);
    let ran = scratch.ok(&[&arguments[..], &["--startup-params", "startup.json", "--num-runs", "2"]].concat());
    assert!(ran.stderr.contains("does not know `bogus_key`; dropped"), "{}", ran.stderr);
    assert!(
        scratch.exists("results/x/SERVE--load_format=auto-STARTUP--num_iters_cold=2/run=1.json"),
        "{:?}",
        scratch.files()
    );
    let rows = scratch
        .query("results", "SELECT load_format, n, avg_cold_startup_time_mean AS cold FROM combinations ORDER BY cold");
    assert_eq!(
        rows,
        [json!({"load_format": "dummy", "n": 2, "cold": 2.5}), json!({"load_format": "auto", "n": 2, "cold": 20.5})]
    );
    // Its report tells of start-up times, not of traffic that there was none of.
    scratch.ok(&["report", "results/x", "-o", "r.html"]);
    let html = scratch.read("r.html");
    for text in ["Cold start-up time (s)", "<td>20.5</td>", "sweeplake startup --startup-cmd ./startup.sh"] {
        assert!(html.contains(text), "{text} is not in the report");
    }
    assert!(!html.contains("Output throughput"), "there was none");
    // Resumed, only what is missing runs; a failure is in the exit code.
    scratch.write("serve.json", r#"[{"load_format": "auto"}, {"load_format": "broken"}]"#);
    let ran =
        scratch.run(&[&arguments[..], &["--startup-params", "startup.json", "--num-runs", "2", "--resume"]].concat());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("2 run(s) to do") && ran.stderr.contains("exit code 3"), "{}", ran.stderr);
}

#[test]
fn a_server_that_is_started_tells_how_long_it_took() {
    let scratch = scratch();
    let sim = scratch.sim("--startup-seconds 0.3");
    scratch.ok(&["serve", "--serve-cmd", &sim, "--bench-cmd", "./bench.sh", "--num-runs", "1", "-e", "x"]);
    let rows = scratch.query("results", "SELECT startup_time_s >= 0.3 AND startup_time_s < 20 AS told FROM runs");
    assert_eq!(rows, [json!({"told": true})]);
}

#[test]
fn each_run_of_a_search_draws_its_own_traffic_and_says_by_what() {
    let scratch = Scratch::new();
    scratch.write("sla.json", r#"[{"p99_e2el_ms": "<=0.001"}]"#);
    let (sim, bench) = (scratch.sim(""), scratch.bench("--num-prompts 20"));
    let tune = |name: &str, more: &[&str]| {
        let flags = ["serve_sla", "--serve-cmd", &sim, "--bench-cmd", &bench, "--sla-params", "sla.json", "-e", name];
        let search = ["--sla-variable", "max_concurrency", "--sla-max", "16", "--sla-max-iters", "4"];
        scratch.ok(&[&flags[..], &search, more].concat());
        let seeds =
            format!("SELECT count(*) AS runs, count(DISTINCT bench_seed) AS seeds FROM runs WHERE sweep = '{name}'");
        let row = scratch.query("results", &seeds)[0].clone();
        (row["runs"].as_u64().unwrap(), row["seeds"].as_u64().unwrap())
    };
    let (runs, seeds) = tune("own", &[]);
    assert!(runs >= 2 && seeds == runs, "{runs} runs, {seeds} seeds");
    let log = scratch.read("results/own/max_concurrency=16/bench.log");
    let seed =
        scratch.query("results", "SELECT bench_seed AS s FROM runs WHERE sweep = 'own' AND max_concurrency = 16");
    assert!(log.contains(&format!("--seed {}", seed[0]["s"])), "{log}");
    let (runs, seeds) = tune("same", &["--same-seed"]);
    assert!(runs >= 2 && seeds == 0, "{runs} runs, {seeds} seeds");
    assert!(!scratch.read("results/same/max_concurrency=16/bench.log").contains("--seed"));
}
