//! Whether a sweep may be gone on with: its runs must not be of two things.

use super::manifest::{Manifest, MeasuredUnder};
use crate::record::Conditions;
use crate::store::StoreError;
use std::path::Path;

/// What to do where something is not as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnChange {
    Refuse,
    /// Note it; the runs before and those after are kept apart.
    Accept,
}

/// What the runs of a sweep in `folder` will have been measured under, once it is gone on with as `wanted`.
pub fn conditions_after(
    folder: &Path,
    stored: &Manifest,
    wanted: &Manifest,
    on_change: OnChange,
) -> Result<Vec<MeasuredUnder>, StoreError> {
    let mut under = stored.measured_under.clone();
    let now = wanted.measured_under.last();
    let changes = match (under.last(), now) {
        (Some(was), Some(now)) => was.conditions.changes(&now.conditions),
        _ => commands(stored, stored).changes(&commands(wanted, stored)),
    };
    match (changes.is_empty(), on_change) {
        (false, OnChange::Refuse) => return Err(StoreError::Changed { path: folder.into(), changes }),
        (false, OnChange::Accept) => under.extend(now.cloned()),
        (true, _) => match (under.last_mut(), now) {
            (Some(was), Some(now)) => was.conditions = was.conditions.merged(&now.conditions),
            (Some(_), None) => {}
            // A sweep of a version that did not note them.
            (None, now) => under.extend(now.cloned()),
        },
    }
    Ok(under)
}

/// The commands of a sweep, in the form in which the format version of `stored` has them.
fn commands(manifest: &Manifest, stored: &Manifest) -> Conditions {
    // Version 1 told secrets by stars alone.
    let shown = |command: &str| match stored.format_version {
        1 => without_hashes(command),
        _ => command.to_owned(),
    };
    let mut conditions = Conditions::default();
    conditions.set("kind", manifest.kind.as_str());
    conditions.set("serve_cmd", shown(&manifest.serve_cmd));
    conditions.set("bench_cmd", shown(&manifest.bench_cmd));
    let others =
        [("candidate_serve_cmd", &manifest.candidate_serve_cmd), ("after_bench_cmd", &manifest.after_bench_cmd)];
    for (name, command) in others {
        if let Some(command) = command {
            conditions.set(name, shown(command));
        }
    }
    conditions
}

/// A command whose secrets are stars without the hashes behind them.
fn without_hashes(command: &str) -> String {
    let mut parts = command.split("***");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "***" + part.trim_start_matches(|letter: char| letter.is_ascii_hexdigit()))
}
