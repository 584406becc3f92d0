//! The legend: its lines in columns.

use super::super::chart::{Figure, LegendBlock, LegendEntry};
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
    for block in blocks(figure) {
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
    let blocks = blocks(figure);
    let entries = blocks.iter().flat_map(|block| block.entries.iter().map(|entry| &entry.text));
    let widest = entries.map(|text| text_width(text, Text::Tick, scale) + swatch).fold(0.0, f64::max);
    let headings = blocks.iter().map(|block| text_width(&block.heading, Text::PanelTitle, scale));
    headings.fold(widest, f64::max)
}

/// As much of a legend's text as fits: what stands in its middle goes first, since texts differ at their ends.
pub fn shortened(text: &str, width: f64, scale: f64) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut kept = letters.len();
    let mut shown = text.to_owned();
    while text_width(&shown, Text::Tick, scale) > width && kept > 0 {
        kept -= 1;
        let start = kept.div_ceil(2);
        let end = letters.len() - (kept - start);
        shown = letters[..start].iter().chain(['…'].iter()).chain(&letters[end..]).collect();
    }
    shown
}

/// The blocks of a legend. What all entries of a block say stands once, above them.
fn blocks(figure: &Figure) -> Vec<LegendBlock> {
    figure.legend.iter().map(without_common_words).collect()
}

fn without_common_words(block: &LegendBlock) -> LegendBlock {
    let words = |entry: &LegendEntry| entry.text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let all: Vec<Vec<String>> = block.entries.iter().map(words).collect();
    // Of texts that are short nothing has to go.
    let is_long = all.iter().any(|words| words.len() > 2);
    let Some(first) = all.first().filter(|_| all.len() > 1 && is_long) else { return block.clone() };
    let is_pair = |word: &&String| word.contains('=');
    let common: Vec<String> =
        first.iter().filter(is_pair).filter(|word| all.iter().all(|words| words.contains(word))).cloned().collect();
    let mut block = block.clone();
    for (entry, words) in block.entries.iter_mut().zip(all) {
        let kept: Vec<String> = words.into_iter().filter(|word| !common.contains(word)).collect();
        entry.text = kept.join(" ").trim_matches([' ', '·']).to_owned();
    }
    let heading = [block.heading.clone()].into_iter().chain(common).filter(|word| !word.is_empty());
    block.heading = heading.collect::<Vec<_>>().join(" ");
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::chart::{Shows, Style};
    use crate::plot::theme::{Dash, INK, Marker};

    fn block(texts: &[&str]) -> LegendBlock {
        let style = Style { color: INK, dash: Dash::Solid, marker: Marker::None, opacity: 1.0 };
        let entry = |text: &&str| LegendEntry { text: (*text).to_owned(), style, shows: Shows::Line };
        LegendBlock { heading: String::new(), entries: texts.iter().map(entry).collect() }
    }

    fn told(texts: &[&str]) -> (String, Vec<String>) {
        let block = without_common_words(&block(texts));
        (block.heading, block.entries.into_iter().map(|entry| entry.text).collect())
    }

    #[test]
    fn what_all_entries_say_stands_above_them() {
        let (heading, texts) = told(&["a=1 b=2 · c=4", "a=1 b=2 · c=8"]);
        assert_eq!((heading.as_str(), texts), ("a=1 b=2", vec!["c=4".to_owned(), "c=8".to_owned()]));
        let (heading, texts) = told(&["a=1 b=2 · c=4"]);
        assert_eq!((heading.as_str(), texts), ("", vec!["a=1 b=2 · c=4".to_owned()]));
    }

    #[test]
    fn texts_that_differ_at_their_ends_are_cut_in_the_middle() {
        let long = |end: &str| format!("{}{end}", "word ".repeat(60));
        let width = 900.0;
        let (one, other) = (shortened(&long("x=1"), width, 1.0), shortened(&long("x=2"), width, 1.0));
        assert!(one != other && one.contains('…') && text_width(&one, Text::Tick, 1.0) <= width, "{one} {other}");
    }
}
