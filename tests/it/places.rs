//! Several servers at a time: each at its own port, with its own GPUs, and all of them as one after the other.

use crate::scratch::{Scratch, processes_with, wait_until};
use crate::telemetry::nvml_stub;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

const SERVERS: &str = "max_num_seqs=1,2,4,8";

/// The flags of a sweep of four servers.
fn sweep(scratch: &Scratch, name: &str, more: &[&str]) -> Vec<String> {
    let words = [
        "serve".to_owned(),
        "--serve-cmd".into(),
        scratch.sim(""),
        "--bench-cmd".into(),
        scratch.bench(""),
        "--serve-grid".into(),
        SERVERS.into(),
        "--num-runs".into(),
        "2".into(),
        "-e".into(),
        name.into(),
    ];
    words.into_iter().chain(more.iter().map(ToString::to_string)).collect()
}

fn ok(scratch: &Scratch, words: &[String]) -> String {
    scratch.ok(&words.iter().map(String::as_str).collect::<Vec<_>>()).stderr
}

#[test]
fn servers_side_by_side_leave_what_servers_in_turn_leave() {
    let scratch = Scratch::new();
    ok(&scratch, &sweep(&scratch, "turn", &["--slots", "1"]));
    let told = ok(&scratch, &sweep(&scratch, "beside", &["--slots", "3"]));
    assert!(told.contains("3 servers at a time"), "{told}");
    let of = |name: &str| {
        let sql = format!(
            "SELECT combination, run_number, completed, total_input_tokens, total_output_tokens, server_gpus FROM runs WHERE sweep = '{name}' ORDER BY 1, 2"
        );
        scratch.query("results", &sql)
    };
    assert_eq!(of("turn"), of("beside"));
    let most = "SELECT sweep, max(neighbours) AS most, count(beside) AS named FROM runs GROUP BY 1 ORDER BY 1";
    let most = scratch.query("results", most);
    assert_eq!(most[0]["most"], 2, "{most:?}");
    assert!(most[0]["named"].as_i64().unwrap() >= 4, "{most:?}");
    assert_eq!((&most[1]["most"], &most[1]["named"]), (&Value::from(0), &Value::from(0)), "{most:?}");
    assert!(processes_with(&format!("sim m --port {}", scratch.port)).is_empty());
    // A resume finds all of it.
    let again = ok(&scratch, &sweep(&scratch, "beside", &["--slots", "3", "--resume"]));
    assert!(again.contains("0 run(s) to do, 8 already done"), "{again}");
}

