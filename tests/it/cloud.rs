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
