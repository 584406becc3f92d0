//! The queries that ship, by name.

use super::QueryError;
use super::shipped::{self, Shipped, directed, filled};
use crate::files::{self, Links};
use crate::words::nearest_name;
use std::path::{Path, PathBuf};

/// Those that answer a question of their own; the others in queries/ are parts of commands.
const NAMED: [Shipped; 15] = [
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
    shipped::WINDOWS,
];

/// A query with a name: one that ships, or a file of the lake's `queries/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedQuery {
    pub name: String,
    /// What it answers.
    pub description: String,
    /// What can be given, in the order in which it stands in the query.
    pub parameters: Vec<Parameter>,
    /// Other names of parameters.
    aliases: Vec<(String, String)>,
    sql: String,
    /// Of a lake's own: where it stands.
    pub file: Option<PathBuf>,
}

/// Where a lake's own queries lie.
const OWN: &str = "queries";

/// A parameter of a query that ships; without a default it has to be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub default: Option<String>,
}

impl NamedQuery {
    /// Those that ship.
    pub fn all() -> Vec<Self> {
        NAMED.into_iter().map(|shipped| Self::of_text(shipped.name, shipped.template)).collect()
    }

    /// Those of lakes: the `.sql` files of their folders `queries/`, by name. Of an object store none are known.
    pub fn of_lakes(lakes: &[PathBuf]) -> Vec<Self> {
        let mut files: Vec<PathBuf> = lakes.iter().flat_map(|lake| sql_files(&lake.join(OWN))).collect();
        files.sort();
        let read = |file: PathBuf| {
            let text = files::text(&file, Links::Refuse).ok()?;
            let query = Self::of_text(&file.file_stem()?.to_string_lossy(), &text);
            Some(Self { file: Some(file), ..query })
        };
        files.into_iter().filter_map(read).collect()
    }

    /// Those of lakes, then those that ship and have no namesake among them.
    pub fn known(lakes: &[PathBuf]) -> Vec<Self> {
        let mut known = Self::of_lakes(lakes);
        let is_replaced = |shipped: &Self| known.iter().any(|own| own.name == shipped.name);
        let shipped: Vec<Self> = Self::all().into_iter().filter(|shipped| !is_replaced(shipped)).collect();
        known.extend(shipped);
        known
    }

    /// Of the lakes, or else of those that ship.
    pub fn find(name: &str, lakes: &[PathBuf]) -> Result<Self, QueryError> {
        let known = Self::known(lakes);
        known.iter().find(|query| query.name == name).cloned().ok_or_else(|| QueryError::NoNamedQuery {
            name: name.into(),
            nearest: nearest_name(name, known.iter().map(|query| query.name.as_str())),
        })
    }

    /// A query with a header of comments: what it answers, its parameters and their defaults.
    pub fn of_text(name: &str, text: &str) -> Self {
        let header = || text.lines().take_while(|line| line.starts_with("--")).map(|line| line[2..].trim());
        let is_field = |line: &&str| FIELDS.iter().any(|field| line.starts_with(field));
        let description = header().take_while(|line| !is_field(line)).collect::<Vec<_>>().join(" ");
        let pairs = |field: &str| -> Vec<(String, String)> {
            let text = header().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
            let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
            pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
        };
        let (defaults, aliases) = (pairs("Defaults:"), pairs("Aliases:"));
        let sql = text.lines().skip_while(|line| line.starts_with("--")).collect::<Vec<_>>().join("\n");
        let mut parameters: Vec<Parameter> = Vec::new();
        for name in placeholders(&sql) {
            // What a combination must keep follows from the metric and its limit.
            let names: &[&str] = if name == "within" { &["metric", "limit"] } else { &[name] };
            for name in names {
                if !parameters.iter().any(|known| known.name == *name) {
                    let default = defaults.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
                    parameters.push(Parameter { name: (*name).to_owned(), default });
                }
            }
        }
        Self { name: name.to_owned(), description, parameters, aliases, sql, file: None }
    }

    /// The SQL with its parameters filled in. In texts a quote is doubled, as SQL has it.
    pub fn sql(&self, given: &[(String, String)]) -> Result<String, QueryError> {
        let own_name = |name: &str| {
            let alias = self.aliases.iter().find(|(alias, _)| alias == name);
            alias.map_or_else(|| name.to_owned(), |(_, name)| name.clone())
        };
        let given: Vec<(String, &String)> = given.iter().map(|(name, value)| (own_name(name), value)).collect();
        let is_known = |name: &str| self.parameters.iter().any(|parameter| parameter.name == name);
        if let Some((unknown, _)) = given.iter().find(|(name, _)| !is_known(name)) {
            let names: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
            return Err(QueryError::UnknownParameter {
                query: self.name.clone(),
                parameter: unknown.clone(),
                known: names.join(", "),
            });
        }
        let mut escaped: Vec<(&str, String)> = Vec::new();
        for Parameter { name, default } in &self.parameters {
            let given = given.iter().rev().find(|(known, _)| known == name).map(|(_, value)| *value);
            let value = given
                .or(default.as_ref())
                .ok_or_else(|| QueryError::MissingParameter { query: self.name.clone(), parameter: name.clone() })?;
            if name == "metric" && self.sql.contains("{within}") && directed(value).1.is_none() {
                return Err(QueryError::UnknownDirection { metric: value.clone() });
            }
            escaped.push((name, value.replace('\'', "''")));
        }
        let escaped: Vec<(&str, &str)> = escaped.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Ok(filled(&self.sql, &escaped))
    }
}

