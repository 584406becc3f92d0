//! Verdicts between sweeps: folders whose numbers are known, and real sweeps under their names.

use crate::scratch::Scratch;
use serde_json::{Value, json};

/// A folder as vLLM writes it: 4 combinations, so many runs, the latency times a factor. Its noise is the same each time.
fn sweep(scratch: &Scratch, folder: &str, runs: usize, factor: f64, more: &Value) {
    let noise = [0.0, 0.004, -0.003, 0.001, -0.004, 0.002];
    for seqs in [8, 16, 32, 64] {
        let results: Vec<Value> = (0..runs)
            .map(|run| {
                let latency = 1000.0 / f64::from(seqs) * factor * (1.0 + noise[(run + seqs as usize / 8) % noise.len()]);
                let mut result = json!({
                    "date": format!("20261101-1200{run:02}"), "completed": 12, "max_concurrency": 4, "p99_e2el_ms": latency,
                    "median_ttft_ms": latency / 10.0, "median_tpot_ms": 5.0, "output_throughput": 1e5 / latency, "run_number": run,
                    "max_num_seqs": seqs,
                });
                result.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                result
            })
            .collect();
        scratch.write(&format!("{folder}/SERVE--max_num_seqs={seqs}/summary.json"), &Value::from(results).to_string());
    }
}

fn compare(scratch: &Scratch, more: &[&str]) -> Value {
    let ran = scratch.ok(&[&["compare", "base", "candidate", "--format", "json"][..], more].concat());
    serde_json::from_str::<Value>(&ran.stdout).unwrap()[0].clone()
}

#[test]
fn a_change_is_told_with_its_size_and_direction() {
    let scratch = Scratch::new();
    sweep(&scratch, "base", 4, 1.0, &json!({}));
    sweep(&scratch, "candidate", 4, 1.1, &json!({}));
    let found = compare(&scratch, &[]);
    let overall =
        |metric: &str| found["overall"].as_array().unwrap().iter().find(|row| row["metric"] == metric).unwrap().clone();
    let latency = overall("p99_e2el_ms");
    assert_eq!(latency["verdict"], "worse");
    assert!((latency["change"].as_f64().unwrap() - 0.1).abs() < 0.002, "{latency}");
    assert!(latency["change_low"].as_f64().unwrap() < 0.1 && 0.1 < latency["change_high"].as_f64().unwrap());
    // A throughput that falls is worse, too; a metric that did not move is shown to be the same.
    assert_eq!(
        (&overall("output_throughput")["verdict"], &overall("median_tpot_ms")["verdict"]),
        (&json!("worse"), &json!("same"))
    );
    assert!(
        found["frontier"]["candidate_hypervolume"].as_f64().unwrap()
            < found["frontier"]["base_hypervolume"].as_f64().unwrap()
    );

    let text = scratch.ok(&["compare", "base", "candidate"]).stdout;
    assert!(text.starts_with("candidate against base: worse (12 worse, 4 same)"), "{text}");
    assert!(text.contains("P99 E2E latency (ms)") && !text.contains('\u{1b}'), "{text}");
    let markdown = scratch.ok(&["compare", "base", "candidate", "-o", "change.md"]);
    assert_eq!(markdown.stdout, "");
    let markdown = scratch.read("change.md");
    assert!(markdown.starts_with("### candidate against base: worse") && markdown.contains("<details>"), "{markdown}");
    scratch.ok(&["compare", "base", "candidate", "-o", "change.csv"]);
    assert_eq!(scratch.read("change.csv").lines().count(), 17);
}

#[test]
fn equal_sweeps_are_the_same_and_few_runs_say_nothing() {
    let scratch = Scratch::new();
    sweep(&scratch, "base", 6, 1.0, &json!({}));
    sweep(&scratch, "candidate", 6, 1.0005, &json!({}));
    assert!(compare(&scratch, &[])["verdict"].as_str().unwrap().starts_with("candidate against base: the same"));
    sweep(&scratch, "candidate", 2, 1.5, &json!({}));
    let found = compare(&scratch, &[]);
    assert!(found["verdict"].as_str().unwrap().contains("nothing can be concluded"), "{}", found["verdict"]);
    assert!(found["changes"].as_array().unwrap().iter().all(|change| change["p_value"].is_null()));
}

