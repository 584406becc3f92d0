//! `serve_tune`: the frontier of a space too large to measure.

use crate::scratch::{Ran, Scratch};
use serde_json::{Value, json};

/// A benchmark whose result follows from its flags. More than 128 sequences are too many: the benchmark fails there.
const BENCH: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
    case "$1" in
        --seqs) s=$2 ;; --batch) b=$2 ;; --users) u=$2 ;; --result-dir) d=$2 ;; --result-filename) f=$2 ;;
    esac
    shift
done
echo x >> count
[ "$s" -gt 128 ] && { echo out of memory; exit 1; }
awk -v s="$s" -v b="$b" -v u="$u" -v file="$d/$f" 'BEGIN {
    at = u < s ? u : s
    speed = 1000 * at / (at + 16) / (1 + (log(b / 2048) / 3) ^ 2)
    latency = 1000 * u / speed
    printf "{\"completed\": 10, \"failed\": 0, \"duration\": 1, \"output_throughput\": %f, \"p99_e2el_ms\": %f}", speed, latency > file
}'
"#;

fn tune(scratch: &Scratch, more: &[&str]) -> Ran {
    scratch.script("bench.sh", BENCH);
    scratch.write(
        "space.toml",
        "where = \"max_num_batched_tokens >= max_num_seqs\"\n[serve]\nmax_num_seqs = \"8..256*2\"\nmax_num_batched_tokens = \"512..8192*2\"\n\
         [bench]\nusers = [1, 4, 16, 64]\n[bench_set]\nseqs = \"max_num_seqs\"\nbatch = \"max_num_batched_tokens\"\n",
    );
    tune_with(scratch, "./bench.sh", &[&["--space", "space.toml", "-e", "x"], more].concat())
}

fn tune_with(scratch: &Scratch, bench: &str, more: &[&str]) -> Ran {
    let sim = scratch.sim("--startup-seconds 0");
    scratch.run(&[&["serve_tune", "--serve-cmd", &sim, "--bench-cmd", bench], more].concat())
}