/// What the header of a query says besides what it answers.
const FIELDS: [&str; 4] = ["Parameters:", "Defaults:", "Aliases:", "Columns:"];

fn sql_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    // Not a link: nothing of a lake leads outside of it.
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).map(|entry| entry.path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "sql")).collect()
}

/// `{name}` in SQL; other braces are its own.
fn placeholders(sql: &str) -> impl Iterator<Item = &str> {
    let parts = sql.split('{').skip(1).filter_map(|part| part.split_once('}'));
    let is_name = |name: &&str| {
        !name.is_empty()
            && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
    };
    parts.map(|(name, _)| name).filter(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_from_the_query_and_must_be_given() {
        let best = NamedQuery::find("best", &[]).unwrap();
        let parameter =
            |name: &str, default: Option<&str>| Parameter { name: name.into(), default: default.map(str::to_owned) };
        assert_eq!(best.parameters, [parameter("metric", Some("p99_e2el_ms")), parameter("limit", None)]);
        assert!(
            best.description.starts_with("For each model the five combinations with the highest"),
            "{}",
            best.description
        );
        let given = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert!(best.sql(&given(&[("limit", "500")])).unwrap().contains(r#""p99_e2el_ms_max" <= 500"#));
        assert_eq!(best.sql(&given(&[("sla", "500")])).unwrap(), best.sql(&given(&[("limit", "500")])).unwrap());
        let higher = best.sql(&given(&[("metric", "request_goodput"), ("limit", "3")])).unwrap();
        assert!(higher.contains(r#""request_goodput_min" >= 3"#), "{higher}");
        let own = best.sql(&given(&[("metric", "eval_score:max"), ("limit", "0.8")])).unwrap();
        assert!(
            own.contains(r#""eval_score_min" >= 0.8"#) && own.contains(r#""eval_score_mean" AS metric_mean"#),
            "{own}"
        );
        let unknown = best.sql(&given(&[("metric", "eval_score"), ("limit", "0.8")])).unwrap_err().to_string();
        assert!(unknown.contains("eval_score:min") && unknown.contains("eval_score:max"), "{unknown}");
        assert!(best.sql(&[]).unwrap_err().to_string().contains("needs a value for its parameter `limit`"));
        assert!(best.sql(&given(&[("sla", "5"), ("x", "1")])).unwrap_err().to_string().contains("no parameter `x`"));
        assert!(NamedQuery::find("sumary", &[]).unwrap_err().to_string().contains("did you mean `summary`?"));
        let compare = NamedQuery::find("compare", &[]).unwrap();
        let names: Vec<&str> = compare.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, ["metric", "base", "candidate"]);
        let frontier = NamedQuery::find("frontier", &[]).unwrap();
        assert!(
            frontier
                .sql(&given(&[("y", "output_throughput")]))
                .unwrap()
                .contains("'tokens_per_user_mean', 'output_throughput_mean'")
        );
        let sql = compare.sql(&given(&[("metric", "m"), ("base", "it's"), ("candidate", "c")])).unwrap();
        assert!(sql.contains("'it''s'"), "{sql}");
    }

    #[test]
    fn a_lake_has_queries_of_its_own() {
        let lake = tempfile::tempdir().unwrap();
        std::fs::create_dir(lake.path().join("queries")).unwrap();
        let text = "-- How fast a model is.\n-- Defaults: least = 1\nSELECT '{\"a\": 1}', {least} FROM runs WHERE model_id = '{model}'";
        std::fs::write(lake.path().join("queries/fast.sql"), text).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", lake.path().join("queries/link.sql")).unwrap();
        let lakes = [lake.path().to_owned()];
        let names: Vec<String> = NamedQuery::of_lakes(&lakes).into_iter().map(|query| query.name).collect();
        assert_eq!(names, ["fast"]);
        let fast = NamedQuery::find("fast", &lakes).unwrap();
        assert_eq!(fast.description, "How fast a model is.");
        let sql = fast.sql(&[("model".into(), "it's".into())]).unwrap();
        assert_eq!(sql, "SELECT '{\"a\": 1}', 1 FROM runs WHERE model_id = 'it''s'");
    }
}
