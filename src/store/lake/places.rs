//! Where a lake keeps what is made of its sweeps.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The compacted tables.
pub const COMPACTED: &str = "compacted";
pub const LATEST: &str = "latest";
pub const SWEEPS: &str = "sweeps.parquet";

/// How a manifest looks from outside: it is written anew whenever something of its sweep changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub size: i64,
    pub modified_ns: i64,
}

impl Fingerprint {
    pub fn of(manifest: &Path) -> Option<Self> {
        let metadata = fs::metadata(manifest).ok()?;
        let modified_ns = metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec();
        Some(Self { size: metadata.size() as i64, modified_ns })
    }
}
