//! What the functions, orders and aggregates of the SQL give, in every shape that a table may have.

use crate::query::{sample, vllm_sweep};
use crate::scratch::{Scratch, data};
use serde_json::{Value, json};

#[test]
fn types_that_meet_in_a_union_are_those_of_the_answer() {
    let scratch = Scratch::new();
    vllm_sweep(&scratch, "theirs");
    let rows = scratch.query("theirs", "SELECT 1 AS a UNION ALL SELECT 2.5 UNION ALL SELECT NULL ORDER BY a");
    assert_eq!(rows, [json!({"a": 1.0}), json!({"a": 2.5}), json!({"a": null})]);
    let rows = scratch.query(
        "theirs",
        "SELECT a, b FROM pareto((SELECT 1 AS a, 2 AS b UNION ALL SELECT 2, 1.5 UNION ALL SELECT 'NaN'::DOUBLE, 9), 'a max', 'b max') ORDER BY a",
    );
    assert_eq!(rows, [json!({"a": 1.0, "b": 2.0}), json!({"a": 2.0, "b": 1.5})]);
}

#[test]
fn pareto_gives_what_no_row_beats() {
    let scratch = Scratch::new();
    // The frontier by its definition, from the same rows.
    let beats = "other.output_throughput >= runs.output_throughput AND other.median_ttft_ms <= runs.median_ttft_ms AND \
                 (other.output_throughput > runs.output_throughput OR other.median_ttft_ms < runs.median_ttft_ms)";
    for (group, same) in [("", "TRUE"), (", group => 'max_num_seqs'", "other.max_num_seqs = runs.max_num_seqs")] {
        let expected = scratch.query(
            &sample(),
            &format!("SELECT run_id FROM runs WHERE NOT EXISTS (SELECT 1 FROM runs AS other WHERE {beats} AND {same}) ORDER BY run_id"),
        );
        let found = scratch.query(
            &sample(),
            &format!(
                "SELECT run_id FROM pareto(runs, 'output_throughput max', 'median_ttft_ms min'{group}) ORDER BY run_id"
            ),
        );
        assert!(found.len() > 2 && found.len() < 12, "{found:?}");
        assert_eq!(found, expected);
    }
    // Of queries, of names of a WITH, of expressions; the direction of a known metric need not be said.
    let sql = "WITH few AS (SELECT * FROM runs WHERE max_concurrency = 2) \
               SELECT count(*) AS n FROM pareto(few, 'output_throughput', 'median_ttft_ms', '-run_number max') AS front \
               JOIN runs ON runs.run_id = front.run_id";
    let brute = "SELECT count(*) AS n FROM runs WHERE max_concurrency = 2 AND NOT EXISTS (SELECT 1 FROM runs AS o WHERE o.max_concurrency = 2 AND \
                 o.output_throughput >= runs.output_throughput AND o.median_ttft_ms <= runs.median_ttft_ms AND o.run_number <= runs.run_number \
                 AND o.run_id <> runs.run_id)";
    assert_eq!(scratch.query(&sample(), sql), scratch.query(&sample(), brute));
    let ties = "SELECT count(*) AS n FROM pareto((SELECT 1 AS a, 2 AS b UNION ALL SELECT 1, 2 UNION ALL SELECT 0, 2 UNION ALL SELECT NULL, 9), 'a max', 'b max')";
    assert_eq!(scratch.query(&sample(), ties), [json!({"n": 2})]);
    for (call, message) in [
        ("pareto(runs)", "needs at least one objective"),
        ("pareto(runs, 'max_num_seqs')", "specify which direction is better: 'max_num_seqs max' or 'max_num_seqs min'"),
        ("pareto(runs, 'output_througput max')", "did you mean `output_throughput`?"),
        ("pareto('runs', 'output_throughput')", "the first argument must be a table, or a query in parentheses"),
        ("pareto(runs, output_throughput)", "must be a string in single quotes"),
        ("goodput(requests)", "expected goodput(requests, ttft_ms <= 200, …)"),
    ] {
        let ran = scratch.run(&["query", &sample(), &format!("SELECT * FROM {call}")]);
        assert_eq!(ran.code, Some(2), "{call}");
        assert!(ran.stderr.contains(message), "{call}: {}", ran.stderr);
    }
}

