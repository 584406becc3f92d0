//! SLAs, as a file has them and as they are typed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sweeplake::sla::{Constraint, Sla};

fuzz_target!(|text: &str| {
    if let Ok(sla) = Sla::parse(text) {
        let _ = sla.file_text();
    }
    let (metric, target) = text.split_once('\n').unwrap_or(("p99_e2el_ms", text));
    let _ = Constraint::parse(metric, target);
});
