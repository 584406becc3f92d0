//! What does not fit the screen goes through the pager: PAGER, or else `less`, which keeps wide lines whole.

use super::say::styled;
use super::terminal::terminal_size;
use super::{Ended, Failure};
use crate::exec::find_program;
use crate::params::Command;
use std::io::{IsTerminal, Write};
use std::process::Stdio;
use unicode_width::UnicodeWidthStr;

/// Shows a text, through the pager if it does not fit the screen. Its parts were escaped before.
pub fn page(text: &str) -> Ended {
    let (width, height) = terminal_size();
    let is_small = text.lines().count() < height && text.lines().all(|line| line.width() <= width);
    let pager = std::env::var("PAGER").unwrap_or_else(|_| "less".into());
    let is_there = Command::parse("PAGER", &pager).is_ok_and(|pager| find_program(&pager).is_some());
    if is_small || !is_there || !std::io::stdout().is_terminal() {
        styled(text);
        return Ok(());
    }
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &pager]).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", "-SRFX");
    }
    let Ok(mut child) = command.spawn() else {
        styled(text);
        return Ok(());
    };
    if let Some(mut input) = child.stdin.take() {
        // Left before its end, a pager takes no more.
        let _ = writeln!(input, "{text}");
    }
    child.wait().map(|_| ()).map_err(Failure::work)
}
