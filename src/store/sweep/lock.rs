//! One writer of a sweep's folder at a time.

use super::layout;
use crate::store::StoreError;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::path::Path;

/// Whether somebody writes a sweep's folder.
pub fn is_written(folder: &Path) -> bool {
    let Ok(file) = File::open(folder.join(layout::LOCK)) else { return false };
    Flock::lock(file, FlockArg::LockSharedNonblock).is_err()
}

/// Waits for the manifest of a sweep that several machines write; as long as the lock is held, nobody else changes it.
pub fn lock_manifest(folder: &Path) -> Result<Flock<File>, StoreError> {
    let path = folder.join(layout::MANIFEST_LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| StoreError::Unwritable { path: path.clone(), source })?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| StoreError::Io { path, source: error.into() })
}

/// Keeps other writers from a sweep's folder.
pub fn lock(folder: &Path) -> Result<Flock<File>, StoreError> {
    let path = folder.join(layout::LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| StoreError::Unwritable { path: path.clone(), source })?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| StoreError::Locked { path: folder.into() })
}
