//! What may stand for a value.

use super::typed;
use crate::cli::block_on;
use crate::query::{Lake, NamedQuery, TABLES};
use crate::store::{find_sweeps, known_tags};
use clap::builder::StyledStr;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};
use std::ffi::OsStr;

/// A kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offers {
    /// Sweeps and tags by their names in the lake.
    Names,
    /// Sweeps and tags by their paths.
    Folders,
    Directories,
    /// Columns of a table.
    Columns(&'static str),
    /// Columns of runs that are metrics.
    Metrics,
    Queries,
    Tables,
}

/// References by time, which `compare` and others take.
const LATEST: [&str; 2] = ["latest", "latest~1"];

impl ValueCompleter for Offers {
    fn complete(&self, current: &OsStr) -> Vec<CompletionCandidate> {
        let typed = current.to_string_lossy();
        // A list of values: the last of them is being typed, and `-` stands before a column to sort by.
        let start = typed.rfind(',').map_or(0, |comma| comma + 1);
        let (before, last) = typed.split_at(start);
        let (before, last) = match last.strip_prefix('-') {
            Some(last) if matches!(self, Self::Columns(_)) => (format!("{before}-"), last),
            _ => (before.to_owned(), last),
        };
        let mut offered: Vec<CompletionCandidate> = self
            .known()
            .into_iter()
            .filter(|(value, _)| value.starts_with(last))
            .map(|(value, help)| {
                CompletionCandidate::new(for_shell(format!("{before}{value}"))).help(help.map(StyledStr::from))
            })
            .collect();
        if matches!(self, Self::Folders | Self::Directories) {
            offered.extend(PathCompleter::dir().complete(current));
        }
        offered
    }
}

impl Offers {
    /// What there is, and what it means.
    fn known(self) -> Vec<(String, Option<String>)> {
        let plain = |values: Vec<String>| values.into_iter().map(|value| (value, None)).collect();
        match self {
            Self::Names => {
                let mut names = LATEST.map(str::to_owned).to_vec();
                names.extend(names_in_lake());
                plain(names)
            }
            Self::Folders => {
                let lake = typed::lake();
                plain(names_in_lake().into_iter().map(|name| lake.join(name).display().to_string()).collect())
            }
            Self::Directories => Vec::new(),
            Self::Columns(table) => columns(table, ""),
            Self::Metrics => columns("runs", "AND kind = 'metric'"),
            Self::Queries => {
                let known = NamedQuery::known(&typed::places());
                known.into_iter().map(|query| (query.name, Some(query.description))).collect()
            }
            Self::Tables => plain(TABLES.map(str::to_owned).to_vec()),
        }
    }
}

/// bash writes what is offered as it is; other shells quote it themselves.
fn for_shell(value: String) -> String {
    match std::env::var_os("_CLAP_COMPLETE_COMP_TYPE") {
        Some(_) => shlex::try_quote(&value).map_or_else(|_| value.clone(), |quoted| quoted.into_owned()),
        None => value,
    }
}

fn names_in_lake() -> Vec<String> {
    let lake = typed::lake();
    let tags = known_tags(&lake).unwrap_or_default().into_keys();
    let sweeps = find_sweeps(std::slice::from_ref(&lake)).map(|found| found.all().to_vec()).unwrap_or_default();
    tags.chain(sweeps.into_iter().map(|sweep| sweep.name)).collect()
}

fn columns(table: &str, condition: &str) -> Vec<(String, Option<String>)> {
    let Ok(lake) = Lake::open(&typed::places()) else { return Vec::new() };
    let sql = format!("SELECT column_name, meaning FROM columns WHERE table_name = '{table}' {condition}");
    let Ok(Ok(answer)) = block_on(lake.sql(&sql)) else { return Vec::new() };
    let texts = |column: &str| answer.column(column).unwrap_or_default().into_iter().map(|value| value.to_text());
    texts("column_name").zip(texts("meaning").map(Some)).collect()
}
