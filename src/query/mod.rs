//! SQL over sweeps: the DataFusion session, its tables, and answers as plain values.

mod aggregates;
mod answer;
mod apart;
mod best;
mod calls;
mod columns;
mod costs;
mod depth;
#[cfg_attr(not(feature = "distributed"), path = "absent.rs")]
mod distributed;
mod effects;
mod error;
mod expression;
mod filter;
mod functions;
mod grouping;
mod kinds;
mod labels;
mod lazy;
mod loose;
mod mixed;
mod named;
mod parameters;
mod pareto;
pub mod shipped;
mod sides;
mod spelling;
mod summarize;
mod tables;
mod unique;
mod views;
mod yielding;

pub(crate) use answer::typed_row;
pub use answer::{Answer, Format, FromRow, FromValue, Rows, Value, cell_of};
pub use costs::{COSTS, Prices};
use distributed::Begun;
pub use distributed::{Service, Workers};
pub use error::QueryError;
pub use expression::Expression;
pub use filter::{Column, Columns, Filter, Kind, split_outside};
pub use grouping::Grouping;
pub use kinds::{NO_LOAD, SweepKind, flags_of, kind_of as kind_of_sweep, names_of};
pub use labels::labels_of;
pub use mixed::{as_number, number_of};
pub use named::{NamedQuery, Parameter};
pub use parameters::{LOADS, Varied, curve_variables, load_variable};
pub use pareto::Points;
pub use shipped::Shipped;
pub use spelling::{literal, quoted, spelled};

use crate::record::total_memory;
use crate::store::{Found, Sweep, Table as Stored, find_sweeps, is_mixed, kind_of};
use crate::table::Table;
use aggregates::Reach;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field};
use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::{SQLOptions, SessionContext};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{Analyzer, AnalyzerRule};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use futures::{StreamExt, TryStreamExt, stream};
use lazy::{Added, LazyTable};
use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// The tables that every lake has, and the one that tells what their columns are.
pub const TABLES: [&str; 10] = [
    "sweeps",
    "runs",
    "requests",
    "telemetry",
    "combinations",
    "sla",
    "sla_history",
    "dropped",
    "tune_history",
    columns::COLUMNS,
];

/// `runs` in which what is set and what is measured under one name are apart: `combinations` is made from it.
const PLAIN_RUNS: &str = "plain.runs";

/// So many consumers of memory are named where it was not enough.
const GREEDIEST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);

/// Sweeps that can be asked.
pub struct Lake {
    context: SessionContext,
    /// The same tables, for queries that workers answer.
    shared: Option<SessionContext>,
    found: Arc<Found>,
    warnings: Mutex<Vec<String>>,
    options: OpenOptions,
}

/// How a lake is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Bytes that queries may hold (by default three quarters of what the machine has); what is more is put on disk.
    pub memory_limit: Option<usize>,
    pub strictness: Strictness,
    /// What hours of GPUs cost.
    pub prices: Prices,
    /// Machines that answer with this one.
    pub workers: Option<Workers>,
}

/// What to do with a sweep of a lake that can't be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// Answer without it and say so.
    #[default]
    LeaveOut,
    Refuse,
}

impl Lake {
    /// Opens any mix of sweeps and lakes. Nothing is read but manifests until a query needs it.
    pub fn open(paths: &[PathBuf]) -> Result<Self, QueryError> {
        Self::open_with(paths, &OpenOptions::default())
    }

    pub fn open_with(paths: &[PathBuf], options: &OpenOptions) -> Result<Self, QueryError> {
        let context = session_of(runtime(options.memory_limit).build_arc()?, Reach::Process, Ok)?;
        let shared = options.workers.as_ref().map(|workers| {
            let (catalogs, env) = (context.state().catalog_list().clone(), context.runtime_env());
            session_of(env, Reach::Machines, |builder| workers.join(builder.with_catalog_list(catalogs)))
        });
        let (found, options) = (Arc::new(find_sweeps(paths)?), options.clone());
        let lake = Self { context, shared: shared.transpose()?, found, warnings: Mutex::default(), options };
        lake.say(lake.options.workers.iter().flat_map(|workers| workers.silent.clone()));
        lake.warn(lake.found.left_out().iter().map(ToString::to_string).collect())?;
        Ok(lake)
    }

