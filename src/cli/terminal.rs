//! How large the terminal is.

/// The columns and the rows of the terminal.
pub fn terminal_size() -> (usize, usize) {
    let (rows, columns) = console::Term::stdout().size_checked().unwrap_or((24, 80));
    (usize::from(columns), usize::from(rows))
}

/// The width of the terminal; some don't tell theirs.
pub fn terminal_width() -> Option<u16> {
    comfy_table::Table::new().width().filter(|width| *width > 0)
}
