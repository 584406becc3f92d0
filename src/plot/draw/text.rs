//! Texts: how large they are, how wide, and where they break.

use super::super::theme::FONT;
use plotters::style::{FontDesc, FontFamily, FontStyle, register_font};
use std::sync::LazyLock;

pub const UNITS_PER_INCH: f64 = 300.0;
pub const POINT: f64 = UNITS_PER_INCH / 72.0;

pub static FONTS_READY: LazyLock<bool> = LazyLock::new(|| {
    register_font(FONT, FontStyle::Normal, notosans::REGULAR_TTF).is_ok()
        && register_font(FONT, FontStyle::Bold, notosans::BOLD_TTF).is_ok()
});

/// Sizes of text, in points at a panel height of 4.8 inches.
#[derive(Clone, Copy, PartialEq)]
pub enum Text {
    Title,
    Label,
    PanelTitle,
    Tick,
    Caption,
    Mark,
}

impl Text {
    pub fn points(self) -> f64 {
        match self {
            Self::Title => 15.0,
            Self::Label => 13.0,
            Self::PanelTitle => 12.0,
            Self::Tick => 11.5,
            Self::Caption => 9.0,
            Self::Mark => 10.0,
        }
    }

    pub fn is_bold(self) -> bool {
        matches!(self, Self::Title | Self::PanelTitle)
    }

    pub fn units(self, scale: f64) -> f64 {
        // Plotters wants whole, even sizes.
        ((self.points() * scale * POINT / 2.0).round() * 2.0).max(2.0)
    }

    pub fn height(self, scale: f64) -> f64 {
        self.units(scale) * 1.35
    }
}

pub fn text_width(text: &str, kind: Text, scale: f64) -> f64 {
    let style = if kind.is_bold() { FontStyle::Bold } else { FontStyle::Normal };
    // A font that is asked for before it is known is remembered as unknown.
    LazyLock::force(&FONTS_READY);
    let font = FontDesc::new(FontFamily::Name(FONT), kind.units(scale), style);
    font.box_size(text).map_or(0.0, |(width, _)| f64::from(width) * DRAWN_OVER_MEASURED)
}

/// Plotters measures a text as if its size were the height of a line (1.362 em in this font), and writes it into the
/// SVG at size / 1.24.
const DRAWN_OVER_MEASURED: f64 = 1.362 / 1.24;

/// Breaks a text into lines that fit.
pub fn wrapped(text: &str, kind: Text, width: f64, scale: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), kind, scale) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
