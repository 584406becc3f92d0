//! Which parameters a lake's runs have, and which of them vary.

use super::{Lake, QueryError, Value};
use crate::id::column_name;
use crate::table::parameter_column;
use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;

/// A parameter that has more than one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Varied {
    pub name: String,
    pub values: BTreeSet<String>,
    /// Whether it is a flag of the server, not of the benchmark.
    pub is_serve: bool,
}

/// Settings of the load, in the order in which they make a good axis.
pub const LOADS: [&str; 3] = ["max_concurrency", "request_rate", "num_prompts"];

impl Lake {
    /// The parameters that vary, in the order in which they stand in the params files.
    pub async fn varied(&self) -> Result<Vec<Varied>, QueryError> {
        let answer =
            self.sql("SELECT serve_params, bench_params FROM runs GROUP BY ALL ORDER BY min(started_at)").await?;
        let mut all: Vec<Varied> = Vec::new();
        let sides = [answer.column("serve_params")?, answer.column("bench_params")?];
        let parsed = |value: &Value| serde_json::from_str(&value.to_text()).unwrap_or_default();
        let rows: Vec<[Map<String, Json>; 2]> =
            sides[0].iter().zip(&sides[1]).map(|(serve, bench)| [parsed(serve), parsed(bench)]).collect();
        for (side, is_serve) in [(0, true), (1, false)] {
            for (key, _) in rows.iter().flat_map(|row| &row[side]) {
                let name = parameter_column(column_name(key));
                if !all.iter().any(|known| known.name == name) {
                    all.push(Varied { name, values: BTreeSet::new(), is_serve });
                }
            }
        }
        for varied in &mut all {
            let values = rows.iter().map(|row| {
                let side = &row[usize::from(!varied.is_serve)];
                let found = side.iter().find(|(key, _)| parameter_column(column_name(key)) == varied.name);
                found.map_or("(none)".to_owned(), |(_, value)| value.to_string())
            });
            varied.values = values.collect();
        }
        all.retain(|varied| varied.values.len() > 1);
        Ok(all)
    }
}

/// The parameter that sets the load, if one varies.
pub fn load_variable(varied: &[Varied]) -> Option<&str> {
    LOADS.into_iter().find(|name| varied.iter().any(|varied| varied.name == *name))
}

/// The parameters that tell curves apart: all that vary but those that set the load.
pub fn curve_variables(varied: &[Varied]) -> Vec<String> {
    varied.iter().map(|varied| varied.name.clone()).filter(|name| !LOADS.contains(&name.as_str())).collect()
}
