//! `combinations`: the runs of a combination summarised. Written as SQL over `runs`, whose columns are known only
//! when it is opened.

use super::filter::quoted;
use super::{QueryError, tables};
use crate::metric::is_measured;
use crate::store::{Found, Table as Stored};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::JoinType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::context::{SessionContext, SessionState};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::ident;
use std::collections::HashSet;
use std::sync::Arc;

/// Columns of `runs` that say something about one run only.
const OF_ONE_RUN: [&str; 12] = [
    "sweep",
    "combination",
    "run_id",
    "run_number",
    "status",
    "error_kind",
    "error",
    "exit_code",
    "log_tail",
    "started_at",
    "wall_time_s",
    "date",
];

/// Measured once for each start of a server, however many runs follow: its repeats are no repeats.
const OF_THE_SERVER: &str = "startup_time_s";

/// The table `combinations`. Its percentiles over all requests need table `requests`, which is opened only when one of
/// them is asked for.
#[derive(Debug)]
pub struct Combinations {
    found: Arc<Found>,
    /// The runs of each combination, summarised.
    of_runs: LogicalPlan,
    schema: SchemaRef,
}

/// Of each of these latencies these percentiles of all requests of a combination, its repeats taken together.
const POOLED_LATENCIES: [&str; 3] = ["ttft", "tpot", "e2el"];
const POOLED_PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)];
const POOLED_REQUESTS: &str = "pooled_requests";

impl Combinations {
    pub async fn of(context: &SessionContext, found: Arc<Found>) -> Result<Self, QueryError> {
        let runs = context.table("runs").await?;
        let fields = runs.schema().fields().clone();
        let of_runs = context.sql(&combinations_sql(fields.iter().map(AsRef::as_ref))).await?.logical_plan().clone();
        let pooled = pooled().map(|(name, _)| Field::new(name, DataType::Float64, true));
        let pooled = std::iter::once(Field::new(POOLED_REQUESTS, DataType::Int64, true)).chain(pooled);
        let own = of_runs.schema().fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(own.chain(pooled).collect::<Vec<_>>()));
        Ok(Self { found, of_runs, schema })
    }

    async fn with_requests(&self, context: &SessionContext) -> Result<LogicalPlan, QueryError> {
        if !context.table_exist("requests")? {
            let opened = tables::stored(context, &self.found, Stored::Requests).await?;
            context.register_table("requests", opened.table)?;
        }
        let percentiles =
            pooled().map(|(name, expression)| format!("{expression} AS {name}")).collect::<Vec<_>>().join(", ");
        let requests = context
            .sql(&format!(
                "SELECT sweep AS of_sweep, combination AS of_combination, count(*) AS {POOLED_REQUESTS}, {percentiles} \
                 FROM requests WHERE ok IS NOT FALSE GROUP BY sweep, combination"
            ))
            .await?;
        let runs = DataFrame::new(context.state(), self.of_runs.clone());
        let keys = (&["sweep", "combination"], &["of_sweep", "of_combination"]);
        Ok(runs.join(requests, JoinType::Left, keys.0, keys.1, None)?.logical_plan().clone())
    }
}

/// The columns of percentiles over requests, and what makes them.
fn pooled() -> impl Iterator<Item = (String, String)> {
    POOLED_LATENCIES.into_iter().flat_map(|latency| {
        POOLED_PERCENTILES.into_iter().map(move |(name, share)| {
            let expression = format!("percentile_cont({share}) WITHIN GROUP (ORDER BY {latency}_ms)");
            (format!("{name}_{latency}_ms_pooled"), expression)
        })
    })
}

#[async_trait]
impl TableProvider for Combinations {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        Ok(vec![TableProviderFilterPushDown::Exact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let of_runs = self.of_runs.schema().fields().len();
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let is_pooled = |name: &str| self.schema.index_of(name).is_ok_and(|index| index >= of_runs);
        let filtered = filters.iter().flat_map(|filter| filter.column_refs()).any(|column| is_pooled(&column.name));
        let plan = match filtered || wanted.iter().any(|index| *index >= of_runs) {
            true => {
                let state = session.as_any().downcast_ref::<SessionState>();
                let state = state.ok_or_else(|| DataFusionError::Internal("a session of another kind".into()))?;
                let context = SessionContext::new_with_state(state.clone());
                let plan = self.with_requests(&context).await;
                plan.map_err(|error| DataFusionError::External(Box::new(error)))?
            }
            false => self.of_runs.clone(),
        };
        let mut plan = LogicalPlanBuilder::from(plan);
        if let Some(filter) = filters.iter().cloned().reduce(Expr::and) {
            plan = plan.filter(unqualified(filter)?)?;
        }
        plan = plan.project(wanted.iter().map(|index| ident(self.schema.field(*index).name())))?;
        session.create_physical_plan(&plan.limit(0, limit)?.build()?).await
    }
}

/// The condition with the names of its columns alone.
fn unqualified(filter: Expr) -> Result<Expr, DataFusionError> {
    let plain = filter.transform(|expr| match expr {
        Expr::Column(column) => Ok(Transformed::yes(ident(&column.name))),
        other => Ok(Transformed::no(other)),
    });
    Ok(plain?.data)
}

fn combinations_sql<'a>(fields: impl Iterator<Item = &'a Field>) -> String {
    let fields: Vec<&Field> = fields.filter(|field| !OF_ONE_RUN.contains(&field.name().as_str())).collect();
    let own = ["n", "failed_runs", POOLED_REQUESTS].map(str::to_owned);
    let of_metrics = fields.iter().filter(|field| has_statistics(field)).flat_map(|field| statistics(field.name()));
    let taken: HashSet<String> =
        own.into_iter().chain(pooled().map(|(name, _)| name)).chain(of_metrics.map(|(name, _)| name)).collect();
    let mut columns = vec![
        "sweep".to_owned(),
        "combination".into(),
        "count(*) FILTER (WHERE status = 'completed') AS n".into(),
        "count(*) FILTER (WHERE status = 'failed') AS failed_runs".into(),
        "min(started_at) AS started_at".into(),
    ];
    for field in fields {
        let name = field.name();
        if has_statistics(field) {
            columns.extend(statistics(name).map(|(name, expression)| format!("{expression} AS {}", quoted(&name))));
        } else {
            // A parameter may have the name of a number of ours.
            let shown = if taken.contains(name) { format!("param.{name}") } else { name.clone() };
            // "completed" stands before "failed": a failed run knows only its parameters.
            let first = format!("first_value({} ORDER BY status, run_number)", quoted(name));
            columns.push(format!("{first} AS {}", quoted(&shown)));
        }
    }
    format!("SELECT {} FROM runs GROUP BY sweep, combination", columns.join(", "))
}

fn has_statistics(field: &Field) -> bool {
    let is_number = matches!(field.data_type(), DataType::Int64 | DataType::Float64);
    is_number && is_measured(field.name()) && field.name() != OF_THE_SERVER
}

/// Mean, standard deviation, extremes, and half the width of the mean's 95 % interval by Student's t: names and expressions.
fn statistics(name: &str) -> [(String, String); 5] {
    let column = quoted(name);
    [
        ("mean", format!("avg({column})")),
        ("std", format!("stddev({column})")),
        ("min", format!("min({column})")),
        ("max", format!("max({column})")),
        ("ci95", format!("t_critical(0.95, count({column}) - 1) * stddev({column}) / sqrt(count({column}))")),
    ]
    .map(|(statistic, expression)| (format!("{name}_{statistic}"), expression))
}
