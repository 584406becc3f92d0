//! The legend: its lines in columns.

use super::super::chart::{Figure, LegendEntry};
use super::text::{POINT, Text, text_width};

/// The legend's lines in columns, and where they stand.
pub struct Legend {
    pub left: f64,
    pub top: f64,
    pub columns: Vec<Vec<LegendLine>>,
    pub column_width: f64,
}

impl Legend {
    pub fn height(&self, scale: f64) -> f64 {
        let of_column = |column: &Vec<LegendLine>| column.iter().map(|line| line.height(scale)).sum::<f64>();
        self.columns.iter().map(of_column).fold(0.0, f64::max)
    }
}

/// A column of the legend wider than this share of the panels would leave them little of the picture: then it stands below.
pub const WIDEST_BESIDE: f64 = 0.4;

/// A line of the legend.
#[derive(Clone)]
pub enum LegendLine {
    Heading(String),
    Entry(LegendEntry),
    Gap,
}

impl LegendLine {
    pub fn height(&self, scale: f64) -> f64 {
        match self {
            Self::Heading(_) => Text::PanelTitle.height(scale) * 1.1,
            Self::Entry(_) => Text::Tick.height(scale) * 1.1,
            Self::Gap => Text::Tick.height(scale) * 0.6,
        }
    }
}

/// The legend's lines, in as many columns as the height asks for.
pub fn legend_columns(figure: &Figure, scale: f64, height: f64) -> Vec<Vec<LegendLine>> {
    let mut columns: Vec<Vec<LegendLine>> = Vec::new();
    let mut left = 0.0;
    for block in &figure.legend {
        let heading = (!block.heading.is_empty()).then(|| LegendLine::Heading(block.heading.clone()));
        let entries = block.entries.iter().cloned().map(LegendLine::Entry);
        for line in heading.into_iter().chain(entries).chain([LegendLine::Gap]) {
            let needed = line.height(scale);
            match columns.last_mut() {
                Some(column) if needed <= left => column.push(line),
                _ => {
                    columns.push(vec![line]);
                    left = height;
                }
            }
            left -= needed;
        }
    }
    columns
}

/// The legend's lines in so many columns at most (one at least), as low as they can be.
pub fn low_columns(figure: &Figure, scale: f64, most: usize) -> Vec<Vec<LegendLine>> {
    let mut height = 0.0;
    loop {
        height += Text::Tick.height(scale);
        let columns = legend_columns(figure, scale, height);
        if columns.len() <= most.max(1) {
            return columns;
        }
    }
}

pub fn legend_width(figure: &Figure, scale: f64) -> f64 {
    let swatch = 30.0 * POINT * scale;
    let entries = figure.legend.iter().flat_map(|block| block.entries.iter().map(|entry| &entry.text));
    let widest = entries.map(|text| text_width(text, Text::Tick, scale) + swatch).fold(0.0, f64::max);
    let headings = figure.legend.iter().map(|block| text_width(&block.heading, Text::PanelTitle, scale));
    headings.fold(widest, f64::max)
}

/// As much of a legend's text as fits.
pub fn shortened(text: &str, width: f64, scale: f64) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let mut shown = text.to_owned();
    while text_width(&shown, Text::Tick, scale) > width && letters.pop().is_some() {
        shown = letters.iter().chain(['…'].iter()).collect();
    }
    shown
}
