//! Ways to run a sweep other than so many repeats on servers of its own: against somebody else's server, within a time, until a mean is
//! known; and what is done where a GPU is not free again.

use crate::scratch::{PROGRAM, Scratch};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

#[test]
fn a_server_of_somebody_else_is_measured_and_left_running() {
    let scratch = Scratch::new();
    let _sim = scratch.start_sim(&["--speed", "20"]);
    let url = format!("http://127.0.0.1:{}", scratch.port);
    // Told no address, the benchmark is told this one.
    let bench = format!("{PROGRAM} bench --random-input-len 32 --random-output-len 4 --num-prompts 6 --ignore-eos");
    let with_path = format!("{url}/v1/");
    let arguments =
        ["serve", "--bench-only", "--base-url", &with_path, "--bench-cmd", &bench, "-e", "x", "--num-runs", "2"];
    let ran = scratch.ok(&arguments);
    assert!(!ran.stderr.contains("server(s)") && !ran.stderr.contains("starting server"), "{}", ran.stderr);
    let rows = scratch
        .query("results", "SELECT status, startup_time_s, gpu_count, prefix_cache_hit_rate < 0.1 AS cold FROM runs");
    assert_eq!(rows, vec![json!({"status": "completed", "startup_time_s": null, "gpu_count": null, "cold": true}); 2]);
    let engine = scratch.query("results", "SELECT engine, engine_version IS NOT NULL AS known, serve_cmd FROM sweeps");
    assert_eq!(engine, [json!({"engine": "sweeplake-sim", "known": true, "serve_cmd": ""})]);
    scratch.ok(&["report", "results/x", "-o", "r.html"]);
    assert!(scratch.read("r.html").contains("--bench-only"), "how to do it again");
    assert!(crate::scratch::is_served(scratch.port), "the server was stopped");
    let ran = scratch.run(&["doctor", "--bench-only", "--base-url", &url, "--bench-cmd", &bench]);
    assert!(!ran.stdout.contains("program not found"), "an address is no program: {}", ran.stdout);
    // It goes on, and another server is another thing.
    let ran = scratch.ok(&[&arguments[..9], &["3", "--resume"]].concat());
    assert!(ran.stderr.contains("1 run(s) to do, 2 already done"), "{}", ran.stderr);
    let other =
        ["serve", "--bench-only", "--base-url", "http://127.0.0.1:1", "--bench-cmd", &bench, "-e", "x", "--resume"];
    let ran = scratch.run(&other);
    assert!(ran.code == Some(2) && ran.stderr.contains("--base-url was: "), "{}", ran.stderr);
}

#[test]
fn a_server_that_was_used_before_is_cleaned_first_or_said_to_be_warm() {
    let scratch = Scratch::new();
    let _sim = scratch.start_sim(&["--speed", "20", "--enable-prefix-caching"]);
    let url = format!("http://127.0.0.1:{}", scratch.port);
    let bench = format!(
        "{PROGRAM} bench --port {} --random-input-len 256 --random-output-len 4 --num-prompts 6 --ignore-eos",
        scratch.port
    );
    let words: Vec<String> = shlex::split(&bench).unwrap();
    assert!(std::process::Command::new(&words[0]).args(&words[1..]).output().unwrap().status.success());
    let serve = |name: &str, more: &[&str]| {
        let arguments = ["serve", "--bench-only", "--base-url", &url, "--bench-cmd", &bench, "--num-runs", "2", "-e"];
        scratch.ok(&[&arguments[..], &[name], more].concat());
        let sql = format!(
            "SELECT prefix_cache_hit_rate > 0.5 AS warm, array_to_string(caution, '|') AS c FROM runs WHERE sweep = '{name}'"
        );
        scratch.query("results", &sql)
    };
    let rows = serve("not_cleaned", &["--after-bench-cmd", "true"]);
    let is_said = |row: &Value| {
        row["warm"] == true && row["c"].as_str().unwrap_or_default().contains("had answered requests before the sweep")
    };
    assert!(rows.len() == 2 && rows.iter().all(is_said), "{rows:?}");
    assert!(serve("cleaned", &[]).iter().all(|row| row["warm"] == false));
}

