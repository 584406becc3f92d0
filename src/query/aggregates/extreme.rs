//! `min` and `max` of floats by group. DataFusion's begin with the greatest and the least finite number: of values that are all
//! infinite, as the rates of a closed loop are, they give 1.8e308.

use arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::common::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;
use std::sync::Arc;

/// One of both, of a plan with groups.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Extreme {
    /// DataFusion's.
    of: Arc<AggregateUDF>,
    name: String,
}

impl Extreme {
    pub fn new(of: Arc<AggregateUDF>) -> Self {
        Self { name: format!("{}_of_floats", of.name()), of }
    }
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        self.of.signature()
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.of.coerce_types(given)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.of.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.of.state_fields(args)
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let is_max = self.of.name() == "max";
        let start = if is_max { f64::NEG_INFINITY } else { f64::INFINITY };
        let take = move |known: &mut f64, value: f64| *known = if is_max { known.max(value) } else { known.min(value) };
        let accumulator = PrimitiveGroupsAccumulator::<Float64Type, _>::new(&DataType::Float64, take);
        Ok(Box::new(accumulator.with_starting_value(start)))
    }
}
