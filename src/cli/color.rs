//! Whether there is color on the terminal.

use anstyle::AnsiColor;
use clap::ValueEnum;
use std::io::IsTerminal;
use std::sync::OnceLock;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Even into a pipe.
    Always,
    /// Not at all.
    Never,
}

/// Colors, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    Plain,
    Colored,
}

static CHOSEN: OnceLock<Color> = OnceLock::new();

/// What holds for the whole of the program.
pub fn choose(color: Color) {
    let _ = CHOSEN.set(color);
}

/// For what is written to stdout.
pub fn ink() -> Ink {
    ink_of(&std::io::stdout())
}

/// For what is written to stderr.
pub fn ink_of_stderr() -> Ink {
    ink_of(&std::io::stderr())
}

fn ink_of(stream: &impl IsTerminal) -> Ink {
    let is_on = match CHOSEN.get().copied().unwrap_or_default() {
        Color::Always => true,
        Color::Never => false,
        // https://no-color.org
        Color::Auto => stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    if is_on { Ink::Colored } else { Ink::Plain }
}

/// How a line stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Strong,
    Quiet,
    Good,
    Doubtful,
    Bad,
}

impl Ink {
    pub fn painted(self, text: &str, style: Style) -> String {
        if self == Self::Plain {
            return text.to_owned();
        }
        let style = match style {
            Style::Strong => anstyle::Style::new().bold(),
            Style::Quiet => anstyle::Style::new().dimmed(),
            Style::Good => AnsiColor::Green.on_default(),
            Style::Doubtful => AnsiColor::Yellow.on_default(),
            Style::Bad => AnsiColor::Red.on_default(),
        };
        format!("{style}{text}{style:#}")
    }
}
