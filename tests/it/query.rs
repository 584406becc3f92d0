//! SQL over sweeps of ours and of vLLM's.

use crate::scratch::{Scratch, data};
use serde_json::{Value, json};

/// A lake with one sweep of ours and one that vLLM made.
fn lake() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("bench.json", r#"[{"max_concurrency": 1}, {"max_concurrency": 4}]"#);
    let (sim, bench) = (scratch.sim(""), scratch.bench("--save-detailed"));
    scratch.serve_ok(&sim, &bench, &["--bench-params", "bench.json", "-e", "ours", "--num-runs", "2"]);
    vllm_sweep(&scratch, "results/theirs");
    scratch
}

/// A folder as vLLM 0.32 writes it: no manifest, no Parquet, a number that is a text, one run cut off.
pub fn vllm_sweep(scratch: &Scratch, folder: &str) {
    for (seqs, concurrency) in [(32, 2), (64, 2), (32, 8), (64, 8)] {
        let runs: Vec<Value> = (0..2)
            .map(|run| {
                let throughput = f64::from(seqs * concurrency + run);
                json!({
                    "date": "20261101-120000", "backend": "vllm", "model_id": "m", "num_prompts": 12, "request_rate": "inf",
                    "burstiness": 1.0, "max_concurrency": concurrency, "duration": 2.0, "completed": 12,
                    "output_throughput": throughput, "total_token_throughput": 2.0 * throughput,
                    "latencies": [0.1, 0.2], "median_ttft_ms": 20.0 * f64::from(concurrency), "p99_e2el_ms": 100.0,
                    "run_number": run, "max-num-seqs": seqs, "tensor_parallel_size": 2,
                })
            })
            .collect();
        let name =
            format!("{folder}/SERVE--max-num-seqs={seqs}-tensor_parallel_size=2-BENCH--max_concurrency={concurrency}");
        for (index, run) in runs.iter().enumerate() {
            scratch.write(&format!("{name}/run={index}.json"), &run.to_string());
        }
        if concurrency == 2 {
            scratch.write(&format!("{name}/summary.json"), &Value::from(runs).to_string());
        } else {
            scratch.write(&format!("{name}/run=2.json"), "{\"date\": \"2026");
        }
    }
    scratch.write(&format!("{folder}/summary.csv"), ",date\n");
}

#[test]
fn our_sweeps_and_vllms_are_one_lake() {
    let scratch = lake();
    let before = scratch.files();
    let rows = scratch.query("results", "SELECT sweep, count(*) AS runs, count(DISTINCT combination) AS c, min(gpu_count) AS gpus, max(tokens_per_user) AS per_user FROM runs WHERE sweep = 'theirs' GROUP BY sweep");
    assert_eq!(rows, [json!({"sweep": "theirs", "runs": 8, "c": 4, "gpus": 2.0, "per_user": 64.5})]);
    let rows = scratch.query("results", "SELECT sweep, count(*) AS n FROM requests GROUP BY sweep ORDER BY sweep");
    assert_eq!(rows, [json!({"sweep": "ours", "n": 24}), json!({"sweep": "theirs", "n": 16})]);
    let rows = scratch.query("results", "SELECT sweep, state, kind FROM sweeps ORDER BY sweep");
    assert_eq!(rows[0], json!({"sweep": "ours", "state": "completed", "kind": "serve"}));
    assert_eq!(rows[1]["sweep"], "theirs");
    // The params keep their meaning whatever their spelling, and a text that is a number is one.
    let rows = scratch.query(
        "results/theirs",
        "SELECT DISTINCT max_num_seqs, request_rate = 'inf'::DOUBLE AS all_at_once FROM runs ORDER BY 1",
    );
    assert_eq!(
        rows,
        [json!({"max_num_seqs": 32, "all_at_once": true}), json!({"max_num_seqs": 64, "all_at_once": true})]
    );
    assert_eq!(scratch.files(), before, "a query wrote something");
}

