//! How large the terminal is.

/// What a terminal that does not tell its size is taken for.
const USUAL: (u16, u16) = (80, 24);

/// The columns and the rows of the terminal.
pub fn terminal_size() -> (usize, usize) {
    let rows = console::Term::stdout().size_checked().map_or(USUAL.1, |(rows, _)| rows);
    (terminal_width(), usize::from(rows))
}

/// The columns of the terminal, also where stdout is not one.
pub fn terminal_width() -> usize {
    usize::from(comfy_table::Table::new().width().filter(|width| *width > 0).unwrap_or(USUAL.0))
}
