//! What every page carries: the script that tables work with, and the hash by which the page allows it and no other.

use crate::words::printable;
use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Sorting, filtering and downloading of tables.
pub const SCRIPT: &str = include_str!("../../templates/report.js");

/// What a content security policy calls the script.
pub fn script_hash() -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(SCRIPT)))
}

/// A page as text. Names and values that somebody else chose can't turn the direction of writing, nor move a terminal's cursor
/// where the source is read in one.
pub fn written(page: &impl Template) -> askama::Result<String> {
    Ok(printable(&page.render()?).into_owned())
}

/// Light or dark, whatever the reader's system prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    Light,
    Dark,
}

impl Theme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}