#[test]
fn goodput_counts_the_requests_that_meet_all_conditions() {
    let scratch = Scratch::new();
    let sql = "SELECT serve, bench, requests, good, good_share, request_goodput FROM goodput(requests, ttft_ms <= 3, tpot_ms <= 1) ORDER BY good";
    let rows = scratch.query(&sample(), sql);
    // DuckDB: count(*) FILTER (WHERE …) by combination, and the durations of its runs.
    let expected = [(0, 0.080121616), (1, 0.083383271), (36, 0.389520188), (39, 0.389019344)];
    assert_eq!(rows.len(), 4);
    for (row, (good, duration)) in rows.iter().zip(expected) {
        assert_eq!((&row["good"], &row["requests"]), (&json!(good), &json!(96)), "{row}");
        let per_second = row["request_goodput"].as_f64().unwrap();
        assert!((per_second - f64::from(good) / duration).abs() < 1e-6, "{row}");
    }
    // What was not stored is not known, and no failure.
    scratch.serve_ok(&scratch.sim(""), &scratch.bench(""), &["-e", "lean"]);
    let rows = scratch.query("results/lean", "SELECT good, requests FROM goodput(requests, ttft_ms <= 3)");
    assert_eq!(rows, [json!({"good": null, "requests": 18})]);
}

const EXPECTED_PERCENTILES: [(&str, f64); 6] = [
    ("p99", 18.78772417),
    ("p10", 6.363802700000001),
    ("p10_from_the_top", 6.363802700000001),
    ("some", 8.225002),
    ("ints", 43.0),
    ("odd", 2.176615811),
];

#[test]
fn percentiles_and_distinct_counts_are_exact_in_every_shape() {
    let scratch = Scratch::new();
    // numpy.quantile of the same numbers.
    let sql = "SELECT max_num_seqs, percentile_cont(0.9) WITHIN GROUP (ORDER BY output_throughput) AS p90, \
               percentile_cont(0.25) WITHIN GROUP (ORDER BY output_throughput) FILTER (WHERE max_concurrency = 2) AS p25, \
               count(*) AS n FROM runs GROUP BY max_num_seqs HAVING count(*) > 1 ORDER BY p90";
    let rows = scratch.query(&sample(), sql);
    let expected = [(8, 9522.392631775772, 1953.1521358700597), (64, 10358.032928338716, 1949.7184349003478)];
    for (row, (seqs, p90, p25)) in rows.iter().zip(expected) {
        assert_eq!((&row["max_num_seqs"], &row["n"]), (&json!(seqs), &json!(6)));
        assert!(
            (row["p90"].as_f64().unwrap() - p90).abs() < 1e-6 && (row["p25"].as_f64().unwrap() - p25).abs() < 1e-6,
            "{row}"
        );
    }
    // DuckDB on the same file: quantile_cont, to the last digits; from the top it is quantile_cont(1 - share).
    let sql = "SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY e2el_ms) AS p99, percentile_cont(e2el_ms, 0.1) AS p10, \
               percentile_cont(0.9) WITHIN GROUP (ORDER BY e2el_ms DESC) AS p10_from_the_top, \
               percentile_cont(0.37) WITHIN GROUP (ORDER BY e2el_ms) FILTER (WHERE request_index > 3) AS some, \
               percentile_cont(0.37) WITHIN GROUP (ORDER BY e2el_ms) FILTER (WHERE request_index < 0) AS none, \
               percentile_cont(0.37) WITHIN GROUP (ORDER BY input_len + request_index) AS ints, \
               percentile_cont(0.123) WITHIN GROUP (ORDER BY ttft_ms) AS odd FROM requests";
    let rows = scratch.query(&sample(), sql);
    for (name, expected) in EXPECTED_PERCENTILES {
        let found = rows[0][name].as_f64().unwrap();
        assert!((found - expected).abs() <= 1e-13 * expected, "{name}: {found}, DuckDB has {expected}");
    }
    assert_eq!(rows[0]["none"], Value::Null);
    let sql = "SELECT count(DISTINCT run_id) AS ids, count(DISTINCT max_num_seqs) AS seqs, count(DISTINCT output_throughput) AS metric, \
               count(DISTINCT error) AS errors, count(DISTINCT started_at) AS times FROM runs";
    assert_eq!(scratch.query(&sample(), sql), [json!({"ids": 12, "seqs": 2, "metric": 12, "errors": 0, "times": 12})]);
    let rows = scratch.query(
        &sample(),
        "SELECT count(DISTINCT x) AS n FROM (VALUES (0.0), (-0.0), ('NaN'::DOUBLE), (NULL), (1.5), (1.5)) AS t(x)",
    );
    assert_eq!(rows, [json!({"n": 3})]);
}

