//! Conditions of `--filter-by`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sweeplake::query::{Column, Columns, Filter, Kind};

fuzz_target!(|text: &str| {
    let column = |name: &str, holds: Kind| Column { name: name.into(), holds, kind: None };
    let columns = Columns::new(vec![
        column("max_concurrency", Kind::Number),
        column("model_id", Kind::Text),
        column("tp", Kind::Mixed),
        column("on", Kind::Bool),
        column("a b", Kind::Other),
    ]);
    if let Ok(filter) = Filter::parse(text, &columns) {
        let _ = filter.to_sql();
    }
});
