//! What `vllm bench sweep` gets wrong (W1 to W15), and ours must not.

use crate::scratch::{PROGRAM, Ran, Running, Scratch, is_served, processes_of, processes_with, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::process::Stdio;

fn serve(scratch: &Scratch, more: &[&str]) -> Ran {
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    let mut arguments = vec!["serve", "--serve-cmd", &sim, "--bench-cmd", &bench];
    arguments.extend(more);
    scratch.run(&arguments)
}

#[test]
fn w01_the_wrong_server_is_never_measured() {
    let scratch = Scratch::new();
    let _orphan = scratch.start_sim(&[]);
    let ran = serve(&scratch, &["-e", "x"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("FAILED (port_taken)") && ran.stderr.contains(&scratch.port.to_string()),
        "{}",
        ran.stderr
    );
    assert_eq!(
        scratch.query("results", "SELECT count(*) AS n FROM runs WHERE status = 'completed'"),
        [json!({"n": 0})]
    );
}

#[test]
fn w02_nothing_outlives_a_sweep_however_it_dies() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL] {
        let scratch = Scratch::new();
        // A benchmark that takes long, on a server with a worker that ignores SIGTERM.
        let (sim, bench) =
            (scratch.sim("--fault-stubborn-worker"), scratch.bench("--num-prompts 100000 --request-rate 10"));
        let bench = bench.replace("--num-prompts 6 ", "");
        let child = scratch
            .command(&["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "-e", "x"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = Running(child.unwrap());
        let mark = format!("--port {}", scratch.port);
        wait_until("the benchmark runs", || processes_of(&format!("{PROGRAM} bench {mark}")).len() == 1);
        let server = processes_of(&format!("{PROGRAM} sim m {mark}"));
        assert_eq!(server.len(), 1, "one server");
        let group = server[0];
        kill(Pid::from_raw(child.0.id() as i32), signal).unwrap();
        child.0.wait().unwrap();
        wait_until("every process of the sweep is gone", || {
            processes_with(&mark).is_empty() && !is_served(scratch.port)
        });
        wait_until("the server's group is gone", || {
            nix::sys::signal::killpg(Pid::from_raw(group), None).is_err() || only_zombies(group)
        });
    }
}

/// Whether all that is left of a group waits to be reaped by a parent that is not ours.
fn only_zombies(group: i32) -> bool {
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let stats = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let members: Vec<String> = stats
        .filter_map(|stat| {
            let rest = stat.rsplit_once(") ")?.1.to_owned();
            (rest.split(' ').nth(2)?.parse::<i32>().ok()? == group).then_some(rest)
        })
        .collect();
    members.iter().all(|rest| rest.starts_with('Z'))
}

#[test]
fn w03_a_truncated_run_file_is_run_again() {
    let scratch = Scratch::new();
    assert_eq!(serve(&scratch, &["-e", "x"]).code, Some(0));
    let whole = scratch.read("results/x/run=1.json");
    scratch.write("results/x/run=1.json", &whole[..whole.len() / 2]);
    let ran = serve(&scratch, &["-e", "x", "--resume"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("1 run(s) to do, 2 already done"), "{}", ran.stderr);
    assert_eq!(scratch.json("results/x/run=1.json")["run_number"], 1);
    assert!(!scratch.files().iter().any(|file| file.contains(".tmp-")));
}

#[test]
fn w04_a_crash_at_start_is_told_with_its_log_and_can_be_resumed() {
    let scratch = Scratch::new();
    let bench = scratch.bench("");
    // The script fails until a file is there, as a server does until its model is.
    let server = scratch.write(
        "server.sh",
        &format!(
            "test -e model || {{ echo loading weights; echo no such model >&2; exit 7; }}\nexec {}\n",
            scratch.sim("")
        ),
    );
    let serve = format!("sh {} --port {}", server.display(), scratch.port);
    let arguments = [
        "serve",
        "--serve-cmd",
        &serve,
        "--bench-cmd",
        &bench,
        "-e",
        "x",
        "--num-runs",
        "1",
        "--after-bench-cmd",
        "true",
    ];
    let ran = scratch.run(&arguments);
    assert_eq!(ran.code, Some(1));
    for text in ["exit code 7", "no such model", "loading weights", "--resume -e x"] {
        assert!(ran.stderr.contains(text), "{text} is not in {}", ran.stderr);
    }
    let rows = scratch.query("results", "SELECT error_kind, exit_code, log_tail FROM runs");
    assert_eq!(
        rows[0],
        json!({"error_kind": "server_exited", "exit_code": 7, "log_tail": "loading weights\nno such model"})
    );
    scratch.write("model", "");
    let ran = scratch.run(&[&arguments[..], &["--resume"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    // The start that failed stays in sight as an earlier attempt of the run.
    assert_eq!(
        scratch.query("results", "SELECT status, attempt FROM runs ORDER BY attempt"),
        [json!({"status": "retried", "attempt": 1}), json!({"status": "completed", "attempt": 2})]
    );
}

#[test]
fn w05_failures_are_in_the_exit_code_and_leave_nothing_stale() {
    let scratch = Scratch::new();
    let script = scratch.write("bench.sh", &format!("test -e broken && exit 3\nexec {} \"$@\"\n", scratch.bench("")));
    scratch.write("broken", "");
    let (sim, bench) = (scratch.sim(""), format!("sh {}", script.display()));
    let arguments = ["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "-e", "x", "--continue-on-error"];
    assert_eq!(scratch.run(&arguments).code, Some(1));
    let failure = scratch.json("results/x/run=0.failure.json");
    assert_eq!(
        (&failure["run_number"], &failure["error_type"], &failure["exit_code"]),
        (&json!(0), &json!("benchmark_failed"), &json!(3))
    );
    std::fs::remove_file(scratch.path("broken")).unwrap();
    assert_eq!(scratch.run(&[&arguments[..], &["--resume"]].concat()).code, Some(0));
    assert!(!scratch.files().iter().any(|file| file.contains("failure")), "{:?}", scratch.files());
    assert_eq!(scratch.query("results", "SELECT count(*) AS n FROM runs WHERE status = 'failed'"), [json!({"n": 0})]);
}

#[test]
fn w06_a_resume_may_add_runs_and_parameters_but_not_change_commands() {
    let scratch = Scratch::new();
    scratch.write("one.json", r#"[{"max_concurrency": 1}]"#);
    scratch.write("two.json", r#"[{"max_concurrency": 2}]"#);
    assert_eq!(serve(&scratch, &["-e", "x", "--bench-params", "one.json", "--num-runs", "2"]).code, Some(0));
    let ran = serve(&scratch, &["-e", "x", "--bench-params", "one.json", "--num-runs", "3", "--resume"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("1 run(s) to do, 2 already done"), "{}", ran.stderr);
    let ran = serve(&scratch, &["-e", "x", "--bench-params", "two.json", "--num-runs", "1", "--resume"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(scratch.read("results/x/summary.csv").lines().count(), 5, "earlier rows stay");
    assert_eq!(
        scratch.query("results", "SELECT count(*) AS n, count(DISTINCT combination) AS c FROM runs"),
        [json!({"n": 4, "c": 2})]
    );

    // A complete sweep starts no server.
    let log = scratch.read("results/x/server.log");
    let ran = serve(&scratch, &["-e", "x", "--bench-params", "two.json", "--num-runs", "1", "--resume"]);
    assert_eq!((ran.code, scratch.read("results/x/server.log")), (Some(0), log));

    let (sim, bench) = (scratch.sim(""), scratch.bench("--seed 9"));
    let ran = scratch.serve(&sim, &bench, &["-e", "x", "--resume"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("--bench-cmd was: ") && ran.stderr.contains("--seed 9"), "{}", ran.stderr);
}

#[test]
fn w07_two_sweeps_at_once_never_share_a_folder() {
    let scratch = Scratch::new();
    let spawn = |port: u16, name: &[&str]| {
        let at = |command: String| command.replace(&format!("--port {}", scratch.port), &format!("--port {port}"));
        let (sim, bench) = (at(scratch.sim("")), at(scratch.bench("")));
        let mut command = scratch.command(&["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "--num-runs", "2"]);
        command.args(name).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let other = Scratch::new();
    let children: Vec<_> = [scratch.port, other.port].map(|port| spawn(port, &[])).into_iter().collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    assert_eq!(
        scratch.query("results", "SELECT count(DISTINCT sweep) AS sweeps, count(*) AS runs FROM runs"),
        [json!({"sweeps": 2, "runs": 4})]
    );
    let children: Vec<_> = [scratch.port, other.port].map(|port| spawn(port, &["-e", "same"])).into_iter().collect();
    let codes: Vec<Option<i32>> =
        children.into_iter().map(|child| child.wait_with_output().unwrap().status.code()).collect();
    assert!(codes.contains(&Some(0)) && codes.contains(&Some(2)), "one runs, one is refused: {codes:?}");
}

#[test]
fn w08_duplicates_are_run_once_and_said() {
    let scratch = Scratch::new();
    scratch.write("bench.json", r#"[{"max_concurrency": 1}, {"max_concurrency": "1"}]"#);
    let ran = serve(&scratch, &["-e", "x", "--bench-params", "bench.json", "--num-runs", "1"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stderr.contains("duplicate combination, run only once"), "{}", ran.stderr);
    assert_eq!(scratch.read("results/x/summary.csv").lines().count(), 2);
}

#[test]
fn w09_many_parameters_make_a_folder_name_that_fits() {
    let scratch = Scratch::new();
    let pairs: Vec<String> = (0..30).map(|index| format!("\"key=a_rather_long_name_{index}={index}\"")).collect();
    scratch.write("bench.json", &format!("[{{\"metadata\": [{}]}}]", pairs.join(", ")));
    let ran = serve(&scratch, &["-e", "x", "--bench-params", "bench.json", "--num-runs", "1"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(scratch.query("results", "SELECT count(*) AS n FROM runs"), [json!({"n": 1})]);
}

#[test]
fn w10_a_server_without_known_resets_is_refused_before_anything_starts() {
    let scratch = Scratch::new();
    let bench = scratch.bench("");
    let ran = scratch.run(&["serve", "--serve-cmd", "sh -c true", "--bench-cmd", &bench]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("--after-bench-cmd"), "{}", ran.stderr);
    assert!(scratch.files().is_empty());
}

#[test]
fn w11_no_server_is_started_without_a_combination() {
    let scratch = Scratch::new();
    scratch.write("serve.json", r#"[{"max_num_seqs": 1}, {"max_num_seqs": 2}, {"max_num_seqs": 3}]"#);
    scratch.write("bench.json", r#"[{"max_concurrency": 2}]"#);
    let ran = serve(
        &scratch,
        &[
            "-e",
            "x",
            "--serve-params",
            "serve.json",
            "--bench-params",
            "bench.json",
            "--link-vars",
            "max_num_seqs=max_concurrency",
            "--num-runs",
            "1",
        ],
    );
    assert!(ran.stderr.contains("1 server(s), 1 run(s)"), "{}", ran.stderr);
    let logs: Vec<String> = scratch.files().into_iter().filter(|file| file.ends_with(".server.log")).collect();
    assert_eq!(logs, ["results/x/SERVE--max_num_seqs=2.server.log"]);
}

#[test]
fn w12_a_parameter_wins_over_every_spelling_in_the_command() {
    let scratch = Scratch::new();
    scratch.write("bench.json", r#"[{"num-prompts": 3}]"#);
    let (sim, bench) = (scratch.sim(""), scratch.bench("--num_prompts=8"));
    let ran = scratch.serve(&sim, &bench, &["--bench-params", "bench.json", "-e", "x", "--num-runs", "1"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(scratch.query("results", "SELECT completed FROM runs"), [json!({"completed": 3})]);
}

#[test]
fn w13_host_and_port_are_found_in_every_form() {
    let scratch = Scratch::new();
    let program = crate::scratch::PROGRAM;
    let sim = format!("{program} sim m --port 1 --host=0.0.0.0 --port={} --speed 20", scratch.port);
    // Given twice, the last counts; our simulator refuses it, so a shell takes the first away.
    let server = scratch.write("server.sh", &format!("shift 2\nexec {program} sim m \"$@\" --speed 20\n"));
    let sim = sim.replace(&format!("{program} sim m"), &format!("sh {}", server.display())).replace(" --speed 20", "");
    let bench = scratch.bench("");
    let ran = scratch.serve(&sim, &bench, &["-e", "x", "--num-runs", "1", "--after-bench-cmd", "true"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn w14_an_error_is_one_message_that_names_the_file() {
    let scratch = Scratch::new();
    scratch.write("bench.json", "[{\"a\": 1},\n{]");
    let ran = serve(&scratch, &["--bench-params", "bench.json"]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.starts_with("error: bench.json: line 2, column 2: "), "{}", ran.stderr);
}

#[test]
fn w15_progress_counts_and_every_run_has_its_log() {
    let scratch = Scratch::new();
    let ran = serve(&scratch, &["-e", "x"]);
    for text in ["1 server(s), 3 run(s) to do", "[1/3, about ", "[3/3, about 0 s left]"] {
        assert!(ran.stderr.contains(text), "{text} is not in {}", ran.stderr);
    }
    let log = scratch.read("results/x/bench.log");
    assert_eq!(log.matches("Serving Benchmark Result").count(), 3);
    let manifest: Value = scratch.json("results/x/sweep.json");
    assert_eq!(manifest["num_runs"], 3);
}