#[test]
fn few_runs_find_the_frontier_and_failures_are_points() {
    let scratch = Scratch::new();
    let ran = tune(&scratch, &["--budget", "24 runs"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(scratch.read("count").lines().count(), 24);
    let counts = scratch
        .query("results", "SELECT count(step) AS measured, count(*) AS whole, max(step) AS final FROM tune_history");
    assert_eq!(counts, [json!({"measured": 24, "whole": 120, "final": 24})]);
    // The best batch is 2048, whatever the load.
    let sql = "SELECT max(output_throughput) FILTER (WHERE is_on_frontier) AS best, bool_and(max_num_seqs <= 128) AS works FROM tune_history \
               WHERE status = 'completed'";
    let best = scratch.query("results", sql);
    assert!(best[0]["best"].as_f64() > Some(600.0) && best[0]["works"] == Value::Bool(true), "{best:?}");
    let failed = scratch.query(
        "results",
        "SELECT count(*) AS n, bool_or(is_on_frontier) AS best FROM tune_history WHERE status = 'failed'",
    );
    assert!(failed[0]["n"] != 0 && failed[0]["best"] == Value::Bool(false), "{failed:?}");
    // The volume never shrinks, and something is believed of everything.
    let sql = "SELECT count(*) AS shrinks FROM (SELECT hypervolume - lag(hypervolume) OVER (ORDER BY step) AS more FROM tune_history \
               WHERE step IS NOT NULL) WHERE more < -1e-9";
    assert_eq!(scratch.query("results", sql), [json!({"shrinks": 0})]);
    let sql = r#"SELECT count("predicted.output_throughput") AS n, bool_and("predicted_low.p99_e2el_ms" <= "predicted_high.p99_e2el_ms") AS ordered FROM tune_history"#;
    assert_eq!(scratch.query("results", sql), [json!({"n": 120, "ordered": true})]);
    for chart in ["CONVERGENCE", "FRONTIER", "EFFECT-users", "EFFECT-max_num_batched_tokens"] {
        assert!(scratch.exists(&format!("results/x/tune/{chart}.png")), "{chart}");
    }
    scratch.ok(&["verify", "results"]);
    scratch.ok(&["report", "results/x", "-o", "x.html"]);
    let page = scratch.read("x.html");
    assert!(page.contains("What was tuned") && page.contains("What users does") && page.contains("24 runs"));
    // More runs go on from there.
    let ran = tune(&scratch, &["--budget", "28 runs", "--resume"]);
    assert_eq!((ran.code, scratch.read("count").lines().count()), (Some(0), 28), "{}", ran.stderr);
    let steps = scratch.query("results", "SELECT count(DISTINCT step) AS steps, count(step) AS rows FROM tune_history");
    assert_eq!(steps, [json!({"steps": 28, "rows": 28})]);
}

#[test]
fn limits_and_what_a_lake_knows_lead_the_search() {
    let scratch = Scratch::new();
    let first = tune(&scratch, &["--budget", "16 runs"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    scratch.write("limits.json", r#"[{"p99_e2el_ms": "<=40"}]"#);
    let more = ["--budget", "8 runs", "--constraints", "limits.json", "--init-from", "results", "-e", "y"];
    let ran = tune(&scratch, &more);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let sql = "SELECT bool_and(p99_e2el_ms <= 40) AS kept, count(*) > 0 AS found FROM tune_history WHERE sweep = 'y' AND is_on_frontier";
    assert_eq!(scratch.query("results", sql), [json!({"kept": true, "found": true})]);
    // What is known already takes the place of a design.
    let sql = "SELECT count(*) AS n FROM tune_history WHERE sweep = 'y' AND proposed_by <> 'design'";
    assert!(scratch.query("results", sql)[0]["n"].as_i64() >= Some(4), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_tuned_is_refused_before_anything_starts() {
    let scratch = Scratch::new();
    scratch.write("two.json", r#"[{"p99_e2el_ms": "<=40"}, {"p99_e2el_ms": "<=50"}]"#);
    scratch.write("bad.toml", "[server]\na = [1, 2]\n");
    scratch.write("empty.toml", "where = \"max_num_seqs > 1000\"\n[serve]\nmax_num_seqs = [1, 2]\n");
    for (more, expected) in [
        (&["--constraints", "two.json"][..], "put all limits into one"),
        (
            &["--space", "bad.toml"],
            "bad.toml: \"server\" is not known; expected serve, bench, where, serve_set or bench_set",
        ),
        (&["--space", "empty.toml"], "no combination is left"),
        (&["--objectives", "thing"], "write thing:max or thing:min"),
        (&["--budget", "0 runs"], "above 0"),
    ] {
        let sim = scratch.sim("");
        let flags = ["serve_tune", "--serve-cmd", &sim, "--bench-cmd", "true", "--bench-grid", "users=1,2", "-e", "x"];
        let ran = scratch.run(&[&flags[..], more].concat());
        assert!(ran.code == Some(2) && ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
    }
    let sim = scratch.sim("");
    let ran = scratch.run(&["serve_tune", "--serve-cmd", &sim, "--bench-cmd", "true", "-e", "x"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("there is nothing to choose from"), "{}", ran.stderr);
    assert!(!scratch.exists("results"));
}

#[test]
fn a_dry_run_shows_what_there_is_to_choose_from() {
    let scratch = Scratch::new();
    let ran = tune(&scratch, &["--dry-run"]);
    for part in [
        "30 servers, 120 combinations to choose from",
        "measures at most 60 of these combinations",
        "max_num_seqs: 8 to 256, on a logarithmic axis",
        "users: 1 to 64, on a logarithmic axis",
    ] {
        assert!(ran.stdout.contains(part), "{part} is not in\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("seqs: 8 to 256, on a logarithmic axis\n  seqs:"), "{}", ran.stdout);
}

#[test]
fn a_tune_of_few_runs_answers_without_a_model_and_one_in_which_nothing_works_has_failed() {
    let scratch = Scratch::new();
    let works = ["--where", "max_num_seqs <= 128", "--budget", "2 runs"];
    let ran = tune(&scratch, &works);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("2 of 100 combinations were measured"), "{}", ran.stderr);
    // The answer is told again where nothing is left to run, and another goal is another tune.
    let ran = tune(&scratch, &[&works[..], &["--resume"]].concat());
    assert!(ran.code == Some(0) && ran.stderr.contains("2 of 100 combinations were measured"), "{}", ran.stderr);
    let ran = tune(&scratch, &[&works[..], &["--resume", "--objectives", "p99_e2el_ms"]].concat());
    assert!(ran.code == Some(2) && ran.stderr.contains("resume it in the same way"), "{}", ran.stderr);
    let ran = tune_with(&scratch, "false", &["--bench-grid", "users=1,2,3", "-e", "z", "--budget", "2 runs"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
}

#[test]
fn parameters_may_be_called_as_columns_are_and_directions_are_those_that_were_given() {
    let scratch = Scratch::new();
    scratch.script(
        "bench.sh",
        "#!/bin/sh\nwhile [ $# -gt 0 ]; do case \"$1\" in --step) s=$2 ;; --my-cost) c=$2 ;; --result-dir) d=$2 ;; --result-filename) f=$2 ;; esac; shift; done\n\
         echo \"{\\\"completed\\\": 1, \\\"failed\\\": 0, \\\"duration\\\": 1, \\\"score\\\": $((s * 10)), \\\"cost\\\": $((s + c))}\" > \"$d/$f\"\n",
    );
    let grids = ["--bench-grid", "step=1,2,3,4", "--bench-grid", "my_cost=1,2,3"];
    let goals = ["--objectives", "score:max,cost:min", "--budget", "12 runs", "-e", "x"];
    let ran = tune_with(&scratch, "./bench.sh", &[&grids[..], &goals].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let sql = r#"SELECT max(step) AS steps, max("param.step") AS greatest, bool_and(my_cost = 1) FILTER (WHERE is_on_frontier) AS cheap,
        max("predicted.score") FILTER (WHERE is_expected_frontier) > 35 AS expected FROM tune_history"#;
    let rows = scratch.query("results", sql);
    assert_eq!(rows, [json!({"steps": 12, "greatest": 4.0, "cheap": true, "expected": true})]);
    assert!(
        scratch.exists("results/x/tune/EFFECT-my_cost.png") && scratch.exists("results/x/tune/EFFECT-param.step.png")
    );
}
