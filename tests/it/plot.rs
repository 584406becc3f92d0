//! Figures through the built program: names, sizes, refusals. What they show is tested as data beside the code.

use crate::query::vllm_sweep;
use crate::scratch::{Ran, Scratch};

fn plot(scratch: &Scratch, more: &[&str]) -> Ran {
    scratch.run(&[&["plot", "theirs", "--fig-dpi", "50"][..], more].concat())
}

/// Width and height from a PNG's header.
fn png_size(bytes: &[u8]) -> (u32, u32) {
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    vllm_sweep(&scratch, "theirs");
    scratch
}

#[test]
fn figures_have_vllms_names_and_the_asked_size() {
    let scratch = scratch();
    let ran = plot(&scratch, &["--fig-height", "4", "--curve-by", "max_num_seqs"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stdout.trim(), "theirs/FIGURE.png");
    let (width, height) = png_size(&std::fs::read(scratch.path("theirs/FIGURE.png")).unwrap());
    assert_eq!(height, 200);
    assert!(width > 260, "the legend has room of its own: {width}");

    let ran = plot(
        &scratch,
        &["--fig-by", "max_num_seqs,max-concurrency", "--fig-dir", "figures", "--fig-name", "F", "--svg"],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let names: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(names[0], "theirs/figures/F-max_num_seqs=32-max-concurrency=2.png");
    assert_eq!(names.len(), 4);
    assert!(scratch.exists("theirs/figures/F-max_num_seqs=64-max-concurrency=8.svg"));
}

#[test]
fn a_grid_is_as_large_as_its_panels() {
    let scratch = scratch();
    let ran = plot(&scratch, &["--row-by", "max_num_seqs", "--col-by", "max_concurrency", "--fig-height", "2"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(png_size(&std::fs::read(scratch.path("theirs/FIGURE.png")).unwrap()), (260, 200));
}

#[test]
fn a_dry_run_tells_and_draws_nothing() {
    let scratch = scratch();
    let before = scratch.files();
    let ran = plot(&scratch, &["--var-x", "max_concurrency", "--curve-by", "max-num-seqs", "--dry-run"]);
    assert_eq!((ran.code, scratch.files()), (Some(0), before));
    for text in ["theirs/FIGURE.png", "grid: 1 row(s) x 1 column(s)", "curves: 2, points: 4", "mean of 2 runs"] {
        assert!(ran.stdout.contains(text), "{text} is not in {}", ran.stdout);
    }
}

#[test]
fn what_can_not_be_drawn_is_refused_before_a_folder_is_made() {
    let scratch = scratch();
    let before = scratch.files();
    let cases: [(&[&str], &str); 9] = [
        (&["--var-y", "p99_e2e_ms"], "no column `p99_e2e_ms`; did you mean `p99_e2el_ms`?"),
        (&["--curve-by", "max_num_sequences"], "did you mean `max_num_seqs`?"),
        (&["--filter-by", "max_concurency<4"], "no column `max_concurency`"),
        (&["--filter-by", "max_concurrency<=8,max_num_seqs>100"], "`\"max_num_seqs\" > 100` removed the last 8 run(s)"),
        (&["--var-y", "model_id"], "--var-y: `model_id` is not numeric"),
        (&["--var-y", "request_goodput"], "no completed run has both values"),
        (&["--scale-x", "logit"], "unknown scale \"logit\""),
        (&["--bin-by", "max_concurrency"], "expected VARIABLE%SIZE"),
        (&["--fig-height", "0"], "expected a number greater than 0"),
    ];
    for (flags, message) in cases {
        let ran = plot(&scratch, &[flags, &["--fig-dir", "new"]].concat());
        assert_eq!(ran.code, Some(2), "{flags:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{flags:?}: {}", ran.stderr);
    }
    assert_eq!(scratch.files(), before);
    assert!(!scratch.exists("theirs/new"));
}

#[test]
fn filters_of_both_kinds_keep_the_same_runs() {
    let scratch = scratch();
    let points = |filter: &str| {
        let ran = plot(
            &scratch,
            &["--var-x", "max_concurrency", "--filter-by", filter, "--curve-by", "max_num_seqs", "--dry-run"],
        );
        assert_eq!(ran.code, Some(0), "{filter}: {}", ran.stderr);
        ran.stdout.lines().find(|line| line.contains("points:")).unwrap().to_owned()
    };
    assert_eq!(
        points("max-num-seqs==32,max_concurrency<=8"),
        points("max_num_seqs = 32 AND (max_concurrency = 2 OR max_concurrency = 8)")
    );
    assert_eq!(points("max-num-seqs==32"), points("max-num-seqs = 32 AND max-concurrency IN (2, 8)"));
    assert_eq!(points("request_rate==inf"), points(""));
}

#[test]
fn the_frontier_is_drawn_and_printed() {
    let scratch = scratch();
    let ran = scratch.run(&["plot_pareto", "theirs", "--fig-dpi", "50", "--label-by", "max_concurrency,max_num_seqs"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    png_size(&std::fs::read(scratch.path("theirs/pareto/PARETO.png")).unwrap());
    let rows: Vec<&str> = ran.stdout.lines().collect();
    // Throughput is seqs × concurrency: the larger concurrency is best per GPU, and the smaller per user.
    assert!(
        rows[0].starts_with("max_concurrency,max_num_seqs,tokens_per_user,tokens_per_user_ci95,tokens_per_gpu,"),
        "{rows:?}"
    );
    assert_eq!(
        rows.iter().skip(1).map(|row| row.split(',').take(2).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>(),
        ["8 64", "2 64"]
    );
}

#[test]
fn other_objectives_and_groups_make_other_frontiers() {
    let scratch = scratch();
    let run = |more: &[&str]| {
        let ran = scratch.run(&[&["plot-pareto", "theirs", "--dry-run"][..], more].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stdout.lines().nth(1).unwrap().trim().to_owned()
    };
    assert_eq!(
        run(&["--x", "median_ttft_ms:min", "--y", "output_throughput"]),
        "4 configuration(s), 2 on the frontier"
    );
    assert_eq!(
        run(&["--x", "median_ttft_ms:max", "--y", "output_throughput"]),
        "4 configuration(s), 1 on the frontier"
    );
    assert_eq!(run(&["--group-by", "max_num_seqs"]), "4 configuration(s), 4 on the frontier");
    assert_eq!(
        run(&[
            "--group-by",
            "max_concurrency",
            "--y",
            "output_throughput",
            "--label-by",
            "output_throughput,max_concurrency"
        ]),
        "4 configuration(s), 2 on the frontier"
    );
    assert_eq!(run(&["--label-by", "sweep,combination,sweep"]), "4 configuration(s), 2 on the frontier");
    let ran = scratch.run(&["plot_pareto", "theirs", "--x", "max_num_seqs"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("expected METRIC:min or METRIC:max"), "{}", ran.stderr);
    let ran = scratch.run(&["plot_pareto", "theirs", "--user-count-var", "max_concurency"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("did you mean `max_concurrency`?"), "{}", ran.stderr);
}

#[test]
fn w23_one_figure_of_several_that_fails_is_in_the_exit_code() {
    let scratch = scratch();
    std::fs::create_dir(scratch.path("theirs/FIGURE-max_num_seqs=32.png")).unwrap();
    let ran = plot(&scratch, &["--fig-by", "max_num_seqs"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(ran.stdout.trim(), "theirs/FIGURE-max_num_seqs=64.png");
    assert!(ran.stderr.contains("theirs/FIGURE-max_num_seqs=32.png"), "{}", ran.stderr);
    assert!(ran.stderr.contains("1 of 2 figure(s) could not be drawn"), "{}", ran.stderr);
}

#[test]
fn a_percentile_of_few_requests_is_marked() {
    let scratch = scratch();
    let few = "P99 is based on only 12 requests in some runs: with fewer than 100, it is just the slowest one.";
    let ran = plot(&scratch, &["--var-x", "max_concurrency", "--var-y", "p99_e2el_ms", "--dry-run"]);
    assert!(ran.stdout.contains(few), "{}", ran.stdout);
    let ran = plot(&scratch, &["--var-x", "max_concurrency", "--var-y", "median_ttft_ms", "--dry-run"]);
    assert!(!ran.stdout.contains("is based on only"), "{}", ran.stdout);
    let ran = scratch.run(&["plot_pareto", "theirs", "--x", "p99_e2el_ms", "--y", "output_throughput", "--dry-run"]);
    assert!(ran.stdout.contains(few), "{}", ran.stdout);
}

#[test]
fn several_sweeps_are_curves_of_their_own() {
    let scratch = scratch();
    vllm_sweep(&scratch, "others");
    let ran = scratch.run(&["plot", "theirs", "others", "--var-x", "max_concurrency", "--dry-run"]);
    // The settings of the server are curves, too, where nothing else was asked for.
    assert!(ran.stdout.contains("curves: 4, points: 8"), "{}", ran.stdout);
    let ran =
        scratch.run(&["plot", "theirs", "others", "--var-x", "max_concurrency", "--curve-by", "sweep", "--dry-run"]);
    assert!(ran.stdout.contains("curves: 2, points: 4"), "{}", ran.stdout);
}

/// A folder of combinations with the given TTFT and throughput, and maybe a parameter that only some have.
fn configurations(scratch: &Scratch, points: &[(&str, f64, f64)]) {
    for (index, (name, ttft, throughput)) in points.iter().enumerate() {
        let mut run = serde_json::json!({
            "median_ttft_ms": ttft, "output_throughput": throughput, "max_concurrency": 1, "run_number": 0, "name": name, "index": index,
        });
        if index % 2 == 0 {
            run["tensor_parallel_size"] = 4.into();
        }
        scratch.write(&format!("points/BENCH--index={index}/summary.json"), &serde_json::json!([run]).to_string());
    }
}

#[test]
fn the_frontier_is_exact_about_ties_and_duplicates() {
    let scratch = Scratch::new();
    configurations(
        &scratch,
        &[
            ("best ttft", 10.0, 100.0),
            ("tie in ttft, worse", 10.0, 90.0),
            ("middle", 20.0, 200.0),
            ("middle again", 20.0, 200.0),
            ("tie in throughput, worse", 30.0, 200.0),
            ("best throughput", 40.0, 400.0),
            ("dominated", 50.0, 300.0),
        ],
    );
    let frontier = |more: &[&str]| {
        let ran = scratch.run(
            &[&["plot_pareto", "points", "--label-by", "name", "--fig-dpi", "40", "--format", "csv"][..], more]
                .concat(),
        );
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let rows = ran.stdout.lines().skip(1);
        rows.map(|row| row.split(',').next().unwrap().to_owned())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        frontier(&["--x", "median_ttft_ms:min", "--y", "output_throughput:max"]),
        ["best throughput", "best ttft", "middle", "middle again"]
    );
    assert_eq!(
        frontier(&["--x", "median_ttft_ms:max", "--y", "output_throughput:max"]),
        ["best throughput", "dominated"]
    );
    assert_eq!(frontier(&["--x", "median_ttft_ms:min", "--y", "output_throughput:min"]), ["\"tie in ttft"]);
}

#[test]
fn a_run_without_the_curve_variable_is_a_curve_of_its_own() {
    let scratch = Scratch::new();
    configurations(&scratch, &[("a", 1.0, 1.0), ("b", 2.0, 2.0), ("c", 3.0, 3.0)]);
    let ran = scratch.ok(&[
        "plot",
        "points",
        "--var-x",
        "output_throughput",
        "--var-y",
        "median_ttft_ms",
        "--curve-by",
        "tensor_parallel_size",
        "--fig-dpi",
        "40",
        "--svg",
    ]);
    assert_eq!(ran.stdout.trim(), "points/FIGURE.png");
    let svg = scratch.read("points/FIGURE.svg");
    assert!(svg.contains("(none)") && !svg.contains("4.0"), "4 stays 4, and nothing is dropped");
}

#[test]
fn a_text_is_an_axis_of_names_and_an_expression_has_the_name_that_it_was_given() {
    let scratch = scratch();
    let ran = plot(&scratch, &["--var-x", "model_id", "--var-y", "output_throughput", "--dry-run"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let cost = "2.5 * 1e6 / 3600 / output_throughput AS usd_per_million";
    let ran = plot(&scratch, &["--var-x", "max_concurrency", "--var-y", cost, "--svg", "--curve-by", "max_num_seqs"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let svg = scratch.read("theirs/FIGURE.svg");
    assert!(
        svg.contains("usd_per_million") && svg.contains("max_concurrency") && svg.contains("max_num_seqs"),
        "{svg}"
    );
    let ran = plot(&scratch, &["--var-y", "output_throughput / nosuch AS x"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("no column `nosuch`"), "{}", ran.stderr);
    let ran = scratch.ok(&[
        "plot_pareto",
        "theirs",
        "--x",
        "1000 / median_ttft_ms AS rate:max",
        "--y",
        "output_throughput",
        "--format",
        "csv",
    ]);
    assert!(ran.stdout.lines().next().unwrap().contains(",rate,rate_ci95,output_throughput,"), "{}", ran.stdout);
}

#[test]
fn a_figure_says_what_it_was_told_to_say() {
    let scratch = scratch();
    let flags = [
        &[
            "--var-x",
            "max_concurrency",
            "--scale-x",
            "log2",
            "-o",
            "out/mine.svg",
            "--pdf",
            "--title",
            "Mine",
            "--subtitle",
            "of two",
        ][..],
        &[
            "--label",
            "max_concurrency=Users",
            "--unit",
            "max_concurrency=requests",
            "--xlim",
            "2,32",
            "--palette",
            "gray",
        ],
        &["--legend", "bottom", "--style", "slide", "--font-size", "14"],
    ];
    let ran = plot(&scratch, &flags.concat());
    assert_eq!((ran.code, ran.stdout.trim()), (Some(0), "out/mine.svg"), "{}", ran.stderr);
    let svg = scratch.read("out/mine.svg");
    for text in ["Mine", "of two", "Users (requests)"] {
        assert!(svg.contains(text), "{text} is not in the figure");
    }
    // Ticks where something was measured.
    assert!(svg.contains(">\n8\n<") || svg.contains(">8<"), "{svg}");
    assert!(!scratch.exists("theirs/FIGURE.png"));
    let pdf = std::fs::read(scratch.path("out/mine.pdf")).unwrap();
    assert!(pdf.starts_with(b"%PDF-") && pdf.windows(8).any(|bytes| bytes == b"FontFile"), "no font in the PDF");
    let again = plot(&scratch, &["--var-x", "max_concurrency", "-o", "out/mine.svg"]);
    assert!(again.stderr.contains("replaced an earlier figure"), "{}", again.stderr);
    for (flags, message) in [
        (&["--xlim", "5,1"][..], "expected two numbers"),
        (&["--label", "x"], "expected VARIABLE=TEXT"),
        (&["--kind", "box", "--row-by", "max_num_seqs"], "--row-by: only for curves"),
        (&["--over", "requests"], "curves are drawn over runs"),
        (&["--from", "SELECT 1 AS a, 'x' AS b"], "`b` is not numeric"),
        (&["--scale-y", "log", "--ylim", "0,100"], "--ylim: must begin"),
        (&["-o", "figure.jpg"], "unknown format .jpg"),
    ] {
        let ran = plot(&scratch, flags);
        assert!(ran.code == Some(2) && ran.stderr.contains(message), "{flags:?}: {}", ran.stderr);
    }
}

#[test]
fn values_of_runs_of_requests_and_of_any_query_are_drawn() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench("--save-detailed"));
    scratch.write("serve.json", r#"[{"max_num_seqs": 2}, {"max_num_seqs": 8}]"#);
    scratch.serve_ok(&sim, &bench, &["--serve-params", "serve.json", "--num-runs", "2", "-e", "x"]);
    for kind in ["box", "violin", "ecdf", "heat", "scatter"] {
        for over in ["runs", "requests"] {
            let var = if over == "runs" { "median_ttft_ms" } else { "ttft_ms" };
            let file = format!("{kind}-{over}.svg");
            let flags = ["--kind", kind, "--over", over, "--var-y", var, "--var-x", "max_num_seqs", "-o", &file];
            scratch.ok(&[&["plot", "results/x"], &flags[..]].concat());
            let svg = scratch.read(&file);
            assert!(svg.contains("TTFT") && svg.contains("max_num_seqs"), "{kind} over {over}");
        }
    }
    // Names have places of their own, which no limit of numbers moves.
    let heat = ["--kind", "heat", "--var-x", "max_num_seqs", "--xlim", "1,5", "--dry-run"];
    let told = scratch.ok(&[&["plot", "results/x"], &heat[..]].concat()).stdout;
    assert!(told.contains("Limits do not apply to an axis of names."), "{told}");
    let sql = "SELECT run_number, output_throughput, max_num_seqs FROM runs";
    scratch.ok(&["plot", "results/x", "--from", sql, "-o", "any.svg"]);
    let svg = scratch.read("any.svg");
    assert!(svg.contains("run_number") && svg.contains("Output throughput (tok/s)") && svg.contains("max_num_seqs"));
}

#[test]
fn two_points_of_a_frontier_are_never_called_alike() {
    let scratch = scratch();
    // The load alone would name two settings of the server alike.
    let ran = scratch.ok(&["plot_pareto", "theirs", "--label-by", "max_concurrency", "--svg", "--format", "csv"]);
    assert!(ran.stdout.starts_with("max_concurrency,max_num_seqs,"), "{}", ran.stdout);
    let svg = scratch.read("theirs/pareto/PARETO.svg");
    assert!(svg.contains("Labels") && svg.contains("max_num_seqs"), "{svg}");
}