#[test]
fn each_server_has_gpus_of_its_own_that_lie_near_to_each_other() {
    let scratch = Scratch::new();
    let stub = nvml_stub(&scratch);
    scratch.script("server.sh", "#!/bin/sh\necho \"$CUDA_DEVICE_ORDER $CUDA_VISIBLE_DEVICES\" >> seen\nexec \"$@\"\n");
    let serve = format!("./server.sh {} --tensor-parallel-size 2", scratch.sim(""));
    let bench = scratch.bench("");
    let flags =
        ["serve", "--serve-cmd", &serve, "--bench-cmd", &bench, "--serve-grid", SERVERS, "--num-runs", "1", "-e", "x"];
    let run = |more: &[&str]| {
        let mut command = scratch.command(&[&flags[..], more].concat());
        command.env("LD_LIBRARY_PATH", &stub).env("NVML_STUB_GPUS", "4").env_remove("CUDA_VISIBLE_DEVICES");
        command.output().unwrap()
    };
    let output = run(&["--gpus", "0-3"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("up to 2 servers at a time, on 4 GPUs"), "{told}");
    let seen: BTreeSet<String> = scratch.read("seen").lines().map(str::to_owned).collect();
    assert_eq!(seen, BTreeSet::from(["PCI_BUS_ID 0,2".to_owned(), "PCI_BUS_ID 1,3".to_owned()]));
    let runs =
        scratch.query("results", "SELECT server_gpus AS gpus, max(neighbours) AS most FROM runs GROUP BY 1 ORDER BY 1");
    assert_eq!(runs.iter().map(|row| row["gpus"].as_str().unwrap()).collect::<Vec<_>>(), ["0,2", "1,3"]);
    // What does not fit is said before anything starts.
    let cases: BTreeMap<&[&str], &str> = BTreeMap::from([
        (&["--gpus", "0"][..], "takes 2 GPUs, and there are 1"),
        (&["--gpus", "0-7"][..], "there is no GPU 4: this machine has 4"),
        (&["--gpus", "0,0"][..], "GPU 0 is there twice"),
        (&["--gpus", "x"][..], "no list of GPUs"),
        (&["--gpus-per-server", "5"][..], "takes 5 GPUs, and there are 4"),
    ]);
    for (more, expected) in cases {
        let output = run(&[more, &["-e", "bad"]].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {told}");
        assert!(told.contains(expected), "{more:?}: {told}");
    }
    assert!(!scratch.exists("results/bad"));
}

#[test]
fn what_can_not_run_side_by_side_is_refused_and_told() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    let foreign = "./load.sh {result}";
    scratch.script("load.sh", "#!/bin/sh\n");
    let elsewhere = bench.replace(&format!("--port {}", scratch.port), "--port 1");
    let base = |serve: &str, bench: &str, more: &[&str]| {
        let flags =
            ["serve", "--serve-cmd", serve, "--bench-cmd", bench, "--serve-grid", SERVERS, "--slots", "2", "-e", "x"];
        scratch.run(&[&flags[..], more].concat())
    };
    let cases: [(&str, &str, &[&str], &str); 6] = [
        (&sim, foreign, &[], "write {base_url} or {port}"),
        (&sim, &elsewhere, &[], "--slots 1"),
        (&sim, &bench, &["--after-bench-cmd", "curl localhost"], "--after-bench-cmd: write {base_url} or {port}"),
        (&sim, &bench, &["--ready-cmd", "curl localhost"], "--ready-cmd: write {base_url} or {port}"),
        (&sim, &bench, &["--ready-url", "http://localhost:1/x"], "--ready-url names one server"),
        (&sim, &bench, &["--exclusive"], "cannot be used with"),
    ];
    for (serve, bench, more, expected) in cases {
        let ran = base(serve, bench, more);
        assert_eq!(ran.code, Some(2), "{more:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{more:?}: {}", ran.stderr);
    }
    // Commands around a server reach it by its placeholder.
    let ran = base(
        &sim,
        &bench,
        &["--num-runs", "1", "--after-bench-cmd", "curl -fsS -X POST {base_url}/reset_prefix_cache"],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn a_sweep_that_wants_the_machine_for_itself_waits_for_others_and_they_for_it() {
    let scratch = Scratch::new();
    let own = scratch.path("tmp");
    std::fs::create_dir_all(&own).unwrap();
    let start = |name: &str, more: &[&str]| {
        let words = sweep(&scratch, name, more);
        let mut command = scratch.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let log = std::fs::File::create(scratch.path(&format!("{name}.log"))).unwrap();
        command.env("TMPDIR", &own).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    };
    let mut first = start("first", &[]);
    wait_until("the first has begun", || scratch.exists("results/first/sweep.json"));
    let mut alone = start("alone", &["--exclusive"]);
    wait_until("it says that it waits", || scratch.read("alone.log").contains("waiting until the other sweeps"));
    assert!(!scratch.exists("results/alone"));
    assert!(first.wait().unwrap().success() && alone.wait().unwrap().success());
    let sql = "SELECT max(started_at) FILTER (WHERE sweep = 'first') < min(started_at) FILTER (WHERE sweep = 'alone') AS later FROM runs";
    assert_eq!(scratch.query("results", sql)[0]["later"], true);
}

/// The cores that a program is kept to show in what it may use.
#[test]
fn a_pinned_server_stays_on_the_cores_of_a_node() {
    let scratch = Scratch::new();
    scratch.script("server.sh", "#!/bin/sh\ngrep Cpus_allowed_list /proc/self/status >> cores\nexec \"$@\"\n");
    let serve = format!("./server.sh {}", scratch.sim(""));
    let bench = scratch.bench("");
    scratch.ok(&["serve", "--serve-cmd", &serve, "--bench-cmd", &bench, "--num-runs", "1", "--pin", "-e", "x"]);
    let Ok(node) = std::fs::read_to_string("/sys/devices/system/node/node0/cpulist") else { return };
    let allowed = Command::new("grep").args(["Cpus_allowed_list", "/proc/self/status"]).output().unwrap();
    let allowed = String::from_utf8(allowed.stdout).unwrap();
    let told = scratch.read("cores");
    let is_node = told.split_whitespace().last() == Some(node.trim());
    // A machine that lends only some of its cores keeps to these.
    assert!(is_node || told == allowed, "{told} {node} {allowed}");
}

/// A load that says what it was told to: how many of its kind run besides decides how fast the server seems.
fn told_load(scratch: &Scratch, slower_beside: bool) -> String {
    let beside = if slower_beside { "$((n + 1))" } else { "1" };
    scratch.script(
        "load.sh",
        &format!(
            "#!/bin/sh\nmkdir -p busy; touch busy/$$; sleep 0.1; n=0\n\
             for one in busy/*; do kill -0 ${{one#busy/}} 2> /dev/null && n={beside}; done; sleep 0.1; rm busy/$$\n\
             printf '{{\"completed\": 9, \"failed\": 0, \"duration\": 1, \"output_throughput\": %d, \"median_ttft_ms\": %d, \
             \"median_tpot_ms\": 5, \"p99_e2el_ms\": 50}}' $((1200 / n)) $((10 * n)) > \"$1\"\n"
        ),
    );
    "./load.sh {result} {port}".to_owned()
}

#[test]
fn what_neighbours_disturb_is_measured_and_judged() {
    for (slower_beside, code, said) in [(true, 1, "neighbours disturb"), (false, 0, "neighbours do not disturb")] {
        let scratch = Scratch::new();
        let (serve, load) = (scratch.sim(""), told_load(&scratch, slower_beside));
        let flags = ["doctor", "--neighbours", "--serve-cmd", &serve, "--bench-cmd", &load, "--slots", "3", "-e", "x"];
        let ran = scratch.run(&flags);
        assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains(said), "{}{}", ran.stdout, ran.stderr);
        let runs = scratch
            .query("results", "SELECT serve_name, max(output_throughput) AS best FROM runs GROUP BY 1 ORDER BY 1");
        let alone = runs.iter().find(|row| row["serve_name"] == "base").unwrap();
        assert_eq!(alone["best"], 1200.0, "{runs:?}");
        wait_until("all neighbours have ended", || {
            processes_with("sim m --port").iter().all(|pid| !is_of(*pid, &scratch))
        });
    }
    let scratch = Scratch::new();
    let flags =
        ["doctor", "--neighbours", "--serve-cmd", &scratch.sim(""), "--bench-cmd", &scratch.bench(""), "-e", "x"];
    let ran = scratch.run(&flags);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("room for one server only"), "{}", ran.stderr);
}

/// Whether a process works in the folder of a test.
fn is_of(pid: i32, scratch: &Scratch) -> bool {
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == scratch.path(""))
}
