//! What tells the combinations of a sweep apart: a column for each parameter that varies, or for the names of the sets.

use crate::params::{ParamSet, value_text};
use crate::plan::Combination;
use crate::words::{describe, describe_set, pair, printable_line, short_value, telling};
use serde_json::Value;
use std::collections::BTreeSet;
use unicode_width::UnicodeWidthStr;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Serve,
    Bench,
}

impl Side {
    fn of(self, combination: &Combination) -> &ParamSet {
        match self {
            Self::Serve => &combination.serve,
            Self::Bench => &combination.bench,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Bench => "bench",
        }
    }
}

pub struct Column {
    side: Side,
    /// The parameter; nothing where the sets are known by name.
    key: Option<String>,
    pub heading: String,
    /// Of its longest value.
    pub width: usize,
}

impl Column {
    pub fn cell(&self, combination: &Combination) -> String {
        let set = self.side.of(combination);
        match &self.key {
            None => describe_set(set),
            Some(key) => set.get(key).map(|value| short_value(&value_text(value))).unwrap_or_default(),
        }
    }
}

/// The columns, and the parameters that all combinations share.
pub struct Columns {
    pub columns: Vec<Column>,
    pub shared: Vec<String>,
}

impl Columns {
    /// `turned`: a parameter of the load that the sweep itself sets.
    pub fn of(all: &[Combination], turned: Option<&str>) -> Self {
        let mut columns = Self { columns: Vec::new(), shared: Vec::new() };
        for side in [Side::Serve, Side::Bench] {
            let is_turned = |key: &String| side == Side::Bench && turned == Some(key.as_str());
            let keys: BTreeSet<&String> = all.iter().flat_map(|one| side.of(one).params.keys()).collect();
            if all.iter().any(|one| side.of(one).name.is_some()) {
                columns.add(all, side, None);
            } else {
                for key in keys.into_iter().filter(|key| !is_turned(key)) {
                    columns.add_unless_shared(all, side, key);
                }
            }
        }
        columns.leave_out_what_follows(all);
        if let Some(key) = turned {
            columns.add(all, Side::Bench, Some(key.to_owned()));
        }
        columns
    }

    fn add_unless_shared(&mut self, all: &[Combination], side: Side, key: &str) {
        let mut values = all.iter().map(|one| side.of(one).get(key));
        let first = values.next().flatten();
        match first.filter(|first| values.all(|value| value == Some(*first))) {
            Some(value) => self.shared.push(pair(key, value)),
            None => self.add(all, side, Some(key.to_owned())),
        }
    }

    fn add(&mut self, all: &[Combination], side: Side, key: Option<String>) {
        let name = printable_line(key.as_deref().unwrap_or(side.name())).into_owned();
        let is_taken = self.columns.iter().any(|column| column.heading == name);
        let heading = if is_taken { format!("{}.{name}", side.name()) } else { name };
        let mut column = Column { side, key, heading, width: 0 };
        column.width = all.iter().map(|one| column.cell(one).width()).max().unwrap_or(0);
        self.columns.push(column);
    }

    /// Of a number of prompts that follows from the other parameters nothing is said.
    fn leave_out_what_follows(&mut self, all: &[Combination]) {
        let headings: Vec<&str> = self.columns.iter().map(|column| column.heading.as_str()).collect();
        let cell = |row: usize, name: &str| {
            let column = self.columns.iter().find(|column| column.heading == name);
            column.map(|column| column.cell(&all[row])).unwrap_or_default()
        };
        let kept: Vec<String> = telling(&headings, all.len(), cell).into_iter().map(str::to_owned).collect();
        self.columns.retain(|column| kept.contains(&column.heading));
    }

    /// What a combination is called among the others: `max_num_seqs=64 max_concurrency=8`.
    pub fn label(&self, combination: &Combination) -> String {
        let named = |column: &Column| {
            let cell = column.cell(combination);
            if column.key.is_none() { cell } else { pair(&column.heading, &Value::String(cell)) }
        };
        let is_known = |column: &&Column| !column.cell(combination).is_empty();
        let parts: Vec<String> = self.columns.iter().filter(is_known).map(named).collect();
        if parts.is_empty() { describe(&combination.serve, &combination.bench) } else { parts.join(" ") }
    }
}
