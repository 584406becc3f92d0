//! Finds fields of a JSON text without building a value of it: what a stream brings is read once, and most of it is of no interest.

use memchr::memchr2;

/// Where fields stand, as a tree of keys.
pub struct Paths<F> {
    nodes: Vec<Node<F>>,
}

struct Node<F> {
    field: Option<F>,
    keys: Vec<(&'static str, usize)>,
    /// What is wanted of an array's first element.
    first: Option<usize>,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found<'a> {
    Null,
    /// What stands between the quotes, escapes and all.
    Text(&'a [u8]),
    Number(&'a [u8]),
    /// An object, an array, or a boolean.
    Other,
}

/// It is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Found<'_> {
    pub fn number(&self) -> Option<usize> {
        match self {
            Self::Number(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
            _ => None,
        }
    }
}

/// The text itself, without escapes.
pub fn unescaped(raw: &[u8]) -> String {
    if memchr::memchr(b'\\', raw).is_none() {
        return String::from_utf8_lossy(raw).into_owned();
    }
    let quoted = [b"\"", raw, b"\""].concat();
    serde_json::from_slice(&quoted).unwrap_or_else(|_| String::from_utf8_lossy(raw).into_owned())
}

impl<F: Copy> Paths<F> {
    /// By JSON pointers (RFC 6901); of arrays only the element 0 can be named.
    pub fn new(fields: &[(&'static str, F)]) -> Self {
        let mut paths = Self { nodes: vec![Node::empty()] };
        for (pointer, field) in fields {
            let mut at = 0;
            for key in pointer.split('/').skip(1) {
                at = paths.child(at, key);
            }
            paths.nodes[at].field = Some(*field);
        }
        paths
    }

    fn child(&mut self, of: usize, key: &'static str) -> usize {
        let new = self.nodes.len();
        let node = &mut self.nodes[of];
        let known =
            if key == "0" { node.first } else { node.keys.iter().find(|(known, _)| *known == key).map(|one| one.1) };
        if let Some(known) = known {
            return known;
        }
        if key == "0" {
            node.first = Some(new);
        } else {
            node.keys.push((key, new));
        }
        self.nodes.push(Node::empty());
        new
    }

    /// Tells what stands at each of the paths, in the order of the text.
    pub fn skim<'a>(&self, json: &'a [u8], found: &mut impl FnMut(F, Found<'a>)) -> Result<(), Malformed> {
        let mut reader = Reader { json, at: 0 };
        reader.blanks();
        self.value(&mut reader, Some(0), found)?;
        reader.blanks();
        if reader.at == json.len() { Ok(()) } else { Err(Malformed) }
    }

    fn value<'a>(
        &self,
        reader: &mut Reader<'a>,
        node: Option<usize>,
        found: &mut impl FnMut(F, Found<'a>),
    ) -> Result<(), Malformed> {
        let Some(node) = node.map(|node| &self.nodes[node]) else { return reader.skip() };
        let mut tell = |what: Found<'a>| {
            if let Some(field) = node.field {
                found(field, what);
            }
        };
        match reader.peek()? {
            b'"' => tell(Found::Text(reader.string()?)),
            b'{' => {
                tell(Found::Other);
                self.object(reader, node, found)?;
            }
            b'[' => {
                tell(Found::Other);
                self.array(reader, node, found)?;
            }
            _ => tell(match reader.scalar()? {
                b"null" => Found::Null,
                b"true" | b"false" => Found::Other,
                number => Found::Number(number),
            }),
        }
        Ok(())
    }

    fn object<'a>(
        &self,
        reader: &mut Reader<'a>,
        node: &Node<F>,
        found: &mut impl FnMut(F, Found<'a>),
    ) -> Result<(), Malformed> {
        if node.keys.is_empty() {
            return reader.skip();
        }
        reader.at += 1;
        reader.blanks();
        if reader.took(b'}') {
            return Ok(());
        }
        loop {
            let key = reader.string()?;
            reader.blanks();
            reader.take(b':')?;
            reader.blanks();
            let child = node.keys.iter().find(|(known, _)| known.as_bytes() == key).map(|one| one.1);
            self.value(reader, child, found)?;
            reader.blanks();
            if reader.took(b'}') {
                return Ok(());
            }
            reader.take(b',')?;
            reader.blanks();
        }
    }

    fn array<'a>(
        &self,
        reader: &mut Reader<'a>,
        node: &Node<F>,
        found: &mut impl FnMut(F, Found<'a>),
    ) -> Result<(), Malformed> {
        let Some(first) = node.first else { return reader.skip() };
        reader.at += 1;
        reader.blanks();
        if reader.took(b']') {
            return Ok(());
        }
        let mut child = Some(first);
        loop {
            self.value(reader, child.take(), found)?;
            reader.blanks();
            if reader.took(b']') {
                return Ok(());
            }
            reader.take(b',')?;
            reader.blanks();
        }
    }
}

impl<F> Node<F> {
    fn empty() -> Self {
        Self { field: None, keys: Vec::new(), first: None }
    }
}

struct Reader<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Result<u8, Malformed> {
        self.json.get(self.at).copied().ok_or(Malformed)
    }

    fn blanks(&mut self) {
        while matches!(self.json.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn took(&mut self, byte: u8) -> bool {
        let is_there = self.json.get(self.at) == Some(&byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn take(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.took(byte) { Ok(()) } else { Err(Malformed) }
    }

    /// What stands between quotes.
    fn string(&mut self) -> Result<&'a [u8], Malformed> {
        self.take(b'"')?;
        let start = self.at;
        loop {
            let rest = self.json.get(self.at..).ok_or(Malformed)?;
            let end = memchr2(b'"', b'\\', rest).ok_or(Malformed)?;
            if rest[end] == b'"' {
                let text = &self.json[start..self.at + end];
                self.at += end + 1;
                return Ok(text);
            }
            self.at += end + 2;
        }
    }

    /// A number, a boolean or null.
    fn scalar(&mut self) -> Result<&'a [u8], Malformed> {
        let rest = &self.json[self.at..];
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let len = rest.iter().take_while(|byte| is_part(byte)).count();
        let scalar = &rest[..len];
        self.at += len;
        let is_known = matches!(scalar, b"null" | b"true" | b"false");
        // Python writes infinities and NaN.
        let is_number = || std::str::from_utf8(scalar).is_ok_and(|text| text.parse::<f64>().is_ok());
        if is_known || is_number() { Ok(scalar) } else { Err(Malformed) }
    }

    /// Past a value of which nothing is wanted: its brackets and strings must end.
    fn skip(&mut self) -> Result<(), Malformed> {
        let mut depth = 0usize;
        loop {
            self.blanks();
            match self.peek()? {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                _ => drop(self.scalar()?),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const POINTERS: [&str; 6] = ["/a", "/b/0/c", "/b/0", "/d/e", "/d/e/f", "/g/0/0"];

    fn found(text: &str) -> Result<Vec<(usize, String)>, Malformed> {
        let fields: Vec<(&'static str, usize)> =
            POINTERS.into_iter().enumerate().map(|(index, path)| (path, index)).collect();
        let mut all = Vec::new();
        Paths::new(&fields).skim(text.as_bytes(), &mut |field, what| {
            let told = match what {
                Found::Null => "null".to_owned(),
                Found::Text(raw) => Value::String(unescaped(raw)).to_string(),
                Found::Number(digits) => String::from_utf8_lossy(digits).into_owned(),
                Found::Other => "…".to_owned(),
            };
            all.push((field, told));
        })?;
        all.sort();
        Ok(all)
    }

    fn expected(value: &Value) -> Vec<(usize, String)> {
        let told = |value: &Value| match value {
            Value::Object(_) | Value::Array(_) | Value::Bool(_) => "…".to_owned(),
            other => other.to_string(),
        };
        let mut all: Vec<(usize, String)> = POINTERS
            .iter()
            .enumerate()
            // A pointer's 0 names a key of an object, too; ours are of arrays.
            .filter(|(_, path)| is_of_arrays(value, path))
            .filter_map(|(index, path)| Some((index, told(value.pointer(path)?))))
            .collect();
        all.sort();
        all
    }

    fn is_of_arrays(value: &Value, path: &str) -> bool {
        let mut at = value;
        for key in path.split('/').skip(1) {
            match (key, at) {
                ("0", Value::Array(all)) if !all.is_empty() => at = &all[0],
                (key, Value::Object(all)) if key != "0" && all.contains_key(key) => at = &all[key],
                _ => return false,
            }
        }
        true
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "\\PC{0,6}|[\"\\\\\n{}\\[\\],:a]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::hash_map("[a-g]|\"|x\\\\", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_parser_of_the_whole_finds(value in any_json(), is_pretty in any::<bool>()) {
            let text = if is_pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            prop_assert_eq!(found(&text), Ok(expected(&value)));
        }

        #[test]
        fn whatever_comes_is_read_or_refused_and_what_is_cut_is_refused(value in any_json(), at in any::<prop::sample::Index>(), noise in "\\PC*") {
            let _ = found(&noise);
            let text = json!({"a": value}).to_string();
            let cut = at.index(text.len());
            if text.is_char_boundary(cut) {
                prop_assert_eq!(found(&text[..cut]), Err(Malformed));
            }
        }
    }
}
