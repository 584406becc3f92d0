//! Bad input: exit code 2, one message, nothing started, nothing written.

use crate::scratch::{Scratch, is_served};

/// Runs a command that must be refused with a message that holds the texts.
fn refused(scratch: &Scratch, arguments: &[&str], texts: &[&str]) {
    let before = scratch.files();
    let ran = scratch.run(arguments);
    assert_eq!(ran.code, Some(2), "{arguments:?}\n{}", ran.stderr);
    for text in texts {
        assert!(ran.stderr.contains(text), "{text:?} is not in {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    assert_eq!(scratch.files(), before, "something was written");
    assert!(!is_served(scratch.port), "something was started");
}

fn refused_sweep(scratch: &Scratch, more: &[&str], texts: &[&str]) {
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    let mut arguments = vec!["serve", "--serve-cmd", &sim, "--bench-cmd", &bench];
    arguments.extend(more);
    refused(scratch, &arguments, texts);
}

#[test]
fn params_files_that_are_none() {
    let scratch = Scratch::new();
    let cases = [
        ("[{\"a\": 1},\n {\"b\" 2}]", "p.json: line 2, column 7: expected `:`"),
        ("\"text\"", "p.json: expected a list of objects or an object of named objects, found a string"),
        ("[1, 2]", "found a number at position 1"),
        ("{\"a\": 1}", "found a number under the name \"a\""),
        ("[]", "p.json: contains no parameter set"),
        ("{}", "p.json: contains no parameter set"),
        (r#"[{"_benchmark_name": "x"}, {"_benchmark_name": "x"}]"#, "`_benchmark_name` \"x\" is used by more than one"),
        (r#"{"x": {}, "x": {}}"#, "the key \"x\" is given twice"),
    ];
    for (text, message) in cases {
        scratch.write("p.json", text);
        refused_sweep(&scratch, &["--serve-params", "p.json"], &[message]);
        refused_sweep(&scratch, &["--bench-params", "p.json"], &[message]);
    }
    refused_sweep(&scratch, &["--bench-params", "missing.json"], &["missing.json: can't be read"]);
}

#[test]
fn flags_that_are_wrong() {
    let scratch = Scratch::new();
    refused_sweep(&scratch, &["--num-runs", "0"], &["--num-runs must be at least 1"]);
    refused_sweep(&scratch, &["--nun-runs", "3"], &["--nun-runs", "--num-runs"]);
    refused_sweep(&scratch, &["--link-vars", "max_num_seqs"], &["--link-vars: \"max_num_seqs\" is not of the form"]);
    refused_sweep(&scratch, &["-e", "a/b"], &["--experiment-name: \"a/b\" is not a valid folder name"]);
    scratch.write("p.json", r#"[{"max_num_seqs": 4}]"#);
    refused_sweep(
        &scratch,
        &["--serve-params", "p.json", "--bench-params", "p.json", "--link-vars", "max_num_seq=max_num_seqs"],
        &["no serve parameter set has the key \"max_num_seq\"; did you mean \"max_num_seqs\"?"],
    );
    refused(&scratch, &["serve", "--bench-cmd", "true"], &["--serve-cmd"]);
    refused(&scratch, &["swerve"], &["swerve"]);
}

#[test]
fn commands_that_are_wrong() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    refused(
        &scratch,
        &["serve", "--serve-cmd", "vllm 'serve", "--bench-cmd", &bench],
        &["--serve-cmd: unclosed quote"],
    );
    refused(&scratch, &["serve", "--serve-cmd", &sim, "--bench-cmd", "\"x"], &["--bench-cmd: unclosed quote"]);
    refused(&scratch, &["serve", "--serve-cmd", &sim, "--bench-cmd", ""], &["--bench-cmd: no program"]);
    refused(
        &scratch,
        &["serve", "--serve-cmd", &sim, "--bench-cmd", "no-such-program-here"],
        &["--bench-cmd: program not found: no-such-program-here"],
    );
    refused(
        &scratch,
        &["serve", "--serve-cmd", "no-such/vllm serve m", "--bench-cmd", &bench],
        &["--serve-cmd: program not found: no-such/vllm"],
    );
    refused(
        &scratch,
        &["serve", "--serve-cmd", "vllm serve m --port http", "--bench-cmd", &bench],
        &["\"http\" is not a port number"],
    );
}

#[test]
fn folders_that_are_wrong() {
    let scratch = Scratch::new();
    refused_sweep(&scratch, &["-e", "x", "--resume"], &["results/x: no such sweep"]);
    refused_sweep(&scratch, &["--resume"], &["--resume needs -e/--experiment-name"]);
    scratch.write("file", "");
    refused_sweep(&scratch, &["-o", "file", "-e", "x"], &["file: can't be written"]);
    scratch.write("results/folder/notes.txt", "mine");
    refused_sweep(&scratch, &["-e", "folder"], &["results/folder: already exists and is not a sweep"]);
    scratch.write("results/taken/sweep.json", "{\"format_version\": 1}");
    refused_sweep(&scratch, &["-e", "taken"], &["results/taken: already exists; add --resume"]);
    refused_sweep(&scratch, &["-o", "/proc/sweeplake", "-e", "x"], &["/proc/sweeplake: can't be written"]);
}

#[test]
fn lakes_and_queries_that_are_wrong() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path("empty/inner")).unwrap();
    refused(&scratch, &["query", "empty", "SELECT 1"], &["empty: no sweeps found"]);
    refused(&scratch, &["query", "nowhere", "SELECT 1"], &["nowhere: no such file or folder"]);
    refused(&scratch, &["list", "empty"], &["empty: no sweeps found"]);
    refused(&scratch, &["show", "empty"], &["empty: no sweeps found"]);
    refused(&scratch, &["report", "empty"], &["empty: no sweeps found"]);
    refused(&scratch, &["plot", "empty"], &["empty: no sweeps found"]);
    refused(&scratch, &["query", "SELECT 1"], &["no lake given; expected: sweeplake query LAKE"]);
    refused(&scratch, &["query", "empty", "--file", "missing.sql"], &["--file: missing.sql"]);
}

#[test]
fn nothing_is_written_into_a_folder_that_is_called_like_a_store() {
    let scratch = Scratch::new();
    let sample = crate::scratch::data("format-1/finished").display().to_string();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    for arguments in [
        &["import", &sample, "-o", "s3://bucket/lake"][..],
        &["report", &sample, "-o", "s3://bucket/r.html"],
        &["query", &sample, "SELECT 1", "-o", "gs://bucket/x.csv"],
        &["plot", &sample, "--fig-dir", "s3://bucket/f"],
    ] {
        let ran = scratch.run(arguments);
        assert!(
            ran.code == Some(2) && ran.stderr.contains("output must be a local path"),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
    // A sweep may be meant for a store, which is asked before anything starts.
    let mut sweep = scratch.command(&["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "-o", "s3://bucket/lake"]);
    for variable in std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("AWS_"))
    {
        sweep.env_remove(variable);
    }
    let ran = crate::scratch::Ran::of(sweep.env("SWEEPLAKE_STAGING", scratch.path("cache")).output().unwrap());
    assert!(ran.code == Some(2) && ran.stderr.contains("AWS_ACCESS_KEY_ID"), "{}", ran.stderr);
    assert!(!scratch.exists("cache"));
    assert!(scratch.files().iter().all(|file| !file.contains("s3:")), "{:?}", scratch.files());
}

#[test]
fn numbers_that_would_overflow_are_refused() {
    let scratch = Scratch::new();
    let (sim, bench) = (scratch.sim(""), scratch.bench(""));
    for text in ["1e300", "1e-19", "inf", "NaN", "-1"] {
        let serve = ["serve", "--serve-cmd", &sim, "--bench-cmd", &bench, "--bench-timeout", text];
        for arguments in [
            &serve[..],
            &["sim", "m", "--startup-seconds", text],
            &["sim", "m", "--speed", text],
            &["bench", "--request-rate", text, "--model", "m", "--port", "1"],
        ] {
            if arguments[0] == "bench" && text == "inf" {
                continue;
            }
            // A value that begins with a dash is one all the same.
            let joined: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
            let at = joined.iter().position(|word| word == text).unwrap();
            let mut words = joined.clone();
            words[at - 1] = format!("{}={text}", joined[at - 1]);
            words.remove(at);
            let ran = scratch.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(ran.code == Some(2) && ran.stderr.contains("expected a number"), "{words:?}: {}", ran.stderr);
        }
    }
}
