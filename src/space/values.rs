//! The values of a parameter as they are typed: words, ranges, JSON.
//!
//! | typed | values |
//! | --- | --- |
//! | `8,64,auto` | each of them |
//! | `1..256*2` | 1, 2, 4 … 256: each so many times the one before |
//! | `2..10+2` | 2, 4 … 10: each so much more |
//! | `1..100#5` | so many, evenly spaced |
//! | `"a,b"`, `[1,2]`, `{"level":3}` | a JSON value |
//!
//! Of a range by factor or number whose ends are whole, values are rounded to whole ones.

use crate::params::scalar;
use serde_json::{Deserializer, Number, Value};

/// A range of more values than this is a slip of the finger.
const MOST_VALUES: usize = 10_000;

/// A whole number is a float of its own up to here.
const LARGEST_WHOLE: f64 = 9e15;

/// All values of a list, in their order, none twice.
pub fn values(text: &str) -> Result<Vec<Value>, String> {
    let mut all = Vec::new();
    for item in items(text, ',')? {
        match item {
            Item::Json(value) => all.push(value),
            Item::Word(word) => match word.split_once("..") {
                Some((first, rest)) => all.extend(range(word, first, rest)?),
                None => all.push(scalar(word)),
            },
        }
    }
    Ok(without_repeats(all))
}

/// Values of several parameters that go together: `128:32,1024:128`.
pub fn tuples(text: &str, width: usize) -> Result<Vec<Vec<Value>>, String> {
    let mut all = Vec::new();
    for part in split(text, ',')? {
        let parts = items(part, ':')?;
        if parts.len() != width {
            return Err(format!("{part:?} has {} values for {width} parameters; separate them with `:`", parts.len()));
        }
        let values = parts.into_iter().map(|item| match item {
            Item::Json(value) => Ok(value),
            Item::Word(word) if word.contains("..") => {
                Err(format!("{word:?}: a range can't stand among values that go together"))
            }
            Item::Word(word) => Ok(scalar(word)),
        });
        all.push(values.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(without_repeats(all))
}

pub fn without_repeats<T: PartialEq>(all: Vec<T>) -> Vec<T> {
    let mut kept = Vec::with_capacity(all.len());
    all.into_iter().for_each(|value| {
        if !kept.contains(&value) {
            kept.push(value);
        }
    });
    kept
}

/// A value as a word that is read back as the same value.
pub fn word(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let is_plain = !text.is_empty()
                && !text.starts_with(['"', '[', '{'])
                && !text.contains([',', ':'])
                && !text.contains("..")
                && text.trim() == text
                && scalar(text) == *value;
            if is_plain { text.clone() } else { value.to_string() }
        }
        other => other.to_string(),
    }
}

enum Item<'a> {
    Word(&'a str),
    Json(Value),
}

fn items(text: &str, separator: char) -> Result<Vec<Item<'_>>, String> {
    let items = split(text, separator)?.into_iter().map(|part| match part.starts_with(['"', '[', '{']) {
        true => serde_json::from_str(part).map(Item::Json).map_err(|error| format!("{part}: {error}")),
        false => Ok(Item::Word(part)),
    });
    items.collect()
}

/// Cuts at separators that stand outside JSON values.
fn split(text: &str, separator: char) -> Result<Vec<&str>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let end = match rest.starts_with(['"', '[', '{']) {
            true => {
                let mut values = Deserializer::from_str(rest).into_iter::<Value>();
                let value = values.next().unwrap_or(Ok(Value::Null));
                value.map_err(|error| format!("{rest}: {error}"))?;
                let end = values.byte_offset();
                end + rest.get(end..).and_then(|tail| tail.find(separator)).unwrap_or(rest.len() - end)
            }
            false => rest.find(separator).unwrap_or(rest.len()),
        };
        let (part, tail) = rest.split_at(end);
        match part.trim_end() {
            "" => return Err("a value is missing".into()),
            part => parts.push(part),
        }
        match tail.strip_prefix(separator) {
            Some(tail) => rest = tail,
            None => return Ok(parts),
        }
    }
}

