//! Reading files that somebody else made: never one on which a reader would wait for ever.

use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a regular file. A pipe, a socket or a device is refused, and is not waited for.
pub fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(Error::new(ErrorKind::InvalidInput, "is no regular file")),
    }
}

/// All bytes of a regular file.
pub fn bytes(path: &Path) -> Result<Vec<u8>> {
    let mut file = open(path)?;
    let mut bytes = Vec::with_capacity(file.metadata()?.len().try_into().unwrap_or_default());
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a regular file, without the byte order mark that some editors put before it.
pub fn text(path: &Path) -> Result<String> {
    let bytes = bytes(path)?;
    let text = String::from_utf8(bytes).map_err(|error| Error::new(ErrorKind::InvalidData, no_text(&error)))?;
    Ok(without_mark(text))
}

/// The SHA-256 of what can be read.
pub fn sha256(mut from: impl Read) -> Result<String> {
    let (mut hasher, mut piece) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match from.read(&mut piece)? {
            0 => break,
            count => hasher.update(&piece[..count]),
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
    format!("is no UTF-8 text (byte {})", error.utf8_error().valid_up_to())
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
        assert_eq!(bytes(&pipe).unwrap_err().to_string(), "is no regular file");
        assert_eq!(bytes(folder.path()).unwrap_err().to_string(), "is no regular file");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"\xef\xbb\xbf{}").unwrap();
        assert_eq!(text(&path).unwrap(), "{}");
        std::fs::write(&path, b"{\"a\": \"\xff\"}").unwrap();
        assert_eq!(text(&path).unwrap_err().to_string(), "is no UTF-8 text (byte 7)");
    }
}
