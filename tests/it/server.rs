//! The server's life: started, ready or not, lost, stopped.

use crate::scratch::{Ran, Scratch, is_served, processes_with, wait_until};
use serde_json::json;
use std::process::Stdio;

fn serve(scratch: &Scratch, sim: &str, more: &[&str]) -> Ran {
    let (sim, bench) = (scratch.sim(sim), scratch.bench(""));
    let mut arguments = vec!["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "-e", "x", "--num-runs", "2"];
    arguments.extend(more);
    scratch.run(&arguments)
}

#[test]
fn a_server_that_is_late_is_waited_for() {
    let scratch = Scratch::new();
    assert_eq!(serve(&scratch, "--startup-seconds 1.2", &[]).code, Some(0));
    let rows = scratch.query("results", "SELECT min(startup_time_s) AS s FROM runs");
    let seconds = rows[0]["s"].as_f64().unwrap();
    assert!((1.2..3.0).contains(&seconds), "{seconds}");
}

#[test]
fn a_server_that_never_gets_ready_is_given_up() {
    let scratch = Scratch::new();
    let ran = serve(&scratch, "--startup-seconds 60", &["--server-ready-timeout", "1", "--continue-on-error"]);
    assert_eq!(ran.code, Some(1));
    let rows = scratch.query("results", "SELECT run_number, status, error_kind FROM runs ORDER BY 1");
    let failed = |number: i64| json!({"run_number": number, "status": "failed", "error_kind": "server_not_ready"});
    assert_eq!(rows, [failed(0), failed(1)]);
    assert!(!is_served(scratch.port));
}

#[test]
fn a_server_out_of_memory_is_told_as_such() {
    let scratch = Scratch::new();
    let ran = serve(&scratch, "--max-num-seqs 512 --fault-oom-above 256", &[]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("FAILED (out_of_memory)") && ran.stderr.contains("CUDA out of memory"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_server_that_crashes_is_started_again_for_the_next_run() {
    let scratch = Scratch::new();
    // Dies in the second run; the third gets a new server.
    let (sim, bench) = (scratch.sim("--fault-crash-after 9"), scratch.bench(""));
    let ran = scratch.serve(&sim, &bench, &["-e", "x", "--continue-on-error"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let rows = scratch
        .query("results", "SELECT run_number AS n, status, error_kind AS kind, exit_code AS code FROM runs ORDER BY 1");
    assert_eq!(rows[0], json!({"n": 0, "status": "completed", "kind": null, "code": null}));
    assert_eq!(rows[1], json!({"n": 1, "status": "failed", "kind": "server_exited", "code": 1}));
    assert_eq!(rows[2]["status"], "completed");
    let log = scratch.read("results/x/server.log");
    assert_eq!(log.lines().filter(|line| line.starts_with("$ ")).count(), 2);
}

#[test]
fn without_continue_on_error_the_first_failure_ends_the_sweep() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim("--fault-crash-after 9"), scratch.bench(""));
    let ran = scratch.serve(&sim, &bench, &["-e", "x"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("1 of 3 run(s) failed, 1 were not started"), "{}", ran.stderr);
    assert!(ran.stderr.contains("add --resume -e x"), "{}", ran.stderr);
    assert_eq!(scratch.json("results/x/sweep.json")["state"], "failed");
}

#[test]
fn a_reset_that_fails_spoils_the_next_run_and_not_the_last() {
    let scratch = Scratch::new();
    // A flag that is given twice counts as it was given last, as in vLLM.
    let ran = serve(&scratch, "--fault-refuse-resets", &["--continue-on-error", "--num-runs", "3"]);
    assert_eq!(ran.code, Some(1));
    let rows = scratch.query("results", "SELECT status, error_kind AS kind FROM runs ORDER BY run_number");
    let kinds: Vec<String> = rows.iter().map(|row| format!("{}/{}", row["status"], row["kind"])).collect();
    assert_eq!(kinds, ["\"completed\"/null", "\"failed\"/\"reset_failed\"", "\"completed\"/null"]);
}

#[test]
fn newer_reset_endpoints_may_be_missing_but_not_all() {
    let scratch = Scratch::new();
    let ran = serve(&scratch, "--fault-no-resets", &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("POST /reset_prefix_cache") && ran.stderr.contains("404"), "{}", ran.stderr);
}

#[test]
fn a_benchmark_that_hangs_is_ended_by_its_time_out() {
    let scratch = Scratch::new();
    let ran = serve(&scratch, "--fault-stall-after 3", &["--bench-timeout", "1"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("FAILED (timed_out)"), "{}", ran.stderr);
    assert!(processes_with(&format!("--port {}", scratch.port)).is_empty());
}

#[test]
fn a_worker_that_ignores_sigterm_is_gone_after_the_sweep() {
    let scratch = Scratch::new();
    let mark = format!("stubborn-{}", scratch.port);
    let server = scratch.write(
        "server.sh",
        &format!("sh -c \"trap '' TERM; while :; do sleep 1; : {mark}; done\" &\nexec {}\n", scratch.sim("")),
    );
    let (serve, bench) = (format!("sh {}", server.display()), scratch.bench(""));
    // The address is read from the command, so it must be there, too.
    let serve = format!("{serve} --port {}", scratch.port);
    let ran = scratch.serve(&serve, &bench, &["-e", "x", "--num-runs", "1", "--after-bench-cmd", "true"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(processes_with(&mark).is_empty(), "the worker outlived the sweep");
}

#[test]
fn ctrl_c_stops_cleanly_and_says_how_to_go_on() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    let child = scratch
        .command(&["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "-e", "x", "--num-runs", "500"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("a run is finished", || scratch.exists("results/x/run=1.parquet"));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGINT).unwrap();
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert!(ran.stderr.contains("add --resume -e x to the same command"), "{}", ran.stderr);
    assert_eq!(scratch.json("results/x/sweep.json")["state"], "interrupted");
    assert!(!is_served(scratch.port) && processes_with(&format!("--port {}", scratch.port)).is_empty());
    let rows =
        scratch.query("results", "SELECT count(*) AS n, count(*) FILTER (WHERE status = 'completed') AS ok FROM runs");
    assert!(rows[0]["n"].as_i64().unwrap() >= 2 && rows[0]["n"] == rows[0]["ok"], "{rows:?}");
    assert!(scratch.exists("results/x/runs.parquet") && scratch.exists("results/x/summary.json"));
}

#[test]
fn a_server_that_is_started_again_is_warmed_up_again() {
    let scratch = Scratch::new();
    // Warm-up and first run take 8 requests; the server dies in the second run, and the third has a new one.
    let (sim, bench) = (scratch.sim("--fault-crash-after 11"), scratch.bench(""));
    let ran = scratch.serve(&sim, &bench, &["-e", "x", "--continue-on-error", "--warmup-num-prompts", "2"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let log = scratch.read("results/x/bench.log");
    let prompts: Vec<&str> = log
        .lines()
        .filter(|line| line.starts_with("$ "))
        .map(|line| if line.contains("--num-prompts 2 ") { "warm" } else { "run" })
        .collect();
    assert_eq!(prompts, ["warm", "run", "run", "warm", "run"]);
}

#[test]
fn a_reset_that_fails_after_the_last_run_is_said() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    let ran = scratch.serve(&sim, &bench, &["-e", "x", "--num-runs", "1", "--after-bench-cmd", "false"]);
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.stderr.contains("warning: the command that resets the server exited with exit code 1"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_server_is_ready_when_it_can_answer_not_when_it_listens() {
    let scratch = Scratch::new();
    let startup = |flags: &[&str], name: &str| {
        let sim = scratch.sim("--fault-ready-late 1.5");
        scratch.serve(&sim, &scratch.bench(""), &[&["-e", name, "--num-runs", "1"], flags].concat());
        let rows = scratch.query(&format!("results/{name}"), "SELECT startup_time_s AS s FROM runs");
        rows[0]["s"].as_f64().unwrap()
    };
    assert!(startup(&[], "default") > 1.4);
    let failed = scratch.query("results/default", "SELECT failed FROM runs");
    assert_eq!(failed[0]["failed"], 0);
    assert!(startup(&["--ready-url", "/v1/models"], "url") < 1.4);
    let elsewhere = format!("http://localhost:{}/health", scratch.port);
    assert!(startup(&["--ready-url", &elsewhere], "elsewhere") < 1.4);
    // A command is asked again until it ends well.
    scratch.write("ready.sh", "echo asked >> asked.txt; [ $(wc -l < asked.txt) -ge 3 ]\n");
    startup(&["--ready-cmd", "sh ready.sh"], "command");
    assert_eq!(scratch.read("asked.txt").lines().count(), 3);
}

#[test]
fn a_server_that_never_answers_is_told_with_what_was_seen_last() {
    let scratch = Scratch::new();
    let bench = scratch.bench("");
    for (flags, told) in [
        (&[][..], "last check: POST /v1/completions: HTTP status 503"),
        (&["--ready-url", "/nothing"], "last check: GET /nothing: HTTP status 404"),
        (&["--ready-cmd", "false"], "last check: `false`: it exited with exit code 1"),
    ] {
        let flags = [&["-e", "x", "--num-runs", "1", "--server-ready-timeout", "2"], flags].concat();
        let ran = scratch.serve(&scratch.sim("--fault-ready-late 60"), &bench, &flags);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains("was not ready after 2 s") && ran.stderr.contains(told), "{}", ran.stderr);
        std::fs::remove_dir_all(scratch.path("results")).unwrap();
    }
    let ran = scratch.serve(&scratch.sim(""), &bench, &["--ready-url", "https://x/health"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("only http:// is supported; for anything else, use --ready-cmd 'curl -fsS URL'"),
        "{}",
        ran.stderr
    );
    let ran = scratch.serve(&scratch.sim(""), &bench, &["--ready-cmd", "no-such-program"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("--ready-cmd"), "{}", ran.stderr);
}
