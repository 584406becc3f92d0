//! `best_probability(low, high) OVER (PARTITION BY …)`: how likely each row has the greatest value of its partition, from the bounds
//! of its 95 % interval. A row without bounds has none; one without an upper bound has its lower one for sure.

use crate::stats::{Uncertain, greatest};
use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::error::Result;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl};
use std::sync::Arc;

/// Standard errors on each side of a 95 % interval.
const SIDE: f64 = 1.959_964;

pub fn best_probability() -> WindowUDF {
    WindowUDF::from(BestProbability { signature: Signature::any(2, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct BestProbability {
    signature: Signature,
}

impl WindowUDFImpl for BestProbability {
    fn name(&self) -> &str {
        "best_probability"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Evaluator))
    }

    fn field(&self, arguments: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(arguments.name(), DataType::Float64, true)))
    }
}

#[derive(Debug)]
struct Evaluator;

impl PartitionEvaluator for Evaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        let bounds: Vec<ArrayRef> =
            values.iter().map(|bound| cast(bound, &DataType::Float64)).collect::<std::result::Result<_, _>>()?;
        let number = |bound: usize, row: usize| {
            let column = bounds.get(bound)?.as_primitive::<Float64Type>();
            column.iter().nth(row).flatten().filter(|number| !number.is_nan())
        };
        let bounds: Vec<Option<(f64, f64)>> =
            (0..num_rows).map(|row| number(0, row).map(|low| (low, number(1, row).unwrap_or(low)))).collect();
        let finite = || bounds.iter().flatten().filter(|(low, high)| low.is_finite() && high.is_finite());
        let (least, most) = finite()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), (low, high)| (least.min(*low), most.max(*high)));
        // No limit at all is more than any number.
        let beyond = if most >= least { most + 10.0 * (most - least) + 1.0 } else { 0.0 };
        let of = |(low, high): &(f64, f64)| match low.is_finite() && high.is_finite() {
            true => Uncertain { mean: (low + high) / 2.0, std: (high - low).abs() / 2.0 / SIDE },
            false => Uncertain { mean: beyond, std: 0.0 },
        };
        let rows: Vec<Option<Uncertain>> = bounds.iter().map(|bounds| bounds.as_ref().map(of)).collect();
        let mut shares = greatest(&rows.iter().flatten().copied().collect::<Vec<_>>()).into_iter();
        let column: Float64Array = rows.iter().map(|row| row.and_then(|_| shares.next())).collect();
        Ok(Arc::new(column))
    }

    fn uses_window_frame(&self) -> bool {
        false
    }
}