    /// Notes what was left out, or refuses to go on without it.
    fn warn(&self, left_out: Vec<String>) -> Result<(), QueryError> {
        if let (Strictness::Refuse, Some(first)) = (self.options.strictness, left_out.first()) {
            return Err(QueryError::LeftOut { text: first.clone() });
        }
        self.say(left_out);
        Ok(())
    }

    /// Notes what there is to say.
    fn say(&self, texts: impl IntoIterator<Item = String>) {
        let mut warnings = self.warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for text in texts {
            if !warnings.contains(&text) {
                warnings.push(text);
            }
        }
    }

    fn reach(&self) -> Reach {
        if self.shared.is_some() { Reach::Machines } else { Reach::Process }
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
        match summarize::subject(sql) {
            Some(subject) => summarize::summarize(self, subject).await,
            None => self.rows_of(sql).await,
        }
    }

    /// Rows that were made otherwise than by a query.
    async fn rows_of_batch(&self, batch: RecordBatch) -> Result<Rows, QueryError> {
        Ok(Rows::new(self.context.read_batch(batch)?.execute_stream().await.map_err(QueryError::of_execution)?))
    }

    async fn rows_of(&self, sql: &str) -> Result<Rows, QueryError> {
        let plan = self.plan(sql).await?;
        let mut why_here = None;
        if let Some((shared, workers)) = self.shared.as_ref().zip(self.options.workers.as_ref()) {
            match workers.begin(shared, &plan).await.map_err(QueryError::of_execution)? {
                Begun::Rows(rows) => return Ok(Rows::new(rows).knowing(plan.schema())),
                Begun::Small => {}
                Begun::Unshared(error) => why_here = Some(error::short(&error)),
            }
        }
        let frame = self.context.execute_logical_plan(plan).await.map_err(QueryError::explain)?;
        let schema = frame.schema().clone();
        let mut rows = frame.execute_stream().await.map_err(QueryError::of_execution)?;
        if let Some(reason) = why_here {
            // What is wrong here as well is the query's own fault.
            let first = rows.try_next().await.map_err(QueryError::of_execution)?;
            self.say([format!("the query could not be shared ({reason}); it is answered here")]);
            rows = Box::pin(RecordBatchStreamAdapter::new(rows.schema(), stream::iter(first.map(Ok)).chain(rows)));
        }
        Ok(Rows::new(rows).knowing(&schema))
    }

    /// The columns of a table.
    pub async fn columns(&self, table: &str) -> Result<Columns, QueryError> {
        self.register(table).await?;
        let frame = self.context.table(table).await?;
        let fields = frame.schema().fields().iter();
        let kind = |field: &Field| match field.data_type() {
            DataType::Boolean => Kind::Bool,
            DataType::Utf8 | DataType::Utf8View if is_mixed(field) => Kind::Mixed,
            DataType::Utf8 | DataType::Utf8View => Kind::Text,
            kind if kind.is_numeric() => Kind::Number,
            _ => Kind::Other,
        };
        let columns =
            fields.map(|field| Column { name: field.name().clone(), holds: kind(field), kind: kind_of(field) });
        Ok(Columns::new(columns.collect()))
    }

    /// The query for the combinations of start-up sweeps, with whatever times they measured.
    pub async fn startup_summary(&self) -> Result<String, QueryError> {
        let columns = self.columns("combinations").await?;
        let metrics = columns.names().filter_map(|name| name.strip_suffix("_mean"));
        let metrics = metrics.filter(|name| name.starts_with("avg_"));
        let metrics = metrics.map(|name| format!(", {0}_mean AS {0}, {0}_ci95", name)).collect::<String>();
        Ok(format!("SELECT serve, bench AS startup, n, failed_runs{metrics} FROM combinations ORDER BY started_at"))
    }

