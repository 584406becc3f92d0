//! Functions that SQL lacks.

use super::effects::effects_function;
use crate::id::column_name;
use crate::params::value_text;
use crate::stats;
use crate::table::Kind;
use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Float64Builder, Int64Builder, ListBuilder, StringBuilder, StructBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::error::Result;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, create_udf,
};
use serde_json::{Map, Value};
use std::sync::{Arc, LazyLock};

pub fn register(context: &SessionContext) {
    context.register_udf(t_critical());
    context.register_udf(json_entries());
    context.register_udf(effects_function());
    context.register_udf(change_points());
    context.register_udwf(super::best::best_probability());
    context.register_udf(ScalarUDF::clone(&as_number()));
    context.register_udf(ScalarUDF::clone(&spelled()));
    context.register_udf(ScalarUDF::from(Conversion::new(AS_SETTING)));
}

/// `as_number(value)`: the number that a text spells, NULL for any other; numbers are what they are.
pub fn as_number() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(Conversion::new(AS_NUMBER))));
    FUNCTION.clone()
}

/// `spelled(value)`: a number as people write it, `8` and not `8.0`; texts are what they are.
pub fn spelled() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(Conversion::new(SPELLED))));
    FUNCTION.clone()
}

/// The functions by which the two sides of a mixed column are told apart.
pub const AS_NUMBER: &str = "as_number";
pub const AS_SETTING: &str = "as_setting";
const SPELLED: &str = "spelled";

/// One of the functions between numbers and how they are spelled.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Conversion {
    name: &'static str,
    signature: Signature,
}

impl Conversion {
    fn new(name: &'static str) -> Self {
        Self { name, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Conversion {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.name == AS_NUMBER { DataType::Float64 } else { DataType::Utf8 })
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let holds = self.return_type(&[])?;
        // What was chosen among the values of a mixed column is one of them.
        let kind = (self.name == AS_SETTING).then_some(Kind::Context);
        let name = arguments.arg_fields.first().map_or(self.name, |field| field.name().as_str());
        Ok(Arc::new(crate::store::field_of(name, holds, kind, self.name == AS_SETTING)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let value = &arrays[0];
        let array: ArrayRef = match (self.name, value.data_type()) {
            (AS_NUMBER, DataType::Boolean) => Arc::new(Float64Array::new_null(value.len())),
            (AS_NUMBER, _) => cast(value, &DataType::Float64)?,
            (_, holds) if holds.is_floating() => Arc::new(crate::store::spelled(value)?),
            _ => cast(value, &DataType::Utf8)?,
        };
        Ok(ColumnarValue::Array(array))
    }
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

/// `change_points(levels, threshold)`: where a series of levels, in the order of time, changed by at least that share: a list of
/// `{at, shape, change, p_value}`, `at` counted from 1. Of a series alone: for several, multiply the p-value by their number.
fn change_points() -> ScalarUDF {
    let levels = DataType::new_list(DataType::Float64, true);
    let points = points_builder().finish().data_type().clone();
    let evaluate = Arc::new(evaluate_change_points);
    create_udf("change_points", vec![levels, DataType::Float64], points, Volatility::Immutable, evaluate)
}

fn points_builder() -> ListBuilder<StructBuilder> {
    let fields = [
        Field::new("at", DataType::Int64, true),
        Field::new("shape", DataType::Utf8, true),
        Field::new("change", DataType::Float64, true),
        Field::new("p_value", DataType::Float64, true),
    ];
    ListBuilder::new(StructBuilder::from_fields(fields.to_vec(), 0))
}

#[expect(clippy::expect_used, reason = "the fields are those of the builder")]
fn evaluate_change_points(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    let (lists, thresholds) = (arrays[0].as_list::<i32>(), arrays[1].as_primitive::<Float64Type>());
    let mut points = points_builder();
    for row in 0..lists.len() {
        let levels = lists.is_valid(row).then(|| lists.value(row));
        let series: stats::Series = match &levels {
            Some(levels) => levels
                .as_primitive::<Float64Type>()
                .iter()
                .map(|level| level.filter(|level| *level > 0.0).map(f64::ln))
                .collect(),
            None => Vec::new(),
        };
        let threshold = if thresholds.is_valid(row) { thresholds.value(row) } else { 0.0 };
        for point in stats::change_points(&[series], threshold).concat() {
            let entry = points.values();
            let known = "the fields are those of the builder";
            entry.field_builder::<Int64Builder>(0).expect(known).append_value(point.at as i64 + 1);
            entry.field_builder::<StringBuilder>(1).expect(known).append_value(point.shape.as_str());
            entry.field_builder::<Float64Builder>(2).expect(known).append_value(point.change);
            entry
                .field_builder::<Float64Builder>(3)
                .expect(known)
                .append_option(Some(point.p_value).filter(|p| !p.is_nan()));
            entry.append(true);
        }
        points.append(levels.is_some());
    }
    Ok(ColumnarValue::Array(Arc::new(points.finish()) as ArrayRef))
}

/// `json_entries(text)`: the entries of a JSON object as a list of `{name, value}`, names spelled as columns are. NULL for what
/// is no object.
fn json_entries() -> ScalarUDF {
    let entries = entries_builder().finish().data_type().clone();
    create_udf("json_entries", vec![DataType::Utf8], entries, Volatility::Immutable, Arc::new(evaluate_json_entries))
}

fn entries_builder() -> ListBuilder<StructBuilder> {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    ListBuilder::new(StructBuilder::from_fields(vec![text("name"), text("value")], 0))
}

#[expect(clippy::expect_used, reason = "both fields are texts")]
fn evaluate_json_entries(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    let mut lists = entries_builder();
    for text in arrays[0].as_string::<i32>() {
        let parsed = text.and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
        for (name, value) in parsed.iter().flatten() {
            let entry = lists.values();
            for (index, text) in [column_name(name), value_text(value)].into_iter().enumerate() {
                entry.field_builder::<StringBuilder>(index).expect("both fields are texts").append_value(text);
            }
            entry.append(true);
        }
        lists.append(parsed.is_some());
    }
    Ok(ColumnarValue::Array(Arc::new(lists.finish()) as ArrayRef))
}
