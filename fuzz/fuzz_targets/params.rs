//! Parameter files, and commands with their sets written into them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use sweeplake::params::{Address, Command, read_params_file};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(|data: &[u8]| {
    let path = FOLDER.path().join("params.json");
    std::fs::write(&path, data).expect("a file");
    if let Ok(sets) = read_params_file(&path) {
        let command = Command::new(["vllm", "serve", "m", "--port", "1", "--x", "a", "--no-y"]);
        for set in sets {
            let written = command.with_params(&set);
            let again = Command::parse("f", &written.quoted()).expect("what is quoted is read back");
            assert_eq!(again.words(), written.words());
        }
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(command) = Command::parse("f", text)
    {
        let _ = (Address::of_server(&command), Address::of_benchmark(&command), command.flags());
    }
});
