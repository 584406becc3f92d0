//! One value of a run, and the lists of a result that hold one for each request.

use super::cell::Cell;
use crate::table::{Kind, Table};
use std::borrow::Cow;

/// One value of a run, with what it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: Cow<'static, str>,
    pub kind: Kind,
    pub cell: Cell,
}

/// A run's values by column.
pub type RunRow = Vec<Field>;

/// Keys of a result that hold one value for each request; they go to table `requests`.
pub const REQUEST_ARRAYS: [&str; 9] = [
    "input_lens",
    "output_lens",
    "ttfts",
    "itls",
    "latencies",
    "queue_times",
    "start_times",
    "generated_texts",
    "errors",
];

/// A tool that tells the time per output token of each request tells it here, in seconds; vLLM does not.
pub const TPOTS: &str = "tpots";

impl Field {
    /// A column that every run has.
    pub(super) fn own(name: &'static str, cell: impl Into<Cell>) -> Self {
        let kind = Table::Runs.column(name).map_or(Kind::Context, |column| column.kind);
        Self { name: name.into(), kind, cell: cell.into() }
    }
}
