//! Reading files that somebody else made: never one on which a reader would wait for ever.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

use nix::errno::Errno;
use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// Whether a file may be a link to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    Follow,
    /// In a folder that came from somebody else a link could lead to any file of the reader.
    Refuse,
}

/// Opens a regular file. A pipe, a socket or a device is refused, and is not waited for.
pub fn open(path: &Path, links: Links) -> Result<File> {
    let no_links = if links == Links::Refuse { OFlag::O_NOFOLLOW } else { OFlag::empty() };
    let flags = OFlag::O_NONBLOCK | no_links;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
    let file = file.map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::ELOOP as i32 => {
            Error::new(ErrorKind::InvalidInput, "is a link; replace it with a copy of its target")
        }
        _ => error,
    })?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(Error::new(ErrorKind::InvalidInput, "is not a regular file")),
    }
}

/// All bytes of a regular file.
pub fn bytes(path: &Path, links: Links) -> Result<Vec<u8>> {
    let mut file = open(path, links)?;
    let mut bytes = Vec::with_capacity(file.metadata()?.len().try_into().unwrap_or_default());
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a regular file, without the byte order mark that some editors put before it.
pub fn text(path: &Path, links: Links) -> Result<String> {
    let bytes = bytes(path, links)?;
    let text = String::from_utf8(bytes).map_err(|error| Error::new(ErrorKind::InvalidData, no_text(&error)))?;
    Ok(without_mark(text))
}

/// Whether a folder holds nothing but a file of this name; an empty one holds nothing at all.
pub fn holds_only(folder: &Path, name: &str) -> bool {
    let entries = std::fs::read_dir(folder).map(|entries| entries.filter_map(Result::ok).collect::<Vec<_>>());
    entries.is_ok_and(|entries| entries.iter().all(|entry| entry.file_name() == name))
}

/// Whether two paths lead to one place that is there.
pub fn is_same_place(left: &Path, right: &Path) -> bool {
    matches!((left.canonicalize(), right.canonicalize()), (Ok(left), Ok(right)) if left == right)
}

/// Whether a path that somebody else wrote down stays below the folder that it is relative to.
pub fn is_inside(relative: &str) -> bool {
    !relative.contains('\0') && Path::new(relative).components().all(|part| matches!(part, Component::Normal(_)))
}

/// The first part of a path below `top` that is a link, if one is.
pub fn link_below(top: &Path, relative: &str) -> Option<PathBuf> {
    let mut path = top.to_owned();
    Path::new(relative).components().find_map(|part| {
        path.push(part);
        path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()).then(|| path.clone())
    })
}

/// A file that is there to be locked: made where it is missing, and left as it is.
pub fn to_lock(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

/// The SHA-256 of what can be read.
pub fn sha256(mut from: impl Read) -> Result<String> {
    let (mut hasher, mut piece) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match from.read(&mut piece)? {
            0 => break,
            count => hasher.update(piece.get(..count).unwrap_or_default()),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A text without a byte order mark at its start.
pub fn without_mark(text: String) -> String {
    text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)
}

/// Why bytes are no text.
pub fn no_text(error: &std::string::FromUtf8Error) -> String {
    format!("is not valid UTF-8 (byte {})", error.utf8_error().valid_up_to())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("result.json");
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        assert_eq!(bytes(&pipe, Links::Refuse).unwrap_err().to_string(), "is not a regular file");
        assert_eq!(bytes(folder.path(), Links::Refuse).unwrap_err().to_string(), "is not a regular file");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"\xef\xbb\xbf{}").unwrap();
        assert_eq!(text(&path, Links::Refuse).unwrap(), "{}");
        std::fs::write(&path, b"{\"a\": \"\xff\"}").unwrap();
        assert_eq!(text(&path, Links::Refuse).unwrap_err().to_string(), "is not valid UTF-8 (byte 7)");
    }

    #[test]
    fn links_and_ways_out_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&path, "x").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(text(&link, Links::Follow).unwrap(), "x");
        assert!(text(&link, Links::Refuse).unwrap_err().to_string().starts_with("is a link"));
        assert_eq!(link_below(folder.path(), "b/c"), Some(link));
        assert_eq!(link_below(folder.path(), "a"), None);
        assert!(is_inside("") && is_inside("a/b c/..d"));
        for outside in ["..", "../victim", "a/../../b", "/etc", "./a", "a\0b"] {
            assert!(!is_inside(outside), "{outside}");
        }
    }
}