#[test]
fn a_gate_is_in_the_exit_code() {
    let scratch = Scratch::new();
    sweep(&scratch, "base", 4, 1.0, &json!({}));
    sweep(&scratch, "candidate", 4, 1.1, &json!({}));
    let gate = |flags: &[&str]| scratch.run(&[&["compare", "base", "candidate"][..], flags].concat());
    let ran = gate(&["--fail-on", "p99_e2el_ms>5%"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("--fail-on p99_e2el_ms>5%: max_num_seqs="), "{}", ran.stderr);
    assert!(ran.stdout.contains("gate p99_e2el_ms>5%: fails"), "{}", ran.stdout);
    assert_eq!(gate(&["--fail-on", "p99_e2el_ms>20%", "--fail-on", "output_throughput<-15%"]).code, Some(0));
    // Of two runs nothing can be told: that has its own choice.
    sweep(&scratch, "candidate", 2, 1.1, &json!({}));
    assert_eq!(gate(&["--fail-on", "p99_e2el_ms>5%"]).code, Some(0));
    let ran = gate(&["--fail-on", "p99_e2el_ms>5%", "--unclear", "fail"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("can't be told"), "{}", ran.stderr);
    assert_eq!(gate(&["--fail-on", "p99_e2el_ms>5"]).code, Some(2));
}

#[test]
fn what_is_not_alike_is_refused_or_listed() {
    let scratch = Scratch::new();
    sweep(&scratch, "base", 3, 1.0, &json!({"tensor_parallel_size": 1}));
    sweep(&scratch, "candidate", 3, 1.0, &json!({"tensor_parallel_size": 2}));
    let ran = scratch.run(&["compare", "base", "candidate", "--match-on", "max_num_seqs"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("are not alike: gpu_count is \"1.0\" in the one and \"2.0\" in the other; --force"),
        "{}",
        ran.stderr
    );
    let ran = scratch.ok(&["compare", "base", "candidate", "--match-on", "max_num_seqs", "--force"]);
    assert!(ran.stdout.contains("differs: gpu_count") && ran.stdout.contains("max_num_seqs=64"), "{}", ran.stdout);
    // Without a match on some parameters there is nothing in common.
    let ran = scratch.run(&["compare", "base", "candidate", "--force"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("have no combination in common; --match-on"), "{}", ran.stderr);

    std::fs::remove_dir_all(scratch.path("candidate/SERVE--max_num_seqs=8")).unwrap();
    let ran = scratch.ok(&["compare", "base", "candidate", "--match-on", "max_num_seqs", "--force"]);
    assert!(
        ran.stdout.contains("only in the base: max_num_seqs=8") && ran.stdout.contains("3 combination(s) in common"),
        "{}",
        ran.stdout
    );

    for (arguments, message) in [
        (&["compare", "base"][..], "2 values required"),
        (&["compare", "base", "nowhere"], "nowhere: no such sweep"),
        (&["compare", "base", "candidate", "--metrics", "p99_e2e_ms"], "did you mean `p99_e2el_ms`?"),
        (&["compare", "base", "candidate", "--threshold", "200%"], "expected a share such as 2%"),
    ] {
        let ran = scratch.run(arguments);
        assert!(ran.code == Some(2) && ran.stderr.contains(message), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn a_sweep_is_named_by_its_age_its_name_or_a_tag() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    for name in ["one", "two"] {
        scratch.ok(&["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "-e", name, "--num-runs", "1"]);
    }
    let sides = |base: &str, candidate: &str| {
        let ran = scratch.ok(&["compare", base, candidate, "--format", "json"]);
        let found: Value = serde_json::from_str(&ran.stdout).unwrap();
        (found[0]["base"].as_str().unwrap().to_owned(), found[0]["candidate"].as_str().unwrap().to_owned())
    };
    let expected = ("one".to_owned(), "two".to_owned());
    assert_eq!(sides("latest~1", "latest"), expected);
    assert_eq!(sides("one", "results/two"), expected);
    scratch.ok(&["tag", "latest~1", "good"]);
    assert_eq!(sides("good", "latest"), expected);
    let ran = scratch.run(&["compare", "latest~2", "latest"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("holds only 2 sweep(s)"), "{}", ran.stderr);
    assert_eq!(scratch.run(&["tag", "one", "latest~3"]).code, Some(2));
}
