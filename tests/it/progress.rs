//! What a person sees while a sweep runs: on a terminal one line a combination, which fits; elsewhere one line a run.

use crate::scratch::{Ran, Scratch, wait_until};
use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Command, Stdio};

const SERVE: &str = r#"[{"max_num_seqs": 2}, {"max_num_seqs": 64}]"#;
const BENCH: &str = r#"[{"max_concurrency": 1}, {"max_concurrency": 4}]"#;

fn sweep(scratch: &Scratch, more: &[&str]) -> Vec<String> {
    scratch.write("serve.json", SERVE);
    scratch.write("bench.json", BENCH);
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    let own = ["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "--serve-params", "serve.json"];
    let rest = ["--bench-params", "bench.json", "--num-runs", "2", "-e", "x"];
    own.iter().chain(&rest).chain(more).map(|word| (*word).to_owned()).collect()
}

/// Runs a command on a terminal that is so wide, and says what stands on it at the end.
fn on_terminal(command: Command, columns: u16) -> Vec<String> {
    let (screen, is_success) = interrupted_on_terminal(command, columns, None);
    assert!(is_success, "{}", screen.join("\n"));
    screen
}

/// Likewise; Ctrl-C is typed once a text is on the terminal.
fn interrupted_on_terminal(mut command: Command, columns: u16, at: Option<&str>) -> (Vec<String>, bool) {
    let size = Winsize { ws_row: 200, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pair = openpty(&size, None).unwrap();
    let side = || Stdio::from(pair.slave.try_clone().unwrap());
    let mut child = command.stdin(side()).stdout(side()).stderr(side()).env("TERM", "xterm").spawn().unwrap();
    drop((command, pair.slave));
    let mut terminal = vt100::Parser::new(NonZero::new(200).unwrap(), NonZero::new(columns).unwrap(), 0);
    let (mut master, mut bytes) = (File::from(pair.master), [0; 4096]);
    // The end of a terminal is told as an error.
    let mut at = at;
    while let Ok(count) = master.read(&mut bytes) {
        terminal.process(&bytes[..count]);
        if at.is_some_and(|at| terminal.screen().contents().contains(at)) {
            master.write_all(b"\x03").unwrap();
            at = None;
        }
    }
    let screen = terminal.screen().rows(0, columns).map(|row| row.trim_end().to_owned());
    (screen.collect(), child.wait().unwrap().success())
}

#[test]
fn a_terminal_shows_one_line_a_combination_that_fits() {
    for columns in [80, 120, 200] {
        let scratch = Scratch::new();
        let words = sweep(&scratch, &[]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let screen = on_terminal(scratch.command(&words), columns);
        let text = screen.join("\n");
        let lines: Vec<&String> = screen.iter().filter(|line| line.starts_with('✓')).collect();
        assert_eq!(lines.len(), 4, "{text}");
        for (line, combination) in lines.iter().zip([["2", "1"], ["2", "4"], ["64", "1"], ["64", "4"]]) {
            let cells: Vec<&str> = line.split_whitespace().collect();
            assert_eq!((&cells[1..3], cells[3], cells[5]), (&combination[..], "2/2", "±"), "{text}");
        }
        // Whatever is shown on the way is taken back.
        assert!(!text.contains("left") && !text.contains("run 0"), "{text}");
        let heading = screen.iter().find(|line| line.contains("output, tok/s")).unwrap();
        assert!(columns == 80 || heading.contains("max_num_seqs"), "{heading}");
        // The answer comes first, then the table, then what to do next.
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} is not in {text}"));
        assert!(place("max_num_seqs=64") < place("4 rows") && place("4 rows") < place("next:"), "{text}");
    }
}

#[test]
fn an_interrupt_leaves_each_line_once() {
    let scratch = Scratch::new();
    let words = sweep(&scratch, &["--num-runs", "9"]);
    // The terminal has to be the one that controls the program.
    let mut command = Command::new("setsid");
    let program = scratch.command(&[]);
    command.args(["--ctty", "--wait"]).arg(program.get_program()).args(&words).current_dir(scratch.path(""));
    let (screen, is_success) = interrupted_on_terminal(command, 100, Some("2/9"));
    let text = screen.join("\n");
    assert!(!is_success && text.contains("stopping; interrupt again") && text.contains("--resume"), "{text}");
    assert_eq!(text.matches("/36 runs").count() + text.matches("left ·").count(), 0, "{text}");
    let rows = screen.iter().filter(|line| line.starts_with(['✓', '…', '·']) || line.contains("/9 "));
    let mut rows: Vec<&String> = rows.collect();
    let all = rows.len();
    rows.dedup();
    assert_eq!(rows.len(), all, "{text}");
}

#[test]
fn a_failure_is_never_out_of_sight() {
    let scratch = Scratch::new();
    let words = sweep(&scratch, &["--continue-on-error", "--retries", "0"]);
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words[4] = "sh -c 'echo no GPU for you; exit 3'";
    let mut command = scratch.command(&words);
    let ran = Ran::of(command.output().unwrap());
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stderr.matches("FAILED (").count(), 8, "{}", ran.stderr);
    assert!(ran.stderr.contains("| no GPU for you"), "{}", ran.stderr);
    let shown = scratch.ok(&["watch", "results/x", "--once"]).stdout;
    assert!(shown.contains("8/8 runs · 8 failed") && shown.contains("2 failed") && shown.contains("✗"), "{shown}");
}

#[test]
fn a_pipe_gets_one_line_a_run_with_the_time() {
    let scratch = Scratch::new();
    let words = sweep(&scratch, &[]);
    let ran = scratch.ok(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let is_run = |line: &&str| line.contains("/8, about ") && line.contains(" tok/s");
    let runs: Vec<&str> = ran.stderr.lines().filter(is_run).collect();
    assert_eq!(runs.len(), 8, "{}", ran.stderr);
    for run in runs {
        let (time, rest) = run.split_once(' ').unwrap();
        assert!(chrono::NaiveTime::parse_from_str(time, "%H:%M:%S").is_ok() && rest.starts_with('['), "{run}");
        // What all runs share is not told in each.
        assert!(run.contains("max_num_seqs=") && run.contains("max_concurrency=") && !run.contains("serve "), "{run}");
    }
    assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
}

#[test]
fn the_commands_that_are_told_next_work_when_they_are_pasted() {
    let scratch = Scratch::new();
    let words = sweep(&scratch, &[]);
    let ran = scratch.ok(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let (_, next) = ran.stderr.split_once("next:").unwrap();
    let commands: Vec<&str> = next.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert!(commands.len() >= 2, "{next}");
    for command in commands {
        // Nobody has a browser here.
        let typed = command.replace(" --open", "");
        let pasted = Command::new("sh").args(["-c", &typed]).current_dir(scratch.path("")).output().unwrap();
        assert!(pasted.status.success(), "{typed}: {}", String::from_utf8_lossy(&pasted.stderr));
    }
}

#[test]
fn watching_tells_each_run_once_and_ends_with_the_sweep() {
    let scratch = Scratch::new();
    let words = sweep(&scratch, &["--num-runs", "3"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut watch = scratch.command(&["watch", "results", "--interval", "0.1"]);
    let mut watch =
        crate::scratch::Running(watch.stdout(File::create(scratch.path("watched")).unwrap()).spawn().unwrap());
    wait_until("it waits", || scratch.read("watched").contains("waiting for a sweep"));
    scratch.ok(&words);
    wait_until("the end is told", || scratch.read("watched").contains("completed at"));
    let told = scratch.read("watched");
    assert!(told.starts_with("results does not exist yet; waiting for a sweep to start\n"), "{told}");
    for run in 0..3 {
        assert_eq!(told.matches(&format!("max_num_seqs=64 max_concurrency=4, run {run}: ")).count(), 1, "{told}");
    }
    assert!(told.contains("[12/12 runs"), "{told}");
    // It goes on with the next sweep of the lake.
    assert!(watch.0.try_wait().unwrap().is_none());
    let again: Vec<&str> = words.iter().map(|word| if *word == "x" { "y" } else { word }).collect();
    scratch.ok(&again);
    wait_until("the next is told", || scratch.read("watched").matches("completed at").count() == 2);
}

#[test]
fn what_was_killed_is_no_longer_said_to_run() {
    let scratch = Scratch::new();
    let words = sweep(&scratch, &["--num-runs", "200"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut command = scratch.command(&words);
    let mut running = crate::scratch::Running(command.stderr(Stdio::null()).spawn().unwrap());
    let once = || scratch.run(&["watch", "results/x", "--once"]).stdout;
    wait_until("a run is there", || once().contains("/800 runs"));
    assert!(once().contains("running; started") && once().contains("── "), "{}", once());
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    wait_until("it is known to be dead", || once().contains("was killed") && once().contains("--resume -e x"));
}
