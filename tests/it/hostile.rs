//! What comes from somebody else is shown and never obeyed: names and values with control characters in them.

use crate::scratch::{PROGRAM, Scratch};
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
