//! What tokens cost, from prices that are given with the query: no price is stored with what was measured.

use super::tables::named;
use super::{Lake, QueryError, literal};
use crate::store::{Sweep, field_of};
use crate::table::Kind;
use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::prelude::DataFrame;
use std::collections::BTreeMap;

/// Dollars for an hour of one GPU.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    /// Of GPUs that have no price by name.
    pub other: Option<f64>,
    /// A name counts where it is part of what the GPU is called.
    pub by_name: Vec<(String, f64)>,
}

/// The columns, and of which throughput each is the cost.
pub const COSTS: [(&str, &str); 2] = [
    ("usd_per_million_output_tokens", "output_throughput"),
    ("usd_per_million_total_tokens", "total_token_throughput"),
];

impl Prices {
    pub(super) fn are_given(&self) -> bool {
        self.other.is_some() || !self.by_name.is_empty()
    }

    /// The price of a machine's GPUs, where it is one and known. The longest name that is part of the GPU's counts.
    fn of<'a>(&self, gpus: impl Iterator<Item = &'a str>) -> Option<f64> {
        let of_one = |gpu: &str| {
            let gpu = gpu.to_lowercase();
            let named = self.by_name.iter().filter(|(name, _)| gpu.contains(&name.to_lowercase()));
            named.max_by_key(|(name, _)| name.len()).map(|(_, price)| *price).or(self.other)
        };
        let mut prices = gpus.map(of_one);
        match prices.next() {
            None => self.other,
            Some(first) => first.filter(|_| prices.all(|other| other == first)),
        }
    }
}

impl Lake {
    /// Dollars for an hour of a GPU of a sweep, where it is known.
    pub fn gpu_hour_price(&self, sweep: &str) -> Option<f64> {
        let sweep = self.sweeps().iter().find(|known| known.name == sweep)?;
        self.price_of(sweep)
    }

    fn price_of(&self, sweep: &Sweep) -> Option<f64> {
        let manifest = sweep.manifest().ok().flatten();
        let gpus = manifest.iter().flat_map(|manifest| &manifest.environment.gpus);
        self.options.prices.of(gpus.map(|gpu| gpu.name.as_str()))
    }

    /// The price of each row's sweep, as SQL.
    pub fn gpu_hour_price_sql(&self) -> String {
        if self.options.prices.by_name.is_empty() {
            return self.options.prices.other.map_or("NULL".into(), |price| format!("CAST({price} AS DOUBLE)"));
        }
        let mut groups: Vec<(f64, Vec<String>)> = Vec::new();
        for sweep in self.sweeps() {
            let Some(price) = self.price_of(sweep) else { continue };
            match groups.iter_mut().find(|(known, _)| *known == price) {
                Some((_, names)) => names.push(literal(&sweep.name)),
                None => groups.push((price, vec![literal(&sweep.name)])),
            }
        }
        if groups.is_empty() {
            return "NULL".into();
        }
        let cases = groups.iter().map(|(price, names)| format!("WHEN sweep IN ({}) THEN {price}", names.join(", ")));
        format!("CAST(CASE {} END AS DOUBLE)", cases.collect::<Vec<_>>().join(" "))
    }

    /// 1 where a run was made on the machine whose GPUs its sweep names, as SQL, and NULL where on another one: a sweep that was resumed
    /// elsewhere names those of its last.
    fn own_machine_sql(&self) -> String {
        if self.options.prices.by_name.is_empty() {
            return "1".into();
        }
        let mut by_host: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for sweep in self.sweeps() {
            let host = sweep.manifest().ok().flatten().map(|manifest| manifest.environment.host.clone());
            if let Some(host) = host.filter(|host| !host.is_empty()) {
                by_host.entry(host).or_default().push(literal(&sweep.name));
            }
        }
        let elsewhere = by_host.iter().map(|(host, sweeps)| {
            format!("WHEN host <> {} AND sweep IN ({}) THEN NULL", literal(host), sweeps.join(", "))
        });
        let elsewhere: Vec<String> = elsewhere.collect();
        if elsewhere.is_empty() { "1".into() } else { format!("CASE {} ELSE 1 END", elsewhere.join(" ")) }
    }

    /// Runs with what their tokens cost.
    pub(super) fn with_costs(&self, runs: DataFrame) -> Result<DataFrame, QueryError> {
        let schema: DFSchema = runs.schema().clone();
        let mut columns: Vec<_> = schema.columns().into_iter().map(datafusion::prelude::Expr::Column).collect();
        // It reads the manifest of every sweep.
        let has_host = schema.columns().iter().any(|column| column.name() == "host");
        let price =
            format!("{} * {}", self.gpu_hour_price_sql(), if has_host { self.own_machine_sql() } else { "1".into() });
        for (name, throughput) in COSTS {
            let sql = format!("CAST({price} AS DOUBLE) * gpu_count / 3600 * 1e6 / nullif({throughput}, 0)");
            let value = self.context.state().create_logical_expr(&sql, &schema).map_err(QueryError::explain)?;
            columns.push(named(value, &field_of(name, DataType::Float64, Some(Kind::Metric), false)));
        }
        Ok(runs.select(columns)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_found_by_the_longest_part_of_a_name() {
        let by_name = [("H100", 2.5), ("h100 nvl", 2.0), ("L4", 0.7)].map(|(name, price)| (name.to_owned(), price));
        let prices = Prices { other: None, by_name: by_name.to_vec() };
        let of = |gpus: &[&str]| prices.of(gpus.iter().copied());
        assert_eq!(of(&["NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3"]), Some(2.5));
        assert_eq!(of(&["NVIDIA H100 NVL"]), Some(2.0));
        assert_eq!(of(&["NVIDIA H100 NVL", "NVIDIA L4"]), None, "one hour of which?");
        assert_eq!((of(&["AMD MI300X"]), of(&[])), (None, None));
        let prices = Prices { other: Some(3.0), ..prices };
        assert_eq!((prices.of(["AMD MI300X"].into_iter()), prices.of([].into_iter())), (Some(3.0), Some(3.0)));
    }
}
