//! `effects(list, noise, degrees)`: what each parameter does to a metric, from a list of `{log, sweep, serve, bench}`, one for each combination:
//! the logarithm of the metric, and the parameters as JSON. `noise` and `degrees`: the variance of a combination's mean over its runs, and
//! its degrees of freedom, where they are known. A list of rows: parameters in order, each with its levels.

use crate::id::column_name;
use crate::params::value_text;
use crate::stats::effects::{Effect, Level, Noise, Observation, effects};
use arrow::array::{
    Array, ArrayRef, AsArray, Float64Builder, Int64Builder, ListBuilder, StringBuilder, StructArray, StructBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use serde_json::{Map, Value};
use std::sync::Arc;

pub fn effects_function() -> ScalarUDF {
    ScalarUDF::from(Effects { signature: Signature::any(3, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Effects {
    signature: Signature,
}

impl ScalarUDFImpl for Effects {
    fn name(&self) -> &str {
        "effects"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(rows_builder().finish().data_type().clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let numbers = arrays[1..]
            .iter()
            .map(|array| cast(array, &DataType::Float64))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let number = |argument: usize, row: usize| {
            let column = numbers[argument].as_primitive::<Float64Type>();
            column.is_valid(row).then(|| column.value(row))
        };
        let Some(lists) = arrays[0].as_list_opt::<i32>() else {
            return exec_err!("effects takes a list of {{log, sweep, serve, bench}}");
        };
        let mut rows = rows_builder();
        for row in 0..lists.len() {
            if lists.is_null(row) {
                rows.append(false);
                continue;
            }
            let noise = number(0, row).zip(number(1, row)).filter(|(_, degrees)| *degrees > 0.0);
            let noise = noise.map(|(variance, degrees)| Noise { variance, degrees });
            let observations = observations(&lists.value(row))?;
            effects(&observations, noise).iter().enumerate().for_each(|(place, effect)| add(&mut rows, place, effect));
            rows.append(true);
        }
        Ok(ColumnarValue::Array(Arc::new(rows.finish()) as ArrayRef))
    }
}

fn observations(list: &ArrayRef) -> Result<Vec<Observation>> {
    let rows: &StructArray = list.as_struct();
    let text = |name: &str| rows.column_by_name(name).map(|column| cast(column, &DataType::Utf8)).transpose();
    let (Some(logs), Some(sweeps), Some(serve), Some(bench)) =
        (rows.column_by_name("log"), text("sweep")?, text("serve")?, text("bench")?)
    else {
        return exec_err!("effects takes a list of {{log, sweep, serve, bench}}");
    };
    let logs = cast(logs, &DataType::Float64)?;
    let logs = logs.as_primitive::<Float64Type>();
    let of = |row: usize| {
        let mut settings = vec![("sweep".to_owned(), sweeps.as_string::<i32>().value(row).to_owned())];
        for column in [&serve, &bench] {
            let text = column.as_string::<i32>();
            let parsed = text.is_valid(row).then(|| serde_json::from_str::<Map<String, Value>>(text.value(row)).ok());
            let entries = parsed.flatten().into_iter().flatten();
            settings.extend(entries.map(|(name, value)| (column_name(&name), value_text(&value))));
        }
        Observation { log: logs.value(row), settings }
    };
    Ok((0..rows.len()).filter(|row| logs.is_valid(*row) && logs.value(*row).is_finite()).map(of).collect())
}

fn rows_builder() -> ListBuilder<StructBuilder> {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Float64, true);
    let count = |name: &str| Field::new(name, DataType::Int64, true);
    let fields = vec![
        count("place"),
        text("parameter"),
        number("share"),
        number("p_value"),
        text("inseparable"),
        count("level_place"),
        text("value"),
        count("combinations"),
        number("level"),
        number("effect"),
        number("effect_low"),
        number("effect_high"),
    ];
    ListBuilder::new(StructBuilder::from_fields(fields, 0))
}

/// The rows of an effect; one without levels has one.
fn add(rows: &mut ListBuilder<StructBuilder>, place: usize, effect: &Effect) {
    if effect.levels.is_empty() {
        add_level(rows, place, effect, None);
    }
    effect.levels.iter().enumerate().for_each(|level| add_level(rows, place, effect, Some(level)));
}

#[expect(clippy::expect_used, reason = "the fields are those of the builder")]
fn add_level(rows: &mut ListBuilder<StructBuilder>, place: usize, effect: &Effect, level: Option<(usize, &Level)>) {
    let known = "the fields are those of the builder";
    let row = rows.values();
    let of = level.map(|(_, level)| level);
    for (field, value) in [
        (0, Some(place as i64)),
        (5, level.map(|(index, _)| index as i64)),
        (7, of.map(|level| level.combinations as i64)),
    ] {
        row.field_builder::<Int64Builder>(field).expect(known).append_option(value);
    }
    let inseparable = (!effect.inseparable.is_empty()).then(|| effect.inseparable.join(", "));
    for (field, value) in
        [(1, Some(effect.parameter.clone())), (4, inseparable), (6, of.map(|level| level.value.clone()))]
    {
        row.field_builder::<StringBuilder>(field).expect(known).append_option(value);
    }
    let interval = of.and_then(|level| level.interval);
    for (field, value) in [
        (2, effect.share),
        (3, effect.p_value),
        (8, of.and_then(|level| level.mean)),
        (9, of.and_then(|level| level.change)),
        (10, interval.map(|(low, _)| low)),
        (11, interval.map(|(_, high)| high)),
    ] {
        row.field_builder::<Float64Builder>(field).expect(known).append_option(value);
    }
    row.append(true);
}
