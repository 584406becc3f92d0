//! One writer of a sweep's folder at a time.

use super::layout;
use crate::store::StoreError;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// Whether somebody writes a sweep's folder.
pub fn is_written(folder: &Path) -> bool {
    let Ok(file) = File::open(folder.join(layout::LOCK)) else { return false };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Err(_) => true,
        // Machines that share a sweep hold it beside each other.
        Ok(looked) => {
            drop(looked);
            folder.join(layout::MANIFEST_LOCK).is_file() && lock(folder).is_err()
        }
    }
}

/// Who only looks holds a lock for an instant.
const LOOKS: u32 = 5;
const LOOK: Duration = Duration::from_millis(20);

fn to_lock(path: &Path) -> Result<File, StoreError> {
    crate::files::to_lock(path).map_err(|source| StoreError::Unwritable { path: path.into(), source })
}

fn lock_as(folder: &Path, how: FlockArg) -> Result<Flock<File>, StoreError> {
    let mut file = to_lock(&folder.join(layout::LOCK))?;
    for _ in 0..LOOKS {
        match Flock::lock(file, how) {
            Ok(held) => return Ok(held),
            Err((again, _)) => file = again,
        }
        std::thread::sleep(LOOK);
    }
    Err(StoreError::Locked { path: folder.into() })
}

/// Works at a sweep's folder beside others who do so, and keeps those out who would have it alone.
pub fn lock_beside(folder: &Path) -> Result<Flock<File>, StoreError> {
    lock_as(folder, FlockArg::LockSharedNonblock)
}

/// Waits for the manifest of a sweep that several machines write; as long as the lock is held, nobody else changes it.
pub fn lock_manifest(folder: &Path) -> Result<Flock<File>, StoreError> {
    let path = folder.join(layout::MANIFEST_LOCK);
    let file = to_lock(&path)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| StoreError::Io { path, source: error.into() })
}

/// Keeps other writers from a sweep's folder.
pub fn lock(folder: &Path) -> Result<Flock<File>, StoreError> {
    lock_as(folder, FlockArg::LockExclusiveNonblock)
}
