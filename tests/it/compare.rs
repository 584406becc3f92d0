//! Verdicts between sweeps: folders whose numbers are known, and real sweeps under their names.

use crate::scratch::Scratch;
use serde_json::{Value, json};

/// A folder as vLLM writes it: 4 combinations, so many runs, the latency times a factor. Its noise is the same each time.
pub fn sweep(scratch: &Scratch, folder: &str, runs: usize, factor: f64, more: &Value) {
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
        scratch.write(&format!("{folder}/{}/summary.json", combination(seqs, more)), &Value::from(results).to_string());
    }
}

/// The folder of a combination, which names its parameters: numbers and texts.
fn combination(seqs: u32, more: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), |text| text.replace('/', "_"));
    let more =
        more.as_object().unwrap().iter().filter(|(key, value)| *key != "date" && (value.is_i64() || value.is_string()));
    let pairs: String = more.map(|(key, value)| format!("-{key}={}", text(value))).collect();
    format!("SERVE--max_num_seqs={seqs}{pairs}")
}

fn compare(scratch: &Scratch, more: &[&str]) -> Value {
    let ran = scratch.ok(&[&["compare", "base", "candidate", "--format", "json"][..], more].concat());
    serde_json::from_str::<Value>(&ran.stdout).unwrap()[0].clone()
}

/// For those who know how much equal sweeps differ.
pub const SURE: [&str; 2] = ["--assume-sweep-sd", "0.5%"];

fn overall(found: &Value, metric: &str) -> Value {
    found["overall"].as_array().unwrap().iter().find(|row| row["metric"] == metric).unwrap().clone()
}

