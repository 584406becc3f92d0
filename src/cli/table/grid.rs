//! A table for reading, as wide as the terminal: no number and no name is ever broken. What does not fit is cut with `…` if it is a text, and
//! else left out and named.

use crate::cli::color::Ink;
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use unicode_width::UnicodeWidthStr;

/// Lines and blanks beside a cell.
const FRAME: usize = 3;
/// A text is cut to no less.
const LEAST: usize = 14;
/// What stands for columns that are left out.
const ELIDED: &str = "…";

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    Numbers,
    /// Texts, which may be cut.
    Texts,
    /// Names and values of parameters, which may not.
    Names,
}

pub struct Column {
    /// By which it is asked for.
    pub name: String,
    pub heading: String,
    pub holds: Holds,
}

/// How a cell stands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weight {
    #[default]
    Plain,
    /// The best value of its column.
    Best,
    /// A failure.
    Bad,
}

#[derive(Default)]
pub struct Grid {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<(String, Weight)>>,
}

/// A table that fits, and the columns that it has no room for.
pub struct Fitted {
    pub text: String,
    pub left_out: Vec<String>,
}

impl Grid {
    /// At most so wide; `None`: as wide as it is.
    pub fn fitted(&self, width: Option<usize>, ink: Ink) -> Fitted {
        let natural: Vec<usize> = (0..self.columns.len()).map(|column| self.natural(column)).collect();
        let (kept, widths) = match width {
            Some(width) if total(&natural) > width => self.squeezed(&natural, width),
            _ => (natural.len(), natural),
        };
        let left_out: Vec<String> = self.columns[kept..].iter().map(|column| column.name.clone()).collect();
        Fitted { text: self.drawn(&widths, !left_out.is_empty(), ink), left_out }
    }

    /// How wide a column is with nothing cut.
    fn natural(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[column].0.width());
        cells.chain([self.columns[column].heading.width()]).max().unwrap_or(0)
    }

    /// How many columns fit, and how wide they are then: as many as there is room for with texts cut short, and what room is left goes to the
    /// texts.
    fn squeezed(&self, natural: &[usize], width: usize) -> (usize, Vec<usize>) {
        let least = |column: usize| match self.columns[column].holds {
            Holds::Texts => natural[column].min(LEAST.max(self.columns[column].heading.width())),
            Holds::Numbers | Holds::Names => natural[column],
        };
        let least: Vec<usize> = (0..natural.len()).map(least).collect();
        let room =
            |kept: usize| if kept < natural.len() { width.saturating_sub(FRAME + ELIDED.width()) } else { width };
        let kept = (1..=natural.len()).rev().find(|kept| total(&least[..*kept]) <= room(*kept)).unwrap_or(1);
        let mut widths = least[..kept].to_vec();
        let mut free = room(kept).saturating_sub(total(&widths));
        while free > 0 {
            let wants = |column: &usize| natural[*column] > widths[*column];
            // The narrowest first, so that long ones are cut alike.
            let Some(column) = (0..kept).filter(wants).min_by_key(|column| widths[*column]) else { break };
            widths[column] += 1;
            free -= 1;
        }
        // A single column may be wider than the terminal.
        if kept == 1 && self.columns[0].holds == Holds::Texts {
            widths[0] = widths[0].min(width.saturating_sub(FRAME + 1)).max(1);
        }
        (kept, widths)
    }

    fn drawn(&self, widths: &[usize], has_more: bool, ink: Ink) -> String {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
        if ink == Ink::Colored {
            table.enforce_styling();
        }
        let styled = |cell: Cell, weight: Weight| match (ink, weight) {
            (Ink::Colored, Weight::Best) => cell.fg(Color::Green).add_attribute(Attribute::Bold),
            (Ink::Colored, Weight::Bad) => cell.fg(Color::Red),
            _ => cell,
        };
        let more = || has_more.then(|| Cell::new(ELIDED));
        let heading = |(column, width): (&Column, &usize)| {
            let cell = Cell::new(cut(&column.heading, *width));
            if ink == Ink::Colored { cell.add_attribute(Attribute::Bold) } else { cell }
        };
        table.set_header(self.columns.iter().zip(widths).map(heading).chain(more()));
        for row in &self.rows {
            let cells =
                row.iter().zip(widths).map(|((text, weight), width)| styled(Cell::new(cut(text, *width)), *weight));
            table.add_row(cells.chain(more()));
        }
        for (index, column) in self.columns.iter().enumerate().take(widths.len()) {
            if let Some(drawn) = table.column_mut(index).filter(|_| column.holds == Holds::Numbers) {
                drawn.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.to_string()
    }
}

/// The width of a table with such columns.
fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + FRAME * widths.len() + 1
}

