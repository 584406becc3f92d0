//! The queries that ship, by name.

use super::{QueryError, fill};
use crate::plan::nearest_name;

/// Those that answer a question of their own; the others in queries/ are parts of commands.
const SHIPPED: [(&str, &str); 7] = [
    ("best", include_str!("../../queries/best.sql")),
    ("compare", include_str!("../../queries/compare.sql")),
    ("failures", include_str!("../../queries/failures.sql")),
    ("list", include_str!("../../queries/list.sql")),
    ("sla", include_str!("../../queries/sla.sql")),
    ("slowest", include_str!("../../queries/slowest.sql")),
    ("summary", include_str!("../../queries/summary.sql")),
];

/// A query that ships.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedQuery {
    pub name: &'static str,
    /// What it answers.
    pub description: String,
    /// What has to be given, in the order in which it stands in the query.
    pub parameters: Vec<String>,
    template: &'static str,
}

impl NamedQuery {
    pub fn all() -> Vec<Self> {
        SHIPPED.into_iter().map(|(name, template)| Self::of(name, template)).collect()
    }

    pub fn find(name: &str) -> Result<Self, QueryError> {
        let found = Self::all().into_iter().find(|query| query.name == name);
        found.ok_or_else(|| QueryError::NoNamedQuery {
            name: name.into(),
            nearest: nearest_name(name, SHIPPED.iter().map(|(name, _)| *name)),
        })
    }

    fn of(name: &'static str, template: &'static str) -> Self {
        let header = template.lines().take_while(|line| line.starts_with("--")).map(|line| line[2..].trim());
        let description = header.take_while(|line| !line.starts_with("Parameters:") && !line.starts_with("Columns:"));
        let description = description.collect::<Vec<_>>().join(" ");
        let sql = fill(template, &[]);
        let mut parameters: Vec<String> = Vec::new();
        for part in sql.split('{').skip(1) {
            let parameter = part.split('}').next().unwrap_or_default().to_owned();
            if !parameters.contains(&parameter) {
                parameters.push(parameter);
            }
        }
        Self { name, description, parameters, template }
    }

    /// The SQL with its parameters filled in. In texts a quote is doubled, as SQL has it.
    pub fn sql(&self, given: &[(String, String)]) -> Result<String, QueryError> {
        if let Some(missing) = self.parameters.iter().find(|name| !given.iter().any(|(known, _)| known == *name)) {
            return Err(QueryError::MissingParameter { query: self.name, parameter: missing.clone() });
        }
        if let Some((unknown, _)) = given.iter().find(|(name, _)| !self.parameters.contains(name)) {
            return Err(QueryError::UnknownParameter {
                query: self.name,
                parameter: unknown.clone(),
                known: self.parameters.join(", "),
            });
        }
        let escaped: Vec<(&str, String)> =
            given.iter().map(|(name, value)| (name.as_str(), value.replace('\'', "''"))).collect();
        let escaped: Vec<(&str, &str)> = escaped.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Ok(fill(self.template, &escaped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_from_the_query_and_must_be_given() {
        let best = NamedQuery::find("best").unwrap();
        assert_eq!(best.parameters, ["sla"]);
        assert!(best.description.starts_with("The combinations with the highest throughput"), "{}", best.description);
        let given = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert!(best.sql(&given(&[("sla", "500")])).unwrap().contains("500"));
        assert!(best.sql(&[]).unwrap_err().to_string().contains("--param sla="));
        assert!(best.sql(&given(&[("sla", "5"), ("x", "1")])).unwrap_err().to_string().contains("no parameter `x`"));
        assert!(NamedQuery::find("sumary").unwrap_err().to_string().contains("did you mean `summary`?"));
        let compare = NamedQuery::find("compare").unwrap();
        assert_eq!(compare.parameters, ["metric", "base", "candidate"]);
        let sql = compare.sql(&given(&[("metric", "m"), ("base", "it's"), ("candidate", "c")])).unwrap();
        assert!(sql.contains("'it''s'"), "{sql}");
    }
}
