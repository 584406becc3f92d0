//! `combinations`: the runs of a combination summarised. Written as SQL over `runs`, whose columns and their kinds are known only
//! when it is opened.

use super::aggregates::Reach;
use super::lazy::{Added, Rows};
use super::spelling::quoted;
use super::{QueryError, tables};
use crate::store::{Found, Table as Stored, is_metric, is_mixed, kind_of};
use crate::table::{Kind, STATISTICS, Table};
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use datafusion::common::JoinType;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::LogicalPlan;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Columns of `runs` that say something about one run only.
const OF_ONE_RUN: [&str; 16] = [
    "sweep",
    "combination",
    "run_id",
    "run_number",
    "attempt",
    "status",
    "caution",
    "error_kind",
    "error",
    "exit_code",
    "log_tail",
    "started_at",
    "wall_time_s",
    "date",
    "derived",
    "label",
];

/// Metrics that failed runs have, too.
const OF_FAILED_RUNS: [&str; 4] = ["completed", "failed", "failed_requests", "success_rate"];

/// Columns that the summary has besides those of runs, and what makes them.
const OWN: [(&str, &str); 7] = [
    ("status", STATUS),
    ("n", "count(*) FILTER (WHERE status IN ('completed', 'degraded'))"),
    ("degraded_runs", "count(*) FILTER (WHERE status = 'degraded')"),
    ("failed_runs", "count(*) FILTER (WHERE status = 'failed')"),
    ("started_at", "min(started_at)"),
    ("serve", "first_value(coalesce(serve_name, serve_params) ORDER BY run_number)"),
    ("bench", "first_value(coalesce(bench_name, bench_params) ORDER BY run_number)"),
];

const STATUS: &str = "CASE WHEN count(*) FILTER (WHERE status IN ('completed', 'degraded')) = 0 THEN 'failed' \
                      WHEN count(*) FILTER (WHERE status = 'degraded') > 0 THEN 'degraded' ELSE 'completed' END";

/// Percentiles over all requests of a combination, its repeats taken together. They need table `requests`, which is opened only
/// when one of them is asked for.
#[derive(Debug)]
pub struct Pooled {
    pub found: Arc<Found>,
    pub reach: Reach,
}

/// Of each of these latencies these percentiles.
const POOLED_LATENCIES: [&str; 3] = ["ttft", "tpot", "e2el"];
const POOLED_PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)];
const POOLED_REQUESTS: &str = "pooled_requests";

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
impl Added for Pooled {
    fn fields(&self) -> Vec<Field> {
        let metric = |name: &str, holds: DataType| crate::store::field_of(name, holds, Some(Kind::Metric), false);
        let percentiles = pooled().map(|(name, _)| metric(&name, DataType::Float64));
        std::iter::once(metric(POOLED_REQUESTS, DataType::Int64)).chain(percentiles).collect()
    }

    fn needs(&self) -> &'static [&'static str] {
        &["sweep", "combination"]
    }

    async fn add_to(&self, plan: LogicalPlan, context: &SessionContext) -> Result<LogicalPlan, DataFusionError> {
        if !context.table_exist("requests")? {
            let opened = tables::stored(context, &self.found, self.reach, Stored::Requests).await;
            context.register_table(
                "requests",
                opened.map_err(|error| DataFusionError::External(Box::new(error)))?.table,
            )?;
        }
        let percentiles =
            pooled().map(|(name, expression)| format!("{expression} AS {name}")).collect::<Vec<_>>().join(", ");
        let requests = context
            .sql(&format!(
                "SELECT sweep AS of_sweep, combination AS of_combination, count(*) AS {POOLED_REQUESTS}, {percentiles} \
                 FROM requests WHERE ok IS NOT FALSE GROUP BY sweep, combination"
            ))
            .await?;
        let runs = DataFrame::new(context.state(), plan);
        let keys = (&["sweep", "combination"], &["of_sweep", "of_combination"]);
        Ok(runs.join(requests, JoinType::Left, keys.0, keys.1, None)?.logical_plan().clone())
    }
}

/// `combinations`, over a table with the columns of `runs` in which what is set and what is measured are apart.
#[derive(Debug)]
pub struct Combinations {
    runs: String,
    columns: Vec<Column>,
    /// What every summary has.
    own: Vec<Field>,
}

impl Combinations {
    pub async fn new(context: &SessionContext, runs: &str, schema: &Schema) -> Result<Self, QueryError> {
        let own = context.sql(&combinations_sql(runs, &[])).await?;
        let own = own.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
        Ok(Self { runs: runs.to_owned(), columns: columns_of(schema), own })
    }
}

#[async_trait]
impl Rows for Combinations {
    fn fields(&self) -> Vec<Field> {
        self.own.iter().cloned().chain(self.columns.iter().map(Column::field)).collect()
    }