/// A text on one line, cut to a width.
pub fn cut(text: &str, width: usize) -> String {
    let line = text.replace('\n', "↵").replace('\t', " ");
    if line.width() <= width {
        return line;
    }
    let mut kept = String::new();
    for letter in line.chars() {
        kept.push(letter);
        if kept.width() + ELIDED.width() > width {
            kept.pop();
            break;
        }
    }
    kept + ELIDED
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid(columns: &[(&str, Holds)], rows: &[&[&str]]) -> Grid {
        let column = |(heading, holds): &(&str, Holds)| Column {
            name: (*heading).to_owned(),
            heading: (*heading).to_owned(),
            holds: *holds,
        };
        let row = |row: &&[&str]| row.iter().map(|text| ((*text).to_owned(), Weight::Plain)).collect();
        Grid { columns: columns.iter().map(column).collect(), rows: rows.iter().map(row).collect() }
    }

    fn widest(text: &str) -> usize {
        text.lines().map(UnicodeWidthStr::width).max().unwrap_or(0)
    }

    #[test]
    fn texts_are_cut_before_columns_are_left_out() {
        let long = "a text of more than forty letters, which is much";
        let drawn = grid(&[("what", Holds::Texts), ("number", Holds::Numbers)], &[&[long, "12345.678"]]);
        let fitted = drawn.fitted(Some(40), Ink::Plain);
        assert!(
            fitted.text.contains("a text of more than for…") && fitted.text.contains("12345.678"),
            "{}",
            fitted.text
        );
        assert_eq!((widest(&fitted.text), fitted.left_out.len()), (40, 0));
        assert!(drawn.fitted(None, Ink::Plain).text.contains(long));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let columns = [("a", Holds::Numbers), ("b", Holds::Numbers), ("c", Holds::Names), ("d", Holds::Texts)];
        let fitted = grid(&columns, &[&["1111111111", "2222222222", "x=3333333", "text"]]).fitted(Some(32), Ink::Plain);
        assert_eq!(fitted.left_out, ["c", "d"]);
        assert!(fitted.text.contains("1111111111") && fitted.text.contains("2222222222") && fitted.text.contains('…'));
    }

    #[test]
    fn color_is_for_those_who_asked() {
        let mut one = grid(&[("n", Holds::Numbers)], &[&["1"]]);
        one.rows[0][0].1 = Weight::Best;
        assert!(one.fitted(None, Ink::Colored).text.contains("\u{1b}["));
        assert!(!one.fitted(None, Ink::Plain).text.contains('\u{1b}'));
    }

    fn cells() -> impl Strategy<Value = Vec<(Holds, Vec<String>)>> {
        let holds = prop_oneof![Just(Holds::Numbers), Just(Holds::Texts), Just(Holds::Names)];
        prop::collection::vec((holds, prop::collection::vec("[a-z0-9漢=. ]{0,40}", 3)), 1..12)
    }

    proptest! {
        #[test]
        fn no_number_and_no_name_is_broken(columns in cells(), width in 30usize..220) {
            let headings: Vec<String> = (0..columns.len()).map(|index| format!("column_{index}")).collect();
            let grid = Grid {
                columns: columns
                    .iter()
                    .zip(&headings)
                    .map(|((holds, _), heading)| Column { name: heading.clone(), heading: heading.clone(), holds: *holds })
                    .collect(),
                rows: (0..3).map(|row| columns.iter().map(|(_, cells)| (cells[row].clone(), Weight::Plain)).collect()).collect(),
            };
            let fitted = grid.fitted(Some(width), Ink::Plain);
            let kept = columns.len() - fitted.left_out.len();
            prop_assert!(kept >= 1);
            // Only one column that may not be cut may be wider than the terminal.
            prop_assert!(kept == 1 || widest(&fitted.text) <= width, "{}", fitted.text);
            prop_assert_eq!(fitted.text.lines().count(), 3 + 4);
            for (holds, cells) in columns.iter().take(kept) {
                for cell in cells.iter().filter(|_| *holds != Holds::Texts) {
                    prop_assert!(fitted.text.contains(cell.trim()), "{cell} in {}", fitted.text);
                }
            }
        }
    }
}