#[test]
fn named_queries_give_the_rows_that_are_known() {
    let scratch = Scratch::new();
    let named = |name: &str, params: &[&str]| -> Vec<Value> {
        let params = params.iter().flat_map(|param| ["--param", param]);
        let ran =
            scratch
                .ok(&[&["query", &sample(), "--name", name, "--format", "json"][..], &params.collect::<Vec<_>>()]
                    .concat());
        serde_json::from_str(&ran.stdout).unwrap()
    };
    let near = |value: &Value, expected: f64| {
        let value = value.as_f64().unwrap();
        assert!((value - expected).abs() <= 1e-9 * expected.abs(), "{value} is not {expected}");
    };
    // Effects on logarithms, computed with DuckDB and NumPy from the same file; p-values of F(1, 1) are 1 - 2 / pi * atan(sqrt(F)).
    let effects = named("effects", &[]);
    assert_eq!(effects.len(), 4);
    let row = |parameter: &str, value: &str| {
        effects.iter().find(|row| row["parameter"] == parameter && row["value"] == value).unwrap()
    };
    near(&row("max_concurrency", "16")["level"], 9430.94433927736);
    near(&row("max_concurrency", "16")["effect"], 1.1860158074245106);
    near(&row("max_num_seqs", "8")["effect"], -0.011508664296336013);
    near(&row("max_concurrency", "2")["share"], 0.9991923198695005);
    assert!((row("max_concurrency", "2")["p_value"].as_f64().unwrap() - 0.008_920_510_9).abs() < 1e-8);
    assert!((row("max_num_seqs", "64")["share"].as_f64().unwrap() - 2.267_873_3e-5).abs() < 1e-11);
    assert!((row("max_num_seqs", "64")["p_value"].as_f64().unwrap() - 0.482_604_004).abs() < 1e-8);
    let frontier = named("frontier", &["x=median_ttft_ms", "y=output_throughput"]);
    let front: Vec<f64> = frontier.iter().map(|row| row["output_throughput_mean"].as_f64().unwrap()).collect();
    near(&json!(front[0]), 1975.3379104156563);
    assert_eq!(front.len(), 3, "{frontier:?}");
    let best = named("best", &["sla=19"]);
    near(&best[0]["output_throughput_mean"], 9706.666539963891);
    near(&named("tokens_per_gpu", &["limit=1"])[0]["tokens_per_gpu_mean"], 9706.666539963891);
    let slowest = named("slowest", &["limit=3"]);
    let requests: Vec<_> =
        slowest.iter().map(|row| (row["request_index"].as_i64().unwrap(), row["e2el_ms"].as_f64().unwrap())).collect();
    assert_eq!(requests, [(28, 18.95439), (27, 18.949576999999998), (30, 18.927706)]);
    let drift = named("drift", &["metric=output_throughput"]);
    assert_eq!(drift.len(), 4);
    assert!(drift.iter().all(|row| row["since_previous"].is_null() && row["since_first"] == 0.0));
    let met = named("retro_sla", &["condition=ttft_ms <= 5", "share=0.75"]);
    assert!(met.iter().all(|row| row["label"].as_str().unwrap().contains("max_concurrency=2")), "{met:?}");
    assert_eq!(met.len(), 2);
    assert_eq!(named("summary", &[]).len(), 4);
    assert_eq!(named("failures", &[]), [] as [Value; 0]);
    let list = scratch.ok(&["query", "--list"]).stdout;
    for name in [
        "best [--param metric=p99_e2el_ms] --param limit=…",
        "frontier [--param x=tokens_per_user]",
        "drift [",
        "effects [",
        "tokens_per_gpu [",
        "retro_sla --param condition=…",
    ] {
        assert!(list.contains(name), "{name} is not in {list}");
    }
}

