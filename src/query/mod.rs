//! SQL over sweeps: the DataFusion session, its tables, and answers as plain values.

mod answer;
mod error;
mod functions;
mod tables;
mod views;

pub use answer::{Answer, Format, Value};
pub use error::QueryError;

use crate::store::{Sweep, find_sweeps};
use datafusion::execution::context::{SQLOptions, SessionContext};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionConfig;
use std::path::PathBuf;

/// The tables that every lake has.
pub const TABLES: [&str; 4] = ["sweeps", "runs", "requests", "combinations"];

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

    /// Registers the tables that the query names; all of them where it asks about tables.
    async fn register_tables(&self, sql: &str) -> Result<(), QueryError> {
        let state = self.context.state();
        let dialect = state.config().options().sql_parser.dialect;
        let statement = state.sql_to_statement(sql, &dialect).map_err(QueryError::Syntax)?;
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
            _ => {
                Box::pin(self.register("runs")).await?;
                views::combinations(&self.context).await?
            }
        };
        self.context.register_table(table, provider)?;
        Ok(())
    }
}
