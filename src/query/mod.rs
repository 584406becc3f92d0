//! SQL over sweeps: the DataFusion session, its tables, and answers as plain values.

mod answer;
mod error;
mod filter;
mod functions;
mod grouping;
mod named;
mod parameters;
mod tables;
mod views;

pub use answer::{Answer, Format, Value};
pub use error::QueryError;
pub use filter::{Columns, Filter, Kind, literal, quoted, split_outside};
pub use grouping::Grouping;
pub use named::NamedQuery;
pub use parameters::{LOADS, Varied, curve_variables, load_variable};

use crate::store::{Sweep, find_sweeps};
use arrow::datatypes::DataType;
use datafusion::execution::context::{SQLOptions, SessionContext};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use std::path::PathBuf;

/// The combinations of a lake with their main metrics, and its failed runs: what more than one command shows.
pub const SUMMARY: &str = include_str!("../../queries/summary.sql");
/// The answers to SLAs.
pub const SLAS: &str = include_str!("../../queries/sla.sql");
pub const FAILURES: &str = include_str!("../../queries/failures.sql");

/// The tables that every lake has.
pub const TABLES: [&str; 6] = ["sweeps", "runs", "requests", "combinations", "sla", "sla_history"];

/// Sweeps that can be asked.
pub struct Lake {
    context: SessionContext,
    sweeps: Vec<Sweep>,
}

impl Lake {
    /// Opens any mix of sweeps and lakes. Nothing is read but manifests until a query needs it.
    pub fn open(paths: &[PathBuf]) -> Result<Self, QueryError> {
        Self::of(find_sweeps(paths)?)
    }

    pub fn of(sweeps: Vec<Sweep>) -> Result<Self, QueryError> {
        let mut config = SessionConfig::new().with_information_schema(true);
        config.options_mut().catalog.default_schema = "lake".into();
        config.options_mut().catalog.default_catalog = "sweeplake".into();
        // A lake grows while it is open: no list of files is remembered.
        let runtime = RuntimeEnvBuilder::new().with_object_list_cache_limit(0).build_arc()?;
        let context = SessionContext::new_with_config_rt(config, runtime);
        functions::register(&context);
        Ok(Self { context, sweeps })
    }

    pub fn sweeps(&self) -> &[Sweep] {
        &self.sweeps
    }

    /// Answers a query. Only reading is possible.
    pub async fn sql(&self, sql: &str) -> Result<Answer, QueryError> {
        self.register_tables(sql).await?;
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let frame = self.context.sql_with_options(sql, read_only).await.map_err(QueryError::explain)?;
        let schema = std::sync::Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await.map_err(QueryError::Failed)?;
        Ok(Answer::new(schema, batches))
    }

    /// The columns of a table.
    pub async fn columns(&self, table: &str) -> Result<Columns, QueryError> {
        self.register(table).await?;
        let frame = self.context.table(table).await?;
        let fields = frame.schema().fields().iter();
        let kind = |kind: &DataType| match kind {
            DataType::Boolean => Kind::Bool,
            DataType::Utf8 | DataType::Utf8View => Kind::Text,
            kind if kind.is_numeric() => Kind::Number,
            _ => Kind::Other,
        };
        Ok(Columns::new(fields.map(|field| (field.name().clone(), kind(field.data_type()))).collect()))
    }

    /// Registers the tables that the query names; all of them where it asks about tables.
    async fn register_tables(&self, sql: &str) -> Result<(), QueryError> {
        let state = self.context.state();
        let dialect = state.config().options().sql_parser.dialect;
        let statement = state.sql_to_statement(sql, &dialect).map_err(QueryError::Syntax)?;
        refuse_changes(&statement)?;
        let named: Vec<String> = state
            .resolve_table_references(&statement)
            .map_err(QueryError::Syntax)?
            .iter()
            .map(|reference| reference.table().to_owned())
            .collect();
        let asks_about_tables = named.iter().any(|name| !TABLES.contains(&name.as_str()));
        for table in TABLES {
            if asks_about_tables || named.iter().any(|name| name == table) {
                self.register(table).await?;
            }
        }
        Ok(())
    }

    async fn register(&self, table: &str) -> Result<(), QueryError> {
        if self.context.table_exist(table)? {
            return Ok(());
        }
        let provider = match table {
            "sweeps" => tables::sweeps(&self.sweeps)?,
            "runs" => tables::runs(&self.context, &self.sweeps)?,
            "requests" => tables::requests(&self.context, &self.sweeps)?,
            "sla" => tables::slas(&self.context, &self.sweeps)?,
            "sla_history" => tables::sla_history(&self.context, &self.sweeps)?,
            _ => {
                Box::pin(self.register("runs")).await?;
                views::combinations(&self.context).await?
            }
        };
        self.context.register_table(table, provider)?;
        Ok(())
    }
}

/// Refuses whatever could change something, before anything of it is looked at.
fn refuse_changes(statement: &Statement) -> Result<(), QueryError> {
    let only_reads = match statement {
        Statement::Explain(explain) => return refuse_changes(&explain.statement),
        Statement::Statement(statement) => matches!(
            statement.as_ref(),
            SqlStatement::Query(_)
                | SqlStatement::Explain { .. }
                | SqlStatement::ExplainTable { .. }
                | SqlStatement::ShowTables { .. }
                | SqlStatement::ShowColumns { .. }
                | SqlStatement::ShowFunctions { .. }
                | SqlStatement::ShowVariable { .. }
        ),
        _ => false,
    };
    match only_reads {
        true => Ok(()),
        false => {
            let text = statement.to_string();
            Err(QueryError::ReadOnly { statement: text.split_whitespace().next().unwrap_or_default().to_uppercase() })
        }
    }
}

/// A query of `queries/` with its `{parameters}` filled in.
pub fn fill(template: &str, parameters: &[(&str, &str)]) -> String {
    let sql: Vec<&str> = template.lines().filter(|line| !line.starts_with("--")).collect();
    parameters.iter().fold(sql.join("\n"), |sql, (name, value)| sql.replace(&format!("{{{name}}}"), value))
}
