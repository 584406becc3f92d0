//! Which columns of a table are shown, in which order of rows, and how many.

use crate::query::quoted;

#[derive(clap::Args, Clone)]
pub struct Shape {
    /// Show only these columns, in this order.
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    columns: Vec<String>,
    /// Sort the rows by a column; a leading minus sorts in descending order.
    #[arg(long, value_name = "[-]COLUMN", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Show at most N rows.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl Shape {
    /// Whether columns are named.
    pub fn is_of_columns(&self) -> bool {
        !self.columns.is_empty()
    }

    /// A query with what was asked for around it.
    pub fn of(&self, sql: &str) -> String {
        let columns = match self.columns.as_slice() {
            [] => "*".to_owned(),
            named => named.iter().map(|name| quoted(name.trim())).collect::<Vec<_>>().join(", "),
        };
        let order = self.sort.as_ref().map(|sort| match sort.strip_prefix('-') {
            Some(name) => format!(" ORDER BY {} DESC NULLS LAST", quoted(name)),
            None => format!(" ORDER BY {} NULLS LAST", quoted(sort)),
        });
        let limit = self.limit.map(|limit| format!(" LIMIT {limit}"));
        match (self.is_of_columns(), &order, &limit) {
            (false, None, None) => sql.to_owned(),
            _ => format!("SELECT {columns} FROM ({sql}){}{}", order.unwrap_or_default(), limit.unwrap_or_default()),
        }
    }
}
