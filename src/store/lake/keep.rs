//! A lake is kept: sweeps are taken away, renamed and noted upon, never while somebody writes them.

use super::reference::{lake_of, move_tags};
use crate::redact::Redactor;
use crate::store::StoreError;
use crate::store::sweep::{MANIFEST, Manifest, Note, check_name, lock};
use chrono::Utc;
use std::fs;
use std::path::{Path, PathBuf};

/// How the names of folders begin that are being taken away. Those with a dot are no sweeps.
pub const TAKEN_AWAY: &str = ".rm-";

/// Takes a sweep away with all that is in its folder, and its tags.
pub fn remove_sweep(sweep: &Path) -> Result<(), StoreError> {
    let (lake, name) = own_sweep(sweep)?;
    let _lock = lock(sweep)?;
    // Gone at once, whole: what is killed meanwhile leaves no half of a sweep.
    let away = lake.join(format!("{TAKEN_AWAY}{name}"));
    if away.exists() {
        fs::remove_dir_all(&away).map_err(StoreError::io(&away))?;
    }
    fs::rename(sweep, &away).map_err(StoreError::io(sweep))?;
    move_tags(&lake, &name, None)?;
    fs::remove_dir_all(&away).map_err(StoreError::io(&away))
}

/// Gives a sweep another name in its lake; its tags go with it. Returns its folder.
pub fn rename_sweep(sweep: &Path, name: &str) -> Result<PathBuf, StoreError> {
    check_name(name)?;
    let (lake, old) = own_sweep(sweep)?;
    let _lock = lock(sweep)?;
    let to = lake.join(name);
    if to.symlink_metadata().is_ok() {
        return Err(StoreError::Exists { path: to });
    }
    fs::rename(sweep, &to).map_err(StoreError::io(sweep))?;
    move_tags(&lake, &old, Some(name))?;
    Ok(to)
}

/// Writes a note into a sweep's manifest, or takes all out that are there.
pub fn note_sweep(sweep: &Path, text: Option<&str>, redactor: &Redactor) -> Result<(), StoreError> {
    own_sweep(sweep)?;
    let _lock = lock(sweep)?;
    let mut manifest = Manifest::read(sweep)?;
    match text {
        Some(text) => manifest.notes.push(Note { at: Utc::now(), text: redactor.text(text).into_owned() }),
        None => manifest.notes.clear(),
    }
    manifest.write(sweep)
}

/// The lake of a sweep that sweeplake made, and its folder's name there.
fn own_sweep(sweep: &Path) -> Result<(PathBuf, String), StoreError> {
    let is_link = sweep.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
    if is_link || !sweep.join(MANIFEST).is_file() {
        return Err(StoreError::NotOwn { path: sweep.into() });
    }
    let folder = sweep.canonicalize().map_err(StoreError::io(sweep))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((lake_of(sweep)?, name))
}