#[test]
fn combinations_summarise_the_runs() {
    let scratch = lake();
    let sql = "SELECT n, output_throughput_mean AS mean, output_throughput_std AS std, output_throughput_min AS low, output_throughput_max AS high, output_throughput_ci95 AS ci FROM combinations WHERE sweep = 'theirs' AND max_num_seqs = 32 AND max_concurrency = 2";
    let row = &scratch.query("results", sql)[0];
    assert_eq!(
        (&row["n"], &row["mean"], &row["low"], &row["high"]),
        (&json!(2), &json!(64.5), &json!(64.0), &json!(65.0))
    );
    // scipy.stats.t.ppf(0.975, 1) / 2 = 6.353102368; the standard deviation of two values 1 apart is √½.
    assert!((row["std"].as_f64().unwrap() - 0.5f64.sqrt()).abs() < 1e-9);
    assert!((row["ci"].as_f64().unwrap() - 6.353_102_368).abs() < 1e-6);
}

#[test]
fn answers_come_in_every_format_and_into_files() {
    let scratch = lake();
    let sql = "SELECT max_num_seqs AS seqs, avg(output_throughput) AS mean, 'a|b' AS text FROM runs WHERE sweep = 'theirs' GROUP BY 1 ORDER BY 1";
    let run = |format: &str| scratch.ok(&["query", "results", sql, "--format", format]).stdout;
    assert_eq!(run("csv"), "seqs,mean,text\n32,160.5,a|b\n64,320.5,a|b\n");
    assert_eq!(
        run("jsonl"),
        "{\"seqs\":32,\"mean\":160.5,\"text\":\"a|b\"}\n{\"seqs\":64,\"mean\":320.5,\"text\":\"a|b\"}\n"
    );
    assert!(run("table").contains("│   32 ┆ 160.5 ┆ a|b  │") && run("table").ends_with("2 rows\n"), "{}", run("table"));
    assert!(run("markdown").starts_with("| seqs |") && run("markdown").contains(r"a\|b"), "{}", run("markdown"));
    assert_eq!(scratch.ok(&["query", "results", sql]).stdout, run("csv"), "csv where there is no terminal");
    scratch.write("q.sql", sql);
    scratch.ok(&["query", "results", "--file", "q.sql", "-o", "answer.parquet"]);
    assert!(std::fs::read(scratch.path("answer.parquet")).unwrap().starts_with(b"PAR1"));
    scratch.ok(&["query", "results", sql, "-o", "answer.json"]);
    assert_eq!(scratch.json("answer.json")[0]["seqs"], 32);
}

#[test]
fn an_empty_answer_still_has_its_columns() {
    let scratch = lake();
    let ran = scratch.ok(&["query", "results", "SELECT sweep, run_number FROM runs WHERE FALSE", "--format", "csv"]);
    assert_eq!(ran.stdout, "sweep,run_number\n");
}

#[test]
fn a_lake_can_be_read_and_not_changed() {
    let scratch = lake();
    let before = scratch.files();
    let cases = [
        ("CREATE TABLE t AS SELECT 1", "CREATE is not supported"),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'x.csv'", "CREATE is not supported"),
        ("DROP TABLE runs", "DROP is not supported"),
        ("INSERT INTO runs VALUES (1)", "INSERT is not supported"),
        ("DELETE FROM runs", "DELETE is not supported"),
        ("UPDATE runs SET run_number = 1", "UPDATE is not supported"),
        ("COPY runs TO 'x.csv'", "COPY is not supported"),
        ("SET datafusion.execution.batch_size = 1", "SET is not supported"),
        ("EXPLAIN ANALYZE COPY runs TO 'x.csv'", "COPY is not supported"),
    ];
    for (sql, message) in cases {
        let ran = scratch.run(&["query", "results", sql]);
        assert_eq!(ran.code, Some(2), "{sql}");
        assert!(ran.stderr.contains(message), "{sql}: {}", ran.stderr);
    }
    assert_eq!(scratch.files(), before);
}

