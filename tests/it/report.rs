//! The report: self-contained, complete, and safe against what users type.

use crate::scratch::{Scratch, copy_folder, data};
use base64::Engine;

#[test]
fn a_report_holds_everything_and_needs_nothing() {
    let scratch = Scratch::new();
    scratch.write("serve.json", r#"[{"max_num_seqs": 2}, {"max_num_seqs": 8}]"#);
    scratch.write("bench.json", r#"[{"max_concurrency": 1}, {"max_concurrency": 6}]"#);
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    scratch.serve_ok(
        &sim,
        &bench,
        &["--serve-params", "serve.json", "--bench-params", "bench.json", "-e", "x", "--num-runs", "2"],
    );
    let ran = scratch.ok(&["report", "results/x"]);
    assert_eq!(ran.stdout.trim(), "results/x/report.html");
    let html = scratch.read("results/x/report.html");
    for text in [
        "<h1>Sweep x</h1>",
        "Highest output throughput",
        "Pareto frontier",
        "Performance curves",
        "All combinations",
        "max_num_seqs=8",
        sim.trim(),
    ] {
        assert!(html.contains(text), "{text} is not in the report");
    }
    for outside in ["http://", "https://", "<script src", "<link", "url(", "@import"] {
        assert!(!html.contains(outside), "the report reaches out: {outside}");
    }
    let images: Vec<&str> =
        html.split("data:image/png;base64,").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    // The Pareto chart, six curves, latencies of all requests and their tail, and runs over time: the best and the slowest, which may be the
    // same, and those that differ from their repeats.
    assert!((10..=14).contains(&images.len()), "{}", images.len());
    for image in images {
        assert!(base64::engine::general_purpose::STANDARD.decode(image).unwrap().starts_with(b"\x89PNG"));
    }
    assert_eq!(html.matches("<script").count(), 1, "its own, which the policy names by its hash");
    assert!(html.contains("script-src &#39;sha256-") || html.contains("script-src 'sha256-"));
    assert!(html.len() < 2_000_000);
}

#[test]
fn a_report_tells_what_is_known_of_the_frozen_sample() {
    let scratch = Scratch::new();
    let sample = data("format-1/finished").to_str().unwrap().to_owned();
    scratch.write("why.md", "# Why\n\nFor **chat**. <script>alert(1)</script>\n");
    scratch.ok(&["report", &sample, "--notes", "why.md", "--theme", "dark", "-o", "r.html"]);
    let html = scratch.read("r.html");
    for text in [
        "<h2>Why</h2>",
        "<strong>chat</strong>. &lt;script&gt;",
        "<html lang=\"en\" data-theme=\"dark\">",
        "Knee of the curve",
        "4 combinations with 3 run(s) each.",
        "P99 is based on only 32 requests in some runs",
        // Effects and shares, from DuckDB and NumPy: 118.6 % and 0.9992.
        "<td>+118.6 % (+90.2 to +151.3)</td>",
        "max_concurrency <span class=\"quiet\">explains 99.9 %</span>",
        "max_num_seqs <span class=\"quiet\">indistinguishable from noise</span>",
        "max_num_seqs ↓ max_concurrency →",
        "E2E latency, tail",
        "sweeplake serve --serve-cmd &#39;sweeplake sim m --port 9321 --speed 10&#39;",
        "series,x,x_low,x_high,y,y_low,y_high,n",
    ] {
        assert!(html.contains(text), "{text} is not in the report");
    }
    let order = [
        "id=\"best\"",
        "id=\"measured\"",
        "id=\"certainty\"",
        "id=\"pareto\"",
        "id=\"combinations\"",
        "id=\"reproduce\"",
    ];
    let places: Vec<usize> = order.iter().map(|id| html.find(id).unwrap_or_else(|| panic!("no {id}"))).collect();
    assert!(places.is_sorted(), "{places:?}");
    let missing = scratch.run(&["report", &sample, "--notes", "nowhere.md"]);
    assert!(missing.code == Some(2) && missing.stderr.contains("--notes: nowhere.md"), "{}", missing.stderr);
}

#[test]
fn several_sweeps_are_compared_and_a_lake_has_an_index() {
    let scratch = Scratch::new();
    for folder in ["lake/a b#1", "lake/two"] {
        copy_folder(&data("format-1/finished"), &scratch.path(folder));
    }
    scratch.ok(&["report", "lake/a b#1", "lake/two", "-o", "both.html"]);
    assert!(
        scratch
            .read("both.html")
            .contains("with one sweep per side, a change cannot be distinguished from day-to-day variation")
    );
    scratch.ok(&["report", "lake/a b#1"]);
    assert_eq!(scratch.ok(&["report", "--lake", "lake"]).stdout.trim(), "lake/index.html");
    let index = scratch.read("lake/index.html");
    assert!(index.contains("<a href=\"a%20b%231/report.html\">a b#1</a>") && index.contains("<td>two</td>"), "{index}");
    assert_eq!(index.matches("data:image/png").count(), 2, "trends of two metrics");
    let wrong = scratch.run(&["report", "--lake", "lake", "--notes", "x.md"]);
    assert_eq!(wrong.code, Some(2));
}

#[test]
fn what_users_type_never_becomes_html() {
    let scratch = Scratch::new();
    let hostile = "</script><img src=x onerror=alert(1)>\"'&\u{202e}";
    scratch.write("bench.json", &serde_json::json!([{"label": hostile}, {"label": "y"}]).to_string());
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    scratch.serve_ok(&sim, &bench, &["--bench-params", "bench.json", "-e", "x", "--num-runs", "1"]);
    scratch.ok(&["report", "results/x", "--title", hostile, "-o", "r.html"]);
    let html = scratch.read("r.html");
    assert!(!html.contains("<img src=x") && html.matches("</script>").count() == 1, "user text became HTML");
    assert!(html.contains("&#60;/script&#62;"));
}

#[test]
fn failures_are_told_with_their_logs() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim("--fault-crash-after 9"), scratch.bench(""));
    assert_eq!(scratch.serve(&sim, &bench, &["-e", "x"]).code, Some(1));
    scratch.ok(&["report", "results/x"]);
    let html = scratch.read("results/x/report.html");
    assert!(html.contains("engine core died"), "the log is not told");
    assert!(html.contains("<strong>server_exited</strong>") && html.contains(": run 1</li>"), "the run is not told");
}

