//! The queries that ship, by name.

use super::QueryError;
use super::shipped::{self, Shipped};
use crate::words::nearest_name;

/// Those that answer a question of their own; the others in queries/ are parts of commands.
const NAMED: [Shipped; 14] = [
    shipped::BEST,
    shipped::COMPARE,
    shipped::DRIFT,
    shipped::EFFECTS,
    shipped::FAILURES,
    shipped::FRONTIER,
    shipped::LIST,
    shipped::POOLED_APART,
    shipped::REQUEST_FAILURES,
    shipped::RETRO_SLA,
    shipped::SLAS,
    shipped::SLOWEST,
    shipped::SUMMARY,
    shipped::TOKENS_PER_GPU,
];

/// A query that ships.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedQuery {
    pub name: &'static str,
    /// What it answers.
    pub description: String,
    /// What can be given, in the order in which it stands in the query.
    pub parameters: Vec<Parameter>,
    shipped: Shipped,
}

/// A parameter of a query that ships; without a default it has to be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub default: Option<String>,
}

impl NamedQuery {
    pub fn all() -> Vec<Self> {
        NAMED.into_iter().map(Self::of).collect()
    }

    pub fn find(name: &str) -> Result<Self, QueryError> {
        let found = Self::all().into_iter().find(|query| query.name == name);
        found.ok_or_else(|| QueryError::NoNamedQuery {
            name: name.into(),
            nearest: nearest_name(name, NAMED.iter().map(|query| query.name)),
        })
    }

    fn of(shipped: Shipped) -> Self {
        let Shipped { name, template } = shipped;
        let header = || template.lines().take_while(|line| line.starts_with("--")).map(|line| line[2..].trim());
        let description = header().take_while(|line| !line.starts_with("Parameters:") && !line.starts_with("Columns:"));
        let description = description.collect::<Vec<_>>().join(" ");
        let defaults = header().find_map(|line| line.strip_prefix("Defaults:")).unwrap_or_default();
        let defaults: Vec<(&str, &str)> = defaults.split(',').filter_map(|pair| pair.split_once('=')).collect();
        let sql = shipped.fill(&[]);
        let mut parameters: Vec<Parameter> = Vec::new();
        for part in sql.split('{').skip(1) {
            let name = part.split('}').next().unwrap_or_default();
            if !parameters.iter().any(|known| known.name == name) {
                let default = defaults.iter().find(|(known, _)| known.trim() == name);
                let default = default.map(|(_, value)| value.trim().to_owned());
                parameters.push(Parameter { name: name.to_owned(), default });
            }
        }
        Self { name, description, parameters, shipped }
    }

    /// The SQL with its parameters filled in. In texts a quote is doubled, as SQL has it.
    pub fn sql(&self, given: &[(String, String)]) -> Result<String, QueryError> {
        let is_known = |name: &str| self.parameters.iter().any(|parameter| parameter.name == name);
        if let Some((unknown, _)) = given.iter().find(|(name, _)| !is_known(name)) {
            let names: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
            return Err(QueryError::UnknownParameter {
                query: self.name,
                parameter: unknown.clone(),
                known: names.join(", "),
            });
        }
        let mut escaped: Vec<(&str, String)> = Vec::new();
        for Parameter { name, default } in &self.parameters {
            let given = given.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value);
            let value = given
                .or(default.as_ref())
                .ok_or_else(|| QueryError::MissingParameter { query: self.name, parameter: name.clone() })?;
            escaped.push((name, value.replace('\'', "''")));
        }
        let escaped: Vec<(&str, &str)> = escaped.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Ok(self.shipped.fill(&escaped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_from_the_query_and_must_be_given() {
        let best = NamedQuery::find("best").unwrap();
        assert_eq!(best.parameters, [Parameter { name: "sla".into(), default: None }]);
        assert!(
            best.description.starts_with("For each model the five combinations with the highest"),
            "{}",
            best.description
        );
        let given = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert!(best.sql(&given(&[("sla", "500")])).unwrap().contains("500"));
        assert!(best.sql(&[]).unwrap_err().to_string().contains("needs a value for its parameter `sla`"));
        assert!(best.sql(&given(&[("sla", "5"), ("x", "1")])).unwrap_err().to_string().contains("no parameter `x`"));
        assert!(NamedQuery::find("sumary").unwrap_err().to_string().contains("did you mean `summary`?"));
        let compare = NamedQuery::find("compare").unwrap();
        let names: Vec<&str> = compare.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, ["metric", "base", "candidate"]);
        let frontier = NamedQuery::find("frontier").unwrap();
        assert!(
            frontier
                .sql(&given(&[("y", "output_throughput")]))
                .unwrap()
                .contains("'tokens_per_user_mean', 'output_throughput_mean'")
        );
        let sql = compare.sql(&given(&[("metric", "m"), ("base", "it's"), ("candidate", "c")])).unwrap();
        assert!(sql.contains("'it''s'"), "{sql}");
    }
}
