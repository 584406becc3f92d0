//! `percentile_cont` in groups: exact, by selection, the values of a group never copied but into a small buffer that is used
//! again.

use super::exchange::Exchange;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, not_impl_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Lists of one group's values, as they came.
type Values = Vec<Vec<f64>>;

/// `percentile_cont(column, share)` of a grouped plan.
#[derive(Debug)]
pub struct GroupedPercentile {
    signature: Signature,
    share: f64,
    exchange: Arc<Exchange<Values>>,
}

impl GroupedPercentile {
    pub fn new(share: f64) -> Self {
        let signature = Signature::exact(vec![DataType::Float64], Volatility::Immutable);
        Self { signature, share, exchange: Exchange::new() }
    }
}

impl PartialEq for GroupedPercentile {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.exchange, &other.exchange)
    }
}

impl Eq for GroupedPercentile {}

impl Hash for GroupedPercentile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.exchange).hash(state);
    }
}

impl AggregateUDFImpl for GroupedPercentile {
    fn name(&self) -> &str {
        "grouped_percentile"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("only plans with groups are given this aggregate")
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[ticket]", args.name), DataType::UInt64, false))])
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Percentiles { share: self.share, exchange: self.exchange.clone(), groups: Vec::new(), held: 0 }))
    }
}

struct Percentiles {
    share: f64,
    exchange: Arc<Exchange<Values>>,
    groups: Vec<Values>,
    /// Values in all groups.
    held: usize,
}

impl Percentiles {
    fn add(&mut self, group: usize, values: &[f64]) {
        let lists = &mut self.groups[group];
        match lists.last_mut() {
            Some(list) => list.extend_from_slice(values),
            None => lists.push(values.to_vec()),
        }
        self.held += values.len();
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<Values> {
        let groups = emit_to.take_needed(&mut self.groups);
        self.held -= groups.iter().flatten().map(Vec::len).sum::<usize>();
        groups
    }
}

impl GroupsAccumulator for Percentiles {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize_with(total_num_groups, Vec::new);
        let column = values[0].as_primitive::<Float64Type>();
        if column.null_count() > 0 || opt_filter.is_some() {
            let is_meant = |row: usize| opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            for (row, group) in group_indices.iter().enumerate() {
                if column.is_valid(row) && is_meant(row) {
                    self.add(*group, &[column.value(row)]);
                }
            }
            return Ok(());
        }
        // Rows of one group mostly follow each other.
        let mut from = 0;
        for same in group_indices.chunk_by(|left, right| left == right) {
            self.add(same[0], &column.values()[from..from + same.len()]);
            from += same.len();
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let mut together = Vec::new();
        let percentiles = self.take(emit_to).into_iter().map(|lists| {
            together.clear();
            lists.iter().for_each(|list| together.extend_from_slice(list));
            percentile(&mut together, self.share)
        });
        Ok(Arc::new(percentiles.collect::<Float64Array>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.take(emit_to);
        Ok(vec![self.exchange.deposit(groups)])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.groups.resize_with(total_num_groups, Vec::new);
        for (lists, group) in self.exchange.collect(values[0].as_ref())?.into_iter().zip(group_indices) {
            self.held += lists.iter().map(Vec::len).sum::<usize>();
            self.groups[*group].extend(lists);
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let is_meant = |row: usize| opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let values = values[0].as_primitive::<Float64Type>().iter().enumerate();
        let states = values.map(|(row, value)| match value.filter(|_| is_meant(row)) {
            Some(value) => vec![vec![value]],
            None => Vec::new(),
        });
        Ok(vec![self.exchange.deposit(states)])
    }

    fn size(&self) -> usize {
        self.held * size_of::<f64>() + self.groups.capacity() * size_of::<Values>()
    }
}

/// Between the two nearest values in proportion, as SQL has it. NULL of no values.
fn percentile(values: &mut [f64], share: f64) -> Option<f64> {
    let position = share * values.len().checked_sub(1)? as f64;
    let (_, lower, above) = values.select_nth_unstable_by(position as usize, f64::total_cmp);
    let rest = position.fract();
    let upper = above.iter().copied().min_by(f64::total_cmp).filter(|_| rest > 0.0);
    Some(upper.map_or(*lower, |upper| *lower + (upper - *lower) * rest))
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_those_of_numpy() {
        // numpy.quantile(values, share), method "linear".
        let values = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6];
        for (share, expected) in [(0.0, 1.0), (0.25, 1.775), (0.5, 2.8), (0.9, 6.5), (0.99, 8.75), (1.0, 9.0)] {
            let found = percentile(&mut values.to_vec(), share).unwrap();
            assert!((found - expected).abs() < 1e-12, "{share}: {found}");
        }
        assert_eq!(percentile(&mut [], 0.5), None);
        assert_eq!(percentile(&mut [7.0], 0.99), Some(7.0));
    }
}