    /// Makes a plan that only reads, with the tables that it names; all of them where it asks about tables.
    async fn plan(&self, sql: &str) -> Result<LogicalPlan, QueryError> {
        if let Some(error) = error::elsewhere(sql) {
            return Err(error);
        }
        depth::refuse_deep(sql)?;
        let state = self.context.state();
        let dialect = state.config().options().sql_parser.dialect;
        let mut statement = state.sql_to_statement(sql, &dialect).map_err(QueryError::Syntax)?;
        if let Some(described) = columns::described(&statement) {
            statement = state.sql_to_statement(&described, &dialect).map_err(QueryError::Syntax)?;
        }
        refuse_changes(&statement)?;
        unique::as_typed(&mut statement);
        calls::expand(&mut statement)?;
        let named: Vec<String> = state
            .resolve_table_references(&statement)
            .map_err(QueryError::Syntax)?
            .iter()
            .map(|reference| reference.table().to_owned())
            .filter(|name| name != pareto::NAME)
            .collect();
        let asks_about_tables = named.iter().any(|name| !TABLES.contains(&name.as_str()));
        let mut mixed = HashSet::new();
        for table in TABLES {
            if asks_about_tables || named.iter().any(|name| name == table) {
                self.register(table).await?;
                let frame = self.context.table(table).await?;
                let columns = frame.schema().fields().iter().filter(|field| is_mixed(field));
                mixed.extend(columns.map(|field| field.name().clone()));
            }
        }
        mixed::rewrite(&mut statement, &mixed);
        let plan = self.context.state().statement_to_plan(statement).await.map_err(QueryError::explain)?;
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        read_only.verify_plan(&plan).map_err(QueryError::explain)?;
        Ok(plan)
    }

    async fn register(&self, table: &str) -> Result<(), QueryError> {
        if self.context.table_exist(table)? {
            return Ok(());
        }
        match table {
            "sweeps" => {
                let opened = tables::sweeps(&self.found)?;
                self.warn(opened.warnings)?;
                self.context.register_table(table, opened.table)?;
            }
            "runs" => {
                let plain = self.plain_runs().await?;
                let shown = tables::with_shared_names(plain)?;
                self.add(Table::Runs, Arc::new(shown.logical_plan().clone()), Vec::new())?;
            }
            "combinations" => {
                let plain = self.plain_runs().await?;
                let schema = plain.schema().as_arrow().clone();
                let rows = views::Combinations::new(&self.context, &quoted(PLAIN_RUNS), &schema).await?;
                let pooled: Arc<dyn Added> = Arc::new(views::Pooled { found: self.found.clone(), reach: self.reach() });
                self.add(Table::Combinations, Arc::new(rows), vec![pooled])?;
            }
            "requests" | "telemetry" => {
                let stored = if table == "requests" { Stored::Requests } else { Stored::Telemetry };
                let opened = tables::stored(&self.context, &self.found, self.reach(), stored).await?;
                self.warn(opened.warnings)?;
                self.context.register_table(table, opened.table)?;
            }
            columns::COLUMNS => {
                for other in TABLES.into_iter().filter(|other| *other != table) {
                    Box::pin(self.register(other)).await?;
                }
                self.context.register_table(table, columns::table(&self.context).await?)?;
            }
            _ => {
                let (stored, declared) = match table {
                    "sla" => (Stored::Slas, Table::Sla),
                    "dropped" => (Stored::Dropped, Table::Dropped),
                    "tune_history" => (Stored::TuneHistory, Table::TuneHistory),
                    _ => (Stored::SlaHistory, Table::SlaHistory),
                };
                let opened = tables::stored(&self.context, &self.found, self.reach(), stored).await?;
                self.warn(opened.warnings)?;
                let plan = self.context.read_table(opened.table)?.logical_plan().clone();
                self.add(declared, Arc::new(plan), Vec::new())?;
            }
        }
        Ok(())
    }

