//! What is sampled while runs are measured: of the server, of GPUs by their real interface, of the machine; and what it comes to.

use crate::scratch::{PROGRAM, Scratch, data};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

/// Builds the stand-in for NVIDIA's library; the folder in which it lies.
pub fn nvml_stub(scratch: &Scratch) -> PathBuf {
    let folder = scratch.path("lib");
    std::fs::create_dir_all(&folder).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-w", "-o"])
        .arg(folder.join("libnvidia-ml.so.1"))
        .arg(data("nvml_stub.c"))
        .status()
        .unwrap();
    assert!(built.success());
    folder
}

/// A sweep of two servers, one after the other, that lasts some seconds.
fn sweep(scratch: &Scratch, bench: &str, more: &[&str], variables: &[(&str, String)]) -> Output {
    let serve = scratch.write("serve.json", r#"[{"max_num_seqs": 2}, {"max_num_seqs": 64}]"#);
    let sim = format!("{} --speed 4", scratch.sim("").replace("--speed 20 ", ""));
    let arguments =
        ["serve", "--serve-cmd", &sim, "--bench-cmd", bench, "--serve-params", serve.to_str().unwrap(), "-e", "x"];
    let mut command = scratch.command(&[&arguments, &["--num-runs", "1"][..], more].concat());
    variables.iter().for_each(|(name, value)| {
        command.env(name, value);
    });
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn load(scratch: &Scratch) -> String {
    format!(
        "{} bench --port {} --random-input-len 64 --random-output-len 32 --num-prompts 60 --max-concurrency 16 --ignore-eos",
        crate::scratch::PROGRAM,
        scratch.port
    )
}

#[test]
fn what_the_server_and_the_machine_report_is_kept_beside_the_run() {
    let scratch = Scratch::new();
    sweep(&scratch, &load(&scratch), &["--sample-interval", "0.1"], &[]);
    let runs = scratch.query(
        "results",
        "SELECT max_num_seqs AS seqs, queue_max, kv_cache_usage_max, queue_time_ms_mean AS queued, server_ttft_ms_mean AS ttft, \
         mean_ttft_ms, server_itl_ms_mean AS itl, gpu_power_w_mean AS power, caution FROM runs ORDER BY 1",
    );
    let number = |row: usize, name: &str| runs[row][name].as_f64().unwrap_or_else(|| panic!("{name}: {runs:?}"));
    // Of 16 at a time the small server works on 2; those that have just come wait on the large one, too.
    assert!((14.0..=16.0).contains(&number(0, "queue_max")), "{runs:?}");
    assert!(number(0, "queued") > 3.0 * number(1, "queued").max(1.0), "{runs:?}");
    assert!(number(0, "kv_cache_usage_max") < number(1, "kv_cache_usage_max"));
    for row in [0, 1] {
        // The client's time to first token is the server's, and the way; the server's is of the requests between two samples.
        let (server, client) = (number(row, "ttft"), number(row, "mean_ttft_ms"));
        assert!((server - client).abs() < 0.25 * client + 50.0, "{runs:?}");
        // While other tests run, a client without optimizations may be late.
        let cautions = runs[row]["caution"].as_array().cloned().unwrap_or_default();
        let is_of_client = |caution: &Value| caution.as_str().is_some_and(|text| text.starts_with("the client"));
        assert!(runs[row]["power"].is_null() && cautions.iter().all(is_of_client), "{runs:?}");
    }
    let metrics = scratch.query(
        "results",
        "SELECT source || ' ' || metric AS metric, count(DISTINCT run_id) AS runs FROM telemetry GROUP BY 1 ORDER BY 1",
    );
    let names: Vec<&str> = metrics.iter().filter_map(|row| row["metric"].as_str()).collect();
    for expected in
        ["client cpu_cores", "host load_1m", "host memory_used_bytes", "server cpu_cores", "server generation_tokens"]
    {
        assert!(names.contains(&expected), "{expected}: {names:?}");
    }
    assert!(metrics.iter().all(|row| row["runs"] == 2), "{metrics:?}");
    let tokens = scratch.query(
        "results",
        "SELECT max(value) - min(value) AS tokens FROM telemetry WHERE metric = 'generation_tokens' GROUP BY run_id",
    );
    assert!(tokens.iter().all(|row| row["tokens"] == 60.0 * 32.0), "{tokens:?}");
}

#[test]
fn a_lake_that_is_compacted_and_a_sweep_that_runs_have_the_same_samples() {
    let scratch = Scratch::new();
    sweep(&scratch, &load(&scratch), &["--sample-interval", "0.1"], &[]);
    let count = || scratch.query("results", "SELECT count(*) AS n, count(DISTINCT at_s) AS times FROM telemetry");
    let of_sweep = count();
    scratch.ok(&["compact", "results"]);
    assert_eq!(count(), of_sweep);
    std::fs::remove_dir_all(scratch.path("results/compacted")).unwrap();
    for table in ["telemetry", "runs", "requests"] {
        std::fs::remove_file(scratch.path(&format!("results/x/{table}.parquet"))).unwrap();
    }
    assert_eq!(count(), of_sweep);
}

#[test]
fn nothing_is_sampled_where_nobody_wants_it_and_everything_where_somebody_does() {
    let scratch = Scratch::new();
    sweep(&scratch, &load(&scratch), &["--sample-interval", "0"], &[]);
    assert!(!scratch.files().iter().any(|file| file.contains("telemetry")));
    let scratch = Scratch::new();
    sweep(&scratch, &load(&scratch), &["--sample-all"], &[]);
    let own = scratch.query("results", "SELECT DISTINCT metric FROM telemetry WHERE metric LIKE 'vllm:%'");
    assert!(own.is_empty(), "all of the simulated server's metrics have names of ours: {own:?}");
}

#[test]
fn gpus_are_read_through_the_drivers_library_and_only_those_of_the_server_count() {
    let scratch = Scratch::new();
    let variables = [
        ("LD_LIBRARY_PATH", nvml_stub(&scratch).display().to_string()),
        ("NVML_STUB_PROCESS", format!("{} sim m --port {}", crate::scratch::PROGRAM, scratch.port)),
    ];
    sweep(&scratch, &load(&scratch), &["--sample-interval", "0.2"], &variables);
    let runs = scratch.query(
        "results",
        "SELECT gpu_power_w_mean AS power, gpu_energy_j AS energy, tokens_per_joule * gpu_energy_j AS tokens, \
         total_output_tokens, gpu_memory_peak_gib AS memory, gpu_utilization_mean AS busy, gpu_clock_mhz_min AS clock, \
         gpu_throttled_s AS throttled, duration FROM runs",
    );
    for run in &runs {
        let number = |name: &str| run[name].as_f64().unwrap_or_else(|| panic!("{name}: {run}"));
        assert_eq!((number("memory"), number("clock")), (60.0, 1380.0));
        assert!((number("power") - 300.0).abs() < 1e-6);
        assert!((number("busy") - 0.9).abs() < 1e-9);
        assert!((number("tokens") - number("total_output_tokens")).abs() < 1e-6);
        // While the server worked: the benchmark's time, to a sample before and one behind it.
        let seconds = number("energy") / 300.0;
        assert!(seconds >= number("duration") * 0.9 && seconds < number("duration") + 0.9, "{run}");
        assert!((number("throttled") - seconds).abs() < 0.1, "{run}");
    }
    let missing =
        scratch.query("results", "SELECT 1 FROM telemetry WHERE metric LIKE 'pcie%' OR metric = 'ecc_errors'");
    assert!(missing.is_empty(), "what a GPU does not report is not known");

    // Nobody knows whose the GPUs are.
    let scratch = Scratch::new();
    let variables = [("LD_LIBRARY_PATH", nvml_stub(&scratch).display().to_string())];
    sweep(&scratch, &load(&scratch), &[], &variables);
    let runs = scratch.query("results", "SELECT gpu_power_w_mean AS power, gpu_energy_j AS energy FROM runs");
    assert!(runs.iter().all(|run| run["power"].is_null() && run["energy"].is_null()), "{runs:?}");
    let gpus = scratch.query("results", "SELECT DISTINCT device FROM telemetry WHERE source = 'gpu' ORDER BY 1");
    assert_eq!(gpus.len(), 2);
}

/// What is sent instead of a server's metrics.
type Answer = fn(&mut TcpStream);

/// Passes everything on to a server but questions for its metrics; the port at which it listens.
fn in_front_of(port: u16, answer: Answer) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || pass_on(stream, port, answer));
        }
    });
    own
}

