//! Files that exist completely or not at all.

use crate::store::StoreError;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use walkdir::WalkDir;

const PREFIX: &str = ".tmp-";
const SUFFIX: &str = ".part";

/// Whether a file is there only until it is whole.
pub fn is_part(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// Takes away what a program that was killed had not written to its end.
pub fn remove_parts(folder: &Path) -> Result<(), StoreError> {
    let entries = WalkDir::new(folder).into_iter().filter_map(Result::ok);
    let mut parts = entries.filter(|entry| is_part(&entry.file_name().to_string_lossy()));
    parts.try_for_each(|entry| remove_if_there(entry.path()))
}

/// Writes through `fill` into a temporary file beside `path`, syncs it, and renames it into place.
pub fn write_atomically<T>(
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fail = |source| StoreError::Unwritable { path: path.into(), source };
    let mut file = tempfile::Builder::new()
        .prefix(PREFIX)
        .suffix(SUFFIX)
        .permissions(permissions())
        .tempfile_in(folder)
        .map_err(fail)?;
    let value = fill(file.as_file_mut())?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|error| fail(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail)?;
    Ok(value)
}

pub fn write_bytes_atomically(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write_atomically(path, |file| file.write_all(bytes).map_err(StoreError::io(path)))
}

/// Removes a file, or whatever else is there, which may be gone already.
pub fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    let is_folder = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    match if is_folder { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) } {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io(path)(error)),
        _ => Ok(()),
    }
}

/// Results are for sharing: readable as any new file, less the umask.
fn permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o666)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_fails_leaves_the_old_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        write_bytes_atomically(&path, b"old").unwrap();
        let failed: Result<(), _> = write_atomically(&path, |file| {
            file.write_all(b"half").unwrap();
            Err(StoreError::Missing { path: path.clone() })
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