    /// The runs as they are stored.
    async fn plain_runs(&self) -> Result<DataFrame, QueryError> {
        let name = TableReference::bare(PLAIN_RUNS);
        if !self.context.table_exist(name.clone())? {
            let opened = tables::stored(&self.context, &self.found, self.reach(), Stored::Runs).await?;
            self.warn(opened.warnings)?;
            let table = match self.options.prices.are_given() {
                true => self.with_costs(self.context.read_table(opened.table)?)?.into_view(),
                false => opened.table,
            };
            self.context.register_table(name.clone(), table)?;
        }
        Ok(self.context.table(name).await?)
    }

    /// Registers a table whose rows belong to combinations, which have labels.
    fn add(&self, table: Table, rows: Arc<dyn lazy::Rows>, added: Vec<Arc<dyn Added>>) -> Result<(), QueryError> {
        let labels: Arc<dyn Added> = Arc::new(labels::Labels { of: table });
        let sides = (table == Table::Runs).then(|| Arc::new(sides::Sides) as Arc<dyn Added>);
        let declared = table.columns();
        let order = |name: &str| declared.iter().position(|column| column.name == name).unwrap_or(declared.len());
        let lazy = LazyTable::new(rows, added.into_iter().chain([labels]).chain(sides).collect(), order);
        self.context.register_table(table.name(), Arc::new(lazy))?;
        Ok(())
    }
}

/// Those of DataFusion; what compares mixed columns goes before the one that makes types meet, what replaces aggregates behind it.
fn analyzer_rules(reach: Reach) -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn AnalyzerRule + Send + Sync>> = vec![Arc::new(mixed::MixedComparisons)];
    rules.extend(Analyzer::new().rules);
    rules.push(Arc::new(aggregates::OwnAggregates { reach }));
    rules
}

/// Where queries run, with a limit to what they hold: three quarters of the machine's memory unless it is given.
fn runtime(memory_limit: Option<usize>) -> RuntimeEnvBuilder {
    // A lake grows while it is open: no list of files is remembered.
    let runtime = RuntimeEnvBuilder::new().with_object_list_cache_limit(0);
    match memory_limit.unwrap_or_else(|| total_memory() / 4 * 3) {
        0 => runtime,
        limit => {
            let pool = TrackConsumersPool::new(FairSpillPool::new(limit), GREEDIEST);
            runtime.with_memory_pool(Arc::new(pool))
        }
    }
}

/// A session for the tables of a lake; `build` has the last word.
fn session_of(
    env: Arc<RuntimeEnv>,
    reach: Reach,
    build: impl FnOnce(SessionStateBuilder) -> datafusion::error::Result<SessionStateBuilder>,
) -> Result<SessionContext, QueryError> {
    let mut config = SessionConfig::new().with_information_schema(true);
    config = config.with_create_default_catalog_and_schema(reach == Reach::Process);
    config.options_mut().catalog.default_schema = "lake".into();
    config.options_mut().catalog.default_catalog = "sweeplake".into();
    if reach == Reach::Machines {
        // With one partition nothing would be put together that several machines read.
        let partitions = config.target_partitions().max(2);
        config = config.with_target_partitions(partitions);
    }
    let builder = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(env)
        .with_default_features()
        .with_query_planner(Arc::new(pareto::Planner))
        .with_analyzer_rules(analyzer_rules(reach))
        .with_physical_optimizer_rule(Arc::new(yielding::YieldingJoins));
    let context = SessionContext::new_with_state(build(builder)?.build());
    // It takes a cast of a grouped column for the column itself, and drops the column from ORDER BY.
    context.remove_optimizer_rule("eliminate_duplicated_expr");
    context.register_relation_planner(Arc::new(pareto::ParetoCalls))?;
    functions::register(&context);
    Ok(context)
}

/// A session without a lake, for rows that are at hand.
fn session() -> SessionContext {
    let state =
        SessionStateBuilder::new().with_default_features().with_analyzer_rules(analyzer_rules(Reach::Process)).build();
    let context = SessionContext::new_with_state(state);
    functions::register(&context);
    context
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
