//! The end of the log that was written last.

use crate::store::latest_log;
use crate::words::printable_line;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// No more of a log is read.
const MOST_BYTES: u64 = 16 << 10;

/// Its path below the sweep's folder, and its last lines.
pub struct LogEnd {
    pub name: String,
    pub lines: Vec<String>,
}

impl LogEnd {
    pub fn of(folder: &Path, most_lines: usize) -> Option<Self> {
        let path = latest_log(folder)?;
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        let text = end_of(&path)?;
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines.iter().skip(lines.len().saturating_sub(most_lines));
        Some(Self { name, lines: last.map(|line| printable_line(line.trim_end()).into_owned()).collect() })
    }
}

fn end_of(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MOST_BYTES))).ok()?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
