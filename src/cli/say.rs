//! The one way in which commands write to a terminal. Nothing that a command does may depend on it: a terminal may go, a pipe may
//! be closed, a disk may be full.

use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a result could not be written.
static IS_LOST: AtomicBool = AtomicBool::new(false);

/// A line for a person, to stderr. Where it can't be written nobody reads it.
pub fn to_stderr(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A line of a result, to stdout. That it could not be written is in the exit code.
pub fn to_stdout(line: fmt::Arguments<'_>) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        IS_LOST.store(true, Ordering::Relaxed);
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
