//! Tables on disk: compacted, interrupted, of older and newer formats, and lakes of many sweeps.

use crate::scratch::{Scratch, copy_folder, data};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;

const COUNTS: &str =
    "SELECT count(*) AS runs, count(DISTINCT run_id) AS ids, count(DISTINCT sweep) AS sweeps FROM runs";

/// A lake with copies of the frozen sample: sweeps of one name, which their folders tell apart.
fn lake_of(scratch: &Scratch, folders: &[&str]) {
    for folder in folders {
        copy_folder(&data("format-1/finished"), &scratch.path(&format!("lake/{folder}")));
    }
}

/// One more, which never ended.
fn interrupted(scratch: &Scratch) {
    copy_folder(&data("format-1/interrupted"), &scratch.path("lake/interrupted"));
}

#[test]
fn format_1_reads_compacted_and_loose_alike() {
    let scratch = Scratch::new();
    let finished = data("format-1/finished");
    let interrupted = data("format-1/interrupted");
    // DuckDB on the same file: avg, stddev, quantile_cont.
    let sql = "SELECT max_num_seqs, max_concurrency, n, output_throughput_mean, output_throughput_std, p99_e2el_ms_mean, \
               p99_e2el_ms_max, pooled_requests, p99_e2el_ms_pooled, p50_ttft_ms_pooled, p90_tpot_ms_pooled \
               FROM combinations ORDER BY 1, 2";
    let expected: [[f64; 11]; 4] = [
        [
            8.0,
            2.0,
            3.0,
            1973.0092343034203,
            62.698464567466736,
            12.402554946666669,
            14.197148300000004,
            96.0,
            12.483567499999992,
            3.2096905,
            0.9389584285714285,
        ],
        [
            8.0,
            16.0,
            3.0,
            9230.969629763176,
            526.7832623264661,
            17.41383695,
            18.95289797,
            96.0,
            18.949817649999996,
            7.713455,
            0.974476642857143,
        ],
        [
            64.0,
            2.0,
            3.0,
            1975.3379104156563,
            57.9425244544426,
            11.6894124,
            12.24682438,
            96.0,
            12.1965831,
            3.0819735,
            0.9378942857142858,
        ],
        [
            64.0,
            16.0,
            3.0,
            9706.666539963891,
            1329.8760628312161,
            14.151409123333332,
            15.23278422,
            96.0,
            15.2267439,
            8.070267999999999,
            1.2242077857142855,
        ],
    ];
    for folder in [finished.to_str().unwrap(), interrupted.to_str().unwrap()] {
        let rows = scratch.query(folder, sql);
        assert_eq!(rows.len(), expected.len());
        for (row, expected) in rows.iter().zip(expected) {
            for ((name, value), expected) in row.as_object().unwrap().iter().zip(expected) {
                let value = value.as_f64().unwrap();
                assert!(
                    (value - expected).abs() <= 1e-9 * expected,
                    "{folder}: {name}: {value}, DuckDB has {expected}"
                );
            }
        }
    }
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let scratch = Scratch::new();
    let file = std::fs::File::open(data("format-1/finished/runs.parquet")).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_key_value_metadata(Some(vec![parquet::file::metadata::KeyValue::new(
            "sweeplake.format_version".into(),
            "99".to_owned(),
        )]))
        .build();
    copy_folder(&data("format-1/finished"), &scratch.path("newer"));
    let file = std::fs::File::create(scratch.path("newer/runs.parquet")).unwrap();
    let schema = batches[0].schema();
    let schema = std::sync::Arc::new(schema.as_ref().clone().with_metadata(Default::default()));
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, schema.clone(), Some(properties)).unwrap();
    batches.iter().for_each(|batch| writer.write(&batch.clone().with_schema(schema.clone()).unwrap()).unwrap());
    writer.close().unwrap();
    let ran = scratch.run(&["query", "newer", "SELECT count(*) FROM runs"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains(
            "newer/runs.parquet: has format version 99, but this sweeplake only reads up to 2; use a newer sweeplake"
        ),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_interrupted_sweep_is_compacted_and_says_the_same() {
    let scratch = Scratch::new();
    copy_folder(&data("format-1/interrupted"), &scratch.path("interrupted"));
    let sql = "SELECT count(*) AS runs, round(sum(output_throughput), 6) AS sum FROM runs";
    let requests = "SELECT count(*) AS n, max(e2el_ms) AS slowest FROM requests";
    let (before, requests_before) = (scratch.query("interrupted", sql), scratch.query("interrupted", requests));
    assert!(scratch.ok(&["compact", "interrupted"]).stdout.contains("1 sweep compacted"));
    assert!(scratch.exists("interrupted/runs.parquet") && scratch.exists("interrupted/requests.parquet"));
    assert_eq!(scratch.query("interrupted", sql), before);
    assert_eq!(scratch.query("interrupted", requests), requests_before);
    assert!(scratch.ok(&["compact", "interrupted"]).stdout.contains("nothing to compact"));
    // Its manifest knows now what the writer that died could not tell it.
    let manifest = scratch.json("interrupted/sweep.json");
    assert_eq!((&manifest["state"], &manifest["runs"]), (&json!("interrupted"), &json!(12)));
}

#[test]
fn a_sweep_that_goes_on_is_asked_without_a_gap() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    scratch.serve_ok(&sim, &bench, &["-e", "s", "--num-runs", "1"]);
    let mut seen = 1;
    for num_runs in ["2", "3", "4"] {
        let arguments =
            ["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "-e", "s", "--resume", "--num-runs", num_runs];
        let mut sweep = scratch.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while sweep.try_wait().unwrap().is_none() {
            let rows = scratch.query("results/s", "SELECT count(*) AS runs, count(DISTINCT run_id) AS ids FROM runs");
            let runs = rows[0]["runs"].as_u64().unwrap();
            assert!(rows[0]["ids"] == runs && runs >= seen, "{seen} runs became {rows:?}");
            seen = runs;
        }
    }
    assert_eq!(scratch.query("results/s", "SELECT count(*) AS n FROM runs"), [json!({"n": 4})]);
}

#[test]
fn a_lake_is_compacted_and_follows_its_sweeps() {
    let scratch = Scratch::new();
    lake_of(&scratch, &["a", "b", "c"]);
    interrupted(&scratch);
    let all = "SELECT sweep, count(*) AS runs, sum(p99_e2el_ms) AS sum FROM runs GROUP BY sweep ORDER BY sweep";
    let facts = "SELECT sweep, state, serve_cmd FROM sweeps ORDER BY sweep";
    let requests = "SELECT sweep, count(*) AS n FROM requests GROUP BY sweep ORDER BY sweep";
    let asked = |scratch: &Scratch| [all, facts, requests].map(|sql| scratch.query("lake", sql));
    let before = asked(&scratch);
    let told = scratch.ok(&["compact", "lake"]).stdout;
    assert!(told.contains("1 sweep compacted; 4 sweeps in compacted/latest"), "{told}");
    assert_eq!(asked(&scratch), before);
    // The plan reads one file for all of them.
    let plan = scratch.query("lake", "EXPLAIN SELECT sum(p99_e2el_ms) FROM runs");
    let plan = plan.iter().map(Value::to_string).collect::<String>();
    assert!(plan.contains("compacted/000001/runs.parquet") && !plan.contains("lake/a/runs.parquet"), "{plan}");
    assert!(scratch.ok(&["compact", "lake"]).stdout.contains("compacted/latest is up to date"));

    // A sweep that goes, one that changes, one that comes.
    std::fs::remove_dir_all(scratch.path("lake/a")).unwrap();
    let manifest = scratch.read("lake/b/sweep.json");
    scratch.write("lake/b/sweep.json", &manifest.replace("sim m --port", "sim changed --port"));
    lake_of(&scratch, &["d"]);
    let changed = asked(&scratch);
    let names: Vec<&str> = changed[0].iter().map(|row| row["sweep"].as_str().unwrap()).collect();
    assert_eq!(names, ["b", "c", "d", "interrupted"]);
    assert!(changed[0].iter().all(|row| row["runs"] == 12), "{changed:?}");
    assert!(changed[1][0]["serve_cmd"].as_str().unwrap().contains("sim changed"));
    assert!(scratch.ok(&["compact", "lake"]).stdout.contains("4 sweeps in compacted/latest"));
    assert_eq!(asked(&scratch), changed);
    // A lake that moved tells where its sweeps are now.
    std::fs::rename(scratch.path("lake"), scratch.path("moved")).unwrap();
    let rows = scratch.query("moved", "SELECT folder FROM sweeps WHERE sweep = 'c'");
    assert_eq!(rows, [json!({"folder": "moved/c"})]);
    // Together with one of its sweeps, by another way, nothing counts twice.
    let ran = scratch.ok(&["query", "moved/c", "moved", COUNTS, "--format", "json"]);
    assert_eq!(serde_json::from_str::<Vec<Value>>(&ran.stdout).unwrap()[0]["runs"], 48);
}

#[test]
fn sweeps_of_one_name_keep_apart_in_a_compacted_lake() {
    let scratch = Scratch::new();
    for folder in ["lake/first/demo", "lake/second/demo"] {
        copy_folder(&data("format-1/finished"), &scratch.path(folder));
    }
    let sql = "SELECT sweep, count(*) AS n FROM runs GROUP BY sweep ORDER BY sweep";
    let expected = [json!({"sweep": "first/demo", "n": 12}), json!({"sweep": "second/demo", "n": 12})];
    assert_eq!(scratch.query("lake", sql), expected);
    scratch.ok(&["compact", "lake"]);
    assert_eq!(scratch.query("lake", sql), expected);
    // Alone it is called as its folder, though the catalogue knows it by another name.
    std::fs::remove_dir_all(scratch.path("lake/second")).unwrap();
    assert_eq!(scratch.query("lake", sql), [json!({"sweep": "demo", "n": 12})]);
}

#[test]
fn a_compaction_that_is_killed_loses_and_doubles_nothing() {
    let scratch = Scratch::new();
    lake_of(&scratch, &["a", "b"]);
    interrupted(&scratch);
    let requests = scratch.query("lake", "SELECT count(*) AS n FROM requests");
    for after in [0, 3, 6, 9, 12, 15, 20, 25, 30, 40] {
        let mut child =
            scratch.command(&["compact", "lake"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(after));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(scratch.query("lake", COUNTS)[0]["runs"], 36, "killed after {after} ms");
        assert_eq!(scratch.query("lake", "SELECT count(*) AS n FROM requests"), requests, "killed after {after} ms");
        // As it was, for the next one.
        let _ = std::fs::remove_dir_all(scratch.path("lake/compacted"));
        for name in ["runs.parquet", "requests.parquet"] {
            let _ = std::fs::remove_file(scratch.path(&format!("lake/interrupted/{name}")));
        }
    }
}

#[test]
fn a_sweep_that_is_being_written_is_asked_without_double_or_missing_runs() {
    let scratch = Scratch::new();
    scratch.write("bench.json", r#"[{"max_concurrency": 1}, {"max_concurrency": 2}, {"max_concurrency": 3}]"#);
    let (sim, bench) = (scratch.sim(""), scratch.bench("--save-detailed"));
    let arguments = [
        "serve",
        "--serve-cmd",
        &sim,
        "--bench-cmd",
        &bench,
        "--bench-params",
        "bench.json",
        "--num-runs",
        "3",
        "-e",
        "s",
    ];
    let mut sweep = scratch.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut seen = 0;
    loop {
        let has_ended = sweep.try_wait().unwrap().is_some();
        if scratch.exists("results/s/sweep.json") {
            let rows = scratch.query("results/s", "SELECT count(*) AS runs, count(DISTINCT run_id) AS ids FROM runs");
            let runs = rows[0]["runs"].as_u64().unwrap();
            assert_eq!(rows[0]["ids"].as_u64(), Some(runs), "a run was counted twice");
            assert!(runs >= seen, "{seen} runs became {runs}");
            seen = runs;
        }
        if has_ended {
            break;
        }
    }
    assert_eq!(seen, 9);
}

#[test]
fn a_parameter_that_is_a_number_here_and_a_text_there_stays_a_number_for_numbers() {
    let scratch = Scratch::new();
    let run =
        |value: Value| json!({"date": "20261101-120000", "output_throughput": 1.0, "run_number": 0, "level": value});
    for (sweep, level) in [
        ("a", json!(4096)),
        ("a", json!(16384)),
        ("a", json!(8192)),
        ("b", json!("auto")),
        ("c", json!(0.5)),
        ("d", Value::Null),
    ] {
        let name = level.as_str().map_or_else(|| level.to_string().replace("null", "None"), str::to_owned);
        scratch.write(&format!("lake/{sweep}/SERVE--level={name}/run=0.json"), &run(level).to_string());
    }
    let rows =
        |sql: &str| -> Vec<Value> { scratch.query("lake", sql).into_iter().map(|row| row["level"].clone()).collect() };
    let cases = [
        ("SELECT level FROM runs WHERE level <= 8192 ORDER BY level", json!([0.5, 4096, 8192])),
        ("SELECT level FROM runs WHERE level > 4096 ORDER BY level DESC", json!([16384, 8192])),
        ("SELECT level FROM runs WHERE level = 'auto'", json!(["auto"])),
        ("SELECT level FROM runs WHERE level LIKE 'a%'", json!(["auto"])),
        ("SELECT level FROM runs WHERE level IN (4096, 'auto') ORDER BY level", json!([4096, "auto"])),
        ("SELECT level FROM runs WHERE level BETWEEN 1 AND 9000 ORDER BY level", json!([4096, 8192])),
        ("SELECT level FROM runs ORDER BY level", json!([0.5, 4096, 8192, 16384, "auto", null])),
        ("SELECT level FROM runs GROUP BY level ORDER BY level", json!([0.5, 4096, 8192, 16384, "auto", null])),
        ("SELECT max(level) AS level FROM runs", json!([16384])),
        ("SELECT min(level) AS level FROM runs WHERE sweep = 'b'", json!(["auto"])),
        ("SELECT sum(level) AS level FROM runs", json!([28672.5])),
        ("SELECT level / 2 + 1 AS level FROM runs WHERE level = 4096", json!([2049.0])),
        ("SELECT CAST(level AS BIGINT) AS level FROM runs WHERE level > 5000 ORDER BY 1", json!([8192, 16384])),
        (
            "SELECT one.level FROM runs AS one JOIN runs AS other ON one.level = other.level ORDER BY 1",
            json!([0.5, 4096, 8192, 16384, "auto"]),
        ),
        ("SELECT one.level FROM runs AS one JOIN (VALUES (4096), (7)) AS t(x) ON one.level = t.x", json!([4096])),
        ("SELECT level FROM runs WHERE level IN (SELECT x FROM (VALUES (8192.0)) AS t(x))", json!([8192])),
        (
            "WITH t AS (SELECT level AS l FROM runs) SELECT avg(l) AS level FROM t WHERE l > 1",
            json!([9557.333333333334]),
        ),
        (
            "SELECT level FROM (SELECT level, row_number() OVER (ORDER BY level DESC NULLS LAST) AS place FROM runs) WHERE place = 1",
            json!([16384]),
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(Value::from(rows(sql)), expected, "{sql}");
    }
    let ran = scratch.ok(&["query", "lake", "--filter-by", "level<=8192", "--metrics", "count(level)"]);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("n,count(level)\n3,3\n", ""));
    scratch.ok(&["plot", "lake", "--var-x", "level", "--var-y", "output_throughput", "--curve-by", "sweep"]);
    let tables =
        scratch.query("lake", "SELECT data_type FROM columns WHERE table_name = 'runs' AND column_name = 'level'");
    assert_eq!(tables, [json!({"data_type": "DOUBLE or VARCHAR"})]);
}

#[test]
fn a_parameter_with_a_name_of_ours_stands_beside_it() {
    let scratch = Scratch::new();
    let run = json!({
        "date": "20261101-120000", "output_throughput": 1.0, "run_number": 0, "n": 9, "failed_runs": 8, "sweep": "mine",
        "pooled_requests": 6, "duration": 30, "output_throughput_mean": 7,
    });
    let name = "SERVE--n=9-failed_runs=8-sweep=mine-pooled_requests=6-duration=30-output_throughput_mean=7";
    scratch.write(&format!("s/{name}/run=0.json"), &run.to_string());
    let rows = scratch.query("s", "SELECT sweep, n, duration, \"param.sweep\", \"param.duration\" FROM runs");
    assert_eq!(rows, [json!({"sweep": "s", "n": 9, "duration": null, "param.sweep": "mine", "param.duration": 30})]);
    let rows = scratch.query(
        "s",
        "SELECT n, \"param.n\" AS a, failed_runs, \"param.failed_runs\" AS b, \"param.pooled_requests\" AS c FROM combinations",
    );
    let expected = json!({"n": 1, "a": 9, "failed_runs": 0, "b": 8, "c": 6});
    assert_eq!(rows, [expected]);
}

#[test]
fn whatever_a_parameter_is_called_it_can_be_drawn_and_reported() {
    let scratch = Scratch::new();
    let names =
        ["x", "y", "n", "series", "k", "v0", "serve", "bench", "place", "value", "order", "x_std", "metric", "load"];
    for (index, throughput) in [(1, 10.0), (2, 20.0)] {
        let mut run = json!({
            "date": "20261101-120000", "output_throughput": throughput, "p99_e2el_ms": throughput, "max_concurrency": index,
            "median_ttft_ms": 1.0, "median_tpot_ms": 1.0, "mean_e2el_ms": 5.0, "completed": 200, "run_number": 0,
        });
        names.iter().for_each(|name| run[*name] = json!(index));
        let pairs: Vec<String> = names.iter().map(|name| format!("{name}={index}")).collect();
        scratch.write(&format!("s/SERVE--{}/run=0.json", pairs.join("-")), &run.to_string());
    }
    let all = names.join(",");
    scratch.ok(&["plot_pareto", "s", "--label-by", &all, "--group-by", &all]);
    scratch.ok(&["plot", "s", "--var-x", "x", "--var-y", "y", "--curve-by", &all, "--row-by", "k"]);
    scratch.ok(&["query", "s", "--group-by", &all, "--metrics", "mean(output_throughput)"]);
    scratch.ok(&["report", "s", "-o", "r.html"]);
    let told = scratch.ok(&["plot_pareto", "s", "--label-by", "x,y,n,series", "--format", "json"]).stdout;
    let table = told.lines().find(|line| line.starts_with('[')).unwrap_or_else(|| panic!("{told}"));
    let rows: Vec<Value> = serde_json::from_str(table).unwrap();
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| row["x"] == row["series"] && row["tokens_per_user"].is_f64()), "{told}");
}

#[test]
fn what_is_no_number_is_null() {
    let scratch = Scratch::new();
    for (run, throughput) in [(0, "NaN"), (1, "4.0"), (2, "Infinity")] {
        let text = format!(
            r#"{{"date": "20261101-120000", "output_throughput": {throughput}, "request_rate": "inf", "run_number": {run}}}"#
        );
        scratch.write(&format!("s/BENCH--x/run={run}.json"), &text);
    }
    let sql = "SELECT count(*) AS n, count(output_throughput) AS known, min(output_throughput) AS least, count(wall_time_s) AS timed FROM runs";
    assert_eq!(scratch.query("s", sql), [json!({"n": 3, "known": 2, "least": 4.0, "timed": 0})]);
}

#[test]
fn a_file_that_was_cut_off_is_named_with_what_to_do() {
    let scratch = Scratch::new();
    lake_of(&scratch, &["a"]);
    interrupted(&scratch);
    let whole = std::fs::read(scratch.path("lake/a/runs.parquet")).unwrap();
    std::fs::write(scratch.path("lake/a/runs.parquet"), &whole[..whole.len() / 2]).unwrap();
    let ran = scratch.run(&["query", "lake", COUNTS]);
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.stderr.contains("skipped: ") && ran.stderr.contains("lake/a/runs.parquet: is not a complete"),
        "{}",
        ran.stderr
    );
    let ran = scratch.run(&["query", "lake/a", COUNTS]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("lake/a/runs.parquet: is not a complete Parquet file ("), "{}", ran.stderr);
    assert_eq!(scratch.run(&["query", "lake", COUNTS, "--strict"]).code, Some(2));
    assert!(ran.stderr.contains("its contents are read from per-run files"), "{}", ran.stderr);
    // What it says is so: of a sweep that ended, and has its files.
    scratch.ok(&["compact", "lake/interrupted"]);
    std::fs::remove_dir_all(scratch.path("lake/a")).unwrap();
    std::fs::write(scratch.path("lake/interrupted/runs.parquet"), &whole[..whole.len() / 2]).unwrap();
    assert_eq!(scratch.run(&["query", "lake/interrupted", COUNTS]).code, Some(2));
    std::fs::remove_file(scratch.path("lake/interrupted/runs.parquet")).unwrap();
    assert_eq!(scratch.query("lake", COUNTS)[0]["runs"], 12);
    let manifest = scratch.read("lake/interrupted/sweep.json");
    scratch.write("lake/interrupted/sweep.json", &manifest[..manifest.len() / 2]);
    // One damaged sweep takes no other down.
    copy_folder(&data("format-1/finished"), &scratch.path("lake/sound"));
    scratch.write("lake/newer/sweep.json", r#"{"format_version": 99, "sweep": "newer"}"#);
    for command in [&["list", "lake"][..], &["query", "lake", COUNTS], &["report", "--lake", "lake"], &["show", "lake"]]
    {
        let ran = scratch.ok(command);
        assert!(
            ran.stderr.contains("skipped: ") && ran.stderr.contains("lake/interrupted/sweep.json"),
            "{command:?}: {}",
            ran.stderr
        );
        assert!(ran.stderr.contains("lake/newer/sweep.json"), "{command:?}: {}", ran.stderr);
    }
    assert_eq!(scratch.run(&["list", "lake", "--strict"]).code, Some(2));
    assert_eq!(scratch.query("lake", "SELECT count(*) AS n FROM runs")[0]["n"], 12);
    let ran = scratch.run(&["list", "lake/interrupted"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("lake/interrupted/sweep.json: line ") && ran.stderr.contains("fix the file"),
        "{}",
        ran.stderr
    );
}

#[test]
fn sweeps_of_format_version_2_are_read_for_good() {
    // Written by the first version that wrote them; the numbers are pyarrow's.
    let scratch = Scratch::new();
    let sample = data("format-2/finished").display().to_string();
    let sql = "SELECT count(*) AS n, count(DISTINCT combination) AS combinations, sum(output_throughput) AS sum, min(adj_p99_e2el_ms) AS least FROM runs";
    let row = &scratch.query(&sample, sql)[0];
    assert_eq!((&row["n"], &row["combinations"]), (&json!(8), &json!(4)));
    assert!((row["sum"].as_f64().unwrap() - 32115.688100050367).abs() < 1e-6, "{row}");
    assert_eq!(row["least"], json!(5.58539672));
    let row = &scratch.query(&sample, "SELECT count(*) AS n, sum(ttft_ms) AS sum FROM requests")[0];
    assert_eq!(row["n"], 96);
    assert!((row["sum"].as_f64().unwrap() - 250.790715).abs() < 1e-6, "{row}");
    let kinds = scratch.query(
        &sample,
        "SELECT column_name, kind, unit FROM columns WHERE table_name = 'runs' AND column_name IN ('max_num_seqs', 'max_concurrency', 'p99_e2el_ms', 'run_id') ORDER BY 1",
    );
    let told: Vec<(&str, &str)> =
        kinds.iter().map(|row| (row["column_name"].as_str().unwrap(), row["kind"].as_str().unwrap())).collect();
    let expected = [
        ("max_concurrency", "bench parameter"),
        ("max_num_seqs", "serve parameter"),
        ("p99_e2el_ms", "metric"),
        ("run_id", "identity"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_damaged_sweep_is_left_out_of_a_compacted_lake() {
    let scratch = Scratch::new();
    copy_folder(&data("format-2/finished"), &scratch.path("lake/sound"));
    copy_folder(&data("format-2/finished"), &scratch.path("lake/damaged"));
    let whole = std::fs::read(scratch.path("lake/damaged/runs.parquet")).unwrap();
    std::fs::write(scratch.path("lake/damaged/runs.parquet"), &whole[..whole.len() / 2]).unwrap();
    let ran = scratch.ok(&["compact", "lake"]);
    assert!(ran.stderr.contains("skipped: ") && ran.stderr.contains("lake/damaged/runs.parquet"), "{}", ran.stderr);
    assert!(ran.stdout.contains("1 sweeps in compacted/latest"), "{}", ran.stdout);
    assert_eq!(scratch.query("lake", "SELECT DISTINCT sweep FROM runs"), [json!({"sweep": "sound"})]);
    assert_eq!(scratch.run(&["compact", "lake/damaged"]).code, Some(1));
}
