//! Log files of servers and benchmarks, and their last lines.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

const TAIL_LINES: usize = 20;
const TAIL_BYTES: u64 = 16 * 1024;

/// Opens a log to append to and writes the command as its headline. Returns the file and where the headline
/// begins, so that a tail never shows an earlier run's lines.
pub fn open(path: &Path, headline: &str) -> std::io::Result<(File, u64)> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let start = file.metadata()?.len();
    writeln!(file, "$ {headline}")?;
    Ok((file, start))
}

/// The last lines after `start`, without the headline.
pub fn tail(path: &Path, start: u64) -> Vec<String> {
    read_tail(path, start).unwrap_or_default()
}

fn read_tail(path: &Path, start: u64) -> std::io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = start.max(length.saturating_sub(TAIL_BYTES));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // Progress bars rewrite a line with carriage returns: only what was left standing counts.
    let mut lines: Vec<String> = text
        .lines()
        .skip(1)
        .map(|line| line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or("").trim_end().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    Ok(lines.split_off(lines.len().saturating_sub(TAIL_LINES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_starts_after_its_own_headline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        std::fs::write(&path, "earlier run\n").unwrap();
        let (mut file, start) = open(&path, "cmd").unwrap();
        write!(file, "one\n10%\r20%\r\ntwo\n").unwrap();
        assert_eq!(tail(&path, start), ["one", "20%", "two"]);
    }
}
