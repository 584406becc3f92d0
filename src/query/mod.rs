//! SQL over sweeps: the DataFusion session, its tables, and answers as plain values.

mod aggregates;
mod answer;
mod calls;
mod error;
mod filter;
mod functions;
mod grouping;
mod loose;
mod named;
mod parameters;
mod pareto;
mod tables;
mod views;
mod yielding;

pub use answer::{Answer, Format, Rows, Value};
pub use error::QueryError;
pub use filter::{Columns, Filter, Kind, literal, quoted, spelled, split_outside};
pub use grouping::Grouping;
pub use named::{NamedQuery, Parameter};
pub use parameters::{LOADS, Varied, curve_variables, load_variable};

use crate::record::total_memory;
use crate::store::{Found, Sweep, Table, find_sweeps};
use arrow::datatypes::DataType;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::{SQLOptions, SessionContext};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

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
    found: Arc<Found>,
    warnings: Mutex<Vec<String>>,
}

impl Lake {
    /// Opens any mix of sweeps and lakes. Nothing is read but manifests until a query needs it.
    pub fn open(paths: &[PathBuf]) -> Result<Self, QueryError> {
        Self::open_within(paths, None)
    }

    /// Opens sweeps and lakes for queries that may hold so many bytes (by default three quarters of what the machine has) and
    /// put on disk what is more.
    pub fn open_within(paths: &[PathBuf], memory_limit: Option<usize>) -> Result<Self, QueryError> {
        let mut config = SessionConfig::new().with_information_schema(true);
        config.options_mut().catalog.default_schema = "lake".into();
        config.options_mut().catalog.default_catalog = "sweeplake".into();
        // A lake grows while it is open: no list of files is remembered.
        let mut runtime = RuntimeEnvBuilder::new().with_object_list_cache_limit(0);
        let limit = memory_limit.unwrap_or_else(|| total_memory() / 4 * 3);
        if limit > 0 {
            let greediest = NonZeroUsize::new(3).expect("three are some");
            runtime = runtime.with_memory_pool(Arc::new(TrackConsumersPool::new(FairSpillPool::new(limit), greediest)));
        }
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime.build_arc()?)
            .with_default_features()
            .with_query_planner(Arc::new(pareto::Planner))
            .with_analyzer_rule(Arc::new(aggregates::OwnAggregates))
            .with_physical_optimizer_rule(Arc::new(yielding::YieldingJoins))
            .build();
        let context = SessionContext::new_with_state(state);
        context.register_relation_planner(Arc::new(pareto::ParetoCalls))?;
        functions::register(&context);
        Ok(Self { context, found: Arc::new(find_sweeps(paths)?), warnings: Mutex::default() })
    }

    pub fn sweeps(&self) -> &[Sweep] {
        self.found.all()
    }

    /// What there is to say about the tables that were asked since this was called the last time.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Answers a query. Only reading is possible.
    pub async fn sql(&self, sql: &str) -> Result<Answer, QueryError> {
        self.rows(sql).await?.collect().await
    }

    /// Answers a query with rows as they come.
    pub async fn rows(&self, sql: &str) -> Result<Rows, QueryError> {
        let plan = self.plan(sql).await?;
        let frame = self.context.execute_logical_plan(plan).await.map_err(QueryError::explain)?;
        Ok(Rows::new(frame.execute_stream().await.map_err(QueryError::of_execution)?))
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

    /// The query for the combinations of start-up sweeps, with whatever times they measured.
    pub async fn startup_summary(&self) -> Result<String, QueryError> {
        let columns = self.columns("combinations").await?;
        let metrics = columns.names().filter_map(|name| name.strip_suffix("_mean"));
        let metrics = metrics.filter(|name| name.starts_with("avg_"));
        let metrics = metrics.map(|name| format!(", {0}_mean AS {0}, {0}_ci95 AS \"± {0}\"", name)).collect::<String>();
        Ok(format!(
            "SELECT coalesce(serve_name, serve_params) AS serve, coalesce(bench_name, bench_params) AS startup, n, \
             failed_runs{metrics} FROM combinations ORDER BY started_at"
        ))
    }

    /// Makes a plan that only reads, with the tables that it names; all of them where it asks about tables.
    async fn plan(&self, sql: &str) -> Result<LogicalPlan, QueryError> {
        let state = self.context.state();
        let dialect = state.config().options().sql_parser.dialect;
        let mut statement = state.sql_to_statement(sql, &dialect).map_err(QueryError::Syntax)?;
        refuse_changes(&statement)?;
        calls::expand(&mut statement)?;
        let named: Vec<String> = state
            .resolve_table_references(&statement)
            .map_err(QueryError::Syntax)?
            .iter()
            .map(|reference| reference.table().to_owned())
            .filter(|name| name != pareto::NAME)
            .collect();
        let asks_about_tables = named.iter().any(|name| !TABLES.contains(&name.as_str()));
        for table in TABLES {
            if asks_about_tables || named.iter().any(|name| name == table) {
                self.register(table).await?;
            }
        }
        let plan = self.context.state().statement_to_plan(statement).await.map_err(QueryError::explain)?;
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        read_only.verify_plan(&plan).map_err(QueryError::explain)?;
        Ok(plan)
    }

    async fn register(&self, table: &str) -> Result<(), QueryError> {
        if self.context.table_exist(table)? {
            return Ok(());
        }
        let stored = match table {
            "sweeps" => return self.add(table, tables::sweeps(&self.found)?),
            "runs" => Table::Runs,
            "requests" => Table::Requests,
            "sla" => Table::Slas,
            "sla_history" => Table::SlaHistory,
            _ => {
                Box::pin(self.register("runs")).await?;
                let combinations = views::Combinations::of(&self.context, self.found.clone()).await?;
                self.context.register_table(table, Arc::new(combinations))?;
                return Ok(());
            }
        };
        self.add(table, tables::stored(&self.context, &self.found, stored).await?)
    }

    fn add(&self, name: &str, opened: tables::Opened) -> Result<(), QueryError> {
        self.context.register_table(name, opened.table)?;
        self.warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(opened.warnings);
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
