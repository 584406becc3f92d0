//! Prometheus' text format, as servers export it. The names that engines use have colons, which readers made for it refuse.

/// A sample, `name{label="x"} 1.0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line<'a> {
    pub name: &'a str,
    labels: &'a str,
    pub value: f64,
}

/// The samples of a text; whatever is none is passed over.
pub fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().filter_map(Line::parse)
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let line = line.trim_start();
        let name = line.split(['{', ' ', '\t']).next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        let rest = line.strip_prefix(name)?.trim_start();
        // A label's value may hold a brace; after the last one come numbers.
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once('}')?,
            None => ("", rest),
        };
        let value = rest.split_whitespace().next()?.parse::<f64>().ok()?;
        value.is_finite().then_some(Self { name, labels, value })
    }

    /// The labels as they stand.
    pub fn labels(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut rest = self.labels;
        std::iter::from_fn(move || {
            let (name, after) = rest.trim_start_matches([',', ' ']).split_once("=\"")?;
            let end = end_of_value(after)?;
            rest = &after[end + 1..];
            Some((name.trim(), &after[..end]))
        })
    }

    pub fn label(&self, name: &str) -> Option<&'a str> {
        self.labels().find(|label| label.0 == name).map(|label| label.1)
    }
}

/// Where a quoted text ends; a backslash takes the next letter with it.
fn end_of_value(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (index, letter) in text.char_indices() {
        match letter {
            '"' if !is_escaped => return Some(index),
            '\\' if !is_escaped => is_escaped = true,
            _ => is_escaped = false,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn samples_are_read_with_their_labels() {
        let text = "# TYPE vllm:request_success_total counter\n\
            vllm:request_success_total{engine=\"1\",finished_reason=\"a}b \\\" 9\"} 4.0 1700000000\n\
            plain 2\n  \nsomething else entirely {\nvllm:num_preemptions_total NaN\n{} 3\n";
        let found: Vec<_> = lines(text).map(|line| (line.name, line.value)).collect();
        assert_eq!(found, [("vllm:request_success_total", 4.0), ("plain", 2.0)]);
        let labels: Vec<_> = lines(text).next().unwrap().labels().collect();
        assert_eq!(labels, [("engine", "1"), ("finished_reason", "a}b \\\" 9")]);
    }

    proptest! {
        #[test]
        fn whatever_a_server_sends_is_read_or_passed_over(text in "([a-z:_]{0,6}[{}\"\\\\=, \n#]{0,4}[0-9.eNa-]{0,4}){0,12}") {
            for line in lines(&text) {
                prop_assert!(line.value.is_finite() && !line.name.is_empty());
                prop_assert!(line.labels().count() <= text.len());
            }
        }
    }
}
