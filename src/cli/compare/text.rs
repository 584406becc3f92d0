//! A comparison as text for a terminal, and as Markdown.

use crate::cli::table::new_table;
use crate::compare::Comparison;
use crate::report::comparison::{
    Extent, TableView, by_combination, gates, next, notes, overall, pivot, remarks, rests_on, verdict,
};
use crate::words::printable_line;
use comfy_table::{CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width, presets};

/// The comparison for a terminal, which fits 100 columns.
pub fn text(comparison: &Comparison, extent: Extent, has_color: bool) -> String {
    let mut lines = wrapped(&verdict(comparison), "");
    let indented = |texts: Vec<String>| texts.into_iter().flat_map(|text| wrapped(&text, "  ")).collect::<Vec<_>>();
    lines.extend(indented(rests_on(comparison)));
    lines.extend(indented(gates(comparison).into_iter().map(|gate| format!("gate {gate}")).collect()));
    lines.extend(indented(notes(comparison)));
    let by_combination = pieces(pivot(comparison, extent));
    for table in std::iter::once(overall(comparison)).chain(by_combination) {
        lines.push(format!("\n{}:", table.heading));
        let mut drawn = drawn(&table, has_color);
        drawn.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        lines.push(drawn.set_width(WIDTH as u16).to_string());
    }
    lines.extend(remarks(comparison).into_iter().chain(next(comparison)).flat_map(|text| wrapped(&text, "")));
    lines.join("\n")
}

/// No line is longer.
const WIDTH: usize = 100;

/// What fits beside the names of combinations in one table: the others follow in tables of their own.
fn pieces(view: TableView) -> Vec<TableView> {
    // The borders and blanks of a column.
    const AROUND: usize = 3;
    let width = |column: usize| {
        let cells = view.rows.iter().map(|row| row[column].chars().count());
        cells.chain([view.columns[column].chars().count()]).max().unwrap_or(0) + AROUND
    };
    let room = WIDTH - LONGEST_NAME - AROUND - 1;
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut used = room + 1;
    for column in 1..view.columns.len() {
        let own = width(column);
        match groups.last_mut().filter(|_| used + own <= room) {
            Some(group) => group.push(column),
            None => {
                groups.push(vec![column]);
                used = 0;
            }
        }
        used += own;
    }
    let part = |columns: Vec<usize>| {
        let of =
            |row: &Vec<String>| std::iter::once(0).chain(columns.iter().copied()).map(|at| row[at].clone()).collect();
        TableView {
            heading: view.heading.clone(),
            columns: of(&view.columns),
            rows: view.rows.iter().map(of).collect(),
        }
    };
    groups.into_iter().map(part).collect()
}

/// Longer words in names of combinations are broken.
const LONGEST_NAME: usize = 26;

/// A text in lines of at most [`WIDTH`], all but the first a little further in. A number and its % stay together.
fn wrapped(text: &str, indent: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = indent.to_owned();
    for word in printable_line(text).replace(" %", "\u{a0}%").split(' ') {
        if line.chars().count() + word.chars().count() >= WIDTH && line.trim() != "" {
            lines.push(line.trim_end().to_owned());
            line = format!("{indent}  ");
        }
        line += word;
        line.push(' ');
    }
    lines.push(line.trim_end().to_owned());
    lines.into_iter().map(|line| line.replace('\u{a0}', " ")).collect()
}

/// The comparison for a pull request: the verdict first, details folded.
pub fn markdown(comparison: &Comparison) -> String {
    let table = |view: TableView| drawn(&escaped(view), false).load_preset(presets::ASCII_MARKDOWN).to_string();
    let listed = |texts: Vec<String>| texts.into_iter().map(|text| format!("- {text}")).collect::<Vec<_>>();
    let mut lines = vec![format!("### {}\n", verdict(comparison))];
    lines.extend(listed(gates(comparison)));
    lines.extend(listed(rests_on(comparison)));
    lines.extend(listed(notes(comparison)));
    lines.push(String::new());
    lines.push(table(overall(comparison)));
    lines.push("\n<details><summary>By combination</summary>\n".into());
    lines.push(table(by_combination(comparison)));
    lines.push(String::new());
    lines.extend(listed(remarks(comparison)));
    lines.extend(listed(next(comparison)));
    lines.push("\n</details>".into());
    lines.join("\n")
}

/// A table whose texts mean nothing in Markdown.
fn escaped(view: TableView) -> TableView {
    let escape = |text: String| text.replace('|', "\\|").replace('<', "&lt;").replace('`', "\\`");
    let rows = view.rows.into_iter().map(|row| row.into_iter().map(escape).collect());
    TableView { rows: rows.collect(), ..view }
}

/// A table for a terminal, or for markdown. Only the names of combinations may be broken into lines, and only between words.
fn drawn(view: &TableView, has_color: bool) -> Table {
    let cell = |text: &str| comfy_table::Cell::new(printable_line(text));
    let mut table = new_table();
    table.set_header(view.columns.iter().map(|name| printable_line(name)));
    for row in &view.rows {
        table.add_row(row.iter().map(|text| match text.split(' ').next() {
            Some("worse") if has_color => cell(text).fg(Color::Red),
            Some("better") if has_color => cell(text).fg(Color::Green),
            _ => cell(text),
        }));
    }
    for (index, name) in view.columns.iter().enumerate() {
        let words = view.rows.iter().flat_map(|row| row[index].split(' ')).map(|word| word.chars().count());
        let longest = words.max().unwrap_or(0).min(LONGEST_NAME) as u16 + 2;
        let Some(column) = table.column_mut(index) else { continue };
        column.set_constraint(match name.as_str() {
            "combination" => ColumnConstraint::LowerBoundary(Width::Fixed(longest)),
            _ => ColumnConstraint::ContentWidth,
        });
        if !["verdict", "metric", "combination"].contains(&name.as_str()) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
