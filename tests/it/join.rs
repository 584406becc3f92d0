//! Several machines at one sweep, each a process of its own: they share a folder and nothing else.

use crate::scratch::{Scratch, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Child, Stdio};

/// The flags of a sweep of six servers under two loads; each finds a port of its own.
fn flags(scratch: &Scratch, speed: &str, lease: &str) -> Vec<String> {
    let own = format!("--port {}", scratch.port);
    let sim = scratch.sim("").replace(&own, "--port {port}").replace("--speed 20", speed);
    let bench = scratch.bench("").replace(&own, "--port {port}");
    let words = ["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "--serve-grid", "max_num_seqs=1,2,4,8,16,32"];
    let more = ["--bench-grid", "max_concurrency=1,4", "--num-runs", "2", "-e", "x", "--lease", lease];
    words.iter().chain(&more).map(ToString::to_string).collect()
}

/// A machine that works at it.
fn machine(scratch: &Scratch, number: usize, flags: &[String], more: &[&str]) -> Child {
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let log = std::fs::File::create(scratch.path(&format!("machine{number}.log"))).unwrap();
    scratch.command(&flags).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// Each of 24 runs is there once, and the sweep has ended.
fn is_whole(scratch: &Scratch) {
    let sql = "SELECT combination, run_number, status FROM runs WHERE status <> 'retried' ORDER BY 1, 2";
    let runs = scratch.query("results", sql);
    let distinct: BTreeSet<String> = runs.iter().map(Value::to_string).collect();
    assert_eq!((runs.len(), distinct.len()), (24, 24), "{runs:?}");
    assert!(runs.iter().all(|run| run["status"] == "completed"), "{runs:?}");
    let sweeps = scratch.query("results", "SELECT state, runs, failed FROM sweeps");
    assert_eq!(sweeps, [serde_json::json!({"state": "completed", "runs": 24, "failed": 0})]);
    scratch.ok(&["verify", "results/x"]);
}

#[test]
fn machines_that_join_make_each_run_once() {
    let scratch = Scratch::new();
    let flags = flags(&scratch, "--speed 20", "2");
    let machines: Vec<Child> = (0..3).map(|number| machine(&scratch, number, &flags, &["--join"])).collect();
    for (number, mut machine) in machines.into_iter().enumerate() {
        assert!(machine.wait().unwrap().success(), "{}", scratch.read(&format!("machine{number}.log")));
    }
    is_whole(&scratch);
    // Each start of a server has a number of its own.
    let starts = "SELECT count(DISTINCT server_start) AS starts, count(DISTINCT run_id) AS ids FROM runs";
    assert_eq!(scratch.query("results", starts), [serde_json::json!({"starts": 6, "ids": 24})]);
    // Who comes late has nothing to do, and who adds a server makes only that.
    assert!(machine(&scratch, 3, &flags, &["--join"]).wait().unwrap().success());
    is_whole(&scratch);
    let more: Vec<String> = flags.iter().map(|word| word.replace("8,16,32", "8,16,32,64")).collect();
    assert!(machine(&scratch, 4, &more, &["--join"]).wait().unwrap().success(), "{}", scratch.read("machine4.log"));
    let runs = scratch.query("results", "SELECT count(*) AS runs FROM runs");
    assert_eq!(runs[0]["runs"], 28);
}

#[test]
fn what_a_machine_had_that_died_is_taken_over() {
    let scratch = Scratch::new();
    let flags = flags(&scratch, "--speed 0.5", "2");
    let mut dies = machine(&scratch, 0, &flags, &["--join"]);
    wait_until("it has made a run", || {
        scratch.exists("results/x") && scratch.files().iter().any(|file| file.ends_with("run=0.parquet"))
    });
    let mut lives = machine(&scratch, 1, &flags, &["--join"]);
    wait_until("the other has begun", || scratch.read("machine1.log").contains("starting server"));
    dies.kill().unwrap();
    dies.wait().unwrap();
    assert!(lives.wait().unwrap().success(), "{}", scratch.read("machine1.log"));
    is_whole(&scratch);
}

#[test]
fn shards_and_machines_that_leave_make_a_whole() {
    let scratch = Scratch::new();
    let flags = flags(&scratch, "--speed 20", "2");
    for (number, shard) in ["1/2", "2/2"].into_iter().enumerate() {
        let ended = machine(&scratch, number, &flags, &["--join=leave", "--shard", shard]).wait().unwrap();
        assert!(ended.success(), "{}", scratch.read(&format!("machine{number}.log")));
        let runs = scratch.query("results", "SELECT count(*) AS runs FROM runs");
        assert_eq!(runs[0]["runs"], 12 * (number + 1));
    }
    is_whole(&scratch);
    // One that comes while another has all that is left goes.
    let scratch = Scratch::new();
    let flags: Vec<String> =
        self::flags(&scratch, "--speed 0.2", "2").iter().map(|word| word.replace("1,2,4,8,16,32", "4")).collect();
    let mut works = machine(&scratch, 0, &flags, &["--join"]);
    wait_until("it works", || scratch.read("machine0.log").contains("starting server"));
    assert!(machine(&scratch, 1, &flags, &["--join=leave"]).wait().unwrap().success());
    let told = scratch.read("machine1.log");
    assert!(told.contains("0 run(s) were made here; other machines are making what is left"), "{told}");
    assert!(works.wait().unwrap().success());
}

#[test]
fn a_sweep_that_can_not_be_shared_is_refused() {
    let scratch = Scratch::new();
    let alone = flags(&scratch, "--speed 20", "2");
    assert!(machine(&scratch, 0, &alone, &[]).wait().unwrap().success());
    let cases: [(&[&str], &str); 6] = [
        (&["--join", "--exclusive", "--bench-only", "--base-url", "http://h:1"], "cannot be used with"),
        (&["--join"], "was not begun as a sweep that several machines may join"),
        (&["--join", "--race"], "not with --race"),
        (&["--shard", "3/2"], "I from 1 to N"),
        (&["--shard", "7/7"], "there are 6 servers, and none for this shard"),
        (&["--mix-hosts"], "--join"),
    ];
    for (more, expected) in cases {
        assert_eq!(machine(&scratch, 1, &alone, more).wait().unwrap().code(), Some(2), "{more:?}");
        let told = scratch.read("machine1.log");
        assert!(told.contains(expected), "{more:?}: {told}");
    }
    // One that is shared is not resumed as if it were not.
    let shared: Vec<String> =
        alone.iter().map(|word| if word == "x" { "shared".into() } else { word.clone() }).collect();
    assert!(machine(&scratch, 0, &shared, &["--join"]).wait().unwrap().success());
    assert_eq!(machine(&scratch, 1, &shared, &["--resume"]).wait().unwrap().code(), Some(2));
    assert!(scratch.read("machine1.log").contains("go on with --join instead"));
    let nameless: Vec<String> = alone.iter().filter(|word| *word != "-e" && *word != "x").cloned().collect();
    assert_eq!(machine(&scratch, 1, &nameless, &["--join"]).wait().unwrap().code(), Some(2));
    assert!(scratch.read("machine1.log").contains("name it with -e"));
}

#[test]
fn what_is_given_back_is_taken_at_once() {
    let scratch = Scratch::new();
    let flags = flags(&scratch, "--speed 1", "600");
    let mut first = machine(&scratch, 0, &flags, &["--join"]);
    wait_until("it has begun", || scratch.read("machine0.log").contains("starting server"));
    kill(Pid::from_raw(first.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(130), "{}", scratch.read("machine0.log"));
    let mut second = machine(&scratch, 1, &flags, &["--join=leave"]);
    assert!(second.wait().unwrap().success(), "{}", scratch.read("machine1.log"));
    is_whole(&scratch);
}

#[test]
fn nobody_ends_what_another_works_at() {
    let scratch = Scratch::new();
    // Commands are conditions; how slow a machine is comes by a variable.
    scratch.script("server.sh", "#!/bin/sh\nexec \"$@\" --speed $SPEED\n");
    let mut flags = flags(&scratch, "", "2");
    flags[2] = format!("./server.sh {}", flags[2]);
    let start = |number: usize, speed: &str, shard: &str| {
        let words: Vec<&str> = flags.iter().map(String::as_str).chain(["--join=leave", "--shard", shard]).collect();
        let log = std::fs::File::create(scratch.path(&format!("machine{number}.log"))).unwrap();
        scratch.command(&words).env("SPEED", speed).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    };
    let mut slow = start(0, "0.3", "1/2");
    wait_until("it has begun", || scratch.read("machine0.log").contains("starting server"));
    assert!(start(1, "20", "2/2").wait().unwrap().success(), "{}", scratch.read("machine1.log"));
    assert!(scratch.read("machine1.log").contains("other machines are making what is left"));
    assert_eq!(scratch.query("results", "SELECT state FROM sweeps")[0]["state"], "running");
    assert!(slow.wait().unwrap().success(), "{}", scratch.read("machine0.log"));
    is_whole(&scratch);
}
