//! The package as others get it: what it asks of a toolchain, and that its parts are there.

use crate::scratch::{Ran, Scratch, repository};
use serde_json::Value;
use std::process::Command;

/// `1.94` and `1.94.0` as numbers.
fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap_or(0))
}

#[test]
fn no_dependency_asks_for_a_newer_rust_than_the_package_says() {
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let ran = Command::new(env!("CARGO")).args(arguments).current_dir(repository()).output().unwrap();
    let metadata: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let used = |name: &str| metadata["resolve"]["nodes"].as_array().unwrap().iter().any(|node| node["id"] == name);
    let packages = metadata["packages"].as_array().unwrap();
    let own = packages.iter().find(|package| package["name"] == "sweeplake").unwrap();
    let own = version(own["rust_version"].as_str().unwrap());
    let newer: Vec<String> = packages
        .iter()
        .filter(|package| used(package["id"].as_str().unwrap()))
        .filter_map(|package| Some((package["name"].as_str()?, package["rust_version"].as_str()?)))
        .filter(|(_, asked)| version(asked) > own)
        .map(|(name, asked)| format!("{name} needs Rust {asked}"))
        .collect();
    assert_eq!(newer, Vec::<String>::new());
    let toolchain = std::fs::read_to_string(repository().join("rust-toolchain.toml")).unwrap();
    let channel = toolchain.split("channel = \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(version(channel) >= own);
}

#[test]
fn the_formula_has_the_checksum_of_each_archive() {
    let scratch = Scratch::new();
    let targets = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin"];
    for (digit, target) in targets.iter().enumerate() {
        let digest = digit.to_string().repeat(64);
        scratch.write(&format!("dist/{target}.sha256"), &format!("{digest}  sweeplake-1.2.3-{target}.tar.gz\n"));
    }
    let formula = || {
        let mut command = Command::new(repository().join("packaging/formula"));
        Ran::of(command.args(["owner/name", "1.2.3", "dist"]).current_dir(scratch.path("")).output().unwrap())
    };
    let text = formula().stdout;
    for (digit, target) in targets.iter().enumerate() {
        let url = format!("https://github.com/owner/name/releases/download/v1.2.3/sweeplake-1.2.3-{target}.tar.gz");
        let block = format!("url \"{url}\"\n      sha256 \"{}\"", digit.to_string().repeat(64));
        assert!(text.contains(&block), "{text}");
    }
    // A release without one of them has no formula.
    std::fs::remove_file(scratch.path("dist/aarch64-apple-darwin.sha256")).unwrap();
    let ran = formula();
    assert!(
        ran.code == Some(1) && ran.stderr.contains("no archive of 1.2.3 for aarch64-apple-darwin"),
        "{}",
        ran.stderr
    );
}

#[test]
fn every_input_of_the_action_is_passed_on() {
    let action = std::fs::read_to_string(repository().join("action.yml")).unwrap();
    let inputs = action.split("inputs:\n").nth(1).unwrap().split("\noutputs:").next().unwrap();
    let names = inputs.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = names.map(|line| line.trim().trim_end_matches(':')).collect();
    assert_eq!(names.len(), 10, "{names:?}");
    for name in names {
        assert!(action.matches(&format!("inputs.{name}")).count() >= 1, "{name} is not used");
    }
}
