//! What tells documents of one format from those of others.

use super::document::at;
use serde_json::{Map, Value};
use std::fmt;

/// What a document of a format has, or lacks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sign {
    Has(&'static str, Shape),
    /// One of these at least.
    Any(&'static [(&'static str, Shape)]),
    Lacks(&'static str, Shape),
}

/// The kind of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Object,
    List,
    Number,
    Text,
}

impl Shape {
    pub fn of(self, value: &Value) -> bool {
        match self {
            Self::Object => value.is_object(),
            Self::List => value.is_array(),
            Self::Number => value.is_number(),
            Self::Text => value.is_string(),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object => "an object",
            Self::List => "a list",
            Self::Number => "a number",
            Self::Text => "a string",
        })
    }
}

impl Sign {
    pub fn holds(&self, document: &Map<String, Value>) -> bool {
        let has = |path: &str, shape: Shape| at(document, path).is_some_and(|value| shape.of(value));
        match *self {
            Self::Has(path, shape) => has(path, shape),
            Self::Any(signs) => signs.iter().any(|(path, shape)| has(path, *shape)),
            Self::Lacks(path, shape) => !has(path, shape),
        }
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Has(path, shape) => write!(f, "`{path}` is {shape}"),
            Self::Lacks(path, shape) => write!(f, "`{path}` is not {shape}"),
            Self::Any(signs) => {
                for (index, (path, shape)) in signs.iter().enumerate() {
                    write!(f, "{}`{path}` is {shape}", if index == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
        }
    }
}
