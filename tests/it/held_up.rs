//! What is held up, stopped or full: a result that can't be read, a program that was stopped, a disk without space.

use crate::scratch::{PROGRAM, Scratch, processes_of, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A benchmark that does something before and after the real one; `$result` is where its result goes.
fn benchmark(scratch: &Scratch, before: &str, after: &str) -> String {
    let real = scratch.bench("");
    let text = format!(
        "for word in \"$@\"; do last=$word; done\nfolder=.\nwhile [ $# -gt 0 ]; do\n case $1 in\n --result-dir) folder=$2;;\n \
         --result-filename) name=$2;;\n esac\n all=\"$all $1\"; shift\ndone\nresult=$folder/$name\n{before}\n{real} $all || exit\n{after}\n"
    );
    format!("sh {}", scratch.write("bench.sh", &text).display())
}

#[test]
fn a_result_on_which_a_reader_would_wait_for_ever_is_none() {
    let scratch = Scratch::new();
    let bench = benchmark(&scratch, "", "rm $result; mkfifo $result");
    let ran = scratch.serve(&scratch.sim(""), &bench, &["-e", "x", "--num-runs", "1"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("is not a regular file"), "{}", ran.stderr);
}

#[test]
fn a_byte_order_mark_before_a_result_is_no_fault() {
    let scratch = Scratch::new();
    let bench = benchmark(&scratch, "", "{ printf '\\357\\273\\277'; cat $result; } > $result.2; mv $result.2 $result");
    scratch.serve_ok(&scratch.sim(""), &bench, &["-e", "x", "--num-runs", "1"]);
}

#[test]
fn what_is_no_result_is_told_as_what_it_is() {
    for (spoil, told) in [
        ("head -c 100 $result > $result.2; mv $result.2 $result", "probably cut off while it was being written"),
        ("echo '{\"completed\": 1e999}' > $result", "number out of range"),
        ("echo '[1, 2]' > $result", "expected one JSON object"),
        ("printf '{\"a\": \"\\377\"}' > $result", "is not valid UTF-8 (byte 7)"),
        ("rm $result", "No such file"),
        ("rm $result; mkdir $result", "is not a regular file"),
    ] {
        let scratch = Scratch::new();
        let bench = benchmark(&scratch, "", spoil);
        let ran = scratch.serve(&scratch.sim(""), &bench, &["-e", "x", "--num-runs", "1"]);
        assert_eq!(ran.code, Some(1), "{spoil}");
        assert!(ran.stderr.contains(told), "{spoil}: {}", ran.stderr);
    }
}

#[test]
fn a_pipe_among_results_is_named_and_not_waited_for() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path("in")).unwrap();
    nix::unistd::mkfifo(&scratch.path("in/run=0.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in ["in", "in/run=0.json"] {
        let ran = scratch.run(&["import", path, "-o", "lake"]);
        assert!(ran.stderr.contains("is not a regular file"), "{}", ran.stderr);
        assert_ne!(ran.code, Some(0));
        assert!(!scratch.exists("lake"), "an import of nothing left a lake");
    }
}

#[test]
fn a_benchmark_that_was_stopped_is_no_slow_one() {
    let scratch = Scratch::new();
    let bench = benchmark(&scratch, "kill -STOP $$ & sleep 0.3", "");
    let arguments = ["serve", "--serve-cmd", &scratch.sim(""), "--bench-cmd", &bench, "-e", "x", "--num-runs", "1"];
    let mut child = scratch.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the benchmark is stopped", || {
        for pid in processes_of(&bench) {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if state.contains(") T ") {
                return kill(Pid::from_raw(pid), Signal::SIGCONT).is_ok();
            }
        }
        false
    });
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let rows = scratch.query("results", "SELECT status, error_kind, error FROM runs");
    assert_eq!((&rows[0]["status"], &rows[0]["error_kind"]), (&json!("failed"), &json!("stopped")));
    assert!(rows[0]["error"].as_str().unwrap().contains("the benchmark was suspended (SIGSTOP)"), "{rows:?}");
}