#[test]
fn a_change_is_told_with_its_size_and_direction() {
    let scratch = Scratch::new();
    sweep(&scratch, "base", 4, 1.0, &json!({}));
    sweep(&scratch, "candidate", 4, 1.1, &json!({}));
    let found = compare(&scratch, &SURE);
    assert_eq!(found["verdict"], "worse");
    let latency = overall(&found, "p99_e2el_ms");
    assert_eq!(latency["verdict"], "worse");
    assert!((latency["change"].as_f64().unwrap() - 0.1).abs() < 0.004, "{latency}");
    assert!(latency["change_low"].as_f64().unwrap() < 0.1 && 0.1 < latency["change_high"].as_f64().unwrap());
    // A throughput that falls is worse, too; a metric that did not move is shown to be the same.
    assert_eq!(
        (&overall(&found, "output_throughput")["verdict"], &overall(&found, "median_tpot_ms")["verdict"]),
        (&json!("worse"), &json!("same"))
    );
    let frontier = &found["frontier"];
    assert!(frontier["candidate_hypervolume"].as_f64() < frontier["base_hypervolume"].as_f64());

    let with = |more: &[&'static str]| scratch.ok(&[&["compare", "base", "candidate"][..], &SURE, more].concat());
    let text = with(&[]).stdout;
    assert!(text.starts_with("candidate vs. base: worse: output_throughput -9.1 %"), "{text}");
    assert!(text.contains("P99 E2E latency (ms)") && !text.contains('\u{1b}'), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert_eq!(with(&["-o", "change.md"]).stdout, "");
    let markdown = scratch.read("change.md");
    assert!(markdown.starts_with("### candidate vs. base: worse") && markdown.contains("<details>"), "{markdown}");
    with(&["-o", "change.csv"]);
    assert_eq!(scratch.read("change.csv").lines().count(), 17);
}

#[test]
fn one_sweep_a_side_can_not_tell_the_day_from_the_change() {
    let scratch = Scratch::new();
    sweep(&scratch, "base", 6, 1.0, &json!({}));
    sweep(&scratch, "candidate", 6, 1.1, &json!({}));
    let found = compare(&scratch, &[]);
    assert_eq!(found["verdict"], "unclear");
    let reason = found["reasons"][0].as_str().unwrap();
    assert!(
        reason.contains("with one sweep per side, a change cannot be distinguished from day-to-day variation"),
        "{reason}"
    );
    assert!(found["next"][0].as_str().unwrap().contains("sweeplake ab"), "{}", found["next"]);
    assert!(found["changes"].as_array().unwrap().iter().all(|change| change["p_value"].is_null()));
    // How noisy sweeps would have to be for the change to be none.
    let doubt = "would not count as a change if identical sweeps varied by 3.4 % (standard deviation) or more";
    assert!(found["rests_on"].to_string().contains(doubt), "{}", found["rests_on"]);
    // A change beyond any noise is told however few the runs.
    sweep(&scratch, "candidate", 1, 4.0, &json!({}));
    assert_eq!(compare(&scratch, &[])["verdict"], "worse");
}

#[test]
fn what_equal_sweeps_differ_by_is_what_a_change_must_exceed() {
    let scratch = Scratch::new();
    for (day, shift) in [1.0, 1.03, 0.98, 1.01, 0.99].into_iter().enumerate() {
        sweep(&scratch, &format!("lake/nightly{day}"), 3, shift, &json!({}));
    }
    sweep(&scratch, "lake/near", 3, 1.03, &json!({}));
    sweep(&scratch, "lake/far", 3, 1.25, &json!({}));
    let verdict = |candidate: &str, flags: &[&str]| {
        let base = ["compare", "--lake", "lake", "--base", "nightly*", candidate, "--format", "json"];
        let ran = scratch.run(&[&base[..], flags].concat());
        let found = serde_json::from_str::<Value>(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr));
        (found[0]["verdict"].as_str().unwrap().to_owned(), ran.code, found[0].clone())
    };
    let (word, _, near) = verdict("near", &[]);
    assert_eq!(word, "unclear");
    assert_eq!(near["base"]["sweeps"].as_array().unwrap().len(), 5);
    let (word, code, far) = verdict("far", &["--fail-on", "p99_e2el_ms>15%"]);
    assert_eq!((word.as_str(), code), ("worse", Some(1)), "{far}");
    assert_eq!(far["gates"][0]["result"], "fails");
    // An interval wider than the limit can't pass, unless that is asked for.
    let (_, code, narrow) = verdict("near", &["--fail-on", "p99_e2el_ms>2%"]);
    assert_eq!((code, &narrow["gates"][0]["result"]), (Some(1), &json!("unclear")));
    assert_eq!(verdict("near", &["--fail-on", "p99_e2el_ms>2%", "--unclear", "pass"]).1, Some(0));
    assert_eq!(verdict("near", &["--fail-on", "p99_e2el_ms>15%"]).1, Some(0));
}

#[test]
fn a_gate_is_in_the_exit_code_and_silence_is_no_passing() {
    let scratch = Scratch::new();
    sweep(&scratch, "base", 4, 1.0, &json!({}));
    sweep(&scratch, "candidate", 4, 1.1, &json!({}));
    let gate = |flags: &[&str]| scratch.run(&[&["compare", "base", "candidate"][..], flags].concat());
    let sure = |flags: &[&str]| scratch.run(&[&["compare", "base", "candidate"][..], &SURE, flags].concat());
    let ran = sure(&["--fail-on", "p99_e2el_ms>5%"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("--fail-on p99_e2el_ms>5%: fails: max_num_seqs="), "{}", ran.stderr);
    assert!(ran.stdout.contains("gate p99_e2el_ms>5%: fails"), "{}", ran.stdout);
    assert_eq!(sure(&["--fail-on", "p99_e2el_ms>20%", "--fail-on", "output_throughput<-15%"]).code, Some(0));
    // Where it can't be told, it does not pass, and says what to do, in one line.
    let ran = gate(&["--fail-on", "p99_e2el_ms>5%"]);
    assert!(
        ran.code == Some(1)
            && ran.stderr.contains("--fail-on p99_e2el_ms>5%: unclear: ")
            && ran.stderr.contains("to decide:"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stderr.lines().filter(|line| line.starts_with("error:")).count(), 1);
    assert_eq!(gate(&["--fail-on", "p99_e2el_ms>5%", "--unclear", "pass"]).code, Some(0));
    assert_eq!(gate(&["--fail-on", "p99_e2el_ms>5"]).code, Some(2));
    // What is not there is not judged.
    std::fs::remove_dir_all(scratch.path("candidate").join(combination(8, &json!({})))).unwrap();
    let ran = sure(&["--fail-on", "p99_e2el_ms>20%"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("the candidate lacks max_num_seqs=8"), "{}", ran.stderr);
}

#[test]
fn a_collapse_is_worse_however_it_looks() {
    for (key, was, is) in [
        ("output_throughput", json!(1000.0), json!(0.0)),
        ("p99_e2el_ms", json!(500.0), json!("inf")),
        ("failed", json!(0), json!(50)),
        ("p99_e2el_ms", json!(500.0), json!(5000.0)),
    ] {
        let scratch = Scratch::new();
        sweep(&scratch, "base", 2, 1.0, &json!({key: was}));
        sweep(&scratch, "candidate", 2, 1.0, &json!({key: is}));
        for side in ["base", "candidate"] {
            // The values are results, not parameters: their folders name what was set only.
            for seqs in [8, 16, 32, 64] {
                let more = if side == "base" { json!({key: was}) } else { json!({key: is}) };
                let (from, to) = (combination(seqs, &more), combination(seqs, &json!({})));
                if from != to {
                    std::fs::rename(scratch.path(side).join(from), scratch.path(side).join(to)).unwrap();
                }
            }
        }
        let gate = if key == "output_throughput" { format!("{key}<-5%") } else { format!("{key}>5%") };
        let ran = scratch.run(&["compare", "base", "candidate", "--metrics", key, "--fail-on", &gate]);
        assert_eq!(ran.code, Some(1), "{key}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("candidate vs. base: worse"), "{key}: {}", ran.stdout);
        assert!(ran.stderr.contains("fails"), "{key}: {}", ran.stderr);
    }
}

#[test]
fn a_comparison_fits_the_terminal_whatever_is_compared() {
    let scratch = Scratch::new();
    let long =
        json!({"kv_cache_dtype_and_a_name_that_does_not_end": "fp8_e4m3fn_and_a_value_that_does_not_end_either"});
    sweep(&scratch, "base", 3, 1.0, &long);
    sweep(&scratch, "candidate", 3, 1.1, &long);
    let metrics =
        "p99_e2el_ms,median_ttft_ms,output_throughput,median_tpot_ms,tokens_per_user,completed,tokens_per_gpu";
    for flags in [&["--metrics", metrics][..], &[]] {
        let text = scratch.ok(&[&["compare", "base", "candidate"][..], &SURE, flags].concat()).stdout;
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}

#[test]
fn what_is_no_comparison_is_refused_and_what_failed_is_worse() {
    let scratch = Scratch::new();
    let alike = json!({});
    for (name, more) in [("lake/a", &alike), ("lake/b", &json!({"model_id": "other"})), ("lake/c", &alike)] {
        sweep(&scratch, name, 3, 1.0, more);
    }
    let run = |arguments: &[&str]| scratch.run(&[&["compare", "--lake", "lake"][..], arguments].concat());
    let ran = run(&["a", "lake/a"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("is both base and candidate"), "{}", ran.stderr);
    // By time, folders of vLLM's too.
    let ran = run(&["latest", "lake/a"]);
    assert_ne!(ran.code, None);
    assert!(!ran.stderr.contains("contains only"), "{}", ran.stderr);
    // A sweep of which a run failed is not whole, whoever made it.
    let failed = json!({"completed": 0, "failed": 12});
    sweep(&scratch, "lake/d", 3, 1.0, &alike);
    let path = scratch.path("lake/d").join(combination(8, &alike)).join("summary.json");
    let mut runs: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    runs[0].as_object_mut().unwrap().extend(failed.as_object().unwrap().clone());
    std::fs::write(&path, Value::from(runs.clone()).to_string()).unwrap();
    let gate = ["c", "d", "--assume-sweep-sd", "0.5%", "--fail-on", "p99_e2el_ms>20%"];
    let ran = run(&gate);
    assert!(ran.code == Some(1) && ran.stderr.contains("has failed runs"), "{}", ran.stderr);
    // All of a combination: that is worse than any latency.
    runs.iter_mut().for_each(|run| run.as_object_mut().unwrap().extend(failed.as_object().unwrap().clone()));
    std::fs::write(&path, Value::from(runs).to_string()).unwrap();
    let ran = run(&gate);
    assert!(ran.code == Some(1) && ran.stdout.contains("worse: 1 combination failed"), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn nobody_knows_which_way_is_better_unless_it_is_said() {
    let scratch = Scratch::new();
    sweep(&scratch, "base", 3, 1.0, &json!({"acceptance_score": 100.5}));
    sweep(&scratch, "candidate", 3, 1.0, &json!({"acceptance_score": 201.5}));
    let verdict = |flags: &[&str]| {
        let found = compare(&scratch, &[&["--metrics", "acceptance_score"][..], &SURE, flags].concat());
        found["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(verdict(&[]), "changed");
    assert_eq!(verdict(&["--direction", "acceptance_score:max"]), "better");
    assert_eq!(verdict(&["--direction", "acceptance_score:min"]), "worse");
}

#[test]
fn a_combination_that_fails_now_fails_its_gate() {
    let scratch = Scratch::new();
    scratch.write("serve.json", r#"[{"max_num_seqs": 4}, {"max_num_seqs": 8}]"#);
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    let sweep = |name: &str, sim: &str| {
        scratch.run(&[
            "serve",
            "--serve-cmd",
            sim,
            "--bench-cmd",
            &bench,
            "--serve-params",
            "serve.json",
            "-e",
            name,
            "--num-runs",
            "3",
            "--continue-on-error",
        ])
    };
    sweep("one", &sim);
    sweep("two", &format!("{sim} --fault-oom-above 4"));
    let ran = scratch.run(&["compare", "one", "two", "--fail-on", "output_throughput<-90%"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(
        ran.stderr.contains("failed in the candidate: max_num_seqs=8")
            && ran.stdout.contains("failed in the candidate: max_num_seqs=8"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_old_folder_of_vllms_is_compared_with_a_sweep_of_the_same_parameters() {
    let scratch = Scratch::new();
    scratch.write("serve.json", r#"[{"max_num_seqs": 4}, {"max_num_seqs": 8}]"#);
    scratch.write("bench.json", r#"[{"max_concurrency": 2}, {"max_concurrency": 4}]"#);
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    let params = ["--serve-params", "serve.json", "--bench-params", "bench.json", "-e", "ours", "--num-runs", "1"];
    scratch.serve_ok(&sim, &bench, &params);
    // As vLLM leaves it: results and summaries, no manifest, no Parquet.
    for entry in walkdir::WalkDir::new(scratch.path("results/ours")).into_iter().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "summary.json" || (name.starts_with("run=") && name.ends_with(".json")) {
            let target = scratch.path("old").join(entry.path().strip_prefix(scratch.path("results/ours")).unwrap());
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
    let ran = scratch.ok(&["compare", "old", "results/ours"]);
    assert!(ran.stdout.contains("4 combinations in common"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("differs") && !ran.stdout.contains("NOT COMPARABLE"), "{}", ran.stdout);
}

/// The same numbers through the program and through the library.
#[test]
fn the_program_says_what_the_library_says() {
    use sweeplake::compare::{Judge, MetricRuns, Run, ServerOf, SweepRuns, judge};
    use sweeplake::metric::Better;
    let scratch = Scratch::new();
    let shifts = [1.0, 1.02, 0.97, 1.01, 0.99, 1.12];
    for (day, shift) in shifts.into_iter().enumerate() {
        sweep(&scratch, &format!("lake/s{day}"), 3, shift, &json!({}));
    }
    let flags = ["--metrics", "p99_e2el_ms", "--filter-by", "max_num_seqs >= 8", "--format", "json"];
    let ran = scratch.ok(&[&["compare", "--lake", "lake", "--base", "s?", "s5"][..], &flags].concat());
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let noise = [0.0, 0.004, -0.003, 0.001, -0.004, 0.002];
    let runs = |shift: f64| {
        let cells = [8usize, 16, 32, 64].into_iter().enumerate().map(|(cell, seqs)| {
            let value = |run: usize| 1000.0 / seqs as f64 * shift * (1.0 + noise[(run + seqs / 8) % noise.len()]);
            (cell, (0..3).map(|run| Run { value: value(run), round: 0, order: run as u32 }).collect())
        });
        SweepRuns { cells: cells.collect() }
    };
    let metric = MetricRuns {
        better: Some(Better::Lower),
        cells: (0..4).collect(),
        base: shifts[..5].iter().map(|shift| runs(*shift)).collect(),
        candidate: vec![runs(shifts[5])],
        ..MetricRuns::default()
    };
    let servers: ServerOf = (0..4).map(|cell| (cell, cell)).collect();
    let expected = &judge(&[metric], &servers, &Judge::default())[0];
    let overall = overall(&found[0], "p99_e2el_ms");
    let close = |key: &str, expected: f64| {
        let found = overall[key].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-9, "{key}: {found} is not {expected}");
    };
    close("change", expected.overall.ratio);
    close("change_low", expected.overall.interval.unwrap().0);
    close("change_high", expected.overall.interval.unwrap().1);
    assert_eq!(overall["verdict"], expected.overall.verdict.as_str());
}

#[test]
fn what_is_not_alike_is_refused_or_listed() {
    let scratch = Scratch::new();
    sweep(&scratch, "base", 3, 1.0, &json!({"tensor_parallel_size": 1}));
    sweep(&scratch, "candidate", 3, 1.0, &json!({"tensor_parallel_size": 2}));
    let ran = scratch.run(&["compare", "base", "candidate", "--match-on", "max_num_seqs"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("are not comparable: gpu_count is 1 in one and 2 in the other; use --force"),
        "{}",
        ran.stderr
    );
    let ran = scratch.ok(&["compare", "base", "candidate", "--match-on", "max_num_seqs", "--force"]);
    assert!(
        ran.stdout.contains("NOT COMPARABLE: gpu_count: 1 → 2") && ran.stdout.contains("max_num_seqs=64"),
        "{}",
        ran.stdout
    );
    // Without a match on some parameters there is nothing in common.
    let ran = scratch.run(&["compare", "base", "candidate", "--force"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("have no combination in common; use --match-on"), "{}", ran.stderr);

    std::fs::remove_dir_all(scratch.path("candidate/SERVE--max_num_seqs=8-tensor_parallel_size=2")).unwrap();
    let ran = scratch.ok(&["compare", "base", "candidate", "--match-on", "max_num_seqs", "--force"]);
    assert!(
        ran.stdout.contains("only in the base: max_num_seqs=8") && ran.stdout.contains("3 combinations in common"),
        "{}",
        ran.stdout
    );

    for (arguments, message) in [
        (&["compare", "base"][..], "compare needs two sweeps"),
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
        scratch.serve_ok(&sim, &bench, &["-e", name, "--num-runs", "1"]);
    }
    let sides = |base: &str, candidate: &str| {
        let ran = scratch.ok(&["compare", base, candidate, "--format", "json"]);
        let found: Value = serde_json::from_str(&ran.stdout).unwrap();
        let name = |side: &str| found[0][side]["sweeps"][0].as_str().unwrap().to_owned();
        (name("base"), name("candidate"))
    };
    let expected = ("one".to_owned(), "two".to_owned());
    assert_eq!(sides("latest~1", "latest"), expected);
    assert_eq!(sides("one", "results/two"), expected);
    scratch.ok(&["tag", "latest~1", "good"]);
    assert_eq!(sides("good", "latest"), expected);
    // A sweep that failed is not the latest, unless any will do.
    let failed = ["serve", "--serve-cmd", &sim, "--bench-cmd", "false", "-e", "three"];
    assert_eq!(scratch.run(&failed).code, Some(1));
    assert_eq!(sides("latest~1", "latest"), expected);
    scratch.ok(&["tag", "latest", "newest"]);
    scratch.ok(&["tag", "latest-any", "any"]);
    let tags = scratch.read("results/tags.json");
    assert!(tags.contains("\"newest\": \"two\"") && tags.contains("\"any\": \"three\""), "{tags}");
    let today = chrono::Local::now().format("@%Y-%m-%d").to_string();
    assert_eq!(sides("one", &today), expected);
    assert_eq!(scratch.run(&["compare", "@2020-01-01", "latest"]).code, Some(2));
    let ran = scratch.run(&["compare", "latest~2", "latest"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("contains only 2 sweep(s)"), "{}", ran.stderr);
    assert_eq!(scratch.run(&["tag", "one", "latest~3"]).code, Some(2));
    // A sweep that is given by its path is tagged in the lake that it lies in, and found there by it.
    sweep(&scratch, "elsewhere/lake/three", 1, 1.0, &json!({}));
    scratch.ok(&["tag", "elsewhere/lake/three", "kept"]);
    assert!(scratch.read("elsewhere/lake/tags.json").contains("\"kept\": \"three\""));
    assert!(!scratch.read("results/tags.json").contains("kept"));
    let ran = scratch.run(&["tag", "elsewhere/lake/three", "other", "--lake", "results"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("is not a sweep in results"), "{}", ran.stderr);
    // Renamed: every command calls it by its folder's name, and its tag says that what it named is gone.
    std::fs::rename(scratch.path("results/one"), scratch.path("results/first")).unwrap();
    let ran = scratch.run(&["compare", "good", "two"]);
    assert!(
        ran.code == Some(2) && ran.stderr.contains("good: the tagged sweep is gone: results/one not found"),
        "{}",
        ran.stderr
    );
    assert!(scratch.ok(&["list", "results"]).stdout.contains("first"));
    assert_eq!(sides("first", "two"), ("first".to_owned(), "two".to_owned()));
}

#[test]
fn percentiles_are_also_compared_over_all_requests() {
    let scratch = Scratch::new();
    let detailed = |scale: f64| {
        let latencies: Vec<f64> = (1..=200).map(|index| scale * f64::from(index) / 1000.0).collect();
        json!({"latencies": latencies, "ttfts": [0.1], "output_lens": [4]})
    };
    sweep(&scratch, "base", 3, 1.0, &detailed(1.0));
    sweep(&scratch, "candidate", 3, 1.0, &detailed(1.2));
    let found = compare(&scratch, &["--metrics", "p99_e2el_ms"]);
    let change = &found["changes"][0];
    // 600 requests of each combination, from 1 to 200 ms; the runs' own P99s say nothing of it.
    assert_eq!(change["pooled_base"], json!(198.01));
    assert!((change["pooled_change"].as_f64().unwrap() - 0.2).abs() < 1e-9);
    assert!(
        change["pooled_low"].as_f64().unwrap() > 0.15 && change["pooled_high"].as_f64().unwrap() < 0.25,
        "{change}"
    );
}

#[test]
fn the_page_holds_everything_and_escapes_what_users_type() {
    let scratch = Scratch::new();
    let hostile = json!({"label": "</script><script>alert(1)</script>"});
    sweep(&scratch, "base", 3, 1.0, &hostile);
    sweep(&scratch, "candidate", 3, 1.2, &hostile);
    // One combination: all its parameters stand in its label.
    for (side, seqs) in
        [("base", 16), ("base", 32), ("base", 64), ("candidate", 16), ("candidate", 32), ("candidate", 64)]
    {
        std::fs::remove_dir_all(scratch.path(side).join(combination(seqs, &hostile))).unwrap();
    }
    scratch.ok(&[&["compare", "base", "candidate", "--html", "page.html", "--fig", "fronts.png"][..], &SURE].concat());
    let page = scratch.read("page.html");
    assert!(page.contains("candidate vs. base: worse") && page.contains("data:image/png;base64,"), "{page}");
    assert!(page.matches("<script>").count() == 1 && page.contains("&#60;script&#62;"), "{page}");
    assert!(std::fs::read(scratch.path("fronts.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn what_compare_starts_from_can_be_asked_in_sql() {
    let scratch = Scratch::new();
    sweep(&scratch, "base", 3, 1.0, &json!({}));
    sweep(&scratch, "candidate", 3, 1.1, &json!({}));
    let params = ["--param", "base=base", "--param", "candidate=candidate", "--param", "metric=p99_e2el_ms"];
    let ran =
        scratch.ok(&[&["query", "base", "candidate", "--name", "compare", "--format", "json"][..], &params].concat());
    let rows: Value = serde_json::from_str(&ran.stdout).unwrap();
    let found = compare(&scratch, &["--metrics", "p99_e2el_ms"]);
    assert_eq!(rows.as_array().unwrap().len(), found["changes"].as_array().unwrap().len());
    for row in rows.as_array().unwrap() {
        assert!((row["change"].as_f64().unwrap() - 0.1).abs() < 1e-9 && row["base_n"] == 3, "{row}");
    }
    let listed = scratch.ok(&["query", "--list"]).stdout;
    assert!(listed.contains("compare --param metric=… --param base=… --param candidate=…"), "{listed}");
    let ran = scratch.run(&["query", "base", "--name", "best"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("needs --param limit=VALUE"), "{}", ran.stderr);
    let ran = scratch.run(&["query", "base", "candidate", "--name", "slowest", "--param", "limit=3"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}
