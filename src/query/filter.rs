//! `--filter-by`: vLLM's conditions separated by commas, or any boolean expression of SQL.

use super::QueryError;
use super::spelling::{literal, quoted};
use crate::id::column_name;
use crate::table::is_reserved;
use crate::words::nearest_name;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Number,
    Bool,
    Text,
    /// Numbers and texts.
    Mixed,
    Other,
}

/// A column of a table: what it holds, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub holds: Kind,
    pub kind: Option<crate::table::Kind>,
}

/// The columns of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns(Vec<Column>);

/// Conditions that must all hold, each as SQL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub conditions: Vec<String>,
}

impl Columns {
    pub fn new(columns: Vec<Column>) -> Self {
        Self(columns)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|column| column.name.as_str())
    }

    /// Whether a column is measured, and so differs from run to run.
    pub fn is_measured(&self, key: &str) -> bool {
        self.column(key).is_ok_and(|column| column.kind == Some(crate::table::Kind::Metric))
    }

    /// Finds a column in its `-` or `_` spelling.
    pub fn find(&self, key: &str) -> Result<(&str, Kind), QueryError> {
        self.column(key).map(|column| (column.name.as_str(), column.holds))
    }

    fn column(&self, key: &str) -> Result<&Column, QueryError> {
        let name = column_name(key.trim());
        self.0.iter().find(|column| column.name == name).ok_or_else(|| QueryError::NoColumn {
            column: key.trim().to_owned(),
            nearest: nearest_name(&name, self.names()),
        })
    }

    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_ok()
    }
}

impl Filter {
    /// Reads a filter against the columns that there are.
    pub fn parse(text: &str, columns: &Columns) -> Result<Self, QueryError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let parts = split_outside(text, ',');
        let conditions: Option<Vec<Condition<'_>>> = parts.iter().map(|part| Condition::parse(part)).collect();
        let conditions = match conditions {
            Some(conditions) => {
                conditions.iter().map(|condition| condition.to_sql(columns)).collect::<Result<_, _>>()?
            }
            None => sql_conditions(&with_column_names(text, columns))?,
        };
        Ok(Self { conditions })
    }

    /// The filter as one boolean expression.
    pub fn to_sql(&self) -> String {
        match self.conditions.is_empty() {
            true => "TRUE".into(),
            false => self.conditions.iter().map(|condition| format!("({condition})")).collect::<Vec<_>>().join(" AND "),
        }
    }
}

/// `key OP value`, as vLLM has it.
struct Condition<'a> {
    key: &'a str,
    operator: &'static str,
    value: &'a str,
}

impl<'a> Condition<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        // The longer operators first: `<=` is not `<` with a value of `=4`.
        let operators = [("==", "="), ("!=", "<>"), ("<=", "<="), (">=", ">="), ("<", "<"), (">", ">")];
        let (key, operator, value) = operators.iter().find_map(|(written, operator)| {
            let (key, value) = text.split_once(written)?;
            Some((key.trim(), *operator, value.trim()))
        })?;
        let is_key = !key.is_empty() && key.chars().all(|letter| letter.is_alphanumeric() || "_-.".contains(letter));
        let is_quoted = |quote: char| {
            value.len() > 1 && value.starts_with(quote) && value.ends_with(quote) && value.matches(quote).count() == 2
        };
        let is_bare =
            !value.is_empty() && value.chars().all(|letter| letter.is_alphanumeric() || "_-./+".contains(letter));
        (is_key && (is_bare || is_quoted('\'') || is_quoted('"'))).then_some(Self { key, operator, value })
    }

    fn to_sql(&self, columns: &Columns) -> Result<String, QueryError> {
        let (name, kind) = columns.find(self.key)?;
        let value = self.value.trim_matches(['\'', '"']);
        let right = match (kind, value.parse::<f64>(), value.to_ascii_lowercase().as_str()) {
            (Kind::Bool, _, "true" | "1") => "TRUE".to_owned(),
            (Kind::Bool, _, "false" | "0") => "FALSE".to_owned(),
            (Kind::Number | Kind::Mixed, Ok(number), _) if number.is_finite() => value.to_owned(),
            (Kind::Number | Kind::Mixed, Ok(_), _) => format!("CAST({} AS DOUBLE)", literal(value)),
            // A setting may be a text in another sweep: none is equal to it here.
            (Kind::Number, _, _) if ["=", "<>"].contains(&self.operator) && !is_reserved(name) => literal(value),
            (Kind::Number | Kind::Bool, _, _) => {
                return Err(QueryError::BadFilter {
                    condition: format!("{}{}{}", self.key, self.operator, self.value),
                    reason: format!(
                        "`{name}` contains {}",
                        if kind == Kind::Bool { "true and false" } else { "numbers" }
                    ),
                });
            }
            _ => literal(value),
        };
        Ok(format!("{} {} {right}", quoted(name), self.operator))
    }
}

