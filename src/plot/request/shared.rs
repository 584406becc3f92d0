//! What curves and frontiers have in common: what is said of their runs, and of those that are not there.

use crate::metric::caution;
use crate::plot::PlotError;
use crate::plot::chart::MISSING;
use crate::query::{Answer, Filter, Lake, QueryError, Value, curve_variables};

/// What to know of metrics that stand on as few requests as the answer's column `completed` says.
pub fn cautions(keys: [&str; 2], answer: &Answer) -> Result<Vec<String>, QueryError> {
    let completed = answer.numbers("completed")?.into_iter().flatten();
    let Some(fewest) = completed.reduce(f64::min) else { return Ok(Vec::new()) };
    let mut cautions: Vec<String> = keys.iter().filter_map(|key| caution(key, fewest)).collect();
    cautions.dedup();
    Ok(cautions)
}

/// Runs in which too many requests failed: they are on no chart.
pub async fn degraded_runs(lake: &Lake, filter: &Filter) -> Result<usize, QueryError> {
    let sql = format!("SELECT count(*) AS n FROM runs WHERE status = 'degraded' AND {}", filter.to_sql());
    Ok(lake.sql(&sql).await?.numbers("n")?.into_iter().flatten().sum::<f64>() as usize)
}

pub fn left_out_caption(degraded: usize) -> Option<String> {
    (degraded > 0).then(|| format!("{degraded} run(s) omitted because too many requests failed."))
}

pub fn text_of(value: &Value) -> String {
    match value {
        Value::Null => MISSING.into(),
        other => other.to_text(),
    }
}

/// A column as texts.
pub fn texts_of(answer: &Answer, name: &str) -> Result<Vec<String>, QueryError> {
    Ok(answer.column(name)?.iter().map(text_of).collect())
}

/// The settings of the server that vary: what tells curves apart where nothing was asked for.
pub async fn serve_variables(lake: &Lake) -> Result<Vec<String>, QueryError> {
    let varied = lake.varied().await?;
    Ok(curve_variables(&varied.into_iter().filter(|varied| varied.is_serve).collect::<Vec<_>>()))
}

/// Says which condition took the last rows.
pub async fn nothing_left(lake: &Lake, filter: &Filter, degraded: usize) -> Result<PlotError, QueryError> {
    if degraded > 0 {
        return Ok(PlotError::AllDegraded { runs: degraded });
    }
    let mut kept = "status = 'completed'".to_owned();
    for condition in &filter.conditions {
        let before = kept.clone();
        kept = format!("{kept} AND ({condition})");
        let count = |condition: &str| format!("SELECT count(*) AS n FROM runs WHERE {condition}");
        let number =
            |answer: Answer| Ok::<_, QueryError>(answer.numbers("n")?.into_iter().flatten().sum::<f64>() as usize);
        if number(lake.sql(&count(&kept)).await?)? == 0 {
            let left = number(lake.sql(&count(&before)).await?)?;
            return Ok(PlotError::FilteredAway { condition: condition.clone(), left });
        }
    }
    Ok(PlotError::NoRuns)
}
