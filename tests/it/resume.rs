//! Killed at any instant, a sweep goes on where it was and ends with the same table.

use crate::scratch::{Scratch, is_served, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;

#[test]
fn killed_again_and_again_a_sweep_still_ends_whole() {
    let scratch = Scratch::new();
    scratch.write("bench.json", r#"[{"max_concurrency": 1}, {"max_concurrency": 2}]"#);
    let (sim, bench) = (scratch.sim(""), scratch.bench("--save-detailed"));
    let arguments = [
        "serve",
        "--serve-cmd",
        &sim,
        "--bench-cmd",
        &bench,
        "--bench-params",
        "bench.json",
        "-e",
        "x",
        "--num-runs",
        "4",
    ];
    // Instants from the first run to the last; each kill is at another place of the work.
    for delay_ms in [0, 35, 110, 260] {
        let resume: &[&str] = if scratch.exists("results/x/sweep.json") { &["--resume"] } else { &[] };
        let mut child = scratch
            .command(&[&arguments[..], resume].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("a server is up or the sweep is over", || {
            is_served(scratch.port) || scratch.exists("results/x/runs.parquet")
        });
        std::thread::sleep(Duration::from_millis(delay_ms));
        let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
        child.wait().unwrap();
        wait_until("the server is gone", || !is_served(scratch.port));
        // What a reader sees meanwhile is whole: no run twice, no half run.
        if scratch.files().iter().any(|file| file.ends_with("0.parquet")) {
            let rows = scratch.query("results", "SELECT count(*) = count(DISTINCT run_id) AS once, count(*) = count(output_throughput) AS whole FROM runs");
            assert_eq!(rows, [json!({"once": true, "whole": true})]);
        }
    }
    scratch.ok(&[&arguments[..], &["--resume"]].concat());
    let rows = scratch.query("results", "SELECT count(*) AS runs, count(DISTINCT combination) AS c, count(DISTINCT run_number) AS numbers, count(*) FILTER (WHERE status = 'completed') AS ok FROM runs");
    assert_eq!(rows, [json!({"runs": 8, "c": 2, "numbers": 4, "ok": 8})]);
    assert_eq!(scratch.query("results", "SELECT count(*) AS n FROM requests"), [json!({"n": 48})]);
    assert_eq!(scratch.read("results/x/summary.csv").lines().count(), 9);
}

#[test]
fn a_run_whose_result_has_no_name_yet_is_counted_and_not_measured_again() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    let flags = ["-e", "x", "--num-runs", "2"];
    scratch.serve_ok(&sim, &bench, &flags);
    let result = scratch.read("results/x/run=1.json");
    // As if the disk was full when the run was stored: what the benchmark wrote is still there.
    let mut unnamed: serde_json::Map<String, Value> = serde_json::from_str(&result).unwrap();
    unnamed.remove("run_number");
    scratch.write("results/x/run=1.ended.json", &Value::Object(unnamed).to_string());
    std::fs::remove_file(scratch.path("results/x/run=1.json")).unwrap();
    let dry = scratch.serve_ok(&sim, &bench, &[&flags[..], &["--resume", "--dry-run=commands"]].concat());
    assert!(dry.stdout.contains("0 run(s)"), "{}", dry.stdout);
    let ran = scratch.serve_ok(&sim, &bench, &[&flags[..], &["--resume"]].concat());
    assert!(ran.stderr.contains("0 run(s) to do, 2 already done"), "{}", ran.stderr);
    assert_eq!(scratch.json("results/x/run=1.json"), serde_json::from_str::<Value>(&result).unwrap());
    assert!(!scratch.exists("results/x/run=1.ended.json"));
}

#[test]
fn a_half_written_result_is_measured_again() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    let flags = ["-e", "x", "--num-runs", "1"];
    scratch.serve_ok(&sim, &bench, &flags);
    // Whole or not: nobody knows that the benchmark had ended.
    std::fs::rename(scratch.path("results/x/run=0.json"), scratch.path("results/x/run=0.partial.json")).unwrap();
    std::fs::remove_file(scratch.path("results/x/run=0.parquet")).unwrap();
    let ran = scratch.serve_ok(&sim, &bench, &[&flags[..], &["--resume"]].concat());
    assert!(ran.stderr.contains("1 run(s) to do"), "{}", ran.stderr);
}

#[test]
fn a_result_without_a_row_is_given_one() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    let flags = ["-e", "x", "--num-runs", "2"];
    scratch.serve_ok(&sim, &bench, &flags);
    let before = scratch.read("results/x/run=1.json");
    std::fs::remove_file(scratch.path("results/x/run=1.parquet")).unwrap();
    let ran = scratch.serve_ok(&sim, &bench, &[&flags[..], &["--resume"]].concat());
    assert!(ran.stderr.contains("0 run(s) to do, 2 already done"), "{}", ran.stderr);
    assert_eq!(scratch.read("results/x/run=1.json"), before);
    assert_eq!(scratch.query("results", "SELECT count(*) AS n FROM runs"), [json!({"n": 2})]);
}

#[test]
fn a_sweep_that_died_is_listed_as_interrupted() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    scratch.serve_ok(&sim, &bench, &["-e", "x", "--num-runs", "1"]);
    let manifest = scratch.read("results/x/sweep.json").replace("\"state\": \"completed\"", "\"state\": \"running\"");
    scratch.write("results/x/sweep.json", &manifest);
    let ran = scratch.ok(&["list", "results", "--format", "csv"]);
    assert!(ran.stdout.contains("\nx,interrupted,"), "{}", ran.stdout);
}

#[test]
fn a_dry_run_of_a_resume_shows_only_what_is_missing() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    let arguments = ["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "-e", "x"];
    scratch.ok(&[&arguments[..], &["--num-runs", "1"]].concat());
    let ran = scratch.ok(&[&arguments[..], &["--num-runs", "3", "--resume", "--dry-run=commands"]].concat());
    assert!(ran.stdout.contains("# 1 server(s), 2 run(s)") && !ran.stdout.contains("run=0"), "{}", ran.stdout);
}