fn pass_on(mut stream: TcpStream, port: u16, answer: Answer) -> Option<()> {
    let mut start = [0; 12];
    stream.read_exact(&mut start).ok()?;
    if start.starts_with(b"GET /metrics") {
        answer(&mut stream);
        return None;
    }
    let mut server = TcpStream::connect(("127.0.0.1", port)).ok()?;
    server.write_all(&start).ok()?;
    let (mut from_client, mut to_server) = (stream.try_clone().ok()?, server.try_clone().ok()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        to_server.shutdown(Shutdown::Write)
    });
    let _ = std::io::copy(&mut server, &mut stream);
    stream.shutdown(Shutdown::Both).ok()
}

fn garbage(stream: &mut TcpStream) {
    let body = "\u{0}{{{{ vllm:num_requests_running NaN\nvllm:num_requests_waiting{ 1\n".repeat(1000);
    let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
}

fn silence(_: &mut TcpStream) {
    std::thread::sleep(Duration::from_secs(20));
}

#[test]
fn metrics_that_hang_or_are_garbage_disturb_no_run() {
    for answer in [garbage as Answer, silence] {
        let scratch = Scratch::new();
        let _sim = scratch.start_sim(&["--speed", "4"]);
        let port = in_front_of(scratch.port, answer);
        let bench = load(&scratch).replace(&format!("--port {}", scratch.port), &format!("--port {port}"));
        let url = format!("http://127.0.0.1:{port}");
        scratch.ok(&["serve", "--bench-only", "--base-url", &url, "--bench-cmd", &bench, "-e", "x", "--num-runs", "2"]);
        let runs = scratch.query("results", "SELECT status, queue_max, duration FROM runs");
        assert_eq!(runs.len(), 2);
        for run in runs {
            assert!(run["status"] == "completed" && run["queue_max"].is_null(), "{run}");
            assert!(run["duration"].as_f64().unwrap() < 5.0, "{run}");
        }
    }
}