/// How a range goes from one value to the next.
enum Stride {
    Times(f64),
    Plus(f64),
    Count(usize),
}

fn range(text: &str, first: &str, rest: &str) -> Result<Vec<Value>, String> {
    let form = || {
        format!("{text:?} is not a range; write 1..256*2, 2..10+2 or 1..100#5, or a text with dots in double quotes")
    };
    let number = |word: &str| word.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    // Behind the first letter: `1..+5` has no sign of its own, and `1e+3` has one.
    let place = rest.char_indices().skip(1).find(|(at, letter)| match letter {
        '*' | '#' => true,
        '+' => !rest.get(..*at).is_some_and(|before| before.ends_with(['e', 'E'])),
        _ => false,
    });
    let (at, sign) = place.ok_or_else(form)?;
    let (last, step) = rest.split_at(at);
    let (first, last) = number(first).zip(number(last)).ok_or_else(form)?;
    let step = step
        .strip_prefix(sign)
        .filter(|step| step.starts_with(|first: char| first.is_ascii_digit() || "-.".contains(first)));
    let step = step.and_then(number).ok_or_else(form)?;
    let stride = match sign {
        '*' if step > 1.0 && first > 0.0 => Stride::Times(step),
        '*' => return Err(format!("{text:?} has no end: its factor must be above 1 and its first value above 0")),
        '+' if step > 0.0 => Stride::Plus(step),
        '+' => return Err(format!("{text:?} has no end: its step must be above 0")),
        _ if step.fract() == 0.0 && step >= 2.0 && step <= MOST_VALUES as f64 => Stride::Count(step as usize),
        _ => return Err(format!("{text:?}: the number of values must be whole, from 2 to {MOST_VALUES}")),
    };
    if first > last {
        return Err(format!("{text:?} is empty: {} is above {}", spelled(first), spelled(last)));
    }
    let are_whole = first.fract() == 0.0 && last.fract() == 0.0;
    let is_rounded = are_whole && !matches!(stride, Stride::Plus(_));
    let values = spaced(first, last, &stride);
    if values.len() > MOST_VALUES {
        return Err(format!("{text:?} has more than {MOST_VALUES} values"));
    }
    Ok(without_repeats(
        values.into_iter().map(|value| written(if is_rounded { value.round() } else { value })).collect(),
    ))
}

fn spaced(first: f64, last: f64, stride: &Stride) -> Vec<f64> {
    // What misses the end by rounding alone reaches it.
    let within = |value: &f64| match stride {
        Stride::Plus(more) => *value <= last + more * 1e-6,
        Stride::Times(_) | Stride::Count(_) => *value <= last * (1.0 + 1e-9),
    };
    let steps = 0..=MOST_VALUES;
    match stride {
        Stride::Times(factor) => steps.map(|step| first * factor.powi(step as i32)).take_while(within).collect(),
        Stride::Plus(more) => steps.map(|step| first + more * step as f64).take_while(within).collect(),
        Stride::Count(count) => {
            (0..*count).map(|step| first + (last - first) * step as f64 / (count - 1) as f64).collect()
        }
    }
}

/// A number as people would have typed it: 0.3 and not 0.30000000000000004.
pub fn written(value: f64) -> Value {
    let short: f64 = format!("{value:.14e}").parse().unwrap_or(value);
    match short.fract() == 0.0 && short.abs() < LARGEST_WHOLE {
        true => (short as i64).into(),
        false => Number::from_f64(short).map_or_else(|| short.to_string().into(), Value::Number),
    }
}

