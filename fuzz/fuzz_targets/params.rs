//! Parameter files of every kind, grids, and commands with parameter sets written into them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use sweeplake::params::{Address, Command, read_params_file};
use sweeplake::space::Axis;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(|data: &[u8]| {
    for ending in ["json", "jsonl", "csv", "toml", "yaml"] {
        let path = FOLDER.path().join("params").with_extension(ending);
        std::fs::write(&path, data).expect("a file");
        let command = Command::new(["vllm", "serve", "m", "--port", "1", "--x", "a", "--no-y"]);
        for set in read_params_file(&path).unwrap_or_default() {
            let written = command.with_params(&set);
            let again = Command::parse("f", &written.quoted()).expect("what is quoted is read back");
            assert_eq!(again.words(), written.words());
        }
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(axis) = Axis::parse(text)
    {
        assert_eq!(Axis::parse(&axis.typed()), Ok(axis), "what is written is read back");
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(command) = Command::parse("f", text)
    {
        let _ = (Address::of_server(&command), Address::of_benchmark(&command), command.flags());
    }
});
