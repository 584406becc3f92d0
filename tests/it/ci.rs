//! What `compare` tells programs of CI, and the scripts of the GitHub action.

use crate::compare::{SURE, sweep};
use crate::scratch::{PROGRAM, Ran, Scratch, copy_folder, repository};
use serde_json::json;
use std::process::Command;

fn two_sweeps() -> Scratch {
    let scratch = Scratch::new();
    sweep(&scratch, "results/base", 4, 1.0, &json!({}));
    sweep(&scratch, "results/candidate", 4, 1.1, &json!({}));
    scratch
}

fn compared(scratch: &Scratch, more: &[&str]) -> Ran {
    scratch.run(&[&["compare", "base", "candidate"][..], &SURE, more].concat())
}

#[test]
fn junit_fails_what_the_exit_code_fails() {
    let scratch = two_sweeps();
    let gates = ["--fail-on", "p99_e2el_ms>5%", "--fail-on", "output_throughput<-50%"];
    let ran = compared(&scratch, &[&gates[..], &["-o", "junit.xml"]].concat());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let xml = scratch.read("junit.xml");
    // As another implementation reads it.
    let read = r#"
import sys, json, xml.etree.ElementTree as E
root = E.parse(sys.argv[1]).getroot()
print(json.dumps([[s.get("name"), int(s.get("tests")), int(s.get("failures")), [[c.get("classname"), c.get("name"), [k.tag for k in c], (c.find("failure").get("message") if c.find("failure") is not None else None)] for c in s.iter("testcase")]] for s in root.iter("testsuite")]))
"#;
    let output = Command::new("python3").args(["-c", read]).arg(scratch.path("junit.xml")).output().unwrap();
    let suites: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{xml}"));
    let suite = &suites[0];
    assert_eq!((&suite[0], &suite[2]), (&json!("candidate vs. base"), &json!(1)), "{xml}");
    let cases = suite[3].as_array().unwrap();
    assert_eq!((&cases[0][0], &cases[0][1]), (&json!("gate"), &json!("p99_e2el_ms>5%")));
    assert!(cases[0][3].as_str().unwrap().contains("fails: max_num_seqs="), "{xml}");
    assert_eq!(cases[1][3], json!(null));
    // Each metric is told, and none fails.
    assert_eq!(cases.iter().filter(|case| case[0] == "metric").count(), 4, "{xml}");
    // What can't be told fails or is skipped, as asked.
    let unclear = |more: &[&str]| {
        scratch.run(
            &[&["compare", "base", "candidate", "--fail-on", "p99_e2el_ms>5%", "--format", "junit"][..], more].concat(),
        )
    };
    let failed = unclear(&[]);
    assert!(failed.code == Some(1) && failed.stdout.contains("failures=\"1\""), "{}", failed.stdout);
    let passed = unclear(&["--unclear", "pass"]);
    assert!(passed.code == Some(0) && passed.stdout.contains("<skipped message="), "{}", passed.stdout);
}

#[test]
fn annotations_are_one_line_each_and_escaped() {
    let scratch = two_sweeps();
    let ran = compared(&scratch, &["--fail-on", "p99_e2el_ms>5%", "--format", "github"]);
    assert_eq!(ran.code, Some(1));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        lines[0].starts_with("::error title=candidate vs. base::p99_e2el_ms>5%25: fails: max_num_seqs="),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("::warning title=candidate vs. base::candidate vs. base: worse: "), "{lines:?}");
    assert!(lines.iter().all(|line| !line.replace("%25", "").contains('%')), "{lines:?}");
    let ran = compared(&scratch, &["--format", "github"]);
    assert!(ran.code == Some(0) && ran.stdout.lines().count() == 1, "{}", ran.stdout);
}

/// Runs the action's script as a workflow does.
fn action(scratch: &Scratch, variables: &[(&str, &str)]) -> Ran {
    let program = std::path::Path::new(PROGRAM).parent().unwrap().display();
    // What the pull request would get.
    scratch.script("bin/gh", "#!/bin/sh\necho \"$@\" >> gh.log\n");
    let mut command = Command::new(repository().join("packaging/action/compare"));
    command
        .current_dir(scratch.path(""))
        .env("PATH", format!("{}:{program}:{}", scratch.path("bin").display(), std::env::var("PATH").unwrap()))
        .env("RUNNER_TEMP", scratch.path("temp"))
        .env("GITHUB_STEP_SUMMARY", scratch.path("summary.md"))
        .env("GITHUB_OUTPUT", scratch.path("output"))
        .env("GITHUB_REPOSITORY", "owner/name");
    let usual = [("CANDIDATE", "candidate"), ("BASE", "base"), ("BASE_LAST", "5"), ("LAKE", "results")];
    let usual =
        usual.into_iter().chain([("FAIL_ON", ""), ("UNCLEAR", "pass"), ("COMMENT", "true"), ("PULL_REQUEST", "7")]);
    Ran::of(command.envs(usual).envs(variables.iter().copied()).output().unwrap())
}

#[test]
fn the_action_comments_and_ends_as_the_gates_do() {
    let scratch = two_sweeps();
    let ran = action(&scratch, &[("FAIL_ON", "output_throughput<-50%\np99_e2el_ms>50%\n")]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert!(scratch.read("summary.md").contains("### candidate vs. base: "));
    let told = scratch.read("output");
    assert!(told.contains("verdict=") && told.contains("comparison.html") && !told.contains("verdict=\n"), "{told}");
    assert!(scratch.read("temp/sweeplake-compare/comparison.html").contains("</html>"));
    assert!(scratch.read("temp/sweeplake-compare/junit.xml").contains("<testsuite "));
    let asked = scratch.read("gh.log");
    assert!(asked.contains("api repos/owner/name/issues/7/comments --method POST"), "{asked}");
    assert!(
        scratch.read("temp/sweeplake-compare/comment.md").contains("<!-- sweeplake compare: results candidate -->")
    );
    let failed = action(&scratch, &[("FAIL_ON", "p99_e2el_ms>1%"), ("UNCLEAR", "fail")]);
    assert!(failed.code == Some(1) && failed.stdout.contains("::error title="), "{}", failed.stdout);
    // A candidate without a run has no comparison, and that of an earlier step is not taken for it.
    let dead = scratch.path("results/candidate");
    copy_folder(&dead, &scratch.path("results/kept"));
    for folder in std::fs::read_dir(&dead).unwrap() {
        let name = folder.unwrap().path().join("summary.json");
        let text = std::fs::read_to_string(&name).unwrap().replace("\"completed\":12", "\"completed\":0");
        std::fs::write(&name, text).unwrap();
    }
    std::fs::remove_file(scratch.path("gh.log")).unwrap();
    let ran = action(&scratch, &[("FAIL_ON", " p99_e2el_ms>50% \r\n")]);
    assert!(ran.code == Some(1) && ran.stdout.contains("::error title=candidate::"), "{}\n{}", ran.stdout, ran.stderr);
    assert!(!scratch.exists("gh.log") && scratch.read("temp/sweeplake-compare/junit.xml").contains("<error "));
    scratch.write("gh.log", "");
    // A mistake is no comparison: nothing is commented.
    std::fs::remove_file(scratch.path("gh.log")).unwrap();
    let wrong = action(&scratch, &[("CANDIDATE", "nosuch"), ("COMMENT", "true")]);
    assert!(wrong.code == Some(2) && !scratch.exists("gh.log"), "{}", wrong.stderr);
}
