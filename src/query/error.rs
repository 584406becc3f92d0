//! What goes wrong with a query, in words that say what to do.

use super::TABLES;
use super::spelling::spelled;
use crate::store::StoreError;
use crate::words::nearest_name;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("invalid SQL: {}", short(.0))]
    Syntax(DataFusionError),
    #[error("no column `{column}`{}", hint(nearest.as_deref()))]
    NoColumn { column: String, nearest: Option<String> },
    #[error("no parameter `{parameter}`{}", similar(nearest))]
    NoParameter { parameter: String, nearest: Option<String> },
    #[error("{text:?} {reason}")]
    BadExpression { text: String, reason: String },
    #[error("no table `{table}`; available tables: {}", TABLES.join(", "))]
    NoTable { table: String },
    #[error("there is no query named `{name}`{}", similar(nearest))]
    NoNamedQuery { name: String, nearest: Option<String> },
    #[error("query `{query}` needs a value for its parameter `{parameter}`")]
    MissingParameter { query: String, parameter: String },
    #[error("query `{query}` has no parameter `{parameter}`; it has: {known}")]
    UnknownParameter { query: String, parameter: String, known: String },
    #[error("{what} is not supported; {instead}")]
    Elsewhere { what: String, instead: &'static str },
    #[error(
        "`{metric}` is not a known metric; if a column has this name, say which direction is better: {metric}:min or {metric}:max"
    )]
    UnknownDirection { metric: String },
    #[error("metric {metric:?}: {reason}")]
    BadMetric { metric: String, reason: String },
    #[error("condition {condition:?}: {reason}")]
    BadFilter { condition: String, reason: String },
    #[error("{function}: {reason}")]
    BadCall { function: &'static str, reason: String },
    #[error(
        "the query needs more memory than its limit, and part of it cannot spill to disk ({}); raise the limit, or query less at \
         once (approx_percentile_cont keeps no values in memory)",
        without_consumers(&short(.0))
    )]
    OutOfMemory(DataFusionError),
    #[error("lakes are read-only: {statement} is not supported")]
    ReadOnly { statement: String },
    #[error("more than {most} operators in a row; use IN (…) for lists of values, or split the query")]
    TooDeep { most: usize },
    #[error("the query can't be planned: {}", short(.0))]
    Unplanned(DataFusionError),
    #[error("the query failed: {}", short(.0))]
    Failed(DataFusionError),
    #[error("{text}")]
    LeftOut { text: String },
    #[error("worker {address}: {reason}")]
    Worker { address: String, reason: String },
    #[error("no worker answers: {reasons}")]
    NoWorkers { reasons: String },
    #[error("a token is made of visible ASCII characters")]
    BadToken,
    #[error("this sweeplake was built without queries on several machines")]
    NotBuilt,
    #[error("worker {address}: it wants another token")]
    WrongToken { address: String },
    #[error("query `{query}`: column `{column}` {reason}; this is a bug in sweeplake, please report it")]
    Contract { query: &'static str, column: &'static str, reason: String },
    #[error("{0}")]
    Output(String),
}

impl QueryError {
    /// Whether the query itself is at fault, not its execution.
    pub fn is_input(&self) -> bool {
        !matches!(self, Self::Failed(_) | Self::OutOfMemory(_) | Self::Output(_) | Self::Contract { .. })
    }

    pub(super) fn of_execution(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::OutOfMemory(error),
            _ => Self::Failed(error),
        }
    }

    /// Turns an error of planning into one that names what is nearest.
    pub(super) fn explain(error: DataFusionError) -> Self {
        let whole = error.to_string();
        if let Some((what, instead)) =
            ELSEWHERE.iter().find(|(what, _)| whole.contains(&format!("Invalid function '{what}'")))
        {
            return Self::Elsewhere { what: what.to_string(), instead };
        }
        if let Some((column, nearest)) = unknown_column(&error) {
            return Self::NoColumn { column, nearest };
        }
        let text = error.find_root().to_string();
        if let Some(table) = between(&text, "table 'sweeplake.lake.", "' not found") {
            return Self::NoTable { table };
        }
        let refused = ["DDL not supported: ", "DML not supported: ", "Statement not supported: "];
        if let Some(statement) = refused.iter().find_map(|phrase| text.split_once(phrase).map(|(_, kind)| kind)) {
            return Self::ReadOnly { statement: statement.trim_end_matches(['.', '\n']).to_owned() };
        }
        Self::Unplanned(error)
    }
}

/// What other databases have, and how to ask for it here.
const ELSEWHERE: [(&str, &str); 4] = [
    ("strftime", "use to_char(timestamp, '%Y-%m-%d')"),
    ("columns", "name the columns, or see them with DESCRIBE"),
    ("quantile_cont", "use percentile_cont(0.99) WITHIN GROUP (ORDER BY x), or approx_percentile_cont(x, 0.99)"),
    ("list", "use array_agg(x)"),
];

/// Statements that other databases have.
const STATEMENTS: [(&str, &str); 3] = [
    ("PIVOT", "use GROUP BY with aggregates such as avg(x) FILTER (WHERE max_num_seqs = 8)"),
    ("UNPIVOT", "use UNION ALL"),
    ("FROM", "begin with SELECT"),
];

/// A statement that this SQL does not have, and what to write instead.
pub(super) fn elsewhere(sql: &str) -> Option<QueryError> {
    let word = sql.split_whitespace().next()?.to_ascii_uppercase();
    let (what, instead) = STATEMENTS.iter().find(|(what, _)| *what == word)?;
    Some(QueryError::Elsewhere { what: (*what).to_owned(), instead })
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        Self::Failed(error)
    }
}

fn unknown_column(error: &DataFusionError) -> Option<(String, Option<String>)> {
    match error.find_root() {
        DataFusionError::SchemaError(schema_error, _) => match schema_error.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let names: Vec<&str> = valid_fields.iter().map(|column| column.name.as_str()).collect();
                Some((field.name.clone(), nearest_name(&field.name, names)))
            }
            _ => None,
        },
        DataFusionError::Diagnostic(_, inner) => unknown_column(inner),
        DataFusionError::Collection(errors) => errors.first().and_then(unknown_column),
        _ => None,
    }
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found.to_owned())
}

fn similar(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

fn hint(nearest: Option<&str>) -> String {
    match nearest.map(spelled) {
        Some(name) if name.starts_with('"') => format!("; did you mean {name}, including the quotes?"),
        Some(name) => similar(&Some(name)),
        None => "; `DESCRIBE runs` lists the columns".into(),
    }
}

/// What ran out of memory, without the list of all that has some.
fn without_consumers(text: &str) -> &str {
    let text = text.split(" with top memory consumers").next().unwrap_or(text);
    text.trim_start_matches("Resources exhausted: ")
}

/// The message without the trail of where it came through.
pub(super) fn short(error: &DataFusionError) -> String {
    let text = error.find_root().to_string();
    let text = text.split("\n\nbacktrace:").next().unwrap_or(&text);
    let text = ["SQL error: ", "Error during planning: ", "External error: "]
        .iter()
        .fold(text, |text, prefix| text.strip_prefix(prefix).unwrap_or(text));
    if let Some((_, function)) = text.split_once("No function matches the given name and argument types '") {
        // The engine takes it for a fault of its own, and tells all that it tried.
        let call = function.split("'. You might").next().unwrap_or(function);
        return format!("{call}: the function does not accept values of this type; CAST them, or use another column");
    }
    match text.strip_prefix("ParserError(\"").and_then(|text| text.strip_suffix("\")")) {
        Some(inner) => inner.to_owned(),
        None => text.to_owned(),
    }
}
