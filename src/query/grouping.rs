//! Questions without SQL: which runs, grouped by what, and which numbers of each group.

use super::filter::{Columns, Filter, Kind, split_outside};
use super::spelling::quoted;
use super::{Lake, QueryError};

/// A question as flags ask it.
#[derive(Clone, Debug, Default)]
pub struct Grouping {
    pub filter_by: String,
    pub group_by: Vec<String>,
    /// `mean(p99_e2el_ms)`, `max(output_throughput)`; a name alone means its mean.
    pub metrics: String,
}

/// What can be asked of a column in a group, and how SQL says it.
const FUNCTIONS: [(&str, &str); 9] = [
    ("mean", "avg({})"),
    ("avg", "avg({})"),
    ("median", "median({})"),
    ("min", "min({})"),
    ("max", "max({})"),
    ("std", "stddev({})"),
    ("sum", "sum({})"),
    ("count", "count({})"),
    ("ci95", "t_critical(0.95, count({}) - 1) * stddev({}) / sqrt(count({}))"),
];

impl Grouping {
    /// The question as SQL over `runs`.
    pub async fn sql(&self, lake: &Lake) -> Result<String, QueryError> {
        self.sql_for(&lake.columns("runs").await?)
    }

    fn sql_for(&self, columns: &Columns) -> Result<String, QueryError> {
        let filter = Filter::parse(&self.filter_by, columns)?;
        let groups = self.group_by.iter().map(|name| Ok(quoted(columns.find(name)?.0)));
        let groups: Vec<String> = groups.collect::<Result<_, QueryError>>()?;
        let metrics = split_outside(&self.metrics, ',').into_iter().map(str::trim).filter(|metric| !metric.is_empty());
        let metrics: Vec<String> = metrics.map(|metric| expression(metric, columns)).collect::<Result<_, _>>()?;
        // A parameter may have the name of the count.
        let count = if groups.iter().any(|group| group == "\"n\"") { "count(*)" } else { "count(*) AS n" };
        let selected = [groups.clone(), vec![count.into()], metrics].concat();
        let mut sql = format!(
            "SELECT {}\nFROM runs\nWHERE status IN ('completed', 'degraded') AND {}",
            selected.join(", "),
            filter.to_sql()
        );
        if !groups.is_empty() {
            let groups = groups.join(", ");
            sql += &format!("\nGROUP BY {groups}\nORDER BY {groups}");
        }
        Ok(sql)
    }
}

fn expression(metric: &str, columns: &Columns) -> Result<String, QueryError> {
    let (function, name) = match metric.strip_suffix(')').and_then(|metric| metric.split_once('(')) {
        Some((function, name)) => (function.trim(), name.trim()),
        None => ("mean", metric),
    };
    let (column, kind) = columns.find(name)?;
    let known = FUNCTIONS.iter().find(|(known, _)| *known == function);
    let (_, template) = known.ok_or_else(|| QueryError::BadMetric {
        metric: metric.to_owned(),
        reason: format!("`{function}` is not one of {}", FUNCTIONS.map(|(name, _)| name).join(", ")),
    })?;
    if !matches!(kind, Kind::Number | Kind::Mixed) && function != "count" {
        return Err(QueryError::BadMetric { metric: metric.to_owned(), reason: format!("`{column}` is not numeric") });
    }
    Ok(format!("{} AS {}", template.replace("{}", &quoted(column)), quoted(&format!("{function}({column})"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_sql() {
        let columns = super::super::filter::columns_of(&[
            ("max_num_seqs", Kind::Number),
            ("p99_e2el_ms", Kind::Number),
            ("model_id", Kind::Text),
        ]);
        let question = Grouping {
            filter_by: "max-num-seqs<=64".into(),
            group_by: vec!["max-num-seqs".into()],
            metrics: "max(p99_e2el_ms), p99_e2el_ms ,count(model_id)".into(),
        };
        assert_eq!(
            question.sql_for(&columns).unwrap(),
            "SELECT \"max_num_seqs\", count(*) AS n, max(\"p99_e2el_ms\") AS \"max(p99_e2el_ms)\", avg(\"p99_e2el_ms\") AS \
             \"mean(p99_e2el_ms)\", count(\"model_id\") AS \"count(model_id)\"\nFROM runs\nWHERE status IN ('completed', 'degraded') AND \
             (\"max_num_seqs\" <= 64)\nGROUP BY \"max_num_seqs\"\nORDER BY \"max_num_seqs\""
        );
        let wrong = |metrics: &str| {
            let question = Grouping { metrics: metrics.into(), ..Grouping::default() };
            question.sql_for(&columns).unwrap_err().to_string()
        };
        assert!(wrong("worst(p99_e2el_ms)").contains("`worst` is not one of mean,"));
        assert!(wrong("mean(model_id)").contains("`model_id` is not numeric"));
        assert!(wrong("p99_e2e_ms").contains("did you mean `p99_e2el_ms`?"));
    }
}
