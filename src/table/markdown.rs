//! The declared columns as a document: `docs/tables.md`.

use super::{Column, STATISTICS, Table, Type};
use std::fmt::Write;

/// All tables and their columns, in Markdown.
pub fn document() -> String {
    let mut text = String::from(
        "# Tables and columns\n\n\
         All tables with the columns that they always have. This file is generated from `src/table/declared.rs`: \
         `cargo run --example tables > docs/tables.md`.\n\
         `DESCRIBE TABLE` shows the same for a lake, along with the columns that its sweeps add: each parameter and each number in a \
         benchmark's result is a column of `runs`.\n",
    );
    for table in Table::ALL {
        let _ = write!(
            text,
            "\n## {}\n\nA row is {}.\n\n| column | type | kind | unit | meaning |\n| --- | --- | --- | --- | --- |\n",
            table.name(),
            table.row()
        );
        table.columns().iter().for_each(|column| text.push_str(&line(column)));
        if table == Table::Combinations {
            text.push_str(
                "\nIn addition, each parameter of `runs` under its name, and for each metric of `runs`, declared or not:\n\n\
                 | column | meaning |\n| --- | --- |\n",
            );
            for (statistic, meaning) in STATISTICS {
                let _ = writeln!(text, "| `METRIC_{statistic}` | {meaning} |");
            }
            text.push_str(
                "| `p50_LATENCY_pooled`, `p90_…`, `p95_…`, `p99_…` | percentile of the stored requests of all its runs together, \
                 for `ttft_ms`, `tpot_ms` and `e2el_ms` |\n",
            );
        }
    }
    text
}

fn line(column: &Column) -> String {
    let unit = column.unit.unwrap_or_default();
    format!(
        "| `{}` | {} | {} | {unit} | {} |\n",
        column.name,
        type_name(column.holds),
        column.kind.as_str(),
        column.meaning
    )
}

/// A type as SQL calls it.
fn type_name(holds: Type) -> &'static str {
    match holds {
        Type::Text => "text",
        Type::Integer => "integer",
        Type::Number => "number",
        Type::Boolean => "boolean",
        Type::Time => "time, UTC",
        Type::Numbers => "list of numbers",
        Type::Texts => "list of texts",
        Type::Map => "texts by key",
    }
}
