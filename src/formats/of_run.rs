//! The result that a sweep's benchmark left, whichever tool it was.

use super::recognize::recognize;
use crate::metric::Metric;
use crate::record::Origin;
use serde_json::{Map, Value};
use std::path::Path;

/// What a benchmark measured, in vLLM's form.
#[derive(Clone, Debug)]
pub struct Measured {
    pub result: Map<String, Value>,
    /// The tool, where it is another than vLLM.
    pub source: Option<Origin>,
}

/// A result under vLLM's names. One that tells nothing that is known is none: why, in words.
pub fn measured(document: Map<String, Value>, path: &Path) -> Result<Measured, String> {
    if let Some(fit) = recognize(&document).filter(|fit| fit.format.tool != super::vllm::TOOL) {
        let mut runs = (fit.format.read)(&document, path)?;
        let (Some(mut run), true) = (runs.pop(), runs.is_empty()) else {
            return Err(format!(
                "is from {} and contains {} runs; a sweep's benchmark must measure exactly one",
                fit.format.name,
                runs.len() + 1
            ));
        };
        let source = run.origin(fit.format, path);
        // What the tool was asked for is told by the sweep; its own word is kept where the sweep has none.
        for (key, value) in std::mem::take(&mut run.bench.params) {
            run.result.entry(key).or_insert(value);
        }
        return Ok(Measured { result: run.result, source: Some(source) });
    }
    let has_metric =
        document.iter().any(|(key, value)| value.is_number() && Metric::of(key.trim_end_matches(':')).is_some());
    if has_metric {
        return Ok(Measured { result: document, source: None });
    }
    let keys: Vec<&str> = document.keys().take(4).map(String::as_str).collect();
    Err(format!(
        "contains no known metric (its keys: {}); see docs/importing.md for the supported results",
        keys.join(", ")
    ))
}
