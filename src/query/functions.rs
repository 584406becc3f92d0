//! Functions that SQL lacks.

use crate::stats;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::error::Result;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use std::sync::Arc;

pub fn register(context: &SessionContext) {
    context.register_udf(t_critical());
}

/// `t_critical(confidence, degrees_of_freedom)`: how many standard errors to both sides of a mean make an
/// interval of that confidence. NULL below one degree of freedom.
fn t_critical() -> ScalarUDF {
    let arguments = vec![DataType::Float64, DataType::Float64];
    create_udf("t_critical", arguments, DataType::Float64, Volatility::Immutable, Arc::new(evaluate_t_critical))
}

fn evaluate_t_critical(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    let confidence = arrays[0].as_primitive::<Float64Type>();
    let degrees = arrays[1].as_primitive::<Float64Type>();
    let values: Float64Array = (0..degrees.len())
        .map(|row| {
            let is_known = confidence.is_valid(row) && degrees.is_valid(row) && degrees.value(row) >= 1.0;
            is_known.then(|| stats::t_critical(confidence.value(row), degrees.value(row) as usize))
        })
        .collect();
    Ok(ColumnarValue::Array(Arc::new(values) as ArrayRef))
}
