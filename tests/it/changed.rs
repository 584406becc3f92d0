//! A resume knows what it resumes: what changed is named, and what was measured before and after is never one mean.

use crate::scratch::Scratch;
use serde_json::json;

/// A sweep by scripts, over a data set, of which one run is there.
struct Case {
    scratch: Scratch,
    bench: String,
}

impl Case {
    fn new() -> Self {
        let scratch = Scratch::new();
        scratch.write("data.jsonl", "{\"prompt\": 1}\n");
        let bench = format!("sh {} --dataset-path data.jsonl", scratch.write("bench.sh", "").display());
        let case = Self { scratch, bench };
        case.write_bench("");
        let ran = case.serve(&["--num-runs", "1"]);
        assert_eq!(ran.0, Some(0), "{}", ran.1);
        case
    }

    fn write_bench(&self, more: &str) {
        let real = self.scratch.bench("");
        self.scratch.write("bench.sh", &format!("# {more}\nshift 2\nexec {real} \"$@\"\n"));
    }

    fn serve(&self, flags: &[&str]) -> (Option<i32>, String) {
        self.serve_in(flags, &[])
    }

    fn serve_in(&self, flags: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
        let sim = self.scratch.sim("");
        let arguments = [&["serve", "--serve-cmd", &sim, "--bench-cmd", &self.bench, "-e", "x"], flags].concat();
        let output = self.scratch.command(&arguments).envs(env.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn refused(&self, flags: &[&str], env: &[(&str, &str)], told: &[&str]) {
        let before = self.scratch.read("results/x/sweep.json");
        for more in [&[][..], &["--dry-run"]] {
            let (code, stderr) = self.serve_in(&[&["--resume", "--num-runs", "2"], flags, more].concat(), env);
            assert_eq!(code, Some(2), "{stderr}");
            for text in told {
                assert!(stderr.contains(text), "{text} is not in {stderr}");
            }
            assert!(stderr.contains("--accept-changes") && stderr.contains("sweeplake rm results/x"), "{stderr}");
        }
        assert_eq!(self.scratch.read("results/x/sweep.json"), before, "a refused resume changed the sweep");
    }
}

#[test]
fn whatever_changed_is_named_before_anything_starts() {
    let case = Case::new();
    case.refused(&["--warmup-num-prompts", "2"], &[], &["--warmup-num-prompts was: 0", "--warmup-num-prompts is:  2"]);
    case.refused(&["--after-bench-cmd", "true"], &[], &["--after-bench-cmd was: (none)"]);
    case.refused(&[], &[("CUDA_LAUNCH_BLOCKING", "1")], &["env CUDA_LAUNCH_BLOCKING was: (none)", "is:  1"]);
    case.refused(&[], &[("VLLM_API_KEY", "hunter2-hunter2")], &["env VLLM_API_KEY", "***"]);
    case.scratch.write("data.jsonl", "{\"prompt\": 2}\n");
    case.refused(&[], &[], &["file data.jsonl was: 14 bytes, SHA-256", "file data.jsonl is:  14 bytes, SHA-256"]);
    case.scratch.write("data.jsonl", "{\"prompt\": 1}\n");
    case.write_bench("another version");
    case.refused(&[], &[], &["bench.sh was: "]);
    case.write_bench("");
    let (code, stderr) = case.serve(&["--resume", "--num-runs", "2"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(case.scratch.query("results/x", "SELECT count(DISTINCT fingerprint) AS n FROM runs"), [json!({"n": 1})]);
}

#[test]
fn what_was_measured_before_and_after_is_kept_apart_everywhere() {
    let case = Case::new();
    let scratch = &case.scratch;
    case.write_bench("another version");
    let (code, stderr) = case.serve(&["--resume", "--num-runs", "3", "--accept-changes"]);
    assert_eq!(code, Some(0), "{stderr}");
    // A run that is there is not made again; the next resume accepts what was accepted.
    let (code, stderr) = case.serve(&["--resume", "--num-runs", "3"]);
    assert!(code == Some(0) && stderr.contains("0 run(s) to do, 3 already done"), "{stderr}");
    let combinations = scratch.query("results/x", "SELECT n, fingerprint, label FROM combinations ORDER BY started_at");
    assert_eq!((&combinations[0]["n"], &combinations[1]["n"]), (&json!(1), &json!(2)));
    assert_ne!(combinations[0]["fingerprint"], combinations[1]["fingerprint"]);
    let label = combinations[1]["label"].as_str().unwrap();
    assert!(label.ends_with(&format!("fingerprint={}", combinations[1]["fingerprint"].as_str().unwrap())), "{label}");
    let requests = "SELECT combination, count(*) AS n FROM requests GROUP BY 1 ORDER BY 2";
    assert_eq!(scratch.query("results/x", requests).len(), 2);
    // What holds is in the manifest, whole.
    let manifest = scratch.json("results/x/sweep.json");
    assert_eq!(manifest["measured_under"].as_array().unwrap().len(), 2);
    assert_eq!(manifest["measured_under"][1]["fingerprint"], combinations[1]["fingerprint"]);
    // Others are compared with the latest.
    scratch.serve_ok(&scratch.sim(""), &case.bench, &["-e", "y", "--num-runs", "2"]);
    let told = scratch.run(&["compare", "results/x", "results/y", "--format", "markdown"]);
    assert!(told.stdout.contains("1 run(s) of x are excluded"), "{}{}", told.stdout, told.stderr);
    for arguments in [&["report", "results", "-o", "r.html"][..], &["compact", "results"], &["show", "results/x"]] {
        scratch.ok(arguments);
    }
    assert_eq!(scratch.query("results", "SELECT count(*) AS n FROM combinations"), [json!({"n": 3})]);
}

#[test]
fn a_result_that_waited_for_its_name_keeps_what_it_was_measured_under() {
    let case = Case::new();
    let scratch = &case.scratch;
    // As if the disk was full when the run was stored.
    let mut result = scratch.json("results/x/run=0.json");
    result.as_object_mut().unwrap().remove("run_number");
    scratch.write("results/x/run=0.ended.json", &result.to_string());
    for gone in ["run=0.json", "run=0.parquet", "runs.parquet"] {
        std::fs::remove_file(scratch.path(&format!("results/x/{gone}"))).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(20));
    case.write_bench("another version");
    let (code, stderr) = case.serve(&["--resume", "--num-runs", "2", "--accept-changes"]);
    assert_eq!(code, Some(0), "{stderr}");
    let rows = scratch.query("results/x", "SELECT run_number, fingerprint FROM runs ORDER BY 1");
    let under = &scratch.json("results/x/sweep.json")["measured_under"];
    assert_eq!(
        (&rows[0]["fingerprint"], &rows[1]["fingerprint"]),
        (&under[0]["fingerprint"], &under[1]["fingerprint"])
    );
}
