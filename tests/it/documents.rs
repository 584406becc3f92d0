//! What the documents promise: commands that run as they stand there, files that are there.

use crate::one_truth::{ASKED, CONFIGURATIONS};
use crate::scratch::{PROGRAM, Ran, Running, Scratch, copy_folder, data, is_served, repository, wait_until};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Mutex;

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

/// A shell that finds `vllm` and `sweeplake`.
fn shell(scratch: &Scratch, command: &str) -> Command {
    let program = std::path::Path::new(PROGRAM).parent().unwrap().display();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .current_dir(scratch.path(""))
        .stdin(Stdio::null())
        .env("PATH", format!("{}:{program}:{}", scratch.path("bin").display(), std::env::var("PATH").unwrap()));
    shell
}

/// Runs a command of the document in a shell.
fn in_a_shell(scratch: &Scratch, command: &str) {
    assert!(!is_served(8000), "the document's command uses port 8000, which is taken");
    let ran = Ran::of(shell(scratch, command).output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

/// What the examples of the help and of the README need: parameter files, results of another tool, a browser that opens nothing.
fn with_what_examples_need() -> Scratch {
    let scratch = documented();
    let vllm = scratch
        .read("bin/vllm")
        .replace("--num-prompts 3", "--num-prompts 8 --random-input-len 32 --random-output-len 4");
    // `vllm bench startup` is a script that measures nothing.
    let startup = r#"if [ "$kind $1" = "bench startup" ]; then
  shift; while [ $# -gt 1 ]; do [ "$1" = --output-json ] && echo '{"avg_cold_startup_time": 1.5}' > "$2"; shift; done; exit 0
fi
shift"#;
    scratch.write("bin/vllm", &vllm.replacen("\nshift\n", &format!("\n{startup}\n"), 1));
    for opener in ["xdg-open", "gio", "gnome-open", "kde-open", "wslview"] {
        let opener = scratch.write(&format!("bin/{opener}"), "#!/bin/sh\nexit 0\n");
        std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let sbatch = scratch.write("bin/sbatch", "#!/bin/sh\necho Submitted batch job 1\n");
    std::fs::set_permissions(&sbatch, std::fs::Permissions::from_mode(0o755)).unwrap();
    scratch.write("serve.json", r#"[{"max_num_seqs": 64}, {"max_num_seqs": 256}]"#);
    scratch.write("bench.json", r#"[{"max_concurrency": 2}, {"max_concurrency": 4}]"#);
    scratch.write("sla.json", r#"[{"p99_e2el_ms": "<=500"}]"#);
    scratch.write("space.toml", "[serve]\nmax_num_seqs = [64, 256]\n[bench]\nmax_concurrency = [2, 4]\n");
    scratch.write("why.md", "A new driver.");
    copy_folder(&data("import/aiperf"), &scratch.path("aiperf"));
    scratch
}

/// The examples of a sub-command's help.
fn examples_of(scratch: &Scratch, subcommand: &str) -> Vec<String> {
    let help = scratch.ok(&[subcommand, "--help"]).stdout;
    let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{subcommand} has no examples"));
    let joined = examples.replace(" \\\n    ", " ");
    joined.lines().map(str::trim).filter(|line| line.starts_with("sweeplake ")).map(str::to_owned).collect()
}

/// Sub-commands in the order in which their examples make what later ones use. `demo` has a test of its own.
const IN_ORDER: [&str; 30] = [
    "doctor",
    "serve",
    "show",
    "explain",
    "list",
    "query",
    "plot",
    "plot_pareto",
    "watch",
    "report",
    "verify",
    "compact",
    "tag",
    "note",
    "compare",
    "serve_sla",
    "serve_tune",
    "sla",
    "serve_workload",
    "startup",
    "ab",
    "submit",
    "import",
    "mv",
    "rm",
    "worker",
    "sim",
    "bench",
    "completions",
    "man",
];

#[test]
fn every_example_of_the_help_runs() {
    let _port = PORT_8000.lock();
    let scratch = with_what_examples_need();
    let mut served = None;
    // Without the feature there are no workers.
    let there = IN_ORDER.into_iter().filter(|subcommand| cfg!(feature = "distributed") || *subcommand != "worker");
    for subcommand in there {
        for example in examples_of(&scratch, subcommand) {
            // Programs that serve until they are ended.
            let port = [("sweeplake sim ", 8000), ("sweeplake worker ", 7077)]
                .into_iter()
                .find(|(begin, _)| example.starts_with(begin));
            if let Some((_, port)) = port {
                let server =
                    shell(&scratch, &format!("exec {example}")).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
                served = Some(Running(server.unwrap()));
                wait_until("the example's server answers", || is_served(port));
                continue;
            }
            // A short run shows as much: what is measured is another test's.
            let quick = example
                .replace(
                    "--sla-variable max_concurrency -e tuned",
                    "--sla-variable max_concurrency --sla-max 8 --sla-min-duration 0.2 --sla-max-iters 4 -e tuned",
                )
                .replace("--budget '60 runs'", "--budget '8 runs'")
                .replace("--budget 8h", "--budget '3 runs'")
                .replace("--fail-on 'p99_e2el_ms>5%' -e flag", "--fail-on 'p99_e2el_ms>5%' --max-pairs 2 -e flag");
            let ran = Ran::of(shell(&scratch, &quick).output().unwrap());
            // Findings and gates are in the exit code.
            let tells = subcommand == "doctor" || example.contains("--fail-on");
            assert!(ran.code == Some(0) || (tells && ran.code == Some(1)), "{example}\n{}\n{}", ran.stdout, ran.stderr);
            if example.starts_with("sweeplake serve ") && example.ends_with("-e first") && !example.contains("--resume")
            {
                for name in ["second", "nightly-1", "nightly-2"] {
                    in_a_shell(&scratch, &example.replace("-e first", &format!("-e {name}")));
                }
            }
        }
    }
    drop(served);
}

/// The commands in the README's and a document's blocks of shell, each on one line.
fn commands_of(document: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository().join(document)).unwrap();
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block);
    let joined = blocks.map(|block| block.replace("\\\n", " ")).collect::<Vec<_>>().join("\n");
    let commands = joined.lines().map(|line| line.split("  #").next().unwrap_or(line).trim().to_owned());
    commands.filter(|line| line.starts_with("sweeplake ")).collect()
}

#[test]
fn every_command_of_the_readme_and_of_the_pages_on_sweeps_and_pictures_runs() {
    let _port = PORT_8000.lock();
    let scratch = with_what_examples_need();
    let documents = ["README.md", "docs/plotting.md", "docs/reports.md", "docs/sweeping.md"];
    let commands: Vec<String> = documents.iter().flat_map(|document| commands_of(document)).collect();
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        if scratch.exists("results/first/sweep.json")
            && command.starts_with("sweeplake serve ")
            && command.contains("-e first")
        {
            continue;
        }
        in_a_shell(&scratch, &command);
        if command.contains("-e first") {
            in_a_shell(&scratch, &command.replace("-e first", "-e second"));
        }
    }
}

/// The documents' commands use one port: they run one after the other.
static PORT_8000: Mutex<()> = Mutex::new(());

#[test]
fn the_commands_of_vllms_document_run_unchanged() {
    let _port = PORT_8000.lock();
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
    assert!(repository().join("docs/gallery/report.png").is_file(), "the README's picture is missing");
    let text = std::fs::read_to_string(repository().join("docs/gallery.md")).unwrap();
    let names: Vec<&str> = text.split("](gallery/").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert_eq!(names.len(), 13);
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
