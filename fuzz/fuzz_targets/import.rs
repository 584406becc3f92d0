//! Result files of all tools, packed or not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use sweeplake::formats::read_file;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(|data: &[u8]| {
    let path = FOLDER.path().join("result.json");
    std::fs::write(&path, data).expect("a file");
    let contents = read_file(&path);
    for document in contents.documents {
        assert!(document.fits.iter().any(|fit| fit.format.name == document.format.name));
    }
});
