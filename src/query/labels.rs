//! `label`: a combination in short, by the parameters that vary in its sweep. What another sweep has does not change it.

use super::answer::Rows;
use super::columns::LABEL;
use super::lazy::Added;
use crate::id::column_name;
use crate::params::{ParamSet, value_text};
use crate::record::combination_parts;
use crate::table::Table;
use crate::words::{label, pair, short_value, telling};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use datafusion::common::JoinType;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, ident};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a label is made from.
const MADE_FROM: [&str; 6] = ["sweep", "combination", "serve_name", "bench_name", "serve_params", "bench_params"];

/// Labels, for a table whose rows belong to combinations.
#[derive(Debug)]
pub struct Labels {
    pub of: Table,
}

impl Labels {
    fn field(&self) -> Field {
        let declared = self.of.column(LABEL).map(|column| super::tables::field(self.of, column));
        declared.unwrap_or_else(|| Field::new(LABEL, DataType::Utf8, true))
    }

    fn batch(&self, labels: &[[String; 3]]) -> Result<RecordBatch> {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let fields = vec![text(OF_SWEEP), text(OF_COMBINATION), self.field()];
        let columns = (0..fields.len()).map(|index| {
            Arc::new(labels.iter().map(|row| Some(row[index].as_str())).collect::<StringArray>()) as ArrayRef
        });
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.collect())?)
    }
}

#[async_trait]
impl Added for Labels {
    fn fields(&self) -> Vec<Field> {
        vec![self.field()]
    }

    fn needs(&self) -> &'static [&'static str] {
        &MADE_FROM
    }

    async fn add_to(&self, plan: LogicalPlan, context: &SessionContext) -> Result<LogicalPlan> {
        let rows = DataFrame::new(context.state(), plan);
        let known = MADE_FROM.into_iter().filter(|name| rows.schema().has_column_with_unqualified_name(name));
        let known: Vec<&str> = known.collect();
        let distinct = rows.clone().select(known.iter().map(|name| ident(*name)).collect::<Vec<_>>())?.distinct()?;
        let failed = |error: super::QueryError| DataFusionError::External(Box::new(error));
        let found = Rows::new(distinct.execute_stream().await?).collect().await.map_err(failed)?;
        let column = |name: &str| {
            let values = found.column(name).map_err(failed)?;
            Ok::<_, DataFusionError>(values.iter().map(super::Value::to_text).collect::<Vec<String>>())
        };
        let optional = |name: &str| match known.contains(&name) {
            true => column(name),
            false => Ok(vec![String::new(); found.num_rows()]),
        };
        let (sweeps, ids) = (column("sweep")?, column("combination")?);
        let names = [optional("serve_name")?, optional("bench_name")?];
        let params = [column("serve_params")?, column("bench_params")?];
        let combinations = (0..found.num_rows()).map(|row| Combination {
            sweep: sweeps[row].clone(),
            id: ids[row].clone(),
            sides: [0, 1].map(|side| Side::of(&names[side][row], &params[side][row])),
        });
        let labels = context.read_batch(self.batch(&labels(&combinations.collect::<Vec<_>>()))?)?;
        // The labels' own columns have names that no table has.
        let joined = rows.join(labels, JoinType::Left, &["sweep", "combination"], &[OF_SWEEP, OF_COMBINATION], None)?;
        Ok(joined.logical_plan().clone())
    }
}

const OF_SWEEP: &str = "__label_sweep";
const OF_COMBINATION: &str = "__label_combination";

struct Combination {
    sweep: String,
    id: String,
    sides: [Side; 2],
}

/// The server's or the load's parameters.
struct Side {
    name: Option<String>,
    params: Map<String, Value>,
}

impl Side {
    fn of(name: &str, params: &str) -> Self {
        Self {
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            params: serde_json::from_str(params).unwrap_or_default(),
        }
    }

    /// Its name, or the parameters among those that vary.
    fn text(&self, varying: &BTreeSet<&str>) -> String {
        if let Some(name) = &self.name {
            return short_value(name);
        }
        let shown = self.params.iter().filter(|(key, _)| varying.is_empty() || varying.contains(key.as_str()));
        shown.map(|(key, value)| pair(&column_name(key), value)).collect::<Vec<_>>().join(" ")
    }
}

