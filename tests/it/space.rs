//! What to run, said by grids, files of every kind, conditions, queries and samples; through the program.

use crate::scratch::{Ran, Scratch};
use serde_json::{Value, json};

/// The plan of flags, as printed.
fn plan(scratch: &Scratch, flags: &[&str]) -> Ran {
    let commands = ["serve", "--serve-cmd", "vllm serve m --max-model-len 4096", "--bench-cmd", "vllm bench serve"];
    scratch.run(&[&commands[..], &["-e", "x", "--dry-run"], flags].concat())
}

/// The parameters of all combinations: the flags of the server and of the load, in order.
fn commands(scratch: &Scratch, flags: &[&str]) -> Vec<String> {
    let commands =
        ["serve", "--serve-cmd", "srv", "--bench-cmd", "load", "--after-bench-cmd", "true", "--num-runs", "1"];
    let ran = scratch.ok(&[&commands[..], &["-e", "x", "--dry-run=commands"], flags].concat());
    let lines = ran.stdout.lines().filter(|line| line.starts_with("srv") || line.starts_with("load"));
    lines
        .map(|line| line.split(" --save-result").next().unwrap().split(" --percentile").next().unwrap().to_owned())
        .collect()
}

#[test]
fn a_grid_is_a_plan_that_a_person_can_read() {
    let scratch = Scratch::new();
    let ran = plan(
        &scratch,
        &[
            "--serve-grid",
            "max_num_seqs=8,64",
            "--bench-grid",
            "max_concurrency=1..64*4",
            "--where",
            "max_concurrency <= 4 * max_num_seqs",
            "--bench-set",
            "num_prompts = greatest(10 * max_concurrency, 100)",
        ],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for part in [
        "2 server starts, 7 combinations, 21 runs",
        "7 of 8 combinations are left:",
        "1 removed by \"max_concurrency <= 4 * max_num_seqs\"",
        "Time unknown",
        "--dry-run=commands prints every command",
    ] {
        assert!(ran.stdout.contains(part), "{part} is not in\n{}", ran.stdout);
    }
    let row = |name: &str| {
        let line = ran.stdout.lines().find(|line| line.contains(name)).unwrap();
        line.split_whitespace().skip(1).collect::<Vec<_>>()
    };
    assert_eq!(row("max_num_seqs=8 "), ["3", "3", "3", "–"]);
    assert_eq!(row("max_num_seqs=64 "), ["3", "3", "3", "3"]);
    assert!(!scratch.exists("results"));
}

#[test]
fn files_of_every_kind_say_the_same() {
    let scratch = Scratch::new();
    let files = [
        ("p.json", r#"[{"a": 1, "b": "x"}, {"a": 2.5, "b": true}]"#),
        ("p.jsonl", "{\"a\": 1, \"b\": \"x\"}\n\n{\"a\": 2.5, \"b\": true}\n"),
        ("p.csv", "a,b\n1,x\n2.5,true\n"),
        ("p.toml", "[[set]]\na = 1\nb = \"x\"\n[[set]]\na = 2.5\nb = true\n"),
        ("p.yaml", "- a: 1\n  b: x\n- a: 2.5\n  b: true\n"),
    ];
    for (name, text) in files {
        scratch.write(name, text);
        let found = commands(&scratch, &["--serve-params", name]);
        assert_eq!(found, ["srv --a 1 --b x", "load", "srv --a 2.5 --b", "load"], "{name}");
    }
    let grids = [
        ("g.json", r#"{"_grid": {"a": "1..4*2", "b": [1, 2]}, "_where": "a > b", "c": 7}"#),
        ("g.jsonl", r#"{"_grid": {"a": "1..4*2", "b": [1, 2]}, "_where": "a > b", "c": 7}"#),
        ("g.toml", "_where = \"a > b\"\nc = 7\n[_grid]\na = \"1..4*2\"\nb = [1, 2]\n"),
        ("g.yaml", "_grid:\n  a: 1..4*2\n  b: [1, 2]\n_where: a > b\nc: 7\n"),
    ];
    for (name, text) in grids {
        scratch.write(name, text);
        let found = commands(&scratch, &["--bench-params", name]);
        assert_eq!(
            found[1..],
            ["load --c 7 --a 2 --b 1", "load --c 7 --a 4 --b 1", "load --c 7 --a 4 --b 2"],
            "{name}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_place() {
    let scratch = Scratch::new();
    for (name, text, told) in [
        ("a.jsonl", "{\"a\": 1}\n{\"a\": }\n", "a.jsonl: line 2, column 7"),
        ("a.csv", "a,b\n1,2\n1\n", "a.csv: line 3, column 1: 1 cells where the header has 2"),
        ("a.csv", "a,a\n1,2\n", "the column \"a\" is there twice"),
        ("a.toml", "[x]\na = \n", "a.toml: line 2"),
        ("a.yaml", "- a: 1\n  b: [1\n", "a.yaml: line"),
        ("a.yaml", "- a: 1\n  a: 2\n", "a.yaml: line"),
        ("a.json", r#"{"_grid": {"a": "1..9"}}"#, "a.json: parameter set 1: `_grid`: \"a\": \"1..9\" is not a range"),
        ("a.json", r#"{"_grid": {"a": [1]}, "_where": "a > 1"}"#, "its conditions leave no set"),
    ] {
        scratch.write(name, text);
        let ran = plan(&scratch, &["--serve-params", name]);
        assert_eq!(ran.code, Some(2), "{text}");
        assert!(ran.stderr.contains(told) && ran.stderr.lines().count() <= 2, "{text}: {}", ran.stderr);
    }
}

#[test]
fn a_list_that_was_meant_as_a_grid_is_noticed() {
    let scratch = Scratch::new();
    scratch.write("s.json", r#"[{"max_num_seqs": [64, 128], "cuda_graph_sizes": [1, 2]}]"#);
    let ran = plan(&scratch, &["--serve-params", "s.json"]);
    let told = "{\"_grid\": {\"max_num_seqs\": [64,128]}}";
    assert!(ran.stderr.contains(told) && !ran.stderr.contains("cuda_graph_sizes"), "{}", ran.stderr);
}

#[test]
fn what_makes_no_sense_is_refused_in_one_message() {
    let scratch = Scratch::new();
    scratch.serve_ok(&scratch.sim("--startup-seconds 0"), &scratch.bench(""), &["--num-runs", "1", "-e", "old"]);
    for (flags, told) in [
        (&["--serve-grid", "a=9..1*2"][..], "is empty: 9 is above 1"),
        (&["--serve-grid", "a=1..9*1"], "has no end"),
        (&["--serve-grid", "a"], "expected NAME=VALUES"),
        (
            &["--serve-grid", "a=1..200+1", "--bench-grid", "b=1..200+1"],
            "40000 combinations are more than 10000; narrow them with --where",
        ),
        (&["--serve-grid", "a=1,2", "--where", "1 = 1"], "names no parameter"),
        (&["--serve-grid", "a=1,2", "--where", "a + 1"], "neither true nor false"),
        (&["--serve-grid", "a=1,2", "--where", "a > 2"], "no combination is left: 2 removed by \"a > 2\""),
        (&["--serve-grid", "a=1,2", "--where", "max_model_lem > 2"], "did you mean `max_model_len`?"),
        (&["--serve-grid", "a=1,2", "--serve-grid", "a=3"], "--serve-grid, --bench-grid"),
        (&["--bench-set", "num_prompts 7"], "not of the form NAME = EXPRESSION"),
        (&["--sample-method", "sobol"], "--sample"),
        (&["--sample", "0"], "above 0"),
        (&["--serve-grid", "_benchmark_name=x,y"], "is not a flag name"),
        (&["--bench-set", "a>=1"], "not of the form NAME = EXPRESSION"),
        (&["--serve-params", "SELECT 1 AS a_b, 2 AS \"a-b\""], "is there twice"),
        (&["--serve-params", "SELECT 1 AS a WHERE 1 = 2"], "--serve-params: the query returns no row"),
        (&["--serve-params", "SELECT [1, 2] AS a"], "column \"a\" of the query is no single value"),
        (&["--serve-params", "SELECT 1 + 1"], "name it with AS"),
        (&["--serve-params", "no.sql"], "can't be read"),
    ] {
        let ran = plan(&scratch, flags);
        assert_eq!(ran.code, Some(2), "{flags:?}: {}", ran.stdout);
        assert!(ran.stderr.contains(told), "{flags:?}: {}", ran.stderr);
    }
}

#[test]
fn a_sample_is_the_same_whenever_it_is_drawn() {
    let scratch = Scratch::new();
    let grid = ["--serve-grid", "a=1..50+1", "--bench-grid", "b=1..50+1", "--where", "a <> b"];
    for method in ["random", "lhs", "sobol", "halton"] {
        let flags = [&grid[..], &["--sample", "12", "--sample-method", method]].concat();
        let loads =
            |flags: &[&str]| commands(&scratch, flags).into_iter().filter(|line| line.starts_with("load")).count();
        assert_eq!(loads(&flags), 12, "{method}");
        assert_eq!(commands(&scratch, &flags), commands(&scratch, &flags));
        assert_ne!(commands(&scratch, &flags), commands(&scratch, &[&flags[..], &["--seed", "5"]].concat()));
    }
    let ran = plan(&scratch, &[&grid[..], &["--sample", "12"]].concat());
    assert!(ran.stdout.contains("A sample of 12 from 2500 combinations"), "{}", ran.stdout);
}

#[test]
fn a_frontier_of_last_month_is_a_params_file_and_is_not_asked_again() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim("--startup-seconds 0"), scratch.bench(""));
    scratch.serve_ok(
        &sim,
        &bench,
        &["--serve-grid", "max_num_seqs=2,8", "--bench-grid", "max_concurrency=1,6", "--num-runs", "1", "-e", "old"],
    );
    let sql =
        "SELECT DISTINCT max_num_seqs, CASE WHEN max_num_seqs > 2 THEN 4 END AS seed FROM combinations ORDER BY 1";
    scratch.write("front.sql", sql);
    let flags = ["--serve-params", "front.sql", "--bench-grid", "max_concurrency=2", "--num-runs", "1", "-e", "new"];
    scratch.serve_ok(&sim, &bench, &flags);
    let manifest = scratch.json("results/new/sweep.json");
    assert_eq!(manifest["asked"][0]["rows"], json!([{"max_num_seqs": 2}, {"max_num_seqs": 8, "seed": 4}]));
    assert_eq!(manifest["space"], json!(["--bench-grid", "max_concurrency=2"]));
    // The lake has changed, and would answer otherwise.
    scratch.ok(&["rm", "results/old", "--yes"]);
    scratch.serve_ok(&sim, &bench, &[&flags[..], &["--resume"]].concat());
    let rows = scratch.query("results", "SELECT max_num_seqs, count(*) AS n FROM runs GROUP BY 1 ORDER BY 1");
    let expected: Vec<Value> = vec![json!({"max_num_seqs": 2, "n": 1}), json!({"max_num_seqs": 8, "n": 1})];
    assert_eq!(rows, expected);
}

#[test]
fn secrets_of_a_space_are_not_kept() {
    let scratch = Scratch::new();
    // Programs that take no keys, so that nothing depends on them.
    scratch.write("server.sh", &format!("exec {}", scratch.sim("--startup-seconds 0")));
    scratch.write(
        "bench.sh",
        "while [ $# -gt 0 ]; do case $1 in --result-dir) d=$2;; --result-filename) f=$2;; esac; shift; done\n\
         echo '{\"completed\": 4, \"failed\": 0, \"duration\": 1, \"output_throughput\": 5}' > $d/$f\n",
    );
    let server = format!("sh server.sh --port {}", scratch.port);
    let (sim, bench) = (server.as_str(), format!("sh bench.sh --port {}", scratch.port));
    let flags = [
        "--serve-grid",
        "max_num_seqs,api_key=32:sk-secret-one,64:sk-secret-two",
        "--where",
        "serve.api_key <> 'sk-secret-two'",
        "--bench-params",
        "SELECT 'sk-secret-three' AS api_key, CASE WHEN count(*) > 0 THEN 1 END AS max_concurrency FROM sweeps",
        "--bench-set",
        "api_key = CASE WHEN max_concurrency > 0 THEN 'sk-secret-one' ELSE 'sk-secret-four' END",
    ];
    let common = ["--num-runs", "1", "--after-bench-cmd", "true", "-e"];
    scratch.serve_ok(sim, &bench, &[&common[..], &["old"]].concat());
    let flags = [&flags[..], &common, &["x"]].concat();
    scratch.serve_ok(sim, &bench, &flags);
    let manifest = scratch.read("results/x/sweep.json");
    assert!(!manifest.contains("secret"), "{manifest}");
    assert!(manifest.contains("max_num_seqs,api_key=32:"), "what is no secret stays: {manifest}");
    // A resume asks again for what was not kept.
    scratch.serve_ok(sim, &bench, &[&flags[..], &["--resume"]].concat());
    assert_eq!(scratch.query("results/x", "SELECT count(*) AS n FROM runs"), [json!({"n": 1})]);
}

#[test]
fn a_report_says_how_the_space_was_given() {
    let scratch = Scratch::new();
    let flags = [
        "--bench-grid",
        "max_concurrency=1..4*2",
        "--bench-set",
        "num_prompts = 2 * max_concurrency",
        "--where",
        "max_concurrency > 1",
    ];
    scratch.serve_ok(
        &scratch.sim("--startup-seconds 0"),
        &scratch.bench(""),
        &[&flags[..], &["--num-runs", "1", "-e", "x"]].concat(),
    );
    let rows = scratch.query("results", "SELECT max_concurrency, num_prompts, completed FROM runs ORDER BY 1");
    assert_eq!(
        rows,
        [
            json!({"max_concurrency": 2, "num_prompts": 4, "completed": 4}),
            json!({"max_concurrency": 4, "num_prompts": 8, "completed": 8})
        ]
    );
    scratch.ok(&["report", "results/x"]);
    let page = scratch.read("results/x/report.html");
    assert!(page.contains("max_concurrency=1,2,4") && page.contains("num_prompts = 2 * max_concurrency"));
}
