//! `serve --race`: repeats only for combinations that may still win.

use crate::scratch::Scratch;
use serde_json::{Value, json};

/// A benchmark whose result follows from its flags: throughput grows with the sequences at a time, latency with the users, and a factor near 1
/// differs from run to run.
const BENCH: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
    case "$1" in
        --seqs) s=$2 ;; --users) u=$2 ;; --result-dir) d=$2 ;; --result-filename) f=$2 ;;
    esac
    shift
done
echo x >> count
n=$(wc -l < count)
awk -v s="$s" -v u="$u" -v n="$n" -v file="$d/$f" 'BEGIN {
    noise = 1 + 0.01 * ((n * 7919) % 11 - 5) / 5
    printf "{\"completed\": 10, \"failed\": 0, \"duration\": 1, \"output_throughput\": %f, \"p99_e2el_ms\": %f}", s * u * noise, (10 + u) * (64 / s) / noise > file
}'
"#;

/// A sweep of servers under loads; the server's parameter is told to the benchmark, too.
fn sweep(scratch: &Scratch, bench: &str, grids: [&str; 2], more: &[&str]) -> crate::scratch::Ran {
    scratch.script("bench.sh", bench);
    let sim = scratch.sim("--startup-seconds 0");
    let [servers, loads] = grids;
    let commands = ["serve", "--serve-cmd", &sim, "--bench-cmd", "./bench.sh", "-e", "x"];
    let space = ["--serve-grid", servers, "--bench-grid", loads, "--bench-set", "seqs = max_num_seqs"];
    scratch.run(&[&commands[..], &space, more].concat())
}

/// Servers of 8 to 64 sequences under 1 to 4 users: the greatest server is better in everything.
fn race(scratch: &Scratch, more: &[&str]) -> crate::scratch::Ran {
    sweep(scratch, BENCH, ["max_num_seqs=8,16,32,64", "users=1,2,4"], &[&["--race"], more].concat())
}

