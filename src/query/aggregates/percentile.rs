//! `percentile_cont`: exact, by selection, the values of a group never copied but into a small buffer that is used again. (That of
//! DataFusion rounds its interpolation to a millionth.)

use super::exchange::{Handover, Reach, State};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array};
use arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility};
use datafusion::physical_expr::expressions::Literal;
use std::sync::Arc;

/// Lists of one group's values, as they came.
type Values = Vec<Vec<f64>>;

impl State for Values {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.reserve(self.iter().map(Vec::len).sum::<usize>() * size_of::<f64>());
        self.iter().flatten().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (values, rest) = bytes.as_chunks();
        let values: Vec<f64> = values.iter().map(|value| f64::from_le_bytes(*value)).collect();
        rest.is_empty().then(|| if values.is_empty() { Vec::new() } else { vec![values] })
    }
}

/// `exact_percentile(column, share, is_from_the_top)`: `percentile_cont(share) WITHIN GROUP (ORDER BY column)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ExactPercentile {
    signature: Signature,
    handover: Handover<Values>,
}

impl ExactPercentile {
    pub fn new(reach: Reach) -> Self {
        let arguments = vec![DataType::Float64, DataType::Float64, DataType::Boolean];
        Self { signature: Signature::exact(arguments, Volatility::Immutable), handover: Handover::new(reach) }
    }
}

impl AggregateUDFImpl for ExactPercentile {
    fn name(&self) -> &str {
        "exact_percentile"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneGroup { place: Place::of(&args)?, handover: self.handover.clone(), values: Vec::new() }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(self.handover.field(args.name))])
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Percentiles {
            place: Place::of(&args)?,
            handover: self.handover.clone(),
            groups: Vec::new(),
            held: 0,
        }))
    }
}

/// Where among the sorted values a percentile is.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Between 0 and 1.
    share: f64,
    is_from_the_top: bool,
}

impl Place {
    fn of(args: &AccumulatorArgs) -> Result<Self> {
        let constant = |index: usize| args.exprs[index].downcast_ref::<Literal>().map(Literal::value);
        match (constant(1), constant(2)) {
            (Some(ScalarValue::Float64(Some(share))), Some(ScalarValue::Boolean(Some(is_from_the_top)))) => {
                Ok(Self { share: *share, is_from_the_top: *is_from_the_top })
            }
            _ => plan_err!("exact_percentile: the share and its direction must be constants"),
        }
    }

    fn among(self, num_values: usize) -> f64 {
        let last = num_values.saturating_sub(1) as f64;
        if self.is_from_the_top { last - last * self.share } else { last * self.share }
    }
}

/// The percentile of all rows.
#[derive(Debug)]
struct OneGroup {
    place: Place,
    handover: Handover<Values>,
    values: Values,
}

impl Accumulator for OneGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let column = values[0].as_primitive::<Float64Type>();
        self.values.push(match column.null_count() {
            0 => column.values().to_vec(),
            _ => column.iter().flatten().collect(),
        });
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state = self.handover.give(vec![std::mem::take(&mut self.values)]);
        Ok(vec![ScalarValue::try_from_array(&state, 0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.values.extend(self.handover.take(states[0].as_ref())?.into_iter().flatten());
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut together = Vec::with_capacity(self.values.iter().map(Vec::len).sum());
        // Each list goes as soon as it is copied.
        std::mem::take(&mut self.values).into_iter().for_each(|list| together.extend(list));
        Ok(ScalarValue::Float64(percentile(&mut together, self.place)))
    }

    fn size(&self) -> usize {
        self.values.iter().map(|list| list.capacity() * size_of::<f64>()).sum()
    }
}

struct Percentiles {
    place: Place,
    handover: Handover<Values>,
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
            percentile(&mut together, self.place)
        });
        Ok(Arc::new(percentiles.collect::<Float64Array>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.take(emit_to);
        Ok(vec![self.handover.give(groups)])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.groups.resize_with(total_num_groups, Vec::new);
        for (lists, group) in self.handover.take(values[0].as_ref())?.into_iter().zip(group_indices) {
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
        Ok(vec![self.handover.give(states.collect())])
    }

    fn size(&self) -> usize {
        self.held * size_of::<f64>() + self.groups.capacity() * size_of::<Values>()
    }
}

/// Between the two nearest values in proportion, as SQL has it. NULL of no values.
fn percentile(values: &mut [f64], place: Place) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let position = place.among(values.len());
    let (_, lower, above) = values.select_nth_unstable_by(position as usize, f64::total_cmp);
    let rest = position.fract();
    let upper = above.iter().copied().min_by(f64::total_cmp).filter(|_| rest > 0.0);
    Some(upper.map_or(*lower, |upper| *lower + (upper - *lower) * rest))
}

#[cfg(test)]
mod tests {
    use super::{Place, percentile};

    #[test]
    fn percentiles_are_those_of_numpy() {
        // numpy.quantile(values, share), method "linear"; from the top numpy.quantile(values, 1 - share).
        let values = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6];
        let at = |share: f64, is_from_the_top: bool| {
            percentile(&mut values.to_vec(), Place { share, is_from_the_top }).unwrap()
        };
        let cases = [
            (0.0, 1.0, 9.0),
            (0.25, 1.775, 3.75),
            (0.5, 2.8, 2.8),
            (0.9, 6.5, 1.25),
            (0.99, 8.75, 1.025),
            (1.0, 9.0, 1.0),
        ];
        for (share, expected, from_the_top) in cases {
            assert!((at(share, false) - expected).abs() < 1e-12, "{share}: {}", at(share, false));
            assert!((at(share, true) - from_the_top).abs() < 1e-12, "{share}: {}", at(share, true));
        }
        let median = Place { share: 0.5, is_from_the_top: false };
        assert_eq!(percentile(&mut [], median), None);
        assert_eq!(percentile(&mut [7.0], median), Some(7.0));
    }
}
