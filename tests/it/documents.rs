//! What the documents promise: commands that run as they stand there, files that are there.

use crate::one_truth::{ASKED, CONFIGURATIONS};
use crate::scratch::{PROGRAM, Ran, Scratch, is_served, repository};
use std::os::unix::fs::PermissionsExt;

/// A `vllm` on PATH whose `serve` and `bench serve` are ours; flags that name data that is not here are dropped,
/// and so is the number of prompts: three are enough.
const VLLM: &str = r#"#!/bin/sh
kind="$1"; shift
if [ "$kind" = serve ]; then exec PROGRAM sim "$@" --speed 50; fi
shift
words=""
while [ $# -gt 0 ]; do
  case "$1" in
    --dataset-name|--dataset-path|--num-prompts) shift 2 ;;
    *) words="$words $1"; shift ;;
  esac
done
exec PROGRAM bench --num-prompts 3 --ignore-eos $words
"#;

/// A folder with the parameter files of vLLM's document, and a `vllm` on PATH.
fn documented() -> Scratch {
    let scratch = Scratch::new();
    let vllm = scratch.write("bin/vllm", &VLLM.replace("PROGRAM", PROGRAM));
    std::fs::set_permissions(&vllm, std::fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["serve_hparams.json", "bench_hparams.json", "sla_hparams.json"] {
        let text = std::fs::read_to_string(repository().join("examples").join(name)).unwrap();
        scratch.write(&format!("benchmarks/{name}"), &text);
    }
    scratch
}

/// Runs a command of the document in a shell.
fn in_a_shell(scratch: &Scratch, command: &str) {
    assert!(!is_served(8000), "the document's command uses port 8000, which is taken");
    let program = std::path::Path::new(PROGRAM).parent().unwrap().display();
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", command])
        .current_dir(scratch.path(""))
        .env("PATH", format!("{}:{program}:{}", scratch.path("bin").display(), std::env::var("PATH").unwrap()));
    let ran = Ran::of(shell.output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

/// The document's commands use one port: they run one after the other.
#[test]
fn the_commands_of_vllms_document_run_unchanged() {
    let scratch = documented();
    in_a_shell(
        &scratch,
        r"sweeplake serve \
    --serve-cmd 'vllm serve meta-llama/Llama-2-7b-chat-hf' \
    --bench-cmd 'vllm bench serve --model meta-llama/Llama-2-7b-chat-hf --backend vllm --endpoint /v1/completions --dataset-name sharegpt --dataset-path benchmarks/ShareGPT_V3_unfiltered_cleaned_split.json' \
    --serve-params benchmarks/serve_hparams.json \
    --bench-params benchmarks/bench_hparams.json \
    -o benchmarks/results",
    );
    // Six servers, three loads, three runs.
    let rows = scratch.query("benchmarks/results", "SELECT count(*) AS n, count(DISTINCT max_num_batched_tokens) AS t, count(DISTINCT random_input_len) AS i FROM runs WHERE status = 'completed'");
    assert_eq!(rows, [serde_json::json!({"n": 54, "t": 3, "i": 3})]);

    let sweep = std::fs::read_dir(scratch.path("benchmarks/results")).unwrap().next().unwrap().unwrap().path();
    let sweep = sweep.display().to_string();
    scratch.ok(&[
        "plot",
        &sweep,
        "--var-x",
        "random_input_len",
        "--row-by",
        "random_input_len",
        "--col-by",
        "random_output_len",
        "--curve-by",
        "max_num_seqs,max_num_batched_tokens",
        "--filter-by",
        "random_input_len<=1024",
        "--fig-dpi",
        "40",
    ]);
    scratch.ok(&[
        "plot_pareto",
        &sweep,
        "--user-count-var",
        "max_concurrent_requests",
        "--label-by",
        "max_concurrency,random_input_len",
        "--fig-dpi",
        "40",
    ]);

    in_a_shell(
        &scratch,
        r"sweeplake serve_sla \
    --serve-cmd 'vllm serve meta-llama/Llama-2-7b-chat-hf' \
    --bench-cmd 'vllm bench serve --model meta-llama/Llama-2-7b-chat-hf --backend vllm --endpoint /v1/completions --dataset-name sharegpt --dataset-path benchmarks/ShareGPT_V3_unfiltered_cleaned_split.json' \
    --serve-params benchmarks/serve_hparams.json \
    --bench-params benchmarks/bench_hparams.json \
    --sla-params benchmarks/sla_hparams.json \
    --sla-variable max_concurrency \
    -o benchmarks/tuned",
    );
    let rows = scratch.query("benchmarks/tuned", "SELECT count(*) AS n, count(DISTINCT sla) AS slas FROM sla");
    assert_eq!(rows, [serde_json::json!({"n": 72, "slas": 4})]);
}

#[test]
fn the_tests_of_the_readme_are_those_of_ci() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let ci = std::fs::read_to_string(repository().join(".ci/run")).unwrap();
    let command = "./.ci/test";
    assert!(readme.lines().any(|line| line == command), "the README gives `{command}`");
    assert!(ci.lines().any(|line| line == command), ".ci/run runs `{command}`");
}

#[test]
fn every_query_that_ships_has_a_header() {
    for entry in std::fs::read_dir(repository().join("queries")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("-- ") && text.contains("\n-- Columns: "), "{} has no header", path.display());
    }
}

#[test]
fn every_picture_of_the_gallery_is_there() {
    let text = std::fs::read_to_string(repository().join("docs/gallery.md")).unwrap();
    let names: Vec<&str> = text.split("](gallery/").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert_eq!(names.len(), 9);
    for name in names {
        assert!(repository().join("docs/gallery").join(name).is_file(), "docs/gallery/{name} is missing");
    }
}

#[test]
fn the_columns_in_the_documents_are_those_that_are_declared() {
    let document = std::fs::read_to_string(repository().join("docs/tables.md")).unwrap();
    assert_eq!(document, sweeplake::table::document(), "cargo run --example tables > docs/tables.md");
}

#[test]
fn every_importer_has_its_table() {
    let document = std::fs::read_to_string(repository().join("docs/importing.md")).unwrap();
    for format in sweeplake::formats::FORMATS {
        assert!(document.contains(&format!("`{}`", format.tool)), "docs/importing.md lacks {}", format.tool);
        for (ours, _) in format.definitions {
            assert!(
                document.contains(&format!("`{ours}`")) || document.contains(&format!("_{ours}_")),
                "{}: {ours}",
                format.name
            );
        }
    }
}

#[test]
fn every_query_that_ships_answers_with_the_columns_of_its_header() {
    let lake = sweeplake::query::Lake::open(&[crate::scratch::data("format-1/finished")]).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for shipped in sweeplake::query::Shipped::ALL {
        let is_part = ["goodput", "frontier_of_series"].contains(&shipped.name);
        let given: Vec<(&str, &str)> = match shipped.name {
            "frontier_of_series" => vec![CONFIGURATIONS, ("x", "max"), ("y", "min")],
            _ => ASKED.into_iter().chain([("requests", "requests"), ("is_known", "TRUE")]).collect(),
        };
        let answer = runtime.block_on(shipped.ask(&lake, &given));
        let found = answer.unwrap_or_else(|error| panic!("{}: {error}", shipped.name)).columns();
        let told: Vec<String> = shipped
            .columns()
            .iter()
            .map(|name| {
                given.iter().fold(name.clone(), |name, (key, value)| name.replace(&format!("{{{key}}}"), value))
            })
            .collect();
        assert!(is_part || found == told, "{}: the header says {told:?}, the answer has {found:?}", shipped.name);
    }
}