#[test]
fn errors_name_what_is_nearest() {
    let scratch = lake();
    let cases = [
        ("SELECT p99_e2e_ms FROM runs", "no column `p99_e2e_ms`; did you mean `p99_e2el_ms`?"),
        ("SELECT r.p99_e2e_ms FROM runs r", "no column `p99_e2e_ms`; did you mean `p99_e2el_ms`?"),
        ("SELECT x FROM runs WHERE max_concurency = 1", "no column `max_concurency`; did you mean `max_concurrency`?"),
        ("SELECT \"Max_num_seqs\" FROM runs", "no column `Max_num_seqs`; did you mean `max_num_seqs`?"),
        (
            "SELECT p999_ttft_ms FROM (SELECT 1 AS \"p99.9_ttft_ms\")",
            "did you mean \"p99.9_ttft_ms\", including the quotes?",
        ),
        ("SELECT * FROM run", "no table `run`; available tables: sweeps, runs, requests, telemetry, combinations"),
        ("SELEC 1", "invalid SQL: "),
        ("SELECT 1; SELECT 2", "invalid SQL: "),
        ("SELECT (", "invalid SQL: "),
        ("SELECT nosuch(1)", "nosuch"),
    ];
    for (sql, message) in cases {
        let ran = scratch.run(&["query", "results", sql]);
        assert_eq!(ran.code, Some(2), "{sql}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{sql}: {}", ran.stderr);
    }
    assert_eq!(scratch.run(&["query", "results", "SELECT CAST(status AS BIGINT) FROM runs"]).code, Some(1));
}

#[test]
fn tables_can_be_looked_up() {
    let scratch = lake();
    let tables = scratch.ok(&["query", "results", "SHOW TABLES"]).stdout;
    assert!(
        ["sweeps", "runs", "requests", "combinations"].iter().all(|table| tables.contains(&format!(",{table},"))),
        "{tables}"
    );
    assert!(
        scratch
            .ok(&["query", "results", "DESCRIBE requests"])
            .stdout
            .contains("ttft_ms,DOUBLE,metric,ms,time to first token")
    );
    assert!(scratch.ok(&["query", "results", "EXPLAIN SELECT count(*) FROM runs"]).stdout.contains("Aggregate"));
}

#[test]
fn columns_are_there_before_a_run_has_a_value_for_them() {
    let scratch = lake();
    let rows = scratch.query(
        "results/ours",
        "SELECT count(error) AS errors, count(exit_code) AS codes, count(serve_name) AS names FROM runs",
    );
    assert_eq!(rows, [json!({"errors": 0, "codes": 0, "names": 0})]);
}

#[test]
fn list_and_show_tell_what_there_is() {
    let scratch = lake();
    let list = scratch.ok(&["list", "results", "--format", "csv"]).stdout;
    assert!(list.contains("ours,completed,") && list.contains("theirs,completed,2026-11-01T12:00:00"), "{list}");
    let show = scratch.ok(&["show", "results/ours", "--format", "table"]).stdout;
    assert!(show.contains("│               4 ┆") && show.contains(" ± "), "{show}");
    // A row for each, in the order and with the columns that were asked for.
    let shape = ["--columns", "max_concurrency,output_throughput_mean", "--sort", "-max_concurrency", "--limit", "1"];
    let show = scratch.ok(&[&["show", "results/ours", "--format", "csv"][..], &shape].concat()).stdout;
    assert!(show.starts_with("max_concurrency,output_throughput_mean\n4,") && show.lines().count() == 2, "{show}");
    assert_eq!(
        scratch.ok(&["list", "results", "--columns", "sweep", "--sort", "sweep", "--format", "csv"]).stdout,
        "sweep\nours\ntheirs\n"
    );
}

#[test]
fn an_unrelated_or_broken_summary_hides_no_run() {
    let scratch = Scratch::new();
    vllm_sweep(&scratch, "theirs");
    scratch.write("theirs/notes/summary.json", "{\"not\": \"a sweep\"}");
    let folder = scratch.files().into_iter().find(|file| file.ends_with("max_concurrency=2/summary.json")).unwrap();
    let whole = scratch.read(&folder);
    scratch.write(&folder, &whole[..whole.len() - 20]);
    assert_eq!(scratch.query("theirs", "SELECT count(*) AS n FROM runs"), [json!({"n": 8})]);
}

