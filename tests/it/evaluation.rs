//! `--eval-cmd`: scores of a server's answers as columns of its runs.

use crate::scratch::Scratch;
use serde_json::{Value, json};

/// A sweep of two servers; the command scores the first.
fn sweep(scratch: &Scratch, eval: &str, more: &[&str]) -> crate::scratch::Ran {
    let flags = ["--serve-grid", "max_num_seqs=2,8", "--num-runs", "2", "-e", "x", "--eval-cmd", eval];
    scratch.serve(&scratch.sim("--startup-seconds 0"), &scratch.bench(""), &[&flags[..], more].concat())
}

#[test]
fn scores_become_columns_of_the_runs_of_their_server() {
    let scratch = Scratch::new();
    // Scores that tell the servers apart: the number of lines of a file that grows.
    scratch.write("score.sh", "echo thinking; echo x >> count; echo \"{\\\"gsm8k\\\": 0.$(wc -l < count), \\\"url\\\": \\\"$1\\\", \\\"task\\\": {\\\"acc\\\": 1}}\"");
    let ran = sweep(&scratch, "sh score.sh {base_url}", &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let sql =
        r#"SELECT max_num_seqs, run_number, "eval.gsm8k" AS score, "eval.task.acc" AS acc FROM runs ORDER BY 1, 2"#;
    let row =
        |seqs: i64, run: i64, score: f64| json!({"max_num_seqs": seqs, "run_number": run, "score": score, "acc": 1.0});
    let expected: Vec<Value> = vec![row(2, 0, 0.1), row(2, 1, 0.1), row(8, 0, 0.2), row(8, 1, 0.2)];
    assert_eq!(scratch.query("results", sql), expected);
    assert!(scratch.read("results/x/SERVE--max_num_seqs=2.eval.log").contains(&format!(":{}", scratch.port)));
    // A frontier, a filter and a combination ask for it.
    let sql = r#"SELECT "eval.gsm8k_mean" AS score FROM combinations ORDER BY 1"#;
    assert_eq!(scratch.query("results", sql), [json!({"score": 0.1}), json!({"score": 0.2})]);
    let pareto = [
        "plot_pareto",
        "results/x",
        "--x",
        "output_throughput",
        "--y",
        "eval.gsm8k:max",
        "--filter-by",
        "eval.gsm8k >= 0.15",
    ];
    let ran = scratch.ok(&[&pareto[..], &["--dry-run"]].concat());
    assert!(ran.stdout.contains("eval.gsm8k"), "{}", ran.stdout);
    // What was scored is whole, and a resume finds nothing to do.
    scratch.ok(&["verify", "results"]);
    let ran = sweep(&scratch, "sh score.sh {base_url}", &["--resume"]);
    assert_eq!((ran.code, scratch.read("count").lines().count()), (Some(0), 2), "{}", ran.stderr);
}

#[test]
fn scores_may_come_in_a_file_and_a_failure_is_told() {
    let scratch = Scratch::new();
    scratch.write(
        "score.sh",
        "test -e once && { echo 'error: no model'; exit 3; }; touch once; echo '{\"acc\": 0.5}' > \"$1\"",
    );
    let ran = sweep(&scratch, "sh score.sh {result}", &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("the evaluation exited with"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("1 server(s) could not be evaluated; their runs are kept without scores"),
        "{}",
        ran.stderr
    );
    let rows =
        scratch.query("results", r#"SELECT "eval.acc" AS acc, status FROM runs ORDER BY max_num_seqs, run_number"#);
    let row = |acc: Value| json!({"acc": acc, "status": "completed"});
    assert_eq!(rows, [row(json!(0.5)), row(json!(0.5)), row(Value::Null), row(Value::Null)]);
    let ran = sweep(&scratch, "no-such-program", &["-e", "y"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("--eval-cmd: "), "{}", ran.stderr);
}
