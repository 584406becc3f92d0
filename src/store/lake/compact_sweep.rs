//! All runs in one file, of a sweep that nobody writes.

use super::discover::Sweep;
use crate::store::StoreError;
use crate::store::file::FORMAT_VERSION;
use crate::store::sweep::{Manifest, SweepState, compact, lock};

/// Compacts a sweep that nobody writes and that has only loose files. Whether there was something to do.
pub fn compact_sweep(sweep: &Sweep) -> Result<bool, StoreError> {
    if sweep.is_covered() || !sweep.is_own() || sweep.is_compacted() {
        return Ok(false);
    }
    let _lock = match lock(&sweep.folder) {
        Ok(lock) => lock,
        Err(StoreError::Locked { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let counted = compact(&sweep.folder)?;
    if counted.runs == 0 {
        return Ok(false);
    }
    let mut manifest = Manifest::read(&sweep.folder)?;
    if manifest.state == SweepState::Running {
        manifest.state = SweepState::Interrupted;
    }
    manifest.format_version = FORMAT_VERSION;
    (manifest.runs, manifest.failed) = (counted.runs, counted.failed);
    manifest.write(&sweep.folder)?;
    Ok(true)
}