/// The conditions that an expression joins with AND.
fn sql_conditions(text: &str) -> Result<Vec<String>, QueryError> {
    let bad = |reason: String| QueryError::BadFilter { condition: text.to_owned(), reason };
    let dialect = GenericDialect {};
    let mut parser = Parser::new(&dialect).try_with_sql(text).map_err(|error| bad(error.to_string()))?;
    let expression = parser.parse_expr().map_err(|error| bad(error.to_string()))?;
    if parser.peek_token().token != datafusion::sql::sqlparser::tokenizer::Token::EOF {
        return Err(bad(format!("unexpected `{}`", parser.peek_token())));
    }
    let mut conditions = Vec::new();
    collect_conjuncts(&expression, &mut conditions);
    Ok(conditions)
}

fn collect_conjuncts(expression: &Expr, conditions: &mut Vec<String>) {
    match expression {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            collect_conjuncts(left, conditions);
            collect_conjuncts(right, conditions);
        }
        other => conditions.push(other.to_string()),
    }
}

/// Names in their dash spelling become the columns' names, whether they stand in double quotes or bare. A bare
/// `a-b` stays a difference where `a` is a column of its own.
fn with_column_names(text: &str, columns: &Columns) -> String {
    let mut sql = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
        let len = match first {
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            letter if letter.is_alphabetic() || letter == '_' => {
                rest.find(|letter| !is_word(letter)).unwrap_or(rest.len())
            }
            letter => letter.len_utf8(),
        };
        let (word, behind) = rest.split_at(len);
        let is_difference = || word.split_once('-').is_none_or(|(left, _)| columns.has(left));
        match columns.find(word.trim_matches('"')) {
            Ok((name, _)) if first == '"' || !is_difference() => sql += &quoted(name),
            _ => sql += word,
        }
        rest = behind;
    }
    sql
}

/// Splits at a separator that stands outside quotes and parentheses.
pub fn split_outside(text: &str, separator: char) -> Vec<&str> {
    let (mut depth, mut quote, mut from) = (0, None, 0);
    let mut parts = Vec::new();
    for (index, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, letter) if letter == separator && depth == 0 => {
                parts.push(&text[from..index]);
                from = index + letter.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

/// Columns for tests.
#[cfg(test)]
pub fn columns_of(columns: &[(&str, Kind)]) -> Columns {
    let column = |(name, holds): &(&str, Kind)| Column { name: (*name).to_owned(), holds: *holds, kind: None };
    Columns::new(columns.iter().map(column).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        let columns = columns_of(&[
            ("max_concurrency", Kind::Number),
            ("request_rate", Kind::Number),
            ("enable_prefix_caching", Kind::Bool),
            ("model_id", Kind::Text),
            ("max_model_len", Kind::Mixed),
        ]);
        Filter::parse(text, &columns).map(|filter| filter.conditions.join(" ; ")).map_err(|error| error.to_string())
    }

    #[test]
    fn vllms_conditions_are_read_by_the_columns_type() {
        let cases = [
            ("max_concurrency<=1024", "\"max_concurrency\" <= 1024"),
            ("max-concurrency>2,model_id==llama", "\"max_concurrency\" > 2 ; \"model_id\" = 'llama'"),
            ("model_id!='a,b'", "\"model_id\" <> 'a,b'"),
            ("model_id==4", "\"model_id\" = '4'"),
            ("enable_prefix_caching==true", "\"enable_prefix_caching\" = TRUE"),
            ("enable_prefix_caching!=1", "\"enable_prefix_caching\" <> TRUE"),
            ("max_model_len<=8192", "\"max_model_len\" <= 8192"),
            ("max_model_len!=auto", "\"max_model_len\" <> 'auto'"),
            ("request_rate==inf", "\"request_rate\" = CAST('inf' AS DOUBLE)"),
            ("  ", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).unwrap(), expected, "for {text}");
        }
    }

    #[test]
    fn sql_is_split_at_its_ands() {
        assert_eq!(
            parse("max_concurrency <= 4 AND (request_rate > 1 OR model_id LIKE 'Q%')").unwrap(),
            "max_concurrency <= 4 ; (request_rate > 1 OR model_id LIKE 'Q%')"
        );
        assert_eq!(parse("\"max-concurrency\" IN (1, 2)").unwrap(), "\"max_concurrency\" IN (1, 2)");
        assert_eq!(
            parse("max-concurrency * 2 < 9 AND (model-id LIKE 'max-concurrency%' OR request_rate-burstiness > 1)")
                .unwrap(),
            "\"max_concurrency\" * 2 < 9 ; (\"model_id\" LIKE 'max-concurrency%' OR request_rate - burstiness > 1)"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(
            parse("max_concurency<4").unwrap_err(),
            "no column `max_concurency`; did you mean `max_concurrency`?"
        );
        assert!(parse("max_concurrency<abc").unwrap_err().contains("`max_concurrency` contains numbers"));
        assert!(parse("max_concurrency <").unwrap_err().starts_with("condition "));
        assert!(parse("max_concurrency < 1; drop").unwrap_err().starts_with("condition "));
    }
}