#[test]
fn a_run_that_would_end_after_the_budget_is_not_begun() {
    let scratch = Scratch::new();
    let script = "for w in \"$@\"; do case $w in 4) sleep 4;; esac; done; exec ";
    let bench =
        format!("sh {}", scratch.write("bench.sh", &format!("{script}{} \"$@\"\n", scratch.bench(""))).display());
    scratch.write("b.json", r#"[{"max_concurrency": 2}, {"max_concurrency": 4}]"#);
    let sim = scratch.sim("");
    let flags = ["--bench-params", "b.json", "--num-runs", "1", "-e"];
    scratch.serve_ok(&sim, &bench, &[&flags[..], &["x"]].concat());
    // That the second load takes 4 s is known from the first sweep; of other commands nothing is.
    let ran = scratch.serve_ok(&sim, &bench, &[&flags[..], &["y", "--budget", "3s"]].concat());
    assert!(ran.stderr.contains("based on earlier runs of these combinations"), "{}", ran.stderr);
    let made = "SELECT max_concurrency AS c FROM runs WHERE sweep = 'y'";
    assert_eq!(scratch.query("results", made), [json!({"c": 2})]);
    let other = scratch.serve_ok(&sim, &scratch.bench(""), &["-e", "z", "--dry-run=commands"]);
    assert!(!other.stdout.contains("# about"), "{}", other.stdout);
}

#[test]
fn traffic_of_others_and_a_warm_cache_are_said() {
    let scratch = Scratch::new();
    let mut _sim = scratch.start_sim(&["--speed", "1", "--enable-prefix-caching"]);
    let url = format!("http://127.0.0.1:{}", scratch.port);
    let bench = |more: &str| {
        format!(
            "{PROGRAM} bench --port {} --random-input-len 64 --random-output-len 8 --ignore-eos {more}",
            scratch.port
        )
    };
    let words: Vec<String> = shlex::split(&bench("--num-prompts 4000 --max-concurrency 4 --seed 7")).unwrap();
    let mut others = std::process::Command::new(&words[0]);
    let mut others = others
        .args(&words[1..])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    crate::scratch::wait_until("others are served", || {
        let told = crate::scratch::http(scratch.port, "GET", "/metrics", "", "").map(|(_, text)| text);
        told.unwrap_or_default()
            .lines()
            .any(|line| line.starts_with("vllm:num_requests_running") && !line.ends_with(" 0"))
    });
    let mine = bench("--num-prompts 30 --max-concurrency 2");
    scratch.ok(&["serve", "--bench-only", "--base-url", &url, "--bench-cmd", &mine, "-e", "busy", "--num-runs", "1"]);
    others.kill().unwrap();
    others.wait().unwrap();
    let told = |sweep: &str| {
        let sql = "SELECT array_to_string(caution, '|') AS c FROM runs ORDER BY run_number DESC LIMIT 1";
        scratch.query(&format!("results/{sweep}"), sql)[0]["c"].as_str().unwrap_or_default().to_owned()
    };
    assert!(told("busy").contains("other requests when the run began"), "{}", told("busy"));
    assert!(told("busy").contains("other clients used it, too"), "{}", told("busy"));
    assert!(scratch.ok(&["show", "results/busy"]).stderr.contains("other clients used it, too"));
    // The same prompts again without a reset: the cache answers.
    let mine = bench("--num-prompts 20 --random-prefix-len 512 --seed 3");
    let flags = ["--after-bench-cmd", "true", "-e", "warm", "--num-runs", "2"];
    scratch.ok(&[&["serve", "--bench-only", "--base-url", &url, "--bench-cmd", &mine][..], &flags].concat());
    assert!(told("warm").contains("the prefix cache may have been warm"), "{}", told("warm"));
}

#[test]
fn a_budget_ends_a_sweep_in_order_and_the_next_resume_goes_on() {
    let scratch = Scratch::new();
    let bench =
        format!("sh {}", scratch.write("bench.sh", &format!("sleep 1; exec {} \"$@\"\n", scratch.bench(""))).display());
    let sim = scratch.sim("");
    let started = Instant::now();
    let ran = scratch.serve(&sim, &bench, &["-e", "x", "--num-runs", "20", "--budget", "5s"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("budget used up") && ran.stderr.contains("--resume -e x"), "{}", ran.stderr);
    assert!(started.elapsed() < Duration::from_secs(15));
    let made =
        scratch.query("results", "SELECT count(*) AS n FROM runs WHERE status = 'completed'")[0]["n"].as_u64().unwrap();
    assert!((1..8).contains(&made), "{made}");
    assert_eq!(scratch.json("results/x/sweep.json")["state"], "interrupted");
    let goal = (made + 1).to_string();
    let ran = scratch.serve_ok(&sim, &bench, &["-e", "x", "--num-runs", &goal, "--budget", "1h", "--resume"]);
    assert!(ran.stderr.contains("1 run(s) to do"), "{}", ran.stderr);
    // What it takes is said beforehand, from runs that were made.
    let told = scratch.serve_ok(&sim, &bench, &["-e", "y", "--num-runs", "3", "--dry-run=commands"]);
    assert!(told.stdout.contains("# about ") && told.stdout.contains("3 runs"), "{}", told.stdout);
}

#[test]
fn repeats_go_on_until_a_mean_is_known() {
    let scratch = Scratch::new();
    // A benchmark whose results scatter as it is told.
    let script = "n=$(cat count 2>/dev/null || echo 0); n=$((n+1)); echo $n > count\n\
        while [ $# -gt 0 ]; do case $1 in --result-dir) d=$2;; --result-filename) f=$2;; --c) c=$2;; esac; shift; done\n\
        if [ \"$c\" = 1 ]; then v=$((100 + n % 2)); else v=$((80 + n / 2 % 2 * 40)); fi\n\
        echo \"{\\\"completed\\\": 4, \\\"failed\\\": 0, \\\"duration\\\": 1, \\\"p99_e2el_ms\\\": $v}\" > $d/$f\n";
    let bench = format!("sh {}", scratch.write("bench.sh", script).display());
    scratch.write("b.json", r#"[{"c": 1}, {"c": 2}]"#);
    let flags = ["-e", "x", "--bench-params", "b.json", "--repeat-until", "ci(p99_e2el_ms)<5%", "--max-runs", "12"];
    let ran = scratch.serve_ok(&scratch.sim(""), &bench, &flags);
    let rows =
        scratch.query("results", "SELECT c, n, p99_e2el_ms_ci95 / p99_e2el_ms_mean AS w FROM combinations ORDER BY c");
    assert_eq!((&rows[0]["n"], &rows[1]["n"]), (&json!(10), &json!(12)), "{rows:?}");
    assert!(rows[0]["w"].as_f64().unwrap() < 0.05 && rows[1]["w"].as_f64().unwrap() > 0.05);
    let unmet: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("not yet to ±5 %")).collect();
    assert!(unmet.len() == 1 && unmet[0].contains("c=2") && unmet[0].contains("after 12 runs"), "{}", ran.stderr);
    // Nothing is missing then.
    let ran = scratch.serve_ok(&scratch.sim(""), &bench, &[&flags[..], &["--resume"]].concat());
    assert!(ran.stderr.contains("22 already done"), "{}", ran.stderr);
    assert_eq!(scratch.query("results", "SELECT count(*) AS n FROM runs"), [json!({"n": 22})]);
    let flags = ["-e", "y", "--repeat-until", "ci(p99_e2e_ms)<5%"];
    let ran = scratch.serve(&scratch.sim(""), &bench, &flags);
    assert!(ran.code == Some(1) && ran.stderr.contains("did you mean `p99_e2el_ms`?"), "{}", ran.stderr);
}

#[test]
fn a_gpu_that_is_not_free_again_is_waited_for_and_said() {
    let scratch = Scratch::new();
    scratch.write("used", "100");
    // A server takes memory and its last worker gives it back late.
    let tool = "#!/bin/sh\ncase \"$*\" in *memory.used*) cat \"$USED\";; *) echo 'Stub, 80000, 1, u, s, 1, 1';; esac\n";
    let tool = scratch.write("bin/nvidia-smi", tool);
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let server =
        format!("echo 60000 > \"$USED\"; (sleep 4; echo 120 > \"$USED\") >/dev/null 2>&1 & exec {}", scratch.sim(""));
    let server = scratch.write("server.sh", &server);
    let sim = format!("sh {} --port {}", server.display(), scratch.port);
    scratch.write("s.json", r#"[{"max_num_seqs": 8}, {"max_num_seqs": 16}]"#);
    let bench = scratch.bench("");
    let path = format!("{}:{}", scratch.path("bin").display(), std::env::var("PATH").unwrap());
    let arguments = [
        "serve",
        "--serve-cmd",
        &sim,
        "--bench-cmd",
        &bench,
        "-e",
        "x",
        "--num-runs",
        "1",
        "--after-bench-cmd",
        "true",
    ];
    let mut command = scratch.command(&[&arguments[..], &["--serve-params", "s.json"]].concat());
    command.env("PATH", path).env("USED", scratch.path("used"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Value> =
        scratch.query("results", "SELECT max_num_seqs, array_to_string(caution, '|') AS c FROM runs ORDER BY 1");
    // The worker died with its server: what it would have given back stays taken.
    assert!(!rows[0]["c"].as_str().unwrap_or_default().contains("GPU 0 still held"), "{rows:?}");
    assert!(
        rows[1]["c"].as_str().unwrap_or_default().contains("GPU 0 still held 59900 MiB more than initially"),
        "{rows:?}"
    );
}

#[test]
fn what_would_spoil_the_numbers_is_said_before() {
    let scratch = Scratch::new();
    scratch.write("b.json", r#"[{"max_concurrency": 64}]"#);
    let sim = scratch.sim("--max-num-seqs 16");
    let bench = format!("{PROGRAM} bench --port {} --num-prompts 100", scratch.port);
    let flags = ["--serve-cmd", &sim, "--bench-cmd", &bench, "--bench-params", "b.json"];
    let told = [
        "add --ignore-eos",
        "100 prompts are less than 3 times the concurrency of 64",
        "a concurrency of 64 is more than the server runs at once (16)",
        "too few for an upper bound on the true P99: use --num-prompts 662 or more",
    ];
    let ran = scratch.run(&[&["doctor"], &flags[..]].concat());
    assert_eq!(ran.code, Some(1));
    told.iter().for_each(|text| assert!(ran.stdout.contains(text), "{text}: {}", ran.stdout));
    let ran = scratch.run(&[&["serve"], &flags[..], &["--dry-run=commands"]].concat());
    told.iter().for_each(|text| assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr));
    // What is mended is not said.
    let bench = format!("{PROGRAM} bench --port {} --num-prompts 700 --ignore-eos", scratch.port);
    let sim = scratch.sim("--max-num-seqs 128");
    let ran = scratch.run(&["doctor", "--serve-cmd", &sim, "--bench-cmd", &bench, "--bench-params", "b.json"]);
    assert!((ran.code, ran.stdout.contains("all checks passed")) == (Some(0), true), "{}{}", ran.stdout, ran.stderr);
    let _server = scratch.start_sim(&[]);
    let ran = scratch.run(&["doctor", "--serve-cmd", &sim, "--bench-cmd", &bench]);
    assert!(ran.stdout.contains("is already in use"), "{}", ran.stdout);
    // Without flags it looks at the machine; limits are those of this process.
    let limited = format!("ulimit -n 64; exec {PROGRAM} doctor");
    let output =
        std::process::Command::new("sh").args(["-c", &limited]).current_dir(scratch.path("")).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("ulimit -n 256"), "{output:?}");
    // A program of another machine is one thing among others.
    let elsewhere = format!("no-such-vllm serve m --port {}", scratch.port);
    let ran = scratch.run(&["doctor", "--serve-cmd", &elsewhere, "--after-bench-cmd", "true", "--bench-cmd", &bench]);
    let missing = "--serve-cmd: program not found: no-such-vllm; install it";
    assert!(ran.stdout.contains(missing) && ran.stdout.contains("is already in use"), "{}{}", ran.stdout, ran.stderr);
    let ran = scratch.run(&["doctor", "--serve-cmd", &sim]);
    assert!(ran.code == Some(2) && ran.stderr.contains("--bench-cmd"), "{}", ran.stderr);
}

#[test]
fn the_steady_part_of_a_run_is_told_beside_the_whole() {
    let scratch = Scratch::new();
    let bench = scratch.bench("--num-prompts 120 --max-concurrency 4 --save-detailed");
    scratch.serve_ok(&scratch.sim(""), &bench, &["-e", "x", "--num-runs", "1"]);
    let rows = scratch.query("results", "SELECT steady_output_throughput / output_throughput AS r FROM runs");
    assert!(rows[0]["r"].as_f64().unwrap() > 0.9, "{rows:?}");
    for (told, place) in [
        (scratch.ok(&["show", "results/x", "--format", "table"]).stderr, "show"),
        (scratch.ok(&["report", "results/x", "-o", "r.html"]).stdout + &scratch.read("r.html"), "report"),
    ] {
        assert!(told.contains("throughput without ramp-up and drain differs by"), "{place}: {told:.2000}");
    }
}

#[test]
fn a_benchmark_of_another_tool_says_where_its_result_belongs() {
    let scratch = Scratch::new();
    let result = crate::scratch::data("import/sglang/plain.jsonl");
    let bench = format!("sh -c 'head -1 {} > \"$1\"; echo \"$@\" > words' tool {{result}} --rate 2", result.display());
    let flags = ["-e", "x", "--num-runs", "1", "--bench-grid", "concurrency=4"];
    scratch.serve_ok(&scratch.sim("--startup-seconds 0"), &bench, &flags);
    let words = scratch.read("words");
    assert!(words.trim_end().ends_with("run=0.partial.json --rate 2 --concurrency 4"), "{words}");
    let rows = scratch.query("results", "SELECT concurrency, completed > 0 AS is_read FROM runs");
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["concurrency"], &rows[0]["is_read"]), (&json!(4), &json!(true)), "{rows:?}");
}