#[test]
fn what_is_dominated_gets_one_run_and_says_why() {
    let scratch = Scratch::new();
    let ran = race(&scratch, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let by_server =
        "SELECT max_num_seqs AS seqs, CAST(sum(n) AS BIGINT) AS runs FROM combinations GROUP BY 1 ORDER BY 1 DESC";
    let runs = scratch.query("results", by_server);
    assert_eq!(runs[0], json!({"seqs": 64, "runs": 9}), "{runs:?}");
    let all: i64 = runs.iter().filter_map(|row| row["runs"].as_i64()).sum();
    assert!(all <= 24, "{runs:?}");
    let sql = "SELECT DISTINCT winners.max_num_seqs AS by, dropped.reason, min(confidence) >= 0.995 AS sure FROM dropped \
               JOIN combinations AS winners ON winners.combination = dropped.dropped_by GROUP BY 1, 2";
    let dropped = scratch.query("results", sql);
    assert!(dropped.iter().all(|row| row["sure"] == Value::Bool(true)), "{dropped:?}");
    assert!(dropped.iter().any(|row| row["by"] == 64), "{dropped:?}");
    let left = scratch.query(
        "results",
        "SELECT count(*) AS n FROM combinations WHERE combination NOT IN (SELECT combination FROM dropped)",
    );
    assert_eq!(left, [json!({"n": 3})]);
    assert!(ran.stderr.contains("race: 3 of 12 combinations may be on the frontier; 9 were dropped"), "{}", ran.stderr);
    // Nothing is left to run, and the reasons stay.
    let before = scratch.read("count");
    let again = race(&scratch, &["--resume"]);
    assert_eq!((again.code, scratch.read("count")), (Some(0), before), "{}", again.stderr);
    assert_eq!(scratch.query("results", "SELECT count(*) AS n FROM dropped"), [json!({"n": 9})]);
    scratch.ok(&["verify", "results"]);
    scratch.ok(&["report", "results/x", "-o", "x.html"]);
    let page = scratch.read("x.html");
    assert!(page.contains("--race --objectives") && page.contains("output_throughput:max,p99_e2el_ms:min"));
}

#[test]
fn an_sla_alone_is_raced_for_as_well() {
    let scratch = Scratch::new();
    scratch.write("sla.json", r#"[{"p99_e2el_ms": "<=25"}]"#);
    let ran = race(&scratch, &["--sla", "sla.json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    // (10 + users) * 64 / sequences: 11 to 14 ms with 64 sequences, 22 to 28 with 32, and far beyond with fewer.
    let kept = scratch.query(
        "results",
        "SELECT max_num_seqs AS seqs, users FROM combinations WHERE combination NOT IN (SELECT combination FROM dropped) ORDER BY 1, 2",
    );
    let is_kept = |seqs: i64, users: i64| kept.contains(&json!({"seqs": seqs, "users": users}));
    assert!((1..=4).filter(|users| *users != 3).all(|users| is_kept(64, users)) && is_kept(32, 1), "{kept:?}");
    assert!(!kept.iter().any(|row| row["seqs"].as_i64() < Some(32)), "{kept:?}");
    let reasons = scratch.query("results", "SELECT DISTINCT reason FROM dropped");
    assert!(
        reasons.iter().all(|row| row["reason"].as_str().unwrap().contains("miss the SLA")
            || row["reason"].as_str().unwrap().contains("misses the SLA")),
        "{reasons:?}"
    );
}

#[test]
fn a_race_for_nothing_is_refused() {
    let scratch = Scratch::new();
    for (more, expected) in [
        (&["--objectives", "my_metric"][..], "write my_metric:max or my_metric:min"),
        (&["--sla", "none.json"], "none.json"),
        (&["--objectives", "a:max,a:min"], "\"a\" is there twice"),
        (&["--objectives", "eval.acc:max"], "too late to choose by it"),
        (&["--repeat-until", "ci(p99_e2el_ms)<5%"], "--repeat-until"),
    ] {
        let ran = race(&scratch, more);
        assert!(ran.code == Some(2) && ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
        assert!(!scratch.exists("results"));
    }
    let sim = scratch.sim("");
    let known = [
        "serve",
        "--serve-cmd",
        &sim,
        "--bench-cmd",
        &scratch.bench(""),
        "--race",
        "--objectives",
        "output_thruput:max",
        "-e",
        "y",
    ];
    let ran = scratch.run(&known);
    assert!(ran.code == Some(2) && ran.stderr.contains("did you mean \"output_throughput\"?"), "{}", ran.stderr);
    assert!(!scratch.exists("results"));
    let ran = race(&scratch, &["--objectives", "goodput:max"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("does not report `goodput`"), "{}", ran.stderr);
}

#[test]
fn a_dry_run_tells_what_is_known_of_a_race() {
    let scratch = Scratch::new();
    let ran = race(&scratch, &["--dry-run"]);
    for part in [
        "4 server starts, 12 combinations",
        "one run each, then up to 2 more of those that may still win; at most 36 runs",
        "1–3",
    ] {
        assert!(ran.stdout.contains(part), "{part} is not in\n{}", ran.stdout);
    }
}

#[test]
fn what_failed_is_no_winner_and_a_race_goes_on_as_a_race() {
    let scratch = Scratch::new();
    let broken = BENCH.replace("awk -v", "[ \"$s\" = 8 ] && { echo no; exit 1; }\nawk -v");
    let ran = race(&scratch, &["--dry-run"]);
    assert_eq!(ran.code, Some(0));
    let run = |more: &[&str]| {
        let usual = ["--continue-on-error", "--num-runs", "2"];
        sweep(&scratch, &broken, ["max_num_seqs=8,64", "users=1,2"], &[&usual[..], more].concat())
    };
    let ran = run(&["--race"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("race: 2 of 4 combinations may be on the frontier; 2 were dropped"), "{}", ran.stderr);
    let why = scratch.query("results", "SELECT DISTINCT reason, confidence FROM dropped");
    assert_eq!(why.len(), 1, "{why:?}");
    assert!(why[0]["reason"].as_str().unwrap().contains("no sound run") && why[0]["confidence"].is_null(), "{why:?}");
    for other in [&["--resume"][..], &["--resume", "--race", "--objectives", "p99_e2el_ms:min"]] {
        let ran = run(other);
        assert!(ran.code == Some(2) && ran.stderr.contains("was started with --race --objectives"), "{}", ran.stderr);
    }
}