#[test]
fn a_benchmark_that_ended_well_while_sweeplake_was_stopped_counts() {
    let scratch = Scratch::new();
    let bench = benchmark(&scratch, "", "sleep 1.5; touch ended");
    let arguments = [
        "serve",
        "--serve-cmd",
        &scratch.sim(""),
        "--bench-cmd",
        &bench,
        "-e",
        "x",
        "--num-runs",
        "1",
        "--bench-timeout",
        "3",
    ];
    let mut child = scratch.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = Pid::from_raw(child.id() as i32);
    wait_until("the benchmark runs", || !processes_of(&bench).is_empty());
    kill(pid, Signal::SIGSTOP).unwrap();
    wait_until("the benchmark ended", || scratch.exists("ended"));
    // Longer than it may take.
    std::thread::sleep(Duration::from_secs(4));
    kill(pid, Signal::SIGCONT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let rows = scratch.query("results", "SELECT status, array_to_string(caution, '; ') AS caution FROM runs");
    assert_eq!(rows[0]["status"], "completed");
    assert!(
        rows[0]["caution"].as_str().unwrap().contains("sweeplake itself was suspended or starved of CPU for"),
        "{rows:?}"
    );
}

/// A shell in a name space of its own, in which `lake` is a file system of 400 KiB.
fn on_a_small_disk(scratch: &Scratch, script: &str) -> std::process::Output {
    let script = format!("set -e; mkdir -p lake; mount -t tmpfs -o size=400k none lake; {script}");
    let mut command = Command::new("unshare");
    command.args(["-r", "-m", "sh", "-c", &script]).current_dir(scratch.path("")).stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
fn a_run_that_ended_on_a_full_disk_is_not_measured_again() {
    let scratch = Scratch::new();
    // It fills the disk behind the second run.
    let bench = benchmark(
        &scratch,
        "echo run >> runs.txt",
        "[ $(wc -l < runs.txt) != 2 ] || cat /dev/zero > lake/filler || true",
    );
    let serve =
        format!("{PROGRAM} serve --serve-cmd '{}' --bench-cmd '{bench}' -o lake -e x --num-runs 3", scratch.sim(""));
    let script = format!(
        "{serve} 2> first.txt && exit 9; ls lake/x > listed.txt; rm lake/filler; {serve} --resume 2> second.txt; \
         {PROGRAM} query lake 'SELECT status, count(*) AS n FROM runs GROUP BY 1' > counted.txt"
    );
    let output = on_a_small_disk(&scratch, &script);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{}{}", scratch.read("first.txt"), scratch.read("second.txt"));
    let first = scratch.read("first.txt");
    assert!(first.contains("No space left") && first.contains("--resume -e x"), "{first}");
    assert!(first.contains("finished runs are kept"), "{first}");
    assert!(scratch.read("second.txt").contains("1 run(s) to do, 2 already done"), "{}", scratch.read("second.txt"));
    assert_eq!(scratch.read("runs.txt").lines().count(), 3);
    assert_eq!(scratch.read("counted.txt"), "status,n\ncompleted,3\n");
}

#[test]
fn a_folder_with_nothing_but_a_lock_does_not_block_its_name() {
    let scratch = Scratch::new();
    scratch.write("results/x/.lock", "");
    scratch.serve_ok(&scratch.sim(""), &scratch.bench(""), &["-e", "x", "--num-runs", "1"]);
    scratch.write("results/y/.lock", "");
    scratch.write("results/y/notes.txt", "mine");
    let ran = scratch.serve(&scratch.sim(""), &scratch.bench(""), &["-e", "y", "--num-runs", "1"]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(scratch.read("results/y/notes.txt"), "mine");
}

#[test]
fn a_slip_of_the_finger_is_refused_at_once() {
    let scratch = Scratch::new();
    let started = Instant::now();
    let ran = scratch.serve(&scratch.sim(""), &scratch.bench(""), &["--num-runs", "4000000000", "--dry-run=commands"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("--num-runs") && ran.stderr.contains("10000"), "{}", ran.stderr);
    let dry = scratch.serve_ok(&scratch.sim(""), &scratch.bench(""), &["--num-runs", "10000", "--dry-run=commands"]);
    assert!(dry.stdout.contains("# 1 server(s), 10000 run(s)"));
    assert!(started.elapsed() < Duration::from_secs(60), "a dry run takes time that grows with the square of its runs");
}

#[test]
fn a_server_that_logs_a_hundred_megabytes_is_measured_as_any_other() {
    let scratch = Scratch::new();
    let server = format!("yes 'INFO loading weights, shard 1 of 100' | head -c 100000000\nexec {}\n", scratch.sim(""));
    let sim = format!("sh {} --port {}", scratch.write("server.sh", &server).display(), scratch.port);
    scratch.serve_ok(&sim, &scratch.bench(""), &["-e", "x", "--num-runs", "1", "--after-bench-cmd", "true"]);
    let log = std::fs::metadata(scratch.path("results/x/server.log")).unwrap();
    assert!(log.len() >= 100_000_000, "{}", log.len());
}
