//! What is compared as it comes: a lake's sweeps over time, and sweeps that still run.

use crate::compare::sweep;
use crate::scratch::{Scratch, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::process::Stdio;

#[test]
fn a_trend_names_the_sweep_from_which_on_a_metric_is_another_one() {
    let scratch = Scratch::new();
    for (index, factor) in [1.0, 1.001, 0.999, 1.2, 1.199, 1.201].into_iter().enumerate() {
        let day = json!({"date": format!("2026110{}-120000", index + 1)});
        sweep(&scratch, &format!("lake/day{index}"), 3, factor, &day);
    }
    let ran = scratch.ok(&[
        "compare",
        "--trend",
        "lake",
        "--metric",
        "p99_e2el_ms",
        "--format",
        "json",
        "--fig",
        "trend.png",
    ]);
    let rows: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 4);
    for row in rows.as_array().unwrap() {
        assert!(
            row["change_points"].as_str().unwrap().starts_with("step at day3: +19.")
                || row["change_points"].as_str().unwrap().starts_with("step at day3: +20."),
            "{row}"
        );
        assert_eq!(row["sweeps"], 6);
    }
    assert!(scratch.exists("trend.png"));
    let ran = scratch.run(&["compare", "--trend", "lake/day0", "--metric", "p99_e2el_ms"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("fewer than two sweeps"), "{}", ran.stderr);
}

#[test]
fn a_sweep_that_still_runs_is_not_compared() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    let arguments = ["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "--num-runs"];
    scratch.ok(&[&arguments[..], &["1", "-e", "one"]].concat());
    let mut child =
        scratch.command(&[&arguments[..], &["500", "-e", "two"]].concat()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the second sweep is under way", || scratch.exists("results/two/run=0.parquet"));
    let ran = scratch.run(&["compare", "one", "two"]);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    child.wait().unwrap();
    assert!(ran.code == Some(2) && ran.stderr.contains("two: still running"), "{}", ran.stderr);
}
