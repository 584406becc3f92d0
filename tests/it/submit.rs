//! Sweeps as jobs of schedulers: what is written is what the examples show, and nothing that can't run is submitted.

use crate::scratch::{PROGRAM, Scratch, repository};
use std::os::unix::fs::PermissionsExt;

const SWEEP: [&str; 13] = [
    "--",
    "serve",
    "--serve-cmd",
    "vllm serve MODEL --port {port}",
    "--serve-grid",
    "tensor_parallel_size=1,2",
    "--serve-grid",
    "max_num_seqs=64..512*2",
    "--bench-cmd",
    "vllm bench serve --model MODEL --port {port} --ignore-eos",
    "--bench-grid",
    "max_concurrency=1..256*4",
    "-e",
];

fn submit(flags: &[&str], name: &'static str) -> Vec<String> {
    ["submit"].iter().chain(flags).chain(&SWEEP).chain([&name]).map(ToString::to_string).collect()
}

fn example(name: &str) -> String {
    std::fs::read_to_string(repository().join("examples").join(name)).unwrap()
}

fn ok(scratch: &Scratch, words: &[String]) -> String {
    scratch.ok(&words.iter().map(String::as_str).collect::<Vec<_>>()).stdout
}

#[test]
fn the_examples_are_what_is_written() {
    let scratch = Scratch::new();
    let here = scratch.path("").canonicalize().unwrap().display().to_string();
    let flags = ["slurm", "--nodes", "4", "--partition", "gpu", "--gpus-per-node", "8", "--time", "8:00:00", "--print"];
    let slurm = ok(&scratch, &submit(&flags, "fleet"));
    let slurm = slurm.replace(PROGRAM, "/usr/local/bin/sweeplake").replace(&here, "/home/me/tuning");
    assert_eq!(slurm, example("slurm.sh"));
    let image = "ghcr.io/me/vllm-sweeplake:latest";
    let flags =
        ["kubernetes", "--image", image, "--nodes", "4", "--gpus", "8", "--volume", "lake", "--secret", "huggingface"];
    let selected = ["--node-selector", "nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3"];
    let kubernetes = ok(&scratch, &submit(&[&flags[..], &selected].concat(), "fleet"));
    assert_eq!(kubernetes, example("kubernetes.yaml"));
}

#[test]
fn a_script_is_kept_beside_the_lake_for_its_owner_alone_and_handed_to_sbatch() {
    let scratch = Scratch::new();
    scratch.script("bin/sbatch", "#!/bin/sh\ncat \"$1\" > submitted\necho Submitted batch job 7\n");
    let words = submit(&["slurm", "--sbatch=--qos=high"], "x");
    let mut command = scratch.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
    command.env("PATH", format!("{}:{}", scratch.path("bin").display(), std::env::var("PATH").unwrap()));
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("Submitted batch job 7"), "{told}");
    let script = scratch.read("submitted");
    assert!(script.contains("#SBATCH --array=1-1\n") && script.contains("#SBATCH --qos=high\n"), "{script}");
    assert!(script.ends_with(" -e x --join=leave\n"), "{script}");
    // What was typed may hold a secret.
    let mode = std::fs::metadata(scratch.path("results/.slurm/x.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    // Where there is no Slurm, the script is.
    let mut command = scratch.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let output = command.env("PATH", scratch.path("none")).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("submit it where Slurm is"), "{told}");
}

#[test]
fn what_can_not_run_is_not_submitted() {
    let scratch = Scratch::new();
    let serve = ["serve", "--serve-cmd", "vllm serve m", "--bench-cmd", "vllm bench serve"];
    let cases: [(&[&str], &str); 4] = [
        (&["query", "x"], "\"query\" can't be submitted"),
        (&serve, "name it with -e"),
        (&[&serve[..], &["-e", "x", "--serve-grid", "a="]].concat(), "a value is missing"),
        (&[&serve[..], &["-e", "x", "--race"]].concat(), "not with --race"),
    ];
    for (sweep, expected) in cases {
        let ran = scratch.run(&[&["submit", "slurm", "--"], sweep].concat());
        assert_eq!(ran.code, Some(2), "{sweep:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{sweep:?}: {}", ran.stderr);
    }
    assert!(!scratch.exists("results"));
}