#[test]
fn the_queries_that_ship_give_their_rows() {
    let scratch = Scratch::new();
    vllm_sweep(&scratch, "theirs");
    let run = |name: &str, parameters: &[(&str, &str)]| {
        let path = crate::scratch::repository().join("queries").join(name).display().to_string();
        let given: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let given = given.iter().flat_map(|pair| ["--param", pair.as_str()]);
        let words = ["query", "theirs", "--file", &path, "--format", "json"].into_iter().chain(given);
        let answer = scratch.ok(&words.collect::<Vec<_>>()).stdout;
        serde_json::from_str::<Vec<Value>>(&answer).unwrap_or_default()
    };
    let list = &run("list.sql", &[])[0];
    assert_eq!(
        (&list["sweep"], &list["combinations"], &list["runs"], &list["failed"]),
        (&json!("theirs"), &json!(4), &json!(8), &json!(0))
    );
    let summary = run("summary.sql", &[]);
    assert_eq!(summary.len(), 4);
    assert!(summary.iter().all(|row| row["n"] == 2 && row["p99_e2el_ms_mean"] == 100.0));
    let headlines = run("headlines.sql", &[]);
    let found: Vec<(&str, f64)> =
        headlines.iter().map(|row| (row["metric"].as_str().unwrap(), row["value"].as_f64().unwrap())).collect();
    assert_eq!(found, [("output_throughput", 512.5), ("tokens_per_gpu", 256.25)]);
    let best = run("best.sql", &[("sla", "100")]);
    assert_eq!((best.len(), &best[0]["output_throughput_mean"]), (4, &json!(512.5)));
    assert!(run("best.sql", &[("sla", "99.9")]).is_empty());
    assert!(run("failures.sql", &[]).is_empty());
}

#[test]
fn sweeps_of_one_name_are_no_repeats_of_each_other() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench("--save-detailed"));
    for host in ["a", "b"] {
        scratch.serve_ok(&sim, &bench, &["-o", host, "-e", "first", "--num-runs", "2"]);
    }
    let ask = |sql: &str| {
        let ran = scratch.ok(&["query", "a", "b", "a/first", sql, "--format", "json"]);
        serde_json::from_str::<Vec<Value>>(&ran.stdout).unwrap()
    };
    let two = |n: i64| vec![json!({"sweep": "a/first", "n": n}), json!({"sweep": "b/first", "n": n})];
    assert_eq!(ask("SELECT sweep, n FROM combinations ORDER BY sweep"), two(2));
    assert_eq!(ask("SELECT sweep, count(*) AS n FROM requests GROUP BY sweep ORDER BY sweep"), two(12));
}