    async fn plan(&self, columns: &HashSet<&str>, context: &SessionContext) -> Result<LogicalPlan, DataFusionError> {
        let wanted: Vec<&Column> =
            self.columns.iter().filter(|column| columns.contains(column.name.as_str())).collect();
        let summary = context.sql(&combinations_sql(&self.runs, &wanted)).await?;
        let known: HashMap<&str, Field> = wanted.iter().map(|column| (column.name.as_str(), column.field())).collect();
        // What is known of each column goes with it.
        let kept = summary.schema().fields().iter().map(|field| {
            let column = datafusion::prelude::ident(field.name());
            match known.get(field.name().as_str()) {
                Some(known) => tables::named(column, known),
                None => column,
            }
        });
        let kept = kept.collect::<Vec<_>>();
        Ok(summary.select(kept)?.logical_plan().clone())
    }
}

/// A column of `combinations`: the expressions of its parameter and of its statistic, either of which may have this name.
#[derive(Debug)]
struct Column {
    name: String,
    kind: Kind,
    holds: DataType,
    is_mixed: bool,
    expression: String,
}

impl Column {
    fn field(&self) -> Field {
        crate::store::field_of(&self.name, self.holds.clone(), Some(self.kind), self.is_mixed)
    }
}

/// The columns that come from those of runs. A parameter that is called as a statistic is (`x_mean`, where a metric is called `x`)
/// stands in the column of that name in the rows that have it, and the statistic in the others.
fn columns_of(schema: &Schema) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    let mut place_of: BTreeMap<String, usize> = BTreeMap::new();
    let mut add = |column: Column| match place_of.get(&column.name) {
        None => {
            place_of.insert(column.name.clone(), columns.len());
            columns.push(column);
        }
        Some(&place) => columns[place] = merged(&columns[place], &column),
    };
    let fields = schema.fields().iter().filter(|field| !OF_ONE_RUN.contains(&field.name().as_str()));
    let (measured, others): (Vec<_>, Vec<_>) = fields.partition(|field| has_statistics(field));
    for field in others {
        let name = if is_own(field.name()) { format!("param.{}", field.name()) } else { field.name().clone() };
        add(Column {
            name,
            kind: kind_of(field).unwrap_or(Kind::Context),
            holds: field.data_type().clone(),
            is_mixed: is_mixed(field),
            // The best run tells: a failed one knows only its parameters.
            expression: format!("first_value({} ORDER BY status, run_number)", quoted(field.name())),
        });
    }
    for field in measured {
        let metric = field.name().strip_prefix("result.").unwrap_or(field.name());
        for (statistic, expression) in statistics(field.name()) {
            add(Column {
                name: format!("{metric}_{statistic}"),
                kind: Kind::Metric,
                holds: DataType::Float64,
                is_mixed: false,
                expression,
            });
        }
    }
    columns
}

/// Two columns of one name: the first where it has a value.
fn merged(first: &Column, second: &Column) -> Column {
    let is_number = first.holds.is_numeric();
    let expression = match is_number {
        true => format!("coalesce({}, {})", first.expression, second.expression),
        false => format!("coalesce(CAST({} AS VARCHAR), spelled({}))", first.expression, second.expression),
    };
    Column {
        name: first.name.clone(),
        kind: first.kind,
        holds: if is_number { DataType::Float64 } else { DataType::Utf8 },
        is_mixed: first.is_mixed || !is_number,
        expression,
    }
}

/// Whether a name means something of its own in `combinations`, and a parameter in `runs`.
fn is_own(name: &str) -> bool {
    let is_declared = Table::Combinations.column(name).is_some() && Table::Runs.column(name).is_none();
    is_declared || pooled().any(|(pooled, _)| pooled == name)
}

fn combinations_sql(runs: &str, of_runs: &[&Column]) -> String {
    let mut columns = vec!["sweep".to_owned(), "combination".into()];
    columns.extend(OWN.map(|(name, expression)| format!("{expression} AS {name}")));
    columns.push("array_distinct(flatten(array_agg(caution) FILTER (WHERE caution IS NOT NULL))) AS cautions".into());
    columns.extend(of_runs.iter().map(|column| format!("{} AS {}", column.expression, quoted(&column.name))));
    format!("SELECT {} FROM {runs} GROUP BY sweep, combination", columns.join(", "))
}

fn has_statistics(field: &Field) -> bool {
    field.data_type().is_numeric() && is_metric(kind_of(field))
}

/// Mean, standard deviation, extremes, and half the width of the mean's 95 % interval by Student's t: names and expressions.
fn statistics(name: &str) -> impl Iterator<Item = (&'static str, String)> {
    // A failed run counted its requests, and measured nothing.
    let column = match OF_FAILED_RUNS.contains(&name) {
        true => format!("(CASE WHEN status IN ('completed', 'degraded') THEN {} END)", quoted(name)),
        false => quoted(name),
    };
    STATISTICS.into_iter().map(move |(statistic, _)| {
        let expression = match statistic {
            "mean" => format!("avg({column})"),
            "std" => format!("stddev({column})"),
            "min" => format!("CAST(min({column}) AS DOUBLE)"),
            "max" => format!("CAST(max({column}) AS DOUBLE)"),
            _ => format!("t_critical(0.95, count({column}) - 1) * stddev({column}) / sqrt(count({column}))"),
        };
        (statistic, expression)
    })
}
