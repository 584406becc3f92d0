//! The lower end of a terminal: lines that change in place, and a bar. What is kept scrolls up above them.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::time::Duration;

pub struct Live {
    all: MultiProgress,
    bar: Option<ProgressBar>,
    /// One for each line that changes.
    lines: Vec<ProgressBar>,
}

impl Live {
    pub fn new() -> Self {
        let all = MultiProgress::new();
        let bar = Some(all.add(ProgressBar::new(0)));
        Self { all, bar, lines: Vec::new() }
    }

    /// Lines alone.
    pub fn without_bar() -> Self {
        Self { all: MultiProgress::new(), bar: None, lines: Vec::new() }
    }

    /// Starts to draw the bar; of so many steps, where that is known.
    pub fn start(&self, steps: Option<usize>) {
        let Some(bar) = &self.bar else { return };
        let template = match steps {
            Some(steps) => {
                bar.set_length(steps as u64);
                "{spinner} {bar:20} {wide_msg}"
            }
            None => "{spinner} {wide_msg}",
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
            bar.set_message(message);
        }
    }

    pub fn finish(mut self) {
        self.show(&[]);
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
