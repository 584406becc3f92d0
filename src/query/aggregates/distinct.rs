//! `count(DISTINCT column)` of all rows: a set in many small parts, each of which stays in a core's cache, filled by all cores and
//! united by all.

use super::exchange::{Handover, Reach, State};
use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::datatypes::{DataType, FieldRef, Float64Type, Int64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use rayon::prelude::*;
use std::hash::BuildHasher;
use std::sync::Arc;

/// `count(DISTINCT column)` of a plan without groups.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct CountDistinct {
    signature: Signature,
    handover: Handover<Parts>,
}

impl CountDistinct {
    pub fn new(reach: Reach) -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable), handover: Handover::new(reach) }
    }
}

impl AggregateUDFImpl for CountDistinct {
    fn name(&self) -> &str {
        "count_distinct"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(0)))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let kind = args.expr_fields[0].data_type();
        let converter = match is_bytes(kind) {
            true => None,
            false => Some(RowConverter::new(vec![SortField::new(kind.clone())])?),
        };
        Ok(Box::new(Distinct { parts: no_parts(), converter, handover: self.handover.clone() }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(self.handover.field(args.name))])
    }
}

/// A set.
type Parts = Vec<Part>;

/// Parts of a set. A third of a million texts then take some hundred kilobytes in each.
const PARTS: usize = 64;

/// Numbers by their bits; other values as bytes, and a table of where each of them lies.
#[derive(Debug, Default)]
struct Part {
    numbers: HashTable<u64>,
    bytes: Vec<u8>,
    table: HashTable<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u64,
    from: usize,
    len: u32,
}

impl Part {
    fn insert_number(&mut self, hash: u64, bits: u64) {
        let entry = self.numbers.entry(hash, |other| *other == bits, |other| hash_of(*other));
        entry.or_insert(bits);
    }

    fn len(&self) -> usize {
        self.numbers.len() + self.table.len()
    }

    fn insert(&mut self, hash: u64, value: &[u8]) {
        let Self { bytes, table, .. } = self;
        let is_same =
            |place: &Place| place.hash == hash && &bytes[place.from..place.from + place.len as usize] == value;
        if table.find(hash, is_same).is_none() {
            let place = Place { hash, from: bytes.len(), len: value.len() as u32 };
            bytes.extend_from_slice(value);
            table.insert_unique(hash, place, |place| place.hash);
        }
    }

    fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.table.iter().map(|place| &self.bytes[place.from..place.from + place.len as usize])
    }

    fn unite(self, other: Self) -> Self {
        let (mut larger, smaller) = if self.len() < other.len() { (other, self) } else { (self, other) };
        for bits in smaller.numbers {
            larger.insert_number(hash_of(bits), bits);
        }
        for place in &smaller.table {
            larger.insert(place.hash, &smaller.bytes[place.from..place.from + place.len as usize]);
        }
        larger
    }

    fn size(&self) -> usize {
        self.numbers.allocation_size() + self.bytes.capacity() + self.table.allocation_size()
    }
}

#[derive(Debug)]
struct Distinct {
    parts: Parts,
    /// Makes bytes of values that are none.
    converter: Option<RowConverter>,
    handover: Handover<Parts>,
}

fn no_parts() -> Parts {
    (0..PARTS).map(|_| Part::default()).collect()
}

impl State for Parts {
    /// How many numbers, the numbers, and behind them the values, each behind its length.
    fn write(&self, bytes: &mut Vec<u8>) {
        let numbers: usize = self.iter().map(|part| part.numbers.len()).sum();
        bytes.extend((numbers as u64).to_le_bytes());
        bytes.reserve(numbers * size_of::<u64>());
        self.iter().flat_map(|part| &part.numbers).for_each(|bits| bytes.extend_from_slice(&bits.to_le_bytes()));
        for value in self.iter().flat_map(Part::values) {
            bytes.extend((value.len() as u32).to_le_bytes());
            bytes.extend_from_slice(value);
        }
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let mut parts = no_parts();
        let (count, rest) = bytes.split_first_chunk()?;
        let numbers = (u64::from_le_bytes(*count) as usize).checked_mul(size_of::<u64>())?;
        let (numbers, mut rest) = rest.split_at_checked(numbers)?;
        for bits in numbers.as_chunks().0 {
            let bits = u64::from_le_bytes(*bits);
            let hash = hash_of(bits);
            part(&mut parts, hash).insert_number(hash, bits);
        }
        let mut values = Vec::new();
        while let Some((length, behind)) = rest.split_first_chunk() {
            let (value, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            values.push(Some(value));
            rest = behind;
        }
        add(&mut parts, values.into_iter());
        rest.is_empty().then_some(parts)
    }
}

fn is_bytes(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let column = &values[0];
        if let Some(bits) = bits_of(column)? {
            bits.iter().flatten().for_each(|bits| {
                let hash = hash_of(bits);
                part(&mut self.parts, hash).insert_number(hash, bits);
            });
            return Ok(());
        }
        match (&self.converter, column.data_type()) {
            (Some(converter), _) => {
                let rows = converter.convert_columns(std::slice::from_ref(column))?;
                let values = rows.iter().enumerate().map(|(row, value)| column.is_valid(row).then(|| value.data()));
                add(&mut self.parts, values);
            }
            (None, DataType::Utf8View) => add(&mut self.parts, column.as_string_view().iter().map(as_bytes)),
            (None, DataType::LargeUtf8) => add(&mut self.parts, column.as_string::<i64>().iter().map(as_bytes)),
            (None, _) => add(&mut self.parts, column.as_string::<i32>().iter().map(as_bytes)),
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state = self.handover.give(vec![std::mem::take(&mut self.parts)]);
        Ok(vec![ScalarValue::try_from_array(&state, 0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for parts in self.handover.take(states[0].as_ref())? {
            let own = std::mem::take(&mut self.parts);
            self.parts = own.into_par_iter().zip(parts).map(|(own, other)| own.unite(other)).collect();
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let count: usize = self.parts.iter().map(Part::len).sum();
        Ok(ScalarValue::Int64(Some(count as i64)))
    }

    fn size(&self) -> usize {
        self.parts.iter().map(Part::size).sum()
    }
}

fn as_bytes(text: Option<&str>) -> Option<&[u8]> {
    text.map(str::as_bytes)
}

fn add<'a>(parts: &mut [Part], values: impl Iterator<Item = Option<&'a [u8]>>) {
    let hasher = FixedState::default();
    let mut last: Option<&[u8]> = None;
    for value in values.flatten() {
        // Equal values often follow each other.
        if last == Some(value) {
            continue;
        }
        last = Some(value);
        let hash = hasher.hash_one(value);
        part(parts, hash).insert(hash, value);
    }
}

/// The part of a value; the tables use the highest and the lowest bits.
fn part(parts: &mut [Part], hash: u64) -> &mut Part {
    &mut parts[(hash >> 32) as usize % PARTS]
}

fn hash_of(bits: u64) -> u64 {
    FixedState::default().hash_one(bits)
}

/// Numbers as bits that are equal where the numbers are; `None` for other columns.
fn bits_of(column: &ArrayRef) -> Result<Option<UInt64Array>> {
    Ok(match column.data_type() {
        // Both zeros are one number, and so are all that are none.
        DataType::Float64 => Some(
            column
                .as_primitive::<Float64Type>()
                .unary(|value| if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() }),
        ),
        DataType::Int64 => Some(column.as_primitive::<Int64Type>().unary(|value| value as u64)),
        _ => None,
    })
}
