//! What is sought on a frontier, as it is typed.

use crate::metric::Better;
use crate::query::shipped::directed;
use crate::sweep::Objective;

/// A metric with its direction, where it is not known which way is better.
pub fn objective(text: &str) -> Result<Objective, String> {
    let (metric, better) = directed(text.trim());
    match better {
        Some(better) if !metric.is_empty() => Ok(Objective { metric: metric.to_owned(), better }),
        _ => Err(format!("it is not known whether more of {metric:?} is better: write {metric}:max or {metric}:min")),
    }
}

/// What is sought where nothing is said.
pub fn default_objectives() -> Vec<Objective> {
    vec![
        Objective { metric: "output_throughput".into(), better: Better::Higher },
        Objective { metric: "p99_e2el_ms".into(), better: Better::Lower },
    ]
}
