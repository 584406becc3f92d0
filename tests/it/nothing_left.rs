//! However a sweep ends, nothing that it started is left: not what stayed, not what left its process group, session or parent.

use crate::scratch::{PROGRAM, Scratch, is_served, processes_with, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Ways to get away from whoever started one, as shell words in front of a command that is to run for long.
const ESCAPES: [&str; 5] = [
    // A session of its own.
    "setsid -f",
    // A daemon: two forks, a session, no parent.
    "setsid -f setsid -f",
    // A group of its own in a shell with job control.
    "set -m; nohup",
    // As SSH and container runtimes do: nothing of the environment.
    "setsid -f env -i",
    // Deaf to SIGTERM.
    "trap '' TERM; setsid -f",
];

/// Seconds that no other test sleeps: by them a process is found.
fn unique_seconds() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("31{}.{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn sleepers(seconds: &str) -> Vec<i32> {
    processes_with(&format!("sleep {seconds}"))
}

/// The command of a server that does something before it starts.
fn wrapped(scratch: &Scratch, before: &str) -> String {
    let script = scratch.write("server.sh", &format!("#!/bin/sh\n{before}\nexec {PROGRAM} sim m \"$@\"\n"));
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{} --port {} --speed 20", script.display(), scratch.port)
}

/// A server that starts something that gets away, and the benchmark of a sweep that takes long.
fn start(scratch: &Scratch, escape: &str, seconds: &str, bench: &str) -> Child {
    let sim = wrapped(scratch, &format!("{escape} sleep {seconds} >/dev/null 2>&1 &"));
    let bench = scratch.bench(bench);
    let arguments = [
        "serve",
        "--serve-cmd",
        &sim,
        "--bench-cmd",
        &bench,
        "--after-bench-cmd",
        "true",
        "-e",
        "x",
        "--num-runs",
        "1",
    ];
    scratch.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn all_gone(scratch: &Scratch, seconds: &str) -> bool {
    sleepers(seconds).is_empty() && !is_served(scratch.port)
}

#[test]
fn a_sweep_that_ends_in_order_leaves_nobody() {
    for escape in ESCAPES {
        let (scratch, seconds) = (Scratch::new(), unique_seconds());
        let mut child = start(&scratch, escape, &seconds, "");
        assert!(child.wait().unwrap().success(), "{escape}");
        assert!(all_gone(&scratch, &seconds), "{escape}");
    }
}

#[test]
fn a_sweep_that_is_killed_leaves_nobody() {
    for escape in ESCAPES {
        let (scratch, seconds) = (Scratch::new(), unique_seconds());
        let mut child = start(&scratch, escape, &seconds, "--request-rate 0.2");
        wait_until("the server is up and its daemon, too", || {
            is_served(scratch.port) && !sleepers(&seconds).is_empty()
        });
        // The keeper looks now and then who is whose child.
        std::thread::sleep(std::time::Duration::from_millis(1500));
        kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        wait_until(escape, || all_gone(&scratch, &seconds));
    }
}

#[test]
fn who_ignores_a_hangup_goes_on() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    let words = ["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "-e", "x", "--num-runs", "6"];
    // As `nohup` does.
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh", PROGRAM]).args(words).current_dir(scratch.path(""));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("a run was made", || scratch.exists("results/x/run=0.json"));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGHUP).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(scratch.query("results", "SELECT * FROM runs").len(), 6);
}

#[test]
fn what_kills_sweeplake_by_name_does_not_kill_its_keeper() {
    let (scratch, seconds) = (Scratch::new(), unique_seconds());
    let mut child = start(&scratch, "setsid -f", &seconds, "--request-rate 0.2");
    wait_until("the daemon is up", || is_served(scratch.port) && !sleepers(&seconds).is_empty());
    let children = std::fs::read_dir(format!("/proc/{}/task", child.id()))
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    let children: Vec<i32> =
        children.flat_map(|text| text.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect();
    let keepers = children.into_iter().filter(|pid| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        !line.contains("sweeplake") && !name.contains("sweeplake") && name.trim() == "slkeeper"
    });
    assert_eq!(keepers.count(), 1);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    wait_until("all are gone", || all_gone(&scratch, &seconds));
}

#[test]
fn the_next_start_ends_what_a_sweep_left_that_was_killed_with_its_keeper() {
    for escape in ["", "setsid -f"] {
        let (scratch, seconds) = (Scratch::new(), unique_seconds());
        let mut child = start(&scratch, escape, &seconds, "--request-rate 0.2");
        wait_until("the server is up", || is_served(scratch.port) && !sleepers(&seconds).is_empty());
        let keepers = processes_with("slkeeper keeper").into_iter().filter(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.contains(&format!("PPid:\t{}\n", child.id()))
        });
        for pid in keepers.chain([child.id() as i32]).collect::<Vec<_>>() {
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        }
        child.wait().unwrap();
        // Any sweep that starts does it: those of the tests beside this one, too.
        scratch.serve_ok(&scratch.sim(""), &scratch.bench(""), &["-e", "y", "--num-runs", "1"]);
        assert!(all_gone(&scratch, &seconds), "{escape}");
    }
}

#[test]
fn a_benchmark_that_ends_does_not_take_the_servers_helpers_with_it() {
    let (scratch, seconds) = (Scratch::new(), unique_seconds());
    let sim = wrapped(&scratch, &format!("setsid -f env -i sleep {seconds} >/dev/null 2>&1 &"));
    // After each benchmark the helper must still be there.
    let check = format!("sh -c 'pgrep -f \"^sleep {seconds}\" >> {}'", scratch.path("seen").display());
    let bench = scratch.bench("");
    scratch.serve_ok(&sim, &bench, &["--after-bench-cmd", &check, "-e", "x", "--num-runs", "3"]);
    let seen = scratch.read("seen");
    let helper = seen.lines().filter(|pid| seen.lines().filter(|other| other == pid).count() == 3).count();
    assert_eq!(helper, 3, "{seen}");
    assert!(all_gone(&scratch, &seconds));
}
