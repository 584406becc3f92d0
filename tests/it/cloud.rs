//! A lake in an object store: a real S3 server (s3s-fs) in the test's process, over a folder that a sweep was written to.

use crate::scratch::{Scratch, copy_folder, data};
use serde_json::{Value, json};
use std::path::Path;

const SECRET: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "key"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_ALLOW_HTTP", "true"),
];

/// Serves the buckets below a folder until the test's process ends.
fn serve(root: &Path) -> String {
    let mut builder = s3s::service::S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap());
    builder.set_auth(s3s::auth::SimpleAuth::from_single(SECRET[0].1, SECRET[1].1));
    let service = builder.build();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service.clone();
                tokio::spawn(async move {
                    let io = hyper_util::rt::TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                });
            }
        });
    });
    format!("http://{address}")
}

fn ask(scratch: &Scratch, endpoint: &str, arguments: &[&str]) -> Vec<Value> {
    let mut command = scratch.command(&[&["query"][..], arguments, &["--format", "json"]].concat());
    let output = command.envs(SECRET).env("AWS_ENDPOINT", endpoint).output().unwrap();
    assert!(output.status.success(), "{arguments:?}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

#[test]
fn a_lake_in_s3_answers_as_the_one_on_disk() {
    let scratch = Scratch::new();
    copy_folder(&data("format-1/finished"), &scratch.path("store/bucket/lake/finished"));
    copy_folder(&data("format-1/interrupted"), &scratch.path("store/bucket/lake/interrupted"));
    crate::query::vllm_sweep(&scratch, "store/bucket/lake/theirs");
    let endpoint = serve(&scratch.path("store"));
    let questions = [
        "SELECT sweep, count(*) AS n, sum(output_throughput) AS sum FROM runs GROUP BY sweep ORDER BY sweep",
        "SELECT sweep, count(*) AS n, max(e2el_ms) AS slowest FROM requests GROUP BY sweep ORDER BY sweep",
        "SELECT sweep, state, runs FROM sweeps ORDER BY sweep",
        "SELECT sweep, combination, p99_e2el_ms_pooled FROM combinations ORDER BY 1, 2",
    ];
    for sql in questions {
        let on_disk = scratch.query("store/bucket/lake", sql);
        assert_eq!(ask(&scratch, &endpoint, &["s3://bucket/lake", sql]), on_disk, "{sql}");
        assert!(on_disk.len() >= 3);
    }
    let folders = ask(&scratch, &endpoint, &["s3://bucket/lake/", "SELECT folder FROM sweeps ORDER BY 1 LIMIT 1"]);
    assert_eq!(folders, [json!({"folder": "s3://bucket/lake/finished"})]);
    // One sweep alone, and what a user sees of a place that is not there.
    let rows = ask(&scratch, &endpoint, &["s3://bucket/lake/finished", "SELECT count(*) AS n FROM runs"]);
    assert_eq!(rows, [json!({"n": 12})]);
    let mut command = scratch.command(&["query", "s3://bucket/nothing", "SELECT 1"]);
    let output = command.envs(SECRET).env("AWS_ENDPOINT", &endpoint).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("s3://bucket/nothing: no sweeps found"));
}

#[test]
fn a_compacted_lake_in_s3_is_read_from_its_few_files() {
    let scratch = Scratch::new();
    for folder in ["a", "b"] {
        copy_folder(&data("format-1/finished"), &scratch.path(&format!("lake/{folder}")));
    }
    scratch.ok(&["compact", "lake"]);
    // As `aws s3 sync` copies it: links become what they point to.
    let latest = scratch.path("lake/compacted/latest").canonicalize().unwrap();
    for folder in ["a", "b"] {
        copy_folder(&scratch.path(&format!("lake/{folder}")), &scratch.path(&format!("store/bucket/lake/{folder}")));
    }
    std::thread::sleep(std::time::Duration::from_millis(1100));
    copy_folder(&latest, &scratch.path("store/bucket/lake/compacted/latest"));
    let endpoint = serve(&scratch.path("store"));
    let sql = "SELECT sweep, count(*) AS n, sum(output_throughput) AS sum FROM runs GROUP BY sweep ORDER BY sweep";
    let expected = scratch.query("lake", sql);
    assert_eq!(expected.len(), 2);
    assert_eq!(ask(&scratch, &endpoint, &["s3://bucket/lake", sql]), expected);
    let plan = ask(&scratch, &endpoint, &["s3://bucket/lake", &format!("EXPLAIN {sql}")]);
    let plan = plan.iter().map(Value::to_string).collect::<String>();
    assert!(plan.contains("lake/compacted/latest/runs.parquet") && !plan.contains("lake/a/runs.parquet"), "{plan}");
}

#[test]
fn a_store_that_is_not_there_is_an_error_with_its_name() {
    let scratch = Scratch::new();
    let ran = scratch.run(&["query", "ftp://somewhere/lake", "SELECT 1"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("ftp://somewhere/lake"), "{}", ran.stderr);
}

#[test]
fn without_credentials_nothing_is_asked_and_the_variables_are_named() {
    let scratch = Scratch::new();
    for (place, variable) in [
        ("s3://bucket/lake", "AWS_ACCESS_KEY_ID"),
        ("gs://bucket/lake", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("az://container/lake", "AZURE_STORAGE_ACCOUNT_KEY"),
    ] {
        let mut command = scratch.command(&["list", place]);
        for (name, _) in std::env::vars_os() {
            if ["AWS_", "GOOGLE_", "GCE_", "AZURE_"].iter().any(|start| name.to_string_lossy().starts_with(start)) {
                command.env_remove(name);
            }
        }
        let ran = crate::scratch::Ran::of(command.env("HOME", scratch.path("")).output().unwrap());
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains("no credentials found") && ran.stderr.contains(variable), "{}", ran.stderr);
    }
}

/// The program with a store, and with a cache of its own.
fn with_store(scratch: &Scratch, endpoint: &str, cache: &str, arguments: &[&str]) -> crate::scratch::Ran {
    let mut command = scratch.command(arguments);
    command.envs(SECRET).env("AWS_ENDPOINT", endpoint).env("SWEEPLAKE_STAGING", scratch.path(cache));
    crate::scratch::Ran::of(command.output().unwrap())
}

const UPLOADED: &str = "s3://bucket/lake";

#[test]
fn a_sweep_is_uploaded_as_it_runs_and_goes_on_anywhere() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path("store/bucket")).unwrap();
    let endpoint = serve(&scratch.path("store"));
    let (sim, bench) = (scratch.sim(""), scratch.bench("--save-detailed"));
    let flags = ["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "--num-runs", "2", "-o", UPLOADED];
    let run = |cache: &str, more: &[&str]| with_store(&scratch, &endpoint, cache, &[&flags[..], more].concat());
    let ran = run("cache", &["-e", "x", "--serve-grid", "max_num_seqs=1,4"]);
    assert!(ran.code == Some(0) && ran.stderr.contains("uploaded: s3://bucket/lake/x"), "{}", ran.stderr);
    let count = "SELECT count(*) AS runs, count(DISTINCT run_id) AS ids FROM runs";
    assert_eq!(ask(&scratch, &endpoint, &[UPLOADED, count]), [json!({"runs": 4, "ids": 4})]);
    let requests = "SELECT count(*) AS n FROM requests";
    assert_eq!(ask(&scratch, &endpoint, &[UPLOADED, requests]), [json!({"n": 24})]);
    assert_eq!(ask(&scratch, &endpoint, &[UPLOADED, "SELECT state FROM sweeps"]), [json!({"state": "completed"})]);
    // What is there is as it was written: each file has the checksum that the sweep's own list says.
    scratch.ok(&["verify", "store/bucket/lake"]);
    // The name is taken, for whoever comes from elsewhere too.
    let ran = run("other", &["-e", "x"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("already has a sweep \"x\""), "{}", ran.stderr);
    // Another machine goes on with it, and makes what is new.
    let ran = run("other", &["--resume", "x", "--serve-grid", "max_num_seqs=1,4,8"]);
    assert!(ran.code == Some(0) && ran.stderr.contains("2 run(s) to do, 4 already done"), "{}", ran.stderr);
    assert_eq!(ask(&scratch, &endpoint, &[UPLOADED, count]), [json!({"runs": 6, "ids": 6})]);
    scratch.ok(&["verify", "store/bucket/lake"]);
    let ran = run("other", &["-e", "y", "--join"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("a folder that all machines see"), "{}", ran.stderr);
}

#[test]
fn what_could_not_be_uploaded_stays_and_is_sent_later() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path("store/bucket")).unwrap();
    let endpoint = serve(&scratch.path("store"));
    // The bucket goes while the sweep runs.
    scratch.script(
        "load.sh",
        "#!/bin/sh\nif [ -e goes ]; then rm -rf store/bucket; touch store/bucket; fi\nexec \"$@\"\n",
    );
    let (sim, bench) = (scratch.sim(""), format!("./load.sh {}", scratch.bench("")));
    let flags = ["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "--num-runs", "2", "-o", UPLOADED];
    let mut refused = scratch.command(&flags);
    refused.envs(SECRET).env("AWS_ENDPOINT", &endpoint).env("SWEEPLAKE_STAGING", scratch.path("cache"));
    let refused = crate::scratch::Ran::of(refused.env("AWS_SECRET_ACCESS_KEY", "wrong").output().unwrap());
    assert!(refused.code == Some(2) && !scratch.exists("cache"), "{}", refused.stderr);
    scratch.write("goes", "");
    let refused = with_store(&scratch, &endpoint, "cache", &flags);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("file(s) could not be uploaded"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--resume -e 20") && refused.stderr.contains("2/2"), "{}", refused.stderr);
    let name = refused.stderr.split("--resume -e ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    std::fs::remove_file(scratch.path("goes")).unwrap();
    std::fs::remove_file(scratch.path("store/bucket")).unwrap();
    std::fs::create_dir_all(scratch.path("store/bucket")).unwrap();
    let sent = with_store(&scratch, &endpoint, "cache", &[&flags[..], &["--resume", name]].concat());
    assert!(sent.code == Some(0) && sent.stderr.contains("0 run(s) to do, 2 already done"), "{}", sent.stderr);
    let runs = ask(&scratch, &endpoint, &[UPLOADED, "SELECT count(*) AS runs FROM runs"]);
    assert_eq!(runs, [json!({"runs": 2})]);
}
