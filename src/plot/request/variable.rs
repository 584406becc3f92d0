//! A variable of a chart: a column, or an expression over columns, `2.5 * gpu_count AS cost`.

use crate::query::{Columns, Kind, QueryError, as_number, quoted};

#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// What it is called: the column, the name after `AS`, or the expression itself.
    pub name: String,
    /// As SQL.
    pub sql: String,
    pub holds: Kind,
    pub is_expression: bool,
}

impl Variable {
    pub fn of(text: &str, columns: &Columns) -> Result<Self, QueryError> {
        match columns.find(text) {
            Ok((name, holds)) => Ok(Self { name: name.to_owned(), sql: quoted(name), holds, is_expression: false }),
            Err(_) if is_expression(text) => {
                let (expression, name) = named(text);
                let sql = format!("({expression})");
                Ok(Self { name: name.to_owned(), sql, holds: Kind::Number, is_expression: true })
            }
            Err(error) => Err(error),
        }
    }

    /// As it is named where several tables are asked.
    pub fn of_table(self, table: &str) -> Self {
        if self.is_expression { self } else { Self { sql: format!("{table}.{}", self.sql), ..self } }
    }

    /// As a number.
    pub fn number(&self) -> String {
        if self.is_expression { format!("CAST({} AS DOUBLE)", self.sql) } else { as_number(&self.sql) }
    }
}

/// The name of an expression or of a column.
pub fn name_of(text: &str) -> &str {
    if is_expression(text) { named(text).1 } else { text.trim() }
}

/// A column has no operators and no blanks in its name, unless there is such a column.
fn is_expression(text: &str) -> bool {
    text.trim().contains(|letter: char| "()+*/ ".contains(letter)) || text.contains(" - ")
}

/// `EXPRESSION AS NAME`, taken apart; without a name the expression is its own.
fn named(text: &str) -> (&str, &str) {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    match lower.rfind(" as ") {
        // `CAST(x AS DOUBLE)` names nothing.
        Some(at) if !text[at..].contains(')') => (text[..at].trim(), text[at + 4..].trim().trim_matches('"')),
        _ => (text, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_after_as_is_the_name() {
        assert_eq!(named("2.5 * gpu_count AS cost"), ("2.5 * gpu_count", "cost"));
        assert_eq!(named("CAST(x AS DOUBLE)"), ("CAST(x AS DOUBLE)", "CAST(x AS DOUBLE)"));
        assert_eq!(named("CAST(x AS DOUBLE) as \"my x\""), ("CAST(x AS DOUBLE)", "my x"));
        assert_eq!(name_of(" max_concurrency"), "max_concurrency");
    }
}
