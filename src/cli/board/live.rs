//! The lower end of a terminal: lines that change in place, and a bar. What is kept scrolls up above them.

use crate::cli::say::set_live;
use crate::cli::table::cut;
use crate::cli::terminal::terminal_width;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use std::time::Duration;

/// Columns of the bar, the spinner and the blanks between.
const BESIDE_MESSAGE: usize = 20 + 1 + 2;

/// While it lives, the terminal does not show control characters that are typed: `^C` would move the lines by one.
struct Silent(Termios);

impl Silent {
    fn new() -> Option<Self> {
        let before = tcgetattr(std::io::stderr()).ok()?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHOCTL);
        tcsetattr(std::io::stderr(), SetArg::TCSANOW, &silent).ok()?;
        Some(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(std::io::stderr(), SetArg::TCSANOW, &self.0);
    }
}

pub struct Live {
    all: MultiProgress,
    bar: Option<ProgressBar>,
    /// One for each line that changes.
    lines: Vec<ProgressBar>,
    _silent: Option<Silent>,
}

impl Live {
    pub fn new() -> Self {
        let all = MultiProgress::new();
        let bar = Some(all.add(ProgressBar::new(0)));
        set_live(Some(all.clone()));
        Self { all, bar, lines: Vec::new(), _silent: Silent::new() }
    }

    /// Lines alone.
    pub fn without_bar() -> Self {
        Self { all: MultiProgress::new(), bar: None, lines: Vec::new(), _silent: None }
    }

    /// Starts to draw the bar; of so many steps, where that is known.
    pub fn start(&self, steps: Option<usize>) {
        let Some(bar) = &self.bar else { return };
        let template = match steps {
            Some(steps) => {
                bar.set_length(steps as u64);
                "{spinner} {bar:20} {msg}"
            }
            None => "{spinner} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
    }

    /// A line that stays.
    pub fn keep(&self, line: &str) {
        // Of a terminal that is gone nobody reads it.
        let _ = self.all.println(line);
    }

    /// The lines that change.
    pub fn show(&mut self, lines: &[String]) {
        while self.lines.len() > lines.len() {
            if let Some(line) = self.lines.pop() {
                self.all.remove(&line);
            }
        }
        while self.lines.len() < lines.len() {
            let line = ProgressBar::no_length();
            let line = match &self.bar {
                Some(bar) => self.all.insert_before(bar, line),
                None => self.all.add(line),
            };
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                line.set_style(style);
            }
            self.lines.push(line);
        }
        self.lines.iter().zip(lines).for_each(|(line, text)| line.set_message(text.clone()));
    }

    pub fn set(&self, done: usize, message: String) {
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
            let room = terminal_width().saturating_sub(BESIDE_MESSAGE);
            bar.set_message(cut(&message, room));
        }
    }

    pub fn finish(mut self) {
        self.show(&[]);
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        set_live(None);
    }
}