#[test]
fn a_folder_of_vllms_can_be_reported() {
    let scratch = Scratch::new();
    crate::query::vllm_sweep(&scratch, "theirs");
    scratch.ok(&["report", "theirs", "-o", "r.html"]);
    assert!(scratch.read("r.html").contains("Sweep theirs"));
}

#[test]
fn the_demo_does_the_main_job() {
    let scratch = Scratch::new();
    let port = scratch.port.to_string();
    let ran = scratch.ok(&["demo", "-o", "lake", "--port", &port, "--speed", "20"]);
    assert!(
        ran.stdout.contains("Highest throughput with every P99 end-to-end latency within 500 ms"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("max_concurrency=48") && ran.stdout.contains("And a chart:"), "{}", ran.stdout);
    assert!(ran.stdout.contains("To sweep something else, change the grids in:"), "{}", ran.stdout);
    let report = scratch.files().into_iter().find(|file| file.ends_with("report.html")).unwrap();
    assert!(ran.stdout.contains(&report), "{}", ran.stdout);
    // What it says to try next works as it is printed.
    let next: Vec<&str> =
        ran.stdout.split("And a chart:").nth(1).unwrap().lines().filter(|line| line.starts_with("  /")).collect();
    assert_eq!(next.len(), 2, "{next:?}");
    // So does what its sweep says, except for the browser, which nobody has here.
    let of_sweep = ran.stderr.split("next:").nth(1).unwrap().replace(" --open", "");
    let of_sweep: Vec<&str> = of_sweep.lines().filter(|line| line.trim_start().starts_with('/')).collect();
    assert_eq!(of_sweep.len(), 3, "{of_sweep:?}");
    for command in next.into_iter().chain(of_sweep) {
        let mut shell = std::process::Command::new("sh");
        let output = shell.args(["-c", command]).current_dir(scratch.path("")).output().unwrap();
        assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_drift_within_a_sweep_is_told() {
    let scratch = Scratch::new();
    let script = "n=$(cat count 2>/dev/null || echo 0); n=$((n+1)); echo $n > count\n\
        while [ $# -gt 0 ]; do case $1 in --result-dir) d=$2;; --result-filename) f=$2;; esac; shift; done\n\
        echo \"{\\\"completed\\\": 4, \\\"failed\\\": 0, \\\"duration\\\": 1, \\\"output_throughput\\\": $((1000 - n * STEP + n % 2))}\" > $d/$f\n";
    scratch.write("b.json", r#"[{"max_concurrency": 1}, {"max_concurrency": 2}]"#);
    for (name, step, is_told) in [("drifts", "20", true), ("steady", "0", false)] {
        let bench = format!("sh {}", scratch.write(&format!("{name}.sh"), &script.replace("STEP", step)).display());
        let flags = ["-e", name, "--bench-params", "b.json", "--num-runs", "6"];
        scratch.serve_ok(&scratch.sim(""), &bench, &flags);
        scratch.ok(&["report", &format!("results/{name}"), "-o", "r.html"]);
        let told = scratch.read("r.html").contains(&format!("In {name}, output_throughput drifted by -"));
        assert_eq!(told, is_told, "{name}");
        std::fs::remove_file(scratch.path("count")).unwrap();
    }
}

#[test]
fn a_report_of_several_leaves_that_of_the_first_alone_and_draws_what_was_asked_for() {
    let scratch = Scratch::new();
    crate::query::vllm_sweep(&scratch, "one");
    crate::query::vllm_sweep(&scratch, "two");
    scratch.ok(&["report", "one"]);
    let alone = scratch.read("one/report.html");
    let told = scratch.ok(&["report", "one", "two"]).stdout;
    assert_eq!(told.trim(), "one/report-one-vs-two.html");
    assert_eq!(scratch.read("one/report.html"), alone);
    let cost = "2.5 * gpu_count * 1e6 / 3600 / output_throughput AS usd_per_million";
    scratch.ok(&["report", "one", "--gpu-hour-price", "3.6", "--curve", "max_concurrency", cost]);
    let html = scratch.read("one/report.html");
    assert!(html.contains("usd_per_million vs. max_concurrency"), "the curve is missing");
    // 3.6 dollars × 2 GPUs / 3600 s / 512.5 tok/s × 10⁶.
    assert!(html.contains("$3.90/M tok"), "the cost is missing");
    let bad = scratch.run(&["report", "one", "--curve", "max_concurrency", "nosuch"]);
    assert!(bad.code == Some(2) && bad.stderr.contains("no column `nosuch`"), "{}", bad.stderr);
}
