//! The shell of `sweeplake query`: scripts on stdin, and a person at a terminal.

use crate::scratch::{PROGRAM, Ran, Scratch, data};
use rexpect::session::{PtySession, spawn_command};
use std::io::Write;
use std::process::Stdio;

fn follow(scratch: &Scratch, script: &str) -> Ran {
    let lake = data("format-1/finished");
    let mut command = scratch.command(&["query", lake.to_str().unwrap()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    Ran::of(child.wait_with_output().unwrap())
}

#[test]
fn a_script_is_followed_statement_by_statement() {
    let scratch = Scratch::new();
    let ran = follow(
        &scratch,
        "SELECT count(*) AS runs -- all; of them\nFROM runs;\n\\o out.json\nSELECT max_num_seqs, count(*) AS n\nFROM runs GROUP BY 1 ORDER BY 1;\n\\o\n\\timing\nSELECT ';' AS mark",
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stdout, "runs\n12\nmark\n;\n");
    assert_eq!(scratch.read("out.json"), "[{\"max_num_seqs\":8,\"n\":6},{\"max_num_seqs\":64,\"n\":6}]\n");
    assert!(ran.stderr.contains("timing: on") && ran.stderr.contains("time: "), "{}", ran.stderr);
    let described = follow(&scratch, "\\d\n\\d sla\n");
    assert!(
        described.stdout.contains("combinations,") && described.stdout.contains("binding,Utf8"),
        "{}",
        described.stdout
    );
}

#[test]
fn a_script_ends_at_its_first_error() {
    let scratch = Scratch::new();
    let ran = follow(&scratch, "SELECT 1 AS one;\nSELECT nothing FROM runs;\nSELECT 2 AS two;");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), "one\n1\n"));
    assert!(ran.stderr.contains("no column `nothing`"), "{}", ran.stderr);
    let ran = follow(&scratch, "\\nonsense\n");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("unknown command \\nonsense; \\? lists all commands"), "{}", ran.stderr);
    let ran = follow(&scratch, "DELETE FROM runs;");
    assert!(ran.stderr.contains("lakes are read-only: DELETE is not supported"), "{}", ran.stderr);
}

fn terminal(scratch: &Scratch) -> PtySession {
    let mut command = std::process::Command::new(PROGRAM);
    command.arg("query").arg(data("format-1/finished")).current_dir(scratch.path("")).env("PAGER", "");
    command.env("XDG_STATE_HOME", scratch.path("state")).env("TERM", "xterm");
    let mut session = spawn_command(command, Some(20_000)).unwrap();
    session.exp_string("1 sweeps.").unwrap();
    session.exp_string("lake> ").unwrap();
    session
}

#[test]
fn a_person_types_over_lines_completes_stops_and_comes_back() {
    let scratch = Scratch::new();
    let mut session = terminal(&scratch);
    // A statement goes on until its semicolon.
    session.send_line("SELECT count(*) AS all_runs").unwrap();
    session.send_line("FROM runs;").unwrap();
    session.exp_string("12").unwrap();
    session.exp_string("1 row").unwrap();
    // Tab completes a column's name.
    session.send("SELECT max(max_concurrent_req\t) AS peak FROM runs;\n").unwrap();
    session.exp_string("max_concurrent_requests").unwrap();
    session.exp_string("1 row").unwrap();
    // Ctrl-C stops a query that would take for ever, and the shell goes on.
    session
        .send_line("SELECT sum(a.e2el_ms * b.e2el_ms * c.e2el_ms) FROM requests a, requests b, requests c, requests d;")
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    session.send_control('c').unwrap();
    session.exp_string("stopped").unwrap();
    session.send_line("SELECT 40 + 2 AS answer;").unwrap();
    session.exp_string("42").unwrap();
    session.send_line("\\x").unwrap();
    session.exp_string("rows as columns: on").unwrap();
    session.send_line("SELECT 1 AS first, 2 AS second;").unwrap();
    session.exp_string("row 1").unwrap();
    session.send_line("SELECT wrong FROM runs;").unwrap();
    session.exp_string("error: no column `wrong`").unwrap();
    session.send_line("\\q").unwrap();
    session.exp_eof().unwrap();
    // The next session remembers.
    let mut session = terminal(&scratch);
    session.send("\u{1b}[A\u{1b}[A\n").unwrap();
    session.exp_string("error: no column `wrong`").unwrap();
    session.send_control('d').unwrap();
    session.exp_eof().unwrap();
}
