//! Numbers of one column, with as many decimals each.

use super::short_number;
use crate::query::Value;

/// What the smallest number of a column is told with.
const SIGNIFICANT: i32 = 4;
const MOST_DECIMALS: i32 = 6;
/// A column in which numbers differ by more is told number by number.
const WIDEST: f64 = 1e6;

/// Writes the numbers of a column alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits(Option<usize>);

impl Digits {
    pub fn of<'a>(values: impl Iterator<Item = &'a Value>) -> Self {
        let sizes: Vec<f64> = values
            .filter_map(|value| match value {
                Value::Float(number) if *number != 0.0 && number.is_finite() => Some(number.abs()),
                _ => None,
            })
            .collect();
        let Some(least) = sizes.iter().copied().reduce(f64::min) else { return Self(None) };
        let most = sizes.iter().copied().fold(least, f64::max);
        if most / least >= WIDEST || !(1e-4..1e15).contains(&most) {
            return Self(None);
        }
        if sizes.iter().all(|size| size.fract() == 0.0) {
            return Self(Some(0));
        }
        let magnitude = |size: f64| size.log10().floor() as i32;
        // As many as the largest has room for with six digits.
        let room = (5 - magnitude(most)).clamp(0, MOST_DECIMALS);
        // The smallest would be told with less than two digits.
        if room < 1 - magnitude(least) {
            return Self(None);
        }
        Self(Some((SIGNIFICANT - 1 - magnitude(least)).clamp(0, room) as usize))
    }

    pub fn write(self, number: f64) -> String {
        match self.0 {
            Some(decimals) if number.is_finite() => format!("{number:.decimals$}"),
            _ => short_number(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn column(values: &[f64]) -> Vec<String> {
        let values: Vec<Value> = values.iter().map(|value| Value::Float(*value)).collect();
        let digits = Digits::of(values.iter());
        values.iter().filter_map(|value| Some(digits.write(value.as_f64()?))).collect()
    }

    #[test]
    fn numbers_of_a_column_have_as_many_decimals() {
        assert_eq!(column(&[339.774, 18.3204]), ["339.77", "18.32"]);
        assert_eq!(column(&[1142.48, 24564.2, 0.0]), ["1142", "24564", "0"]);
        assert_eq!(column(&[0.00123, 0.5]), ["0.001230", "0.500000"]);
        assert_eq!(column(&[1.0, f64::INFINITY]), ["1", "inf"]);
        assert_eq!(column(&[8.0, 64.0]), ["8", "64"]);
        assert_eq!(column(&[339774.0, 0.4]), ["339774", "0.4"]);
        // Nothing is rounded away where numbers have nothing in common.
        assert_eq!(column(&[1e-9, 1e9]), ["1.00000e-9", "1000000000"]);
    }

    proptest! {
        #[test]
        fn any_numbers_are_told_and_none_becomes_nothing(values in prop::collection::vec(any::<f64>(), 0..8)) {
            for (text, value) in column(&values).iter().zip(&values) {
                let told: f64 = text.parse().unwrap();
                prop_assert_eq!(told == 0.0, *value == 0.0, "{} of {}", text, value);
            }
        }
    }
}
