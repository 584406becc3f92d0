//! How sure the numbers are.

use super::ReportError;
use super::table::percent;
use crate::metric::caution;
use crate::query::{Answer, Lake};

const CERTAINTY: &str = include_str!("../../queries/certainty.sql");

pub async fn certainty(lake: &Lake) -> Result<Vec<String>, ReportError> {
    Ok(lines(&lake.sql(CERTAINTY).await?))
}

/// Columns: combinations, least_runs, most_runs, failed_runs, throughput_median, throughput_worst, p99_median, p99_worst,
/// fewest_requests.
fn lines(answer: &Answer) -> Vec<String> {
    let Some(row) = answer.rows().into_iter().next() else { return Vec::new() };
    let count = |index: usize| row[index].as_f64().unwrap_or(0.0);
    let repeats = match (count(1), count(2)) {
        (least, most) if least == most => format!("{most}"),
        (least, most) => format!("{least} to {most}"),
    };
    let mut lines = vec![format!("{} combinations, each measured {repeats} times.", count(0))];
    if count(3) > 0.0 {
        lines.push(format!("{} runs failed and are in no number.", count(3)));
    }
    if count(2) > 1.0 {
        lines.push("± is half the width of the 95 % confidence interval of the mean over repeated runs (Student's t). A difference smaller than both intervals may be noise.".into());
    } else {
        lines.push("Nothing was measured twice: how much of a difference is noise can't be told. Repeat with --num-runs 3 or more.".into());
    }
    for (name, median, worst) in [("output throughput", 4, 5), ("P99 E2E latency", 6, 7)] {
        if let (Some(median), Some(worst)) = (row[median].as_f64(), row[worst].as_f64()) {
            lines.push(format!(
                "Half interval of {name}: {} of the mean for the median combination, {} for the worst.",
                percent(median),
                percent(worst)
            ));
        }
    }
    lines.extend(row[8].as_f64().and_then(|fewest| caution("p99_e2el_ms", fewest)));
    lines
}
