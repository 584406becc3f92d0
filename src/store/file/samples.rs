//! Samples as a table: one row for each value.

use super::schema::field_of;
use crate::table::Table;
use crate::telemetry::Samples;
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use std::sync::Arc;

/// The run that samples belong to.
#[derive(Clone, Copy, Debug)]
pub struct Sampled<'a> {
    pub sweep: &'a str,
    pub combination: &'a str,
    pub run_id: &'a str,
    pub run_number: i64,
}

/// Rows of table `telemetry`, in the order in which they were sampled.
pub fn samples_to_batch(run: Sampled<'_>, samples: &Samples) -> Result<RecordBatch, ArrowError> {
    let same =
        |text: &str| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, samples.len()))) as ArrayRef;
    let columns: [(&str, ArrayRef); 9] = [
        ("sweep", same(run.sweep)),
        ("combination", same(run.combination)),
        ("run_id", same(run.run_id)),
        ("run_number", Arc::new(Int64Array::from_value(run.run_number, samples.len()))),
        ("at_s", Arc::new(Float64Array::from_iter_values(samples.iter().map(|(_, at_s, _)| at_s)))),
        (
            "source",
            Arc::new(StringArray::from_iter_values(samples.iter().map(|(series, _, _)| series.source.as_str()))),
        ),
        ("device", Arc::new(StringArray::from_iter(samples.iter().map(|(series, _, _)| series.device.as_deref())))),
        ("metric", Arc::new(StringArray::from_iter_values(samples.iter().map(|(series, _, _)| &*series.metric)))),
        ("value", Arc::new(Float64Array::from_iter_values(samples.iter().map(|(_, _, value)| value)))),
    ];
    let field = |(name, array): &(&str, ArrayRef)| -> Field {
        let kind = Table::Telemetry.column(name).map(|column| column.kind);
        field_of(name, array.data_type().clone(), kind, false)
    };
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, array)| array).collect())
}
