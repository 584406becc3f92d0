//! `combinations`: the runs of a combination summarised. Written as SQL over `runs`, whose columns are known only
//! when it is opened.

use super::QueryError;
use super::filter::quoted;
use crate::metric::is_measured;
use arrow::datatypes::{DataType, Field};
use datafusion::catalog::TableProvider;
use datafusion::execution::context::SessionContext;
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

pub async fn combinations(context: &SessionContext) -> Result<Arc<dyn TableProvider>, QueryError> {
    let runs = context.table("runs").await?;
    let fields = runs.schema().fields().clone();
    Ok(context.sql(&combinations_sql(fields.iter().map(AsRef::as_ref))).await?.into_view())
}

fn combinations_sql<'a>(fields: impl Iterator<Item = &'a Field>) -> String {
    let mut columns = vec![
        "sweep".to_owned(),
        "combination".into(),
        "count(*) FILTER (WHERE status = 'completed') AS n".into(),
        "count(*) FILTER (WHERE status = 'failed') AS failed_runs".into(),
        "min(started_at) AS started_at".into(),
    ];
    // "completed" stands before "failed": a failed run knows only its parameters.
    for field in fields.filter(|field| !OF_ONE_RUN.contains(&field.name().as_str())) {
        let name = field.name();
        match field.data_type() {
            DataType::Int64 | DataType::Float64 if is_measured(name) && name != OF_THE_SERVER => {
                columns.extend(statistics(name));
            }
            _ => columns.push(format!("first_value({0} ORDER BY status, run_number) AS {0}", quoted(name))),
        }
    }
    format!("SELECT {} FROM runs GROUP BY sweep, combination", columns.join(", "))
}

/// Mean, standard deviation, extremes, and half the width of the mean's 95 % interval by Student's t.
fn statistics(name: &str) -> [String; 5] {
    let column = quoted(name);
    let named = |suffix: &str| quoted(&format!("{name}_{suffix}"));
    [
        format!("avg({column}) AS {}", named("mean")),
        format!("stddev({column}) AS {}", named("std")),
        format!("min({column}) AS {}", named("min")),
        format!("max({column}) AS {}", named("max")),
        format!(
            "t_critical(0.95, count({column}) - 1) * stddev({column}) / sqrt(count({column})) AS {}",
            named("ci95")
        ),
    ]
}
