//! A parameter, or several that go together, with the values that it takes.

use super::values::{tuples, values, without_repeats, word};
use crate::id::column_name;
use crate::params::{ParamSet, is_flag_name};
use crate::redact::Redactor;
use serde_json::Value;

#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub keys: Vec<String>,
    /// Of each choice a value for each key.
    pub choices: Vec<Vec<Value>>,
}

impl Axis {
    /// Reads `max_num_seqs=64,128` or `random_input_len,random_output_len=128:32,1024:128`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (keys, typed) = text.split_once('=').ok_or("expected NAME=VALUES, such as max_num_seqs=64,128,256")?;
        let keys = keys_of(keys)?;
        let choices = match keys.len() {
            1 => values(typed)?.into_iter().map(|value| vec![value]).collect(),
            width => tuples(typed, width)?,
        };
        Ok(Self { keys, choices })
    }

    /// Reads an entry of a `_grid`: a list of values, a text as it would be typed, or one value.
    pub fn of_json(name: &str, value: &Value) -> Result<Self, String> {
        let text = |text: &String| Self::parse(&format!("{name}={text}"));
        let keys = keys_of(name)?;
        let choices: Vec<Vec<Value>> = match (value, keys.len()) {
            (Value::String(typed), _) => return text(typed),
            (Value::Array(items), 1) => items.iter().map(|item| vec![item.clone()]).collect(),
            (Value::Array(items), width) => {
                let lists = items.iter().map(|item| match item {
                    Value::Array(list) if list.len() == width => Ok(list.clone()),
                    other => Err(format!("{other} is not a list of {width} values")),
                });
                lists.collect::<Result<_, _>>()?
            }
            (one, 1) => vec![vec![one.clone()]],
            (one, width) => return Err(format!("{one} is not a list of lists of {width} values")),
        };
        match choices.is_empty() {
            true => Err("has no value".into()),
            false => Ok(Self { keys, choices: without_repeats(choices) }),
        }
    }

    /// Its choices as sets.
    pub fn sets(&self) -> Vec<ParamSet> {
        let set = |values: &Vec<Value>| ParamSet {
            name: None,
            params: self.keys.iter().cloned().zip(values.iter().cloned()).collect(),
        };
        self.choices.iter().map(set).collect()
    }

    /// The axis as it may be stored.
    pub fn redacted(&self, redactor: &Redactor) -> Self {
        let choices =
            self.sets().into_iter().map(|set| set.redacted(redactor).params.into_iter().map(|(_, value)| value));
        Self { keys: self.keys.clone(), choices: choices.map(Iterator::collect).collect() }
    }

    /// The axis as it could have been typed.
    pub fn typed(&self) -> String {
        let choices = self.choices.iter().map(|values| values.iter().map(word).collect::<Vec<_>>().join(":"));
        format!("{}={}", self.keys.join(","), choices.collect::<Vec<_>>().join(","))
    }

    pub fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|own| column_name(own) == column_name(key))
    }
}

fn keys_of(text: &str) -> Result<Vec<String>, String> {
    let keys: Vec<String> = text.split(',').map(|key| key.trim().to_owned()).collect();
    for (index, key) in keys.iter().enumerate() {
        if !is_flag_name(key) {
            return Err(format!("{key:?} is not a flag name; write it without leading dashes"));
        }
        if keys.iter().take(index).any(|earlier| column_name(earlier) == column_name(key)) {
            return Err(format!("{key:?} is there twice"));
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_parameter_or_several() {
        let axis = Axis::parse("max_num_seqs=64,128").unwrap();
        assert_eq!((axis.keys, json!(axis.choices)), (vec!["max_num_seqs".to_owned()], json!([[64], [128]])));
        let axis = Axis::parse("in, out = 128:32,1024:128").unwrap();
        assert_eq!((axis.keys.len(), json!(axis.choices)), (2, json!([[128, 32], [1024, 128]])));
        assert!(axis.has("out") && !axis.has("other"));
        for bad in ["max_num_seqs", "=1", "--a=1", "a b=1", "a,a=1:2", "a-b,a_b=1:2", "a="] {
            assert!(Axis::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["a=1..8*2,auto", "a,b=1:x,2.5:null", r#"a="1","a,b","x:y",[1,2],{"level":3},true,"1..2*2""#] {
            let axis = Axis::parse(text).unwrap();
            assert_eq!(Axis::parse(&axis.typed()).unwrap(), axis, "{text}");
        }
    }

    #[test]
    fn a_grid_in_a_file_has_lists_or_texts() {
        let of = |name: &str, value: Value| Axis::of_json(name, &value).map(|axis| json!(axis.choices));
        assert_eq!(of("a", json!([1, [2, 3], "1..4*2"])).unwrap(), json!([[1], [[2, 3]], ["1..4*2"]]));
        assert_eq!(of("a", json!("1..4*2")).unwrap(), json!([[1], [2], [4]]));
        assert_eq!(of("a", json!(7)).unwrap(), json!([[7]]));
        assert_eq!(of("a,b", json!([[1, 2]])).unwrap(), json!([[1, 2]]));
        assert!(of("a", json!([])).is_err() && of("a,b", json!([[1]])).is_err() && of("a,b", json!(1)).is_err());
    }
}
