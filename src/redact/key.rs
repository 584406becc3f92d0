//! The key of the hashes that stand for secrets: one for each user, kept outside of any lake.

use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::PathBuf;

/// A key of the user's own choice, so that machines agree on hashes.
const VARIABLE: &str = "SWEEPLAKE_REDACTION_KEY";

/// The key from the environment, from the user's configuration, or, where neither can be had, one for this process alone.
pub fn of_user() -> [u8; 32] {
    if let Ok(text) = std::env::var(VARIABLE)
        && !text.is_empty()
    {
        return Sha256::digest(text).into();
    }
    stored().unwrap_or_else(rand::random)
}

fn stored() -> Option<[u8; 32]> {
    let path = path()?;
    if let Ok(bytes) = fs::read(&path) {
        return <[u8; 32]>::try_from(bytes).ok();
    }
    let folder = path.parent()?;
    fs::create_dir_all(folder).ok()?;
    let key: [u8; 32] = rand::random();
    // Two that start at one time agree on the one that was first.
    let mut file = tempfile::NamedTempFile::new_in(folder).ok()?;
    file.write_all(&key).ok()?;
    match file.persist_noclobber(&path) {
        Ok(_) => Some(key),
        Err(_) => fs::read(&path).ok().and_then(|bytes| bytes.try_into().ok()),
    }
}

fn path() -> Option<PathBuf> {
    let configuration = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    Some(configuration.or_else(home)?.join("sweeplake").join("redaction.key"))
}
