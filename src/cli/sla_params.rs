//! SLAs as they are given: a file of them, and what is turned to meet them.

use super::Failure;
pub use crate::params::SLA_NAME;
use crate::params::{ParamSet, ParamsError, read_params_file};
use crate::sla::{Constraint, Sla};
use crate::sweep::Variable;
use serde_json::Value;
use std::path::Path;

/// A variable that can be turned, by its name in either spelling.
pub fn variable(text: &str) -> Result<Variable, String> {
    let variables = [Variable::RequestRate, Variable::MaxConcurrency];
    let found = variables.into_iter().find(|variable| variable.key() == text.replace('-', "_"));
    found.ok_or_else(|| "expected request_rate or max_concurrency".into())
}

/// Reads and checks a file of SLAs.
pub fn read_slas(path: &Path) -> Result<Vec<Sla>, Failure> {
    let sets = read_params_file(path).map_err(|error| match error {
        ParamsError::Empty { path } => Failure::input(format!("{}: contains no SLA", path.display())),
        other => Failure::input(other),
    })?;
    let slas = sets.into_iter().enumerate().map(|(index, set)| {
        sla_of(set).map_err(|reason| Failure::input(format!("{}: SLA {}: {reason}", path.display(), index + 1)))
    });
    let slas: Vec<Sla> = slas.collect::<Result<_, _>>()?;
    for (index, sla) in slas.iter().enumerate() {
        let is_same = |other: &&Sla| other.to_string() == sla.to_string() || other.file_text() == sla.file_text();
        if slas[..index].iter().any(|other| is_same(&other)) {
            return Err(Failure::input(format!("{}: SLA {} is a duplicate: {sla}", path.display(), index + 1)));
        }
    }
    Ok(slas)
}

fn sla_of(set: ParamSet) -> Result<Sla, String> {
    let mut name = set.name;
    let mut constraints = Vec::new();
    for (key, value) in set.params {
        match value {
            Value::String(text) if key == SLA_NAME => name = Some(text),
            Value::String(text) => constraints.push(Constraint::parse(&key, &text)?),
            other => return Err(format!("`{key}` must be a string such as \"<=500\", found {other}")),
        }
    }
    if constraints.is_empty() {
        return Err("has no constraint".into());
    }
    Ok(Sla { name, constraints })
}
