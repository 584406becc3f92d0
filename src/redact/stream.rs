//! Log files without secrets, taken out as they are written: a line at a time, and a long line in pieces that overlap.

use super::Redactor;
use std::io::{self, Write};

/// A line longer than this is not waited for.
const LONGEST_LINE: usize = 64 * 1024;
/// The longest token that is known by its form and still found where a long line is cut.
const LONGEST_TOKEN: usize = 4 * 1024;

/// However long one token seems to be, no more than this is held back for it.
const MOST_HELD: usize = 16 * LONGEST_LINE;

const BEGIN: &str = "PRIVATE KEY-----";
const END: &str = "-----END";

/// Writes what comes in pieces of any size, without the secrets in it.
pub struct Stream<W: Write> {
    redactor: Redactor,
    sink: W,
    held: Vec<u8>,
    /// Inside a key in PEM, which has many lines.
    is_in_key: bool,
}

impl<W: Write> Stream<W> {
    pub fn new(redactor: Redactor, sink: W) -> Self {
        Self { redactor, sink, held: Vec::new(), is_in_key: false }
    }

    /// Takes the next piece. Lines that have ended are written at once, so that whoever follows the log sees them.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (lines, rest) = match bytes.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')) {
            Some(last) => bytes.split_at(last + 1),
            None => (Default::default(), bytes),
        };
        if !lines.is_empty() {
            self.held.extend_from_slice(lines);
            let held = std::mem::take(&mut self.held);
            self.write(&held)?;
        }
        self.held.extend_from_slice(rest);
        if self.held.len() > LONGEST_LINE {
            self.write_a_part()?;
        }
        Ok(())
    }

    /// Writes what is left.
    pub fn finish(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        self.write(&held)?;
        self.sink.flush()
    }

    /// Writes the beginning of a long line, but for its end, in which a secret may have begun.
    fn write_a_part(&mut self) -> io::Result<()> {
        let overlap = self.redactor.longest().max(LONGEST_TOKEN);
        let latest = self.held.len().saturating_sub(overlap);
        // Between words, if there is a place: a name and its value stay together more often than not.
        let is_between = |byte: &u8| matches!(byte, b' ' | b',' | b';' | b'}' | b')');
        let cut = self.held.iter().take(latest).rposition(is_between).map_or(latest, |place| place + 1);
        let mut cut = self.before_secret(cut, overlap);
        if cut == 0 && self.held.len() > MOST_HELD {
            cut = latest;
        }
        let rest = self.held.split_off(cut);
        let part = std::mem::replace(&mut self.held, rest);
        self.write(&part)
    }

    /// The place itself, or the beginning of the secret that it would cut in two.
    fn before_secret(&self, cut: usize, overlap: usize) -> usize {
        let from = cut.saturating_sub(overlap);
        let around = self.held.get(from..(cut + overlap).min(self.held.len())).unwrap_or_default();
        self.redactor.secret_across(around, cut - from).map_or(cut, |start| from + start)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(bytes);
        if !self.is_in_key && !text.contains(BEGIN) {
            return self.sink.write_all(self.redactor.text(&text).as_bytes());
        }
        for line in text.split_inclusive('\n') {
            if !self.is_in_key && line.contains("-----BEGIN") && line.contains(BEGIN) && !line.contains(END) {
                self.is_in_key = true;
                let before = line.split("-----BEGIN").next().unwrap_or_default();
                self.sink.write_all(self.redactor.text(before).as_bytes())?;
                self.sink.write_all(b"***\n")?;
            } else if self.is_in_key {
                if let Some((_, behind)) = line.split_once(END) {
                    self.is_in_key = false;
                    let behind = behind.split_once(BEGIN).map_or("\n", |(_, behind)| behind);
                    self.sink.write_all(self.redactor.text(behind).as_bytes())?;
                }
            } else {
                self.sink.write_all(self.redactor.text(line).as_bytes())?;
            }
        }
        Ok(())
    }
}

impl<W: Write> Drop for Stream<W> {
    fn drop(&mut self) {
        // Whoever wanted to know of an error called `finish`.
        let _ = self.finish();
    }
}