fn spelled(value: f64) -> String {
    written(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(text: &str) -> Value {
        values(text).map_or_else(Value::from, Value::from)
    }

    #[test]
    fn words_and_json_are_values() {
        assert_eq!(of("64,128,256"), json!([64, 128, 256]));
        assert_eq!(of("auto, fp8,true,null,1.5,inf"), json!(["auto", "fp8", true, null, 1.5, "inf"]));
        assert_eq!(of(r#""a,b",{"level":3},[1,2],x"#), json!(["a,b", {"level": 3}, [1, 2], "x"]));
        assert_eq!(of("8,8"), json!([8]));
        // Numbers stay as they were written.
        assert_eq!(of("1e3,1.50"), json!(["1e3", "1.50"]));
        assert_eq!(
            of("12345678901234..12345678901236+1"),
            json!([12345678901234i64, 12345678901235i64, 12345678901236i64])
        );
        for bad in ["", "1,", ",1", "1,,2", "[1", "\"a"] {
            assert!(values(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_have_both_ends() {
        assert_eq!(of("1..256*2"), json!([1, 2, 4, 8, 16, 32, 64, 128, 256]));
        assert_eq!(of("1024..8192*2"), json!([1024, 2048, 4096, 8192]));
        assert_eq!(of("2..10+2"), json!([2, 4, 6, 8, 10]));
        assert_eq!(of("0.1..0.5+0.1"), json!([0.1, 0.2, 0.3, 0.4, 0.5]));
        assert_eq!(of("1..3+0.5"), json!([1, 1.5, 2, 2.5, 3]));
        assert_eq!(of("-2..2#5"), json!([-2, -1, 0, 1, 2]));
        assert_eq!(of("0.5..1.5#3"), json!([0.5, 1, 1.5]));
        assert_eq!(of("1e2..1e+3*10"), json!([100, 1000]));
        assert_eq!(of("5..5+1,100"), json!([5, 100]));
    }

    #[test]
    fn whole_ends_make_whole_values_each_once() {
        assert_eq!(of("1..10*1.5"), json!([1, 2, 3, 5, 8]));
        assert_eq!(of("1.0..4*1.5"), json!([1, 2, 3]));
        assert_eq!(of("1..10#4"), json!([1, 4, 7, 10]));
    }

    #[test]
    fn endless_and_empty_ranges_are_told_apart() {
        for (text, part) in [
            ("9..1*2", "is empty: 9 is above 1"),
            ("1..9*1", "has no end"),
            ("0..9*2", "has no end"),
            ("1..9+0", "has no end"),
            ("1..inf*2", "is not a range"),
            ("1..1e9+1", "more than 10000"),
            ("1..9#1", "from 2 to 10000"),
            ("1..9", "1..256*2"),
            ("1..9++2", "is not a range"),
            ("../x", "in double quotes"),
            ("a..b", "is not a range"),
        ] {
            let error = values(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_goes_together_has_as_many_values_as_parameters() {
        let found = tuples("128:32, 1024:128", 2).unwrap();
        assert_eq!(json!(found), json!([[128, 32], [1024, 128]]));
        assert_eq!(json!(tuples(r#""http://h:1":a"#, 2).unwrap()), json!([["http://h:1", "a"]]));
        assert!(tuples("1..4*2:3", 2).unwrap_err().contains("a range can't stand"));
        assert!(tuples("128:32,1024", 2).unwrap_err().contains("\"1024\" has 1 values for 2 parameters"));
    }

    proptest::proptest! {
        #[test]
        fn a_range_stays_between_its_ends_and_ascends(first in -1000i32..1000, length in 0i32..1000, step in 1i32..50) {
            let last = first + length;
            let found = values(&format!("{first}..{last}+{step}")).unwrap();
            let found: Vec<i64> = found.iter().map(|value| value.as_i64().unwrap()).collect();
            let expected: Vec<i64> = (first..=last).step_by(step as usize).map(i64::from).collect();
            proptest::prop_assert_eq!(found, expected);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-0-9a-e.*+#,:\"\\[\\]{} ]{0,24}") {
            let _ = (values(&text), tuples(&text, 2));
        }
    }
}
