//! What a benchmark leaves, and the record that becomes of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use sweeplake::formats::measured;
use sweeplake::params::ParamSet;
use sweeplake::plan::Combination;
use sweeplake::record::{Demands, Outcome, RunRecord, read_result};
use sweeplake::redact::Redactor;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));
static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| Redactor::new([7; 32]));

fuzz_target!(|data: &[u8]| {
    let path = FOLDER.path().join("run=0.json");
    std::fs::write(&path, data).expect("a file");
    let Ok(document) = read_result(&path) else { return };
    let Ok(found) = measured(document, &path) else { return };
    let combination = Combination::new(ParamSet::unchanged(), ParamSet::unchanged());
    let record = RunRecord { source: found.source, ..RunRecord::new(combination, Outcome::Completed(found.result)) };
    let record = record.redacted(&REDACTOR).judged(&Demands::default());
    let _ = (record.to_row(), record.to_request_rows());
});
