//! What comes from somebody else is shown and never obeyed: names and values with control characters in them.

use crate::scratch::{PROGRAM, Scratch, copy_folder};
use rexpect::session::spawn_command;
use serde_json::json;

/// What would set a terminal's title, clear it, and go back to the start of the line.
const COMMANDS: &str = "a\u{1b}]0;owned\u{7}b\u{1b}[2Jc\rd\u{9b}31me\u{202e}f";

/// A lake with an imported result whose texts are commands to a terminal.
fn lake(scratch: &Scratch) {
    let result = json!({
        "date": "20260101-000000", "model_id": COMMANDS, "num_prompts": 3, "completed": 3, "duration": 1.5, COMMANDS: "x",
        "request_throughput": 2.0, "output_throughput": 64.0, "mean_ttft_ms": 5.0, "median_ttft_ms": 5.0, "p99_ttft_ms": 6.0,
        "mean_tpot_ms": 1.0, "median_tpot_ms": 1.0, "p99_tpot_ms": 1.5, "backend": COMMANDS, "max_concurrency": 4
    });
    scratch.write("in/one.json", &result.to_string());
    scratch.ok(&["import", "in", "-o", "lake", "--set", &format!("note={COMMANDS}")]);
}

/// All that a command writes to a terminal.
fn on_a_terminal(scratch: &Scratch, arguments: &[&str]) -> String {
    let mut command = std::process::Command::new(PROGRAM);
    command.args(arguments).current_dir(scratch.path("")).env("PAGER", "").env("TERM", "xterm");
    spawn_command(command, Some(60_000)).unwrap().exp_eof().unwrap()
}

fn obeys(shown: &str) -> bool {
    ["\u{1b}]0", "\u{1b}[2J", "c\rd", "\u{9b}", "\u{202e}"].iter().any(|command| shown.contains(command))
}

#[test]
fn a_terminal_is_shown_what_names_hold_and_never_told_to_obey_it() {
    let scratch = Scratch::new();
    lake(&scratch);
    for arguments in [
        &["list", "lake"][..],
        &["show", "lake"],
        &["query", "lake", "SELECT * FROM runs"],
        &["query", "lake", "SELECT model_id, backend FROM runs", "--format", "json"],
        &["query", "lake", "SELECT model_id, backend FROM runs", "--format", "csv"],
        &["query", "lake", "DESCRIBE runs"],
    ] {
        let shown = on_a_terminal(&scratch, arguments);
        assert!(!obeys(&shown), "{arguments:?}: {shown:?}");
    }
    let told = on_a_terminal(&scratch, &["query", "lake", "SELECT model_id FROM runs"]);
    assert!(told.contains("\\u{1b}]0;owned\\u{7}b"), "{told:?}");
}

#[test]
fn answers_in_files_hold_what_was_measured() {
    let scratch = Scratch::new();
    lake(&scratch);
    let rows = scratch.query("lake", "SELECT model_id FROM runs");
    assert_eq!(rows[0]["model_id"], COMMANDS);
}

#[test]
fn control_characters_in_a_label_are_drawn_and_reported() {
    let scratch = Scratch::new();
    lake(&scratch);
    scratch.ok(&["report", "lake", "-o", "r.html"]);
    assert!(!obeys(&scratch.read("r.html")));
    scratch.ok(&["plot", "lake", "--var-x", "max_concurrency", "--var-y", "output_throughput"]);
}

/// A sweep whose folder could be anybody's, and a victim beside the lake.
fn sweep_and_victim() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("one.json", r#"[{"max_concurrency": 2}]"#);
    scratch.serve_ok(
        &scratch.sim(""),
        &scratch.bench(""),
        &["-e", "x", "--num-runs", "1", "--bench-params", "one.json"],
    );
    scratch.write("victim/run=0.partial.json", "mine");
    scratch.write("victim/secret.json", r#"{"run_number": 0, "token": "of somebody"}"#);
    scratch
}

fn victim_is_whole(scratch: &Scratch) -> bool {
    std::fs::read_dir(scratch.path("victim")).unwrap().count() == 2
        && scratch.read("victim/run=0.partial.json") == "mine"
}

#[test]
fn a_manifest_can_not_lead_out_of_its_folder() {
    let scratch = sweep_and_victim();
    let manifest = scratch.read("results/x/sweep.json");
    for folder in ["../../victim", "/tmp", "a/../../../victim", "BENCH--max_concurrency=2/../../../victim"] {
        scratch.write("results/x/sweep.json", &manifest.replace("BENCH--max_concurrency=2", folder));
        let resume = ["-e", "x", "--num-runs", "2", "--bench-params", "one.json", "--resume"];
        let ran = scratch.serve(&scratch.sim(""), &scratch.bench(""), &resume);
        assert!(ran.code == Some(2) && ran.stderr.contains("outside its own"), "{}", ran.stderr);
        let ran = scratch.run(&["query", "results", "SELECT * FROM runs"]);
        assert!(ran.stderr.contains("outside its own"), "{}", ran.stderr);
        for arguments in [&["verify", "results"][..], &["rm", "x", "--yes"], &["compact", "results"]] {
            scratch.run(arguments);
            assert!(victim_is_whole(&scratch), "{arguments:?}");
        }
        if !scratch.exists("results/x") {
            return;
        }
    }
    assert!(victim_is_whole(&scratch));
}

#[test]
fn links_of_a_received_lake_are_not_followed() {
    let scratch = sweep_and_victim();
    let folder = scratch.path("results/x/BENCH--max_concurrency=2");
    // A file of the reader as a result, and as a table.
    std::fs::remove_file(folder.join("run=0.json")).unwrap();
    std::os::unix::fs::symlink(scratch.path("victim/secret.json"), folder.join("run=0.json")).unwrap();
    copy_folder(&folder, &scratch.path("vllm/BENCH--max_concurrency=2"));
    std::fs::remove_file(scratch.path("vllm/BENCH--max_concurrency=2/run=0.json")).unwrap();
    let link = scratch.path("vllm/BENCH--max_concurrency=2/run=0.json");
    std::os::unix::fs::symlink(scratch.path("victim/secret.json"), link).unwrap();
    std::fs::remove_file(scratch.path("vllm/BENCH--max_concurrency=2/summary.json")).unwrap();
    for lake in ["vllm", "results"] {
        let ran = scratch.run(&["query", lake, "SELECT * FROM runs", "--format", "json"]);
        assert!(!ran.stdout.contains("of somebody"), "{}", ran.stdout);
    }
    // A folder to be written to.
    std::fs::remove_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(scratch.path("victim"), &folder).unwrap();
    let resume = ["-e", "x", "--num-runs", "2", "--bench-params", "one.json", "--resume"];
    let ran = scratch.serve(&scratch.sim(""), &scratch.bench(""), &resume);
    assert!(ran.code == Some(2) && ran.stderr.contains("is a link"), "{}", ran.stderr);
    assert!(victim_is_whole(&scratch));
    // Tags and compacted tables.
    scratch.write("results/tags.json", r#"{"good": "../victim"}"#);
    let ran = scratch.run(&["compare", "good", "x"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("outside its own"), "{}", ran.stderr);
    std::fs::create_dir_all(scratch.path("results/compacted")).unwrap();
    std::os::unix::fs::symlink(scratch.path("victim"), scratch.path("results/compacted/latest")).unwrap();
    scratch.run(&["query", "results", "SELECT * FROM runs"]);
    scratch.run(&["compact", "results"]);
    assert!(victim_is_whole(&scratch));
}