#[test]
fn brackets_and_stars_in_names_are_no_patterns() {
    let scratch = Scratch::new();
    scratch.write("bench.json", r#"[{"metadata": ["a=1", "b=[2]*"]}]"#);
    let (sim, bench) = (scratch.sim(""), scratch.bench("--save-detailed"));
    scratch.serve_ok(
        &sim,
        &bench,
        &["--bench-params", "bench.json", "-o", "lake[1]", "-e", "x*[y]", "--num-runs", "1"],
    );
    let count = |table: &str| scratch.query("lake[1]", &format!("SELECT count(*) AS n FROM {table}"))[0]["n"].clone();
    assert_eq!((count("runs"), count("requests")), (json!(1), json!(6)));
    for name in ["runs.parquet", "requests.parquet"] {
        std::fs::remove_file(scratch.path(&format!("lake[1]/x*[y]/{name}"))).unwrap();
    }
    assert_eq!((count("runs"), count("requests")), (json!(1), json!(6)), "the loose files");
}

#[test]
fn a_stray_summary_in_a_lake_hides_and_doubles_nothing() {
    let scratch = lake();
    scratch.write("results/summary.json", "{\"notes\": []}");
    assert_eq!(
        scratch.query("results", "SELECT count(*) AS n, count(DISTINCT sweep) AS s FROM runs"),
        [json!({"n": 12, "s": 2})]
    );
}

#[test]
fn flags_ask_without_sql_and_show_what_they_ask() {
    let scratch = Scratch::new();
    vllm_sweep(&scratch, "theirs");
    let flags =
        ["--group-by", "max-num-seqs", "--metrics", "mean(output_throughput),max(median_ttft_ms)", "--show-sql"];
    let ran =
        scratch
            .ok(&[&["query", "theirs", "--filter-by", "max_concurrency==2", "--format", "json"][..], &flags[..]]
                .concat());
    let rows: Value = serde_json::from_str(&ran.stdout).unwrap();
    let row = |seqs: i64, throughput: f64| json!({"max_num_seqs": seqs, "n": 2, "mean(output_throughput)": throughput, "max(median_ttft_ms)": 40.0});
    assert_eq!(rows, json!([row(32, 64.5), row(64, 128.5)]));
    assert!(ran.stderr.contains("GROUP BY \"max_num_seqs\""), "{}", ran.stderr);
    // What it shows is what it ran.
    let again: Vec<Value> = scratch.query("theirs", &ran.stderr);
    assert_eq!(Value::from(again), rows);
    let ran = scratch.run(&["query", "theirs", "--metrics", "worst(output_throughput)"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("`worst` is not one of mean"), "{}", ran.stderr);
}

#[test]
fn an_answer_as_an_arrow_stream_is_the_same_answer() {
    let scratch = Scratch::new();
    let sql = "SELECT label, run_number, output_throughput, caution FROM runs ORDER BY label, run_number";
    let output = scratch.command(&["query", &sample(), sql, "--format", "arrow"]).output().unwrap();
    let stream = arrow::ipc::reader::StreamReader::try_new(output.stdout.as_slice(), None).unwrap();
    let batches: Vec<_> = stream.map(Result::unwrap).collect();
    let rows = scratch.query(&sample(), sql);
    assert_eq!(batches.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), rows.len());
    let throughputs = batches.iter().flat_map(|batch| {
        let column = batch.column_by_name("output_throughput").unwrap();
        arrow::array::AsArray::as_primitive::<arrow::datatypes::Float64Type>(column).values().to_vec()
    });
    let expected: Vec<f64> = rows.iter().map(|row| row["output_throughput"].as_f64().unwrap()).collect();
    assert_eq!(throughputs.collect::<Vec<_>>(), expected);
    // A file is told by its name, and JSON ends its last line.
    scratch.ok(&["query", &sample(), sql, "-o", "answer.arrow"]);
    assert_eq!(std::fs::read(scratch.path("answer.arrow")).unwrap(), output.stdout);
    assert!(scratch.ok(&["query", &sample(), sql, "--format", "json"]).stdout.ends_with("]\n"));
}

#[test]
fn a_table_is_summarized_column_by_column() {
    let scratch = lake();
    let rows = scratch.query("results/theirs", "SUMMARIZE runs");
    let row = rows.iter().find(|row| row["column_name"] == "output_throughput").unwrap();
    let asked = "SELECT avg(output_throughput) AS mean, stddev(output_throughput) AS std, count(output_throughput) AS n, count(*) AS of FROM runs";
    let truth = &scratch.query("results/theirs", asked)[0];
    for (found, expected) in [("avg", "mean"), ("std", "std")] {
        let (found, expected) = (row[found].as_f64().unwrap(), truth[expected].as_f64().unwrap());
        assert!((found / expected - 1.0).abs() < 1e-12, "{found} instead of {expected}");
    }
    assert_eq!((&row["count"], &row["column_type"]), (&truth["n"], &json!("DOUBLE")));
    let texts = rows.iter().find(|row| row["column_name"] == "sweep").unwrap();
    assert_eq!((&texts["min"], &texts["avg"]), (&json!("theirs"), &Value::Null));
    let rows = scratch.query("results/theirs", "SUMMARIZE SELECT 1 AS a UNION ALL SELECT NULL");
    assert_eq!((&rows[0]["count"], &rows[0]["null_percentage"]), (&json!(1), &json!(50.0)));
}

#[test]
fn what_other_databases_have_is_refused_in_one_line_that_says_what_to_write() {
    let scratch = lake();
    let cases = [
        ("SELECT strftime('%Y', started_at) FROM runs", "to_char"),
        ("SELECT COLUMNS('p99.*') FROM runs", "DESCRIBE"),
        ("PIVOT runs ON max_num_seqs USING avg(output_throughput)", "GROUP BY"),
    ];
    for (sql, instead) in cases {
        let ran = scratch.run(&["query", "results/theirs", sql]);
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}", ran.stderr);
        assert!(ran.stderr.contains("is not supported") && ran.stderr.contains(instead), "{}", ran.stderr);
    }
    let ran = scratch.run(&["query", "results/theirs", "SELECT 1", "-o", "answer.xlsx"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("answer.xlsx: unknown format .xlsx"), "{}", ran.stderr);
    assert!(!scratch.exists("answer.xlsx"));
}

#[test]
fn columns_of_one_name_have_keys_of_their_own() {
    let scratch = lake();
    let sql = "SELECT a.sweep, b.sweep, b.sweep AS sweep_2 FROM runs a JOIN runs b USING (run_id) LIMIT 1";
    let ran = scratch.ok(&["query", "results/theirs", sql, "--format", "jsonl"]);
    assert_eq!(ran.stdout.trim(), r#"{"sweep":"theirs","sweep_2":"theirs","sweep_2_2":"theirs"}"#);
}

#[test]
fn parameters_are_filled_into_files_and_into_the_lakes_own_queries() {
    let scratch = lake();
    scratch
        .write("q.sql", "-- Defaults: least = 0\nSELECT {n} AS n FROM runs WHERE max_concurrency >= {least} LIMIT 1");
    let ran = scratch.ok(&["query", "results/theirs", "--file", "q.sql", "--param", "n=7", "--format", "csv"]);
    assert_eq!(ran.stdout, "n\n7\n");
    scratch.write("results/queries/mine.sql", "-- My own question.\nSELECT '{name}' AS name");
    let ran = scratch.ok(&["query", "results", "--name", "mine", "--param", "name=it's", "--format", "csv"]);
    assert_eq!(ran.stdout, "name\nit's\n");
    let listed = scratch.ok(&["query", "results", "--list"]).stdout;
    assert!(listed.starts_with("mine --param name=… (results/queries/mine.sql)\n    My own question.\n"), "{listed}");
    let ran = scratch.run(&["query", "results/theirs", "SELECT 1", "--param", "n=7"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("--param: only with --name or --file"), "{}", ran.stderr);
}

#[test]
fn runs_say_which_setting_and_which_load_they_are_of() {
    let scratch = lake();
    let sql = "SELECT DISTINCT r.serve = c.serve AND r.bench = c.bench AS same FROM runs r JOIN combinations c USING (combination)";
    assert_eq!(scratch.query("results/theirs", sql), [json!({"same": true})]);
}

#[test]
fn a_lake_may_lie_above() {
    let scratch = lake();
    std::fs::create_dir(scratch.path("below")).unwrap();
    let mut command =
        scratch.command(&["query", "../results", "SELECT count(*) AS n FROM requests", "--format", "csv"]);
    let output = command.current_dir(scratch.path("below")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "n\n40\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_best_can_be_asked_within_a_limit_on_throughput_itself() {
    let scratch = lake();
    let flags = ["--param", "metric=output_throughput", "--param", "limit=100", "--format", "json"];
    let ran = scratch.ok(&[&["query", "results/theirs", "--name", "best"][..], &flags].concat());
    let rows: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
    assert!(rows.len() == 3 && rows.iter().all(|row| row["metric_min"].as_f64().unwrap() >= 100.0), "{rows:?}");
}

/// The frozen sample's folder: rows that never change.
pub fn sample() -> String {
    data("format-1/finished").to_str().unwrap().to_owned()
}
