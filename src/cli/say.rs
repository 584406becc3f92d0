//! The one way in which commands write to a terminal. Nothing that a command does may depend on it: a terminal may go, a pipe may
//! be closed, a disk may be full.

use crate::words::printable;
use indicatif::MultiProgress;
use std::fmt;
use std::io::{BufWriter, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whether a result could not be written.
static IS_LOST: AtomicBool = AtomicBool::new(false);

/// What changes in place at the lower end of the terminal, while there is something.
static LIVE: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// From now on lines go above what changes in place.
pub fn set_live(live: Option<MultiProgress>) {
    *LIVE.lock().unwrap_or_else(PoisonError::into_inner) = live;
}

/// A line for a person, to stderr. Where it can't be written nobody reads it.
pub fn to_stderr(line: fmt::Arguments<'_>) {
    let line = line.to_string();
    let write = || drop(writeln!(std::io::stderr(), "{}", printable(&line)));
    match &*LIVE.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(live) => live.suspend(write),
        None => write(),
    }
}

/// A line of a result, to stdout. That it could not be written is in the exit code.
pub fn to_stdout(line: fmt::Arguments<'_>) {
    if writeln!(std::io::stdout(), "{}", printable(&line.to_string())).is_err() {
        IS_LOST.store(true, Ordering::Relaxed);
    }
}

/// Where rows of an answer go: a terminal is shown what they hold and never told to obey it.
pub fn stdout() -> Box<dyn Write + Send> {
    let stdout = BufWriter::new(std::io::stdout());
    if std::io::stdout().is_terminal() { Box::new(Escaping::new(stdout)) } else { Box::new(stdout) }
}

/// For text with colors of ours, whose parts were escaped before.
pub fn styled_stdout() -> Box<dyn Write + Send> {
    Box::new(BufWriter::new(std::io::stdout()))
}

/// A line for a person to stdout, with colors of ours, whose parts were escaped before.
pub fn styled(line: &str) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        IS_LOST.store(true, Ordering::Relaxed);
    }
}

/// Writes text that comes in pieces, escaped. A piece may end inside a letter: its beginning waits for the rest.
struct Escaping<W> {
    to: W,
    begun: Vec<u8>,
}

impl<W: Write> Escaping<W> {
    fn new(to: W) -> Self {
        Self { to, begun: Vec::new() }
    }
}

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.begun) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.begun.len(),
        };
        let text: Vec<u8> = self.begun.drain(..whole).collect();
        self.to.write_all(printable(&String::from_utf8_lossy(&text)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

/// Whether a result could not be written.
pub fn is_result_lost() -> bool {
    std::io::stdout().flush().is_err() || IS_LOST.load(Ordering::Relaxed)
}

/// As `eprintln!`, whatever becomes of it.
macro_rules! say {
    ($($part:tt)*) => { $crate::cli::say::to_stderr(format_args!($($part)*)) };
}

/// As `println!`, whatever becomes of it now; the exit code tells.
macro_rules! out {
    () => { $crate::cli::say::to_stdout(format_args!("")) };
    ($($part:tt)+) => { $crate::cli::say::to_stdout(format_args!($($part)+)) };
}

pub(crate) use {out, say};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_in_any_pieces_is_the_same_text_and_never_a_command(text in "\\PC*|[\u{1b}\u{9b}é漢a\n]*", size in 1usize..9) {
            let mut writer = Escaping::new(Vec::new());
            for piece in text.as_bytes().chunks(size) {
                writer.write_all(piece).unwrap();
            }
            let written = String::from_utf8(writer.to).unwrap();
            prop_assert_eq!(&written, &printable(&text));
            let obeys = written.contains(['\u{1b}', '\u{9b}', '\r', '\u{7}']);
            prop_assert!(!obeys);
        }
    }
}
