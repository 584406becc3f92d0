//! Which runs are repeats of each other. What is not known is not equal: a run whose file does not say what it measured is told from
//! those of other files by the file.

use crate::formats::Run;
use regex::Regex;
use serde_json::Value;
use std::sync::LazyLock;

/// The parameter that keeps runs of different files apart.
const PATH: &str = "path";

/// Sizes of a server in the names of files and folders.
static SIZES_IN_PATHS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:^|[^a-z])((?:tp|pp|dp|ep|gpus?|tensor_parallel_size)[-_=]?\d+|\d+gpus?)(?:[^a-z0-9]|$)").ok()
});

/// Adds the file's path to a run's parameters where they alone don't make it a repeat of what has the same. Returns what is not known.
pub fn complete(run: &mut Run, place: &str) -> Option<String> {
    let mut unknown = Vec::new();
    if run.serve.get("model").is_none() {
        unknown.push("model");
    }
    if !is_workload_known(run) {
        unknown.push("workload");
    }
    if ["max_concurrency", "request_rate", "sweep_step"].iter().all(|key| run.bench.get(key).is_none()) {
        unknown.push("load");
    }
    if !unknown.is_empty() {
        run.bench.params.insert(PATH.into(), place.into());
        return Some(unknown.join(", "));
    }
    // A path that names a size says that another server was measured; which is for the user to say.
    let sizes = sizes_in(place);
    if sizes.is_empty() || is_size_known(run) {
        return None;
    }
    run.bench.params.insert(PATH.into(), sizes.join("_").into());
    Some("server (its path contains a size)".into())
}

fn is_workload_known(run: &Run) -> bool {
    let has = |key: &str| run.bench.get(key).is_some();
    let dataset = ["dataset", "dataset_path", "workload"].iter().any(|key| has(key));
    let named = run.bench.get("dataset_name").and_then(Value::as_str).is_some_and(|name| !name.starts_with("random"));
    dataset || named || (has("random_input_len") && has("random_output_len")) || (has("input_len") && has("output_len"))
}

fn is_size_known(run: &Run) -> bool {
    let sizes = [
        "tensor_parallel_size",
        "pipeline_parallel_size",
        "data_parallel_size",
        "tp",
        "pp",
        "dp",
        "gpu_count",
        "num_gpus",
    ];
    sizes.iter().any(|key| run.serve.get(key).is_some())
}

fn sizes_in(place: &str) -> Vec<String> {
    let Some(pattern) = SIZES_IN_PATHS.as_ref() else { return Vec::new() };
    let parts = place.split(['/', '.']).flat_map(|part| part.split(['_', '-']).chain([part]));
    let mut sizes: Vec<String> =
        parts.filter_map(|part| Some(pattern.captures(part)?.get(1)?.as_str().to_lowercase())).collect();
    sizes.sort();
    sizes.dedup();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn completed(serve: Value, bench: Value, place: &str) -> (Value, Option<String>) {
        let mut run = Run::default();
        run.serve.params = serve.as_object().unwrap().clone();
        run.bench.params = bench.as_object().unwrap().clone();
        let unknown = complete(&mut run, place);
        (run.bench.get(PATH).cloned().unwrap_or_default(), unknown)
    }

    #[test]
    fn what_is_known_of_a_run_makes_it_a_repeat() {
        let model = || json!({"model": "m"});
        let whole = || json!({"max_concurrency": 4, "random_input_len": 8, "random_output_len": 8});
        assert_eq!(completed(model(), whole(), "runs/a.json"), (Value::Null, None));
        assert_eq!(completed(json!({}), whole(), "a.json"), (json!("a.json"), Some("model".into())));
        let no_data = json!({"max_concurrency": 4, "random_input_len": 8});
        assert_eq!(completed(model(), no_data, "a.json"), (json!("a.json"), Some("workload".into())));
        assert_eq!(completed(json!({}), json!({}), "a.json"), (json!("a.json"), Some("model, workload, load".into())));
        let sharegpt = json!({"request_rate": "inf", "dataset_name": "sharegpt"});
        assert_eq!(completed(model(), sharegpt, "a.json"), (Value::Null, None));
    }

    #[test]
    fn a_size_in_the_path_keeps_servers_apart() {
        let whole = || json!({"max_concurrency": 4, "random_input_len": 8, "random_output_len": 8});
        let of = |serve: Value, place: &str| completed(serve, whole(), place).0;
        assert_eq!(of(json!({"model": "m"}), "tp2/benchmarks.json"), json!("tp2"));
        assert_eq!(of(json!({"model": "m"}), "llama_tp-4_8gpus/benchmarks.json"), json!("8gpus_tp-4"));
        assert_eq!(of(json!({"model": "m", "tensor_parallel_size": 2}), "tp2/benchmarks.json"), Value::Null);
        assert_eq!(of(json!({"model": "m"}), "setup2/http1/step3.json"), Value::Null);
    }
}
