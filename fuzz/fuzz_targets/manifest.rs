//! `sweep.json`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use sweeplake::store::Manifest;

fuzz_target!(|text: &str| {
    if let Ok(manifest) = Manifest::parse(text, Path::new("sweep.json")) {
        for stored in &manifest.combinations {
            assert!(!stored.folder.starts_with('/') && !stored.folder.split('/').any(|part| part == ".."));
        }
        let again = serde_json::to_string(&manifest).expect("a manifest is JSON");
        Manifest::parse(&again, Path::new("sweep.json")).expect("what is written is read");
    }
});
