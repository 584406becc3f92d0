//! A lake is kept: sweeps are removed, renamed, noted upon and looked through, and nothing that is being written is touched.

use crate::scratch::{Scratch, copy_folder, data, wait_until};
use proptest::prelude::*;
use serde_json::json;
use std::process::Stdio;

/// A lake of two sweeps.
fn lake() -> Scratch {
    let scratch = Scratch::new();
    for name in ["a", "b"] {
        scratch.serve_ok(&scratch.sim(""), &scratch.bench("--save-detailed"), &["-e", name, "--num-runs", "2"]);
    }
    scratch
}

#[test]
fn a_sweep_is_removed_with_its_tags_after_asking() {
    let scratch = lake();
    scratch.ok(&["tag", "a", "good"]);
    scratch.ok(&["compact", "results"]);
    let ran = scratch.run(&["rm", "a"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("pass --yes to remove") && ran.stderr.contains("results/a: 2 runs"), "{}", ran.stderr);
    assert!(scratch.exists("results/a/sweep.json"));
    scratch.ok(&["rm", "a", "--yes"]);
    assert!(!scratch.exists("results/a"));
    assert_eq!(scratch.query("results", "SELECT DISTINCT sweep FROM runs"), [json!({"sweep": "b"})]);
    let ran = scratch.run(&["show", "results/good"]);
    assert_ne!(ran.code, Some(0));
    assert_eq!(scratch.read("results/tags.json").trim(), "{}");
    // Only sweeps are removed, and only those that sweeplake made.
    for path in [".", "results", "/tmp"] {
        let ran = scratch.run(&["rm", path, "--yes"]);
        assert_eq!(ran.code, Some(2), "{path}: {}", ran.stderr);
    }
    std::os::unix::fs::symlink(scratch.path("results/b"), scratch.path("results/link")).unwrap();
    let ran = scratch.run(&["rm", "results/link", "--yes"]);
    assert!(ran.code != Some(0) && scratch.exists("results/b/sweep.json"), "{}", ran.stderr);
}

#[test]
fn a_sweep_that_is_renamed_keeps_its_runs_its_tags_and_goes_on() {
    let scratch = lake();
    scratch.ok(&["tag", "a", "good"]);
    scratch.ok(&["compact", "results"]);
    scratch.ok(&["mv", "a", "before"]);
    let rows = "SELECT sweep, count(*) AS n FROM runs GROUP BY 1 ORDER BY 1";
    assert_eq!(scratch.query("results", rows), [json!({"sweep": "b", "n": 2}), json!({"sweep": "before", "n": 2})]);
    assert_eq!(scratch.json("results/tags.json"), json!({"good": "before"}));
    let (sim, bench) = (scratch.sim(""), scratch.bench("--save-detailed"));
    let ran = scratch.serve_ok(&sim, &bench, &["-e", "before", "--num-runs", "3", "--resume"]);
    assert!(ran.stderr.contains("1 run(s) to do, 2 already done"), "{}", ran.stderr);
    // The old name is free again.
    scratch.serve_ok(&sim, &bench, &["-e", "a", "--num-runs", "1"]);
    let expected = [json!({"sweep": "a", "n": 1}), json!({"sweep": "b", "n": 2}), json!({"sweep": "before", "n": 3})];
    assert_eq!(scratch.query("results", rows), expected);
    for name in ["b", "../c", "", ".", ".hidden", "compacted", "latest", "latest~2", "@2026-01-01", "a\u{1b}b", "a\nb"]
    {
        let ran = scratch.run(&["mv", "a", name]);
        assert_eq!(ran.code, Some(2), "{name}");
        if name != "b" {
            let ran = scratch.serve(&sim, &bench, &["-e", name, "--num-runs", "1"]);
            assert_eq!(ran.code, Some(2), "{name:?} {}", ran.stderr);
        }
    }
    assert!(scratch.exists("results/a") && !scratch.exists("c"));
}

#[test]
fn a_note_is_shown_wherever_the_sweep_is() {
    let scratch = lake();
    scratch.ok(&["note", "a", "new <driver>"]);
    scratch.ok(&["note", "a", "and a new BIOS"]);
    let rows = scratch.query("results", "SELECT note FROM sweeps ORDER BY sweep");
    assert_eq!(rows, [json!({"note": "new <driver>\nand a new BIOS"}), json!({"note": null})]);
    assert!(scratch.ok(&["list"]).stdout.contains("new <driver>"));
    assert!(scratch.ok(&["query", "results", "--name", "list"]).stdout.contains("new <driver>"));
    scratch.ok(&["report", "results/a", "-o", "r.html"]);
    assert!(scratch.read("r.html").contains("new &#60;driver&#62;"));
    // It stays when the sweep goes on.
    let (sim, bench) = (scratch.sim(""), scratch.bench("--save-detailed"));
    scratch.serve_ok(&sim, &bench, &["-e", "a", "--num-runs", "3", "--resume"]);
    assert_eq!(scratch.json("results/a/sweep.json")["notes"].as_array().unwrap().len(), 2);
    scratch.ok(&["note", "a", "--clear"]);
    assert_eq!(scratch.query("results/a", "SELECT note FROM sweeps"), [json!({"note": null})]);
}

#[test]
fn what_is_being_written_is_not_touched() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench("--num-prompts 2000 --max-concurrency 1"));
    let arguments = ["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "-e", "x", "--num-runs", "1"];
    let mut child = scratch.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the sweep has begun", || scratch.exists("results/x/sweep.json"));
    for arguments in [&["rm", "x", "--yes"][..], &["mv", "x", "y"], &["note", "x", "text"]] {
        let ran = scratch.run(arguments);
        assert!(ran.code != Some(0) && ran.stderr.contains("another sweeplake process is writing"), "{}", ran.stderr);
    }
    let told = scratch.ok(&["verify", "--repair"]).stdout;
    assert!(told.contains("skipped: results/x: still being written"), "{told}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_lake_that_is_whole_is_found_so_and_leftovers_go() {
    let scratch = lake();
    scratch.ok(&["compact", "results"]);
    let told = scratch.ok(&["verify"]).stdout;
    assert!(told.starts_with("results: 2 sweep(s), ") && told.lines().count() == 1, "{told}");
    for left in [".import-x/a.parquet", "a/.tmp-1.part", "a/run=7.partial.json", "empty/.lock", ".rm-old/sweep.json"] {
        scratch.write(&format!("results/{left}"), "");
    }
    scratch.write("results/a/elsewhere/run=0.json", "{}");
    let told = scratch.ok(&["verify", "--repair"]).stdout;
    assert_eq!(told.matches("leftover: ").count(), 5, "{told}");
    assert!(told.contains("orphan: results/a/elsewhere/run=0.json"), "{told}");
    assert!(scratch.exists("results/a/elsewhere/run=0.json"), "only leftovers go");
    let told = scratch.ok(&["verify"]).stdout;
    assert!(!told.contains("leftover"), "{told}");
    // Other tools read the checksums, too.
    let mut check = std::process::Command::new("sha256sum");
    check.args(["-c", "--quiet", "SHA256SUMS"]).current_dir(scratch.path("results/b"));
    assert!(check.status().unwrap().success());
    // Sweeps of older versions have none.
    copy_folder(&data("format-1"), &scratch.path("old"));
    scratch.ok(&["verify", "old"]);
}

#[test]
fn whatever_else_lies_in_a_sweep_is_named() {
    let scratch = lake();
    scratch.ok(&["report", "results/a"]);
    assert!(!scratch.ok(&["verify", "results"]).stdout.contains("orphan"));
    for name in ["results/a/run=9.json", "results/a/junk.tmp", "results/b/more/x.csv"] {
        scratch.write(name, "{}");
    }
    std::os::unix::fs::symlink("/etc/hostname", scratch.path("results/b/link.json")).unwrap();
    let told = scratch.run(&["verify", "results"]).stdout;
    for name in ["a/run=9.json", "a/junk.tmp", "b/more/x.csv", "b/link.json"] {
        assert!(told.contains(&format!("orphan: results/{name}: not part of its sweep")), "{name}: {told}");
    }
    let ran = scratch.ok(&["rm", "a", "--yes"]);
    assert!(
        ran.stdout.contains("including files that are not part of the sweep: results/a/junk.tmp"),
        "{}",
        ran.stdout
    );
}

#[test]
fn an_import_that_is_going_on_is_nothing_left_behind() {
    let scratch = Scratch::new();
    for number in 0..1500 {
        let result = json!({"date": "20260101-000000", "backend": "vllm", "model_id": "m", "completed": 4, "failed": 0, "duration": 1.0, "request_throughput": 4.0 + f64::from(number), "x": number});
        scratch.write(&format!("many/run={number}.json"), &result.to_string());
    }
    let import = scratch.command(&["import", "many", "-o", "lake"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut import = import.unwrap();
    let mut looked = 0;
    while import.try_wait().unwrap().is_none() {
        let told = scratch.run(&["verify", "lake", "--repair"]).stdout;
        assert!(!told.contains(".import-"), "{told}");
        looked += 1;
    }
    let status = import.wait().unwrap();
    assert!(status.success() && looked > 0, "{status} after {looked} looks");
    assert_eq!(scratch.query("lake", "SELECT count(*) AS n FROM runs"), [json!({"n": 1500})]);
}

#[test]
fn any_flipped_bit_of_any_kept_file_is_found() {
    let scratch = lake();
    let kept: Vec<String> =
        scratch.read("results/a/SHA256SUMS").lines().map(|line| line.split_once("  ").unwrap().1.to_owned()).collect();
    assert!(kept.len() >= 8, "{kept:?}");
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(40));
    let flips = (0..=kept.len(), 0.0..1.0_f64, 0_u8..8);
    let found = runner.run(&flips, |(file, at, bit)| {
        let name = kept.get(file).map_or("SHA256SUMS", String::as_str);
        let path = scratch.path(&format!("results/a/{name}"));
        let whole = std::fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        bytes[(at * whole.len() as f64) as usize] ^= 1 << bit;
        std::fs::write(&path, bytes).unwrap();
        let ran = scratch.run(&["verify"]);
        std::fs::write(&path, whole).unwrap();
        prop_assert!(
            ran.code == Some(1) && ran.stdout.contains(&format!("damaged: results/a/{name}")),
            "{}",
            ran.stdout
        );
        Ok(())
    });
    found.unwrap();
    std::fs::remove_file(scratch.path("results/a/run=0.json")).unwrap();
    let ran = scratch.run(&["verify"]);
    assert!(ran.code == Some(1) && ran.stdout.contains("damaged: results/a/run=0.json: is missing"), "{}", ran.stdout);
}