#[test]
fn a_query_over_ten_times_its_memory_ends() {
    let scratch = Scratch::new();
    // 1.5 million rows of some 200 bytes, sorted by what is in no order: 300 MB through 30.
    let sql = "SELECT r.value, lpad(CAST(r.value AS VARCHAR), 200, 'x') AS text, t.value AS other \
               FROM range(0, 3000) AS r CROSS JOIN range(0, 500) AS t ORDER BY (r.value * 7919 + t.value * 104729) % 1000003, r.value, t.value";
    let count = |output: &str| output.lines().count();
    let ran = scratch.ok(&["query", &sample(), sql, "--memory-limit", "30MB"]);
    assert_eq!(count(&ran.stdout), 1_500_001);
    // One that can't put its state on disk says what it needs.
    let sql = "SELECT t.value, array_agg(lpad(CAST(r.value AS VARCHAR), 200, 'x')) FROM range(0, 3000) AS r CROSS JOIN range(0, 200) AS t GROUP BY 1";
    let ran = scratch.run(&["query", &sample(), sql, "--memory-limit", "10MB"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("needs more memory than its limit") && ran.stderr.contains("--memory-limit"),
        "{}",
        ran.stderr
    );
}

#[test]
fn extremes_of_infinite_numbers_are_infinite_in_groups_too() {
    let sample = data("format-2/finished").display().to_string();
    let scratch = Scratch::new();
    let sql = "SELECT max_num_seqs, min(request_rate) AS least, max(-request_rate) AS most, min(output_throughput) < max(output_throughput) AS finite \
               FROM runs GROUP BY 1 ORDER BY 1";
    let expected = |seqs: i64| json!({"max_num_seqs": seqs, "least": "inf", "most": "-inf", "finite": true});
    assert_eq!(scratch.query(&sample, sql), [expected(8), expected(64)]);
}

#[test]
fn rows_that_tie_in_a_cast_are_ordered_by_what_stands_behind_it() {
    let scratch = Scratch::new();
    let sample = data("format-2/finished").display().to_string();
    let sql = "SELECT label FROM runs GROUP BY label ORDER BY TRY_CAST(label AS DOUBLE), label DESC";
    let labels: Vec<String> =
        scratch.query(&sample, sql).iter().map(|row| row["label"].as_str().unwrap().to_owned()).collect();
    let mut sorted = labels.clone();
    sorted.sort_by(|left, right| right.cmp(left));
    assert!(labels.len() > 2);
    assert_eq!(labels, sorted);
}

#[test]
fn a_query_as_deep_as_can_be_is_answered_and_a_deeper_one_refused() {
    let scratch = Scratch::new();
    let lake = data("format-1/finished");
    let ask = |sql: String| {
        scratch.write("deep.sql", &sql);
        scratch.run(&["query", lake.to_str().unwrap(), "--file", "deep.sql"])
    };
    let chain = |term: &str, by: &str, count: usize| vec![term; count].join(by);
    let queries = [
        ("SELECT ", "1", "+", ""),
        ("SELECT count(*) FROM runs WHERE ", "run_number = 7", " OR ", ""),
        ("SELECT count(*) FROM runs WHERE ", "coalesce(run_number, 1, 2) = 7", " OR ", ""),
        ("", "SELECT 1, 2, 3", " UNION ALL ", ""),
        ("SELECT 'a'", "", "||'a'", ""),
        ("SELECT ", "((1))", "-", ""),
        ("SELECT 1", "", "::int", ""),
        ("SELECT ", "", "- ", "1"),
        ("SELECT ", "", "NOT ", "true"),
        ("SELECT ", "", "(", "1"),
        ("SELECT ", "", "abs(", "1"),
        ("SELECT ", "", "CASE WHEN ", "1"),
    ];
    for (start, term, by, end) in queries {
        for count in [400, 20_000] {
            let ran = ask(format!("{start}{}{end}", chain(term, by, count)));
            let told =
                format!("{start}{term}{by} {count} times: {:?} {}", ran.code, &ran.stderr[..ran.stderr.len().min(300)]);
            assert!(matches!(ran.code, Some(0 | 2)), "{told}");
            assert!(count < 1000 || ran.code == Some(2), "{told}");
        }
    }
    let ran = ask(format!("SELECT {}", chain("1", "+", 20_000)));
    assert!(ran.stderr.contains("more than 1000 operators in a row"), "{}", ran.stderr);
    // A list is not deep.
    let values = (0..20_000).map(|value| value.to_string()).collect::<Vec<_>>().join(",");
    assert_eq!(ask(format!("SELECT count(*) AS n FROM runs WHERE run_number IN ({values})")).code, Some(0));
}
