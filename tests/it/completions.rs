//! What a shell offers, asked of a real bash, and manual pages.

use crate::scratch::{PROGRAM, Scratch};
use std::process::Command;

/// What bash offers for a line whose last word is being typed.
fn offered(scratch: &Scratch, line: &str) -> Vec<String> {
    let program = std::path::Path::new(PROGRAM).parent().unwrap().display();
    let script = format!(
        r#"
source <(sweeplake completions bash)
COMP_LINE='{line}'
IFS=' ' read -ra COMP_WORDS <<< "$COMP_LINE"
[[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) COMP_TYPE=9
_clap_complete_sweeplake sweeplake "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
printf '%s\n' "${{COMPREPLY[@]}}"
"#
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(scratch.path(""))
        .env("PATH", format!("{program}:{}", std::env::var("PATH").unwrap()))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn a_shell_offers_what_the_lake_has() {
    let scratch = Scratch::new();
    for name in ["first", "second"] {
        crate::compare::sweep(&scratch, &format!("results/{name}"), 2, 1.0, &serde_json::json!({}));
        crate::compare::sweep(&scratch, &format!("other/{name}-elsewhere"), 2, 1.0, &serde_json::json!({}));
    }
    scratch.ok(&["tag", "first", "baseline"]);
    let has = |line: &str, expected: &[&str], others: &[&str]| {
        let offered = offered(&scratch, line);
        for value in expected {
            assert!(offered.iter().any(|one| one == value), "{line}: {offered:?}");
        }
        for value in others {
            assert!(!offered.iter().any(|one| one == value), "{line}: {offered:?}");
        }
    };
    has("sweeplake com", &["compare", "compact", "completions"], &["serve"]);
    has("sweeplake compare ", &["first", "second", "baseline", "latest"], &["first-elsewhere"]);
    has("sweeplake compare --lake other ", &["first-elsewhere"], &["second", "baseline"]);
    has("sweeplake show results/f", &["results/first"], &["results/second"]);
    has("sweeplake show results/first --sort -output", &["-output_throughput_mean"], &["-p99_ttft_ms_mean"]);
    has(
        "sweeplake show results/first --columns max_num_seqs,output_throughput_m",
        &["max_num_seqs,output_throughput_mean"],
        &[],
    );
    has("sweeplake plot results/first --var-y p99_e2e", &["p99_e2el_ms"], &["output_throughput"]);
    has("sweeplake compare --metrics output_thr", &["output_throughput"], &["max_num_seqs"]);
    has("sweeplake query results --name be", &["best"], &["windows"]);
    has("sweeplake serve --ord", &["--order", "--order-seed"], &["--num-runs"]);
    has("sweeplake query results --format j", &["json", "jsonl"], &["csv"]);
    // A folder that holds something else, and a flag with its value in one word.
    scratch.write("bin/x", "");
    has("sweeplake plot results/first --fig-dir bin --var-y p99_e2e", &["p99_e2el_ms"], &[]);
    has("sweeplake compare --lake=other f", &["first-elsewhere"], &["first"]);
    has("sweeplake compare --metrics=output_thr", &["--metrics=output_throughput"], &[]);
    assert!(scratch.ok(&["completions", "bash"]).stdout.starts_with("COMP_WORDBREAKS="));
    // What a shell would take apart is quoted.
    crate::compare::sweep(&scratch, "results/my base", 2, 1.0, &serde_json::json!({}));
    has("sweeplake compare m", &["'my base'"], &["my base"]);
}

#[test]
fn a_lake_that_is_not_there_or_broken_offers_nothing_and_says_nothing() {
    let scratch = Scratch::new();
    scratch.write("results/broken/sweep.json", "{");
    scratch.write("results/tags.json", "[");
    for line in ["sweeplake compare --lake nowhere x", "sweeplake show results/broken --sort x", "sweeplake tag x"] {
        assert_eq!(offered(&scratch, line), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn every_sub_command_has_a_page() {
    let scratch = Scratch::new();
    scratch.ok(&["man", "share/man/man1"]);
    let main = scratch.read("share/man/man1/sweeplake.1");
    for name in ["serve", "serve_sla", "compare", "query", "report", "bench", "sim"] {
        assert!(main.contains(&format!("sweeplake\\-{name}(1)")), "{name}");
        let page = scratch.read(&format!("share/man/man1/sweeplake-{name}.1"));
        assert!(page.contains(".SH OPTIONS") && page.contains("Examples:"), "{name}");
    }
    assert!(!scratch.exists("share/man/man1/sweeplake-keeper.1"));
    let ran = scratch.run(&["man", "share/man/man1/sweeplake.1"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("share/man/man1/sweeplake.1: "), "{}", ran.stderr);
}
