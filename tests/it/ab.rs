//! Base and candidate in turn, on real servers.

use crate::scratch::{Ran, Scratch};
use serde_json::Value;

/// Servers that answer so many requests at a time: one at a time takes many times as long, however busy the machine is.
fn ab(scratch: &Scratch, [base, candidate]: [u32; 2], flags: &[&str]) -> Ran {
    let sim = |seqs: u32| scratch.sim(&format!("--max-num-seqs {seqs}"));
    let (base, candidate) = (sim(base), sim(candidate));
    let bench = scratch.bench("--max-concurrency 16 --num-prompts 32 --random-output-len 16");
    let command = ["ab", "--base-serve-cmd", &base, "--candidate-serve-cmd", &candidate, "--bench-cmd", &bench];
    scratch.run(&[&command[..], flags].concat())
}

fn starts(scratch: &Scratch, sweep: &str) -> Vec<String> {
    let sql = "SELECT serve_name, round FROM runs ORDER BY server_start";
    let rows = scratch.query(&format!("results/{sweep}"), sql);
    rows.iter().map(|row| format!("{}{}", row["serve_name"].as_str().unwrap(), row["round"])).collect()
}

#[test]
fn a_candidate_that_is_twice_as_fast_is_told_before_all_pairs_are_measured() {
    let scratch = Scratch::new();
    let ran = ab(&scratch, [1, 16], &["-e", "fast", "--max-pairs", "30", "--metrics", "output_throughput"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("candidate vs. base: better: output_throughput +"), "{}", ran.stderr);
    let starts = starts(&scratch, "fast");
    assert!(starts.len() < 50 && starts.len().is_multiple_of(2), "{starts:?}");
    // A B B A: what changes evenly with time touches both alike.
    assert_eq!(starts[..4], ["base0", "candidate0", "candidate1", "base1"]);
    // The sweep is one as any other: it is compared, gated and reported.
    let found = scratch.ok(&["compare", "fast", "--metrics", "output_throughput", "--format", "json"]);
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(found[0]["verdict"], "better");
    let gate = scratch.run(&["compare", "fast", "--metrics", "output_throughput", "--fail-on", "output_throughput>2%"]);
    assert!(gate.code == Some(1) && gate.stderr.contains("fails"), "{}", gate.stderr);
    scratch.ok(&["report", "results/fast"]);
    let page = scratch.read("results/fast/report.html");
    assert!(page.contains("candidate vs. base: "), "no verdict in the report");
}

#[test]
fn a_gate_on_what_became_worse_is_in_the_exit_code() {
    let scratch = Scratch::new();
    let flags = ["-e", "slow", "--fail-on", "output_throughput<-5%", "--metrics", "output_throughput"];
    let ran = ab(&scratch, [16, 1], &flags);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("--fail-on output_throughput<-5%: fails: all -"), "{}", ran.stderr);
}

#[test]
fn pairs_are_resumed_and_a_changed_server_is_refused() {
    let scratch = Scratch::new();
    assert_eq!(ab(&scratch, [4, 4], &["-e", "same", "--pairs", "2"]).code, Some(0));
    assert_eq!(starts(&scratch, "same").len(), 4);
    let ran = ab(&scratch, [4, 4], &["-e", "same", "--pairs", "3", "--resume"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(starts(&scratch, "same").len(), 6);
    let ran = ab(&scratch, [4, 8], &["-e", "same", "--pairs", "3", "--resume"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("--candidate-serve-cmd"), "{}", ran.stderr);
    let ran = ab(&scratch, [4, 4], &["--pairs", "3", "--dry-run=commands"]);
    assert!(ran.stdout.ends_with("# 6 server(s), 6 run(s)\n"), "{}", ran.stdout);
}

#[test]
fn what_can_not_be_compared_is_told_before_anything_is_measured() {
    let scratch = Scratch::new();
    for (flags, message) in [
        (&["--metrics", "nosuch"][..], "--metrics: unknown metric \"nosuch\""),
        (&["--fail-on", "nosuch>5%"], "--metrics: unknown metric \"nosuch\""),
        (&["--direction", "acceptance_scor:max"], "--direction acceptance_scor: not among --metrics"),
        (&["--pairs", "3", "--max-pairs", "2"], "cannot be used with"),
    ] {
        let ran = ab(&scratch, [4, 8], flags);
        assert!(ran.code == Some(2) && ran.stderr.contains(message), "{flags:?}: {}", ran.stderr);
    }
    assert!(!scratch.exists("results"));
}

#[test]
fn rounds_visit_every_server_before_the_next_begins() {
    let scratch = Scratch::new();
    scratch.write("serve.json", r#"[{"max_num_seqs": 4}, {"max_num_seqs": 8}]"#);
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    scratch.serve_ok(
        &sim,
        &bench,
        &["-e", "rounds", "--serve-params", "serve.json", "--rounds", "2", "--num-runs", "2"],
    );
    let sql = "SELECT max_num_seqs, round, server_start, run_order FROM runs ORDER BY server_start, run_order";
    let places: Vec<String> = scratch
        .query("results/rounds", sql)
        .iter()
        .map(|row| format!("{} {} {} {}", row["max_num_seqs"], row["round"], row["server_start"], row["run_order"]))
        .collect();
    assert_eq!(places, ["4 0 0 0", "4 0 0 1", "8 0 1 0", "8 0 1 1", "4 1 2 0", "4 1 2 1", "8 1 3 0", "8 1 3 1"]);
    let ran =
        scratch.run(&["serve_sla", "--serve-cmd", &sim, "--bench-cmd", &bench, "--sla-params", "x", "--rounds", "2"]);
    assert_eq!(ran.code, Some(2));
}