#[test]
fn what_was_sampled_until_a_run_failed_is_kept() {
    let scratch = Scratch::new();
    let sim = format!("{PROGRAM} sim m --port {} --speed 2 --fault-crash-after 20", scratch.port);
    let bench = format!(
        "{PROGRAM} bench --port {} --ignore-eos --random-input-len 32 --random-output-len 32 --num-prompts 60 --max-concurrency 4",
        scratch.port
    );
    let flags = ["-e", "x", "--num-runs", "1", "--sample-interval", "0.1"];
    assert_eq!(scratch.serve(&sim, &bench, &flags).code, Some(1));
    let sql = "SELECT status, kv_cache_usage_max > 0 AS used, (SELECT max(value) FROM telemetry WHERE metric = 'requests_running') \
        AS running FROM runs";
    let rows = scratch.query("results", sql);
    assert_eq!(rows, [json!({"status": "failed", "used": true, "running": 4.0})]);
}

#[test]
fn what_was_sampled_during_an_attempt_that_failed_stays() {
    let scratch = Scratch::new();
    // The first attempt ends badly after a while, the second well.
    let bench = format!(
        "sh -c 'sleep 0.4; [ -e once ] || {{ touch once; exit 3; }}; exec {} \"$@\"' sh",
        scratch.bench("--num-prompts 4")
    );
    let flags = ["-e", "s", "--num-runs", "1", "--retries", "1", "--sample-interval", "0.1"];
    scratch.serve_ok(&scratch.sim(""), &bench, &flags);
    let sql =
        "SELECT status, count(*) > 2 AS sampled FROM runs JOIN telemetry USING (sweep, run_id) GROUP BY 1 ORDER BY 1";
    let expected = [json!({"status": "completed", "sampled": true}), json!({"status": "retried", "sampled": true})];
    assert_eq!(scratch.query("results", sql), expected);
    let loose = scratch.files().into_iter().filter(|file| file.ends_with(".attempt=1.telemetry.parquet")).count();
    assert_eq!(loose, 1);
    scratch.ok(&["verify", "results"]);
}

#[test]
fn slas_and_gates_ask_for_what_was_sampled() {
    let scratch = Scratch::new();
    // Of 64 users, 8 are served at a time: the others wait.
    let (sim, bench) = (scratch.sim("--max-num-seqs 8"), scratch.bench("--num-prompts 200 --random-output-len 24"));
    for name in ["a", "b"] {
        let flags =
            ["-e", name, "--bench-grid", "max_concurrency=4,64", "--num-runs", "2", "--sample-interval", "0.05"];
        scratch.serve_ok(&sim, &bench, &flags);
    }
    scratch.write("sla.json", r#"[{"queue_max": "<=8"}]"#);
    let found = scratch.ok(&[
        "sla",
        "results/a",
        "--sla-params",
        "sla.json",
        "--sla-variable",
        "max_concurrency",
        "--format",
        "json",
    ]);
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!((found[0]["value"].as_f64(), &found[0]["binding"]), (Some(4.0), &json!("queue_max")), "{found}");
    let gate = |gate: &str| {
        scratch.run(&["compare", "a", "b", "--assume-sweep-sd", "1%", "--metrics", "queue_max", "--fail-on", gate])
    };
    let passed = gate("kv_cache_usage_max>100000%");
    assert!(
        passed.code == Some(0) && passed.stdout.contains("kv_cache_usage_max>100000%: passes"),
        "{}",
        passed.stdout
    );
}
