//! What the machine does to a sweep: folders that can't be written, few files that may be open, a clock that is set back.

use crate::scratch::{PROGRAM, Ran, Scratch};
use serde_json::json;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;

/// Where nobody may make a folder, not even root.
const READ_ONLY: &str = "/sys/lake";

#[test]
fn a_folder_that_can_not_be_written_is_said_before_anything_starts() {
    let scratch = Scratch::new();
    let sim = format!("sh -c 'touch started; exec {}'", scratch.sim(""));
    let bench = scratch.bench("");
    for arguments in [
        &["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "--after-bench-cmd", "true", "-o", READ_ONLY][..],
        &["import", ".", "-o", READ_ONLY],
    ] {
        scratch.write("run=0.json", &json!({"completed": 1, "request_throughput": 1.0}).to_string());
        let ran = scratch.run(arguments);
        assert!(matches!(ran.code, Some(1 | 2)), "{:?} {}", ran.code, ran.stderr);
        let errors: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(READ_ONLY), "{}", ran.stderr);
    }
    assert!(!scratch.exists("started"));
}

/// Runs sweeplake with at most so many open files.
fn with_files(scratch: &Scratch, limit: u32, arguments: &[&str]) -> Ran {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {limit}; exec \"$@\""), "sh", PROGRAM]);
    Ran::of(command.args(arguments).current_dir(scratch.path("")).output().unwrap())
}

#[test]
fn where_few_files_may_be_open_a_sweep_says_so_or_is_whole() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    for limit in [8, 16, 63, 64, 256] {
        let name = format!("n{limit}");
        let arguments = ["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "--num-runs", "2", "-e", &name];
        let ran = with_files(&scratch, limit, &arguments);
        if limit < 64 {
            assert_eq!(ran.code, Some(1), "{limit}: {}", ran.stderr);
            assert!(ran.stderr.contains(&format!("only {limit} open files are allowed")), "{limit}: {}", ran.stderr);
            assert!(!scratch.exists(&format!("results/{name}")));
        } else {
            assert_eq!(ran.code, Some(0), "{limit}: {}", ran.stderr);
        }
    }
    assert_eq!(scratch.query("results", "SELECT * FROM runs").len(), 4);
    // Connections that wait for each other would wait for ever.
    let many = format!("{} --num-prompts 200", scratch.bench(""));
    let ran = with_files(&scratch, 100, &["serve", "--serve-cmd", &sim, "--bench-cmd", &many, "-e", "many"]);
    assert!(
        ran.code == Some(1) && ran.stderr.contains("200 requests in flight need one connection each"),
        "{}",
        ran.stderr
    );
    // What only reads tells what is missing, too.
    for limit in [5, 8, 12, 16, 24] {
        let ran =
            with_files(&scratch, limit, &["query", "results", "SELECT count(*) AS n FROM runs", "--format", "csv"]);
        let is_whole = ran.code == Some(0) && ran.stdout.trim() == "n\n4";
        let is_told = ran.code == Some(1) && ran.stderr.to_lowercase().contains("open files");
        assert!(is_whole || is_told, "{limit}: {:?} {} {}", ran.code, ran.stdout, ran.stderr);
    }
}

/// A library that lets the time of day run backwards for programs that are started with it.
fn clock_set_back(scratch: &Scratch) -> PathBuf {
    let source = scratch.write(
        "back.c",
        "#define _GNU_SOURCE\n#include <time.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n\
         int clock_gettime(clockid_t clock, struct timespec *now) {\n\
         \tstruct timespec passed;\n\
         \tif (clock != CLOCK_REALTIME) return syscall(SYS_clock_gettime, clock, now);\n\
         \tsyscall(SYS_clock_gettime, CLOCK_MONOTONIC, &passed);\n\
         \tnow->tv_sec = 2000000000 - 60 * passed.tv_sec - (passed.tv_nsec > 500000000 ? 30 : 0);\n\
         \tnow->tv_nsec = 999999999 - passed.tv_nsec;\n\
         \treturn 0;\n}\n",
    );
    let library = scratch.path("back.so");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().unwrap();
    assert!(built.success());
    library
}

#[test]
fn a_clock_that_goes_back_changes_no_duration_and_no_order() {
    let scratch = Scratch::new();
    let library = clock_set_back(&scratch);
    let run = |arguments: &[&str]| Ran::of(scratch.command(arguments).env("LD_PRELOAD", &library).output().unwrap());
    scratch.write("load.json", &json!([{"max_concurrency": 1}, {"max_concurrency": 2}]).to_string());
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    let arguments =
        ["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "--bench-params", "load.json", "-e", "x", "--num-runs"];
    for (num_runs, more) in [("2", None), ("3", Some("--resume"))] {
        let ran = run(&[&arguments[..], &[num_runs], more.as_slice()].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    let rows =
        scratch.query("results", "SELECT started_at, wall_time_s, duration FROM runs ORDER BY server_start, run_order");
    assert_eq!(rows.len(), 6);
    for row in &rows {
        let (wall, inside) = (row["wall_time_s"].as_f64().unwrap(), row["duration"].as_f64().unwrap());
        assert!(0.0 < inside && inside < wall && wall < 20.0, "{row}");
    }
    // The clock did go back, and what looks at all of it still answers.
    let times: Vec<&str> = rows.iter().map(|row| row["started_at"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|earlier, later| earlier > later), "{times:?}");
    assert_eq!(run(&["verify", "results"]).code, Some(0));
    for arguments in [&["show", "results"][..], &["list", "results"], &["report", "results/x", "-o", "r.html"]] {
        let ran = run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.stderr);
    }
    assert!(scratch.read("r.html").contains("unknown: the clock was set back"));
}

#[test]
fn a_variable_that_is_no_text_is_passed_on_and_spoils_nothing() {
    let scratch = Scratch::new();
    let odd = OsStr::from_bytes(b"a\xffb");
    let (sim, bench) = (scratch.sim(""), scratch.bench("--num-prompts 2"));
    let after = "sh -c 'printenv ODD > odd'";
    let mut command =
        scratch.command(&["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "--after-bench-cmd", after, "-e", "s"]);
    let ran = Ran::of(command.env("ODD", odd).env("AWS_ODD", odd).output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(std::fs::read(scratch.path("odd")).unwrap(), b"a\xffb\n");
    let listed = Ran::of(scratch.command(&["list"]).env("ODD", odd).env("HF_ODD", odd).output().unwrap());
    assert!(listed.code == Some(0) && listed.stdout.contains('s'), "{}", listed.stderr);
}