/// The labels of combinations that are in no table, with the sweep that each is of.
pub fn labels_of(combinations: &[(&str, [&ParamSet; 2])]) -> Vec<String> {
    let combinations = combinations.iter().enumerate().map(|(index, (sweep, sides))| Combination {
        sweep: (*sweep).to_owned(),
        id: index.to_string(),
        sides: sides.map(|set| Side { name: set.name.clone(), params: set.params.clone() }),
    });
    let mut labelled = labels(&combinations.collect::<Vec<_>>());
    labelled.sort_by_key(|[_, id, _]| id.parse::<usize>().unwrap_or(0));
    labelled.into_iter().map(|[_, _, label]| label).collect()
}

/// Sweep, combination and label of each combination.
fn labels(combinations: &[Combination]) -> Vec<[String; 3]> {
    let mut of_sweep: BTreeMap<&str, Vec<&Combination>> = BTreeMap::new();
    for combination in combinations {
        of_sweep.entry(&combination.sweep).or_default().push(combination);
    }
    let mut labels = Vec::with_capacity(combinations.len());
    for (sweep, combinations) in of_sweep {
        let [serve, bench] =
            [0, 1].map(|side| varying(combinations.iter().map(|combination| &combination.sides[side])));
        let varying = [serve, telling_loads(bench, &combinations)];
        // Where nothing varies, everything tells what the one combination is.
        let is_one = varying.iter().all(BTreeSet::is_empty);
        for combination in &combinations {
            let parts = [0, 1].map(|side| {
                match is_one || !varying[side].is_empty() || combination.sides[side].name.is_some() {
                    true => combination.sides[side].text(&varying[side]),
                    false => String::new(),
                }
            });
            let changed = combination_parts(&combination.id).1;
            let changed = changed.map(|fingerprint| format!(" · fingerprint={fingerprint}")).unwrap_or_default();
            labels.push([sweep.to_owned(), combination.id.clone(), label(&parts) + &changed]);
        }
    }
    labels
}

/// Those of the varying parameters of loads that are needed to tell them apart.
fn telling_loads<'a>(varying: BTreeSet<&'a str>, combinations: &[&Combination]) -> BTreeSet<&'a str> {
    let load = |row: usize| &combinations[row].sides[1];
    if (0..combinations.len()).any(|row| load(row).name.is_some()) {
        return varying;
    }
    let value = |row: usize, name: &str| load(row).params.get(name).map(value_text).unwrap_or_default();
    telling(&Vec::from_iter(varying), combinations.len(), value).into_iter().collect()
}

/// The parameters that do not have one value in all.
fn varying<'a>(sides: impl Iterator<Item = &'a Side> + Clone) -> BTreeSet<&'a str> {
    let keys: BTreeSet<&str> = sides.clone().flat_map(|side| side.params.keys()).map(String::as_str).collect();
    let is_varying = |key: &&str| {
        let mut values = sides.clone().map(|side| side.params.get(*key));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    keys.into_iter().filter(is_varying).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn combination(sweep: &str, serve: &str, bench: &str) -> Combination {
        Combination {
            sweep: sweep.into(),
            id: format!("{serve}{bench}"),
            sides: [Side::of("", serve), Side::of("", bench)],
        }
    }

    fn texts(combinations: &[Combination]) -> Vec<String> {
        labels(combinations).into_iter().map(|[_, _, label]| label).collect()
    }

    #[test]
    fn a_label_tells_what_varies_in_its_sweep() {
        let sweep = [
            combination("a", r#"{"tp": 1, "max-num-seqs": 8}"#, r#"{"max_concurrency": 4}"#),
            combination("a", r#"{"tp": 1, "max-num-seqs": 16}"#, r#"{"max_concurrency": 4}"#),
            combination("b", r#"{"tp": 2}"#, r#"{"max_concurrency": 9}"#),
        ];
        assert_eq!(texts(&sweep), ["max_num_seqs=8", "max_num_seqs=16", "tp=2 · max_concurrency=9"]);
        assert_eq!(texts(&[combination("a", "{}", "{}")]), ["unmodified commands"]);
    }

    #[test]
    fn names_stand_for_parameters() {
        let mut named = combination("a", r#"{"tp": 1}"#, r#"{"c": 1}"#);
        named.sides[0].name = Some("fast".into());
        let plain = combination("a", r#"{"tp": 2}"#, r#"{"c": 2}"#);
        assert_eq!(texts(&[named, plain]), ["fast · c=1", "tp=2 · c=2"]);
    }
}
