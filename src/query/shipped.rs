//! The queries of `queries/`: each file is known here, once, and read into typed rows where it is asked.

use super::answer::FromRow;
use super::{Answer, Lake, QueryError};
use crate::metric::{self, Better, Metric};

/// A query that ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shipped {
    pub name: &'static str,
    pub(super) template: &'static str,
}

macro_rules! shipped {
    ($($(#[$attribute:meta])* $constant:ident = $name:literal;)*) => {
        $($(#[$attribute])* pub const $constant: Shipped =
            Shipped { name: $name, template: include_str!(concat!("../../queries/", $name, ".sql")) };)*

        impl Shipped {
            /// All of them, parts of commands too.
            pub const ALL: &'static [Self] = &[$($constant),*];
        }
    };
}

shipped! {
    BEST = "best";
    BEST_WITHIN_SLA = "best_within_sla";
    CERTAINTY = "certainty";
    COMPARE = "compare";
    DISTRIBUTION = "distribution";
    DRIFT = "drift";
    EFFECTS = "effects";
    /// Failed runs; more than one command shows them.
    FAILED_RUNS = "failed_runs";
    FAILURES = "failures";
    FRONTIER = "frontier";
    FRONTIER_OF_SERIES = "frontier_of_series";
    GOODPUT = "goodput";
    HEADLINES = "headlines";
    INDEX = "index";
    KNEE = "knee";
    LIST = "list";
    MEASURED = "measured";
    POOLED_APART = "pooled_apart";
    REQUEST_FAILURES = "request_failures";
    RETRO_SLA = "retro_sla";
    /// The answers to SLAs.
    SLAS = "sla";
    /// The combinations as settings of servers under loads.
    SETTINGS = "settings";
    SLOWEST = "slowest";
    /// The combinations of a lake with their main metrics.
    SUMMARY = "summary";
    TOKENS_PER_GPU = "tokens_per_gpu";
    WINDOWS = "windows";
}

/// The combinations with their main metrics, and in place of their labels the columns that tell them apart, as a list in SQL.
pub fn summary(settings: &str) -> String {
    SUMMARY.fill(&[]).replacen("label", settings, 1)
}

/// The answers to SLAs, with what a million output tokens cost at a price of an hour of a GPU, as SQL.
pub fn slas(gpu_hour_price: &str) -> String {
    SLAS.fill(&[("gpu_hour_price", gpu_hour_price)])
}

/// SQL with its `{parameters}` filled in. `{within}` follows from `{metric}` and `{limit}`: whether a combination keeps the limit.
pub fn filled(sql: &str, parameters: &[(&str, &str)]) -> String {
    let given = |wanted: &str| parameters.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    let (mut sql, mut metric) = (sql.to_owned(), given("metric").map(str::to_owned));
    if let (true, Some(text), Some(limit)) = (sql.contains("{within}"), given("metric"), given("limit")) {
        let (name, better) = directed(text);
        sql = sql.replace("{within}", &within(name, better, limit));
        metric = Some(name.to_owned());
    }
    let value =
        |name: &str, value: &str| if name == "metric" { metric.clone().unwrap_or_default() } else { value.to_owned() };
    parameters.iter().fold(sql, |sql, (name, given)| sql.replace(&format!("{{{name}}}"), &value(name, given)))
}

/// A metric, and which way it is better; nothing where nobody knows.
pub fn directed(text: &str) -> (&str, Option<Better>) {
    match text.rsplit_once(':') {
        Some((name, "min")) => (name, Some(Better::Lower)),
        Some((name, "max")) => (name, Some(Better::Higher)),
        _ => (text, Metric::of(text).map(|metric| metric.better)),
    }
}

/// The condition under which every run of a combination keeps a limit. Where requests failed, a percentile counts them as infinitely slow,
/// and any other latency is unknown.
fn within(metric: &str, better: Option<Better>, limit: &str) -> String {
    if better == Some(Better::Higher) {
        return format!("\"{metric}_min\" >= {limit}");
    }
    let percentile = metric::percentile_of(metric).and_then(|percent| percent.parse::<f64>().ok());
    let failing = match (metric::adjusted(metric), percentile) {
        (Some(adjusted), percent) => {
            let share = percent.unwrap_or(50.0) / 100.0;
            format!("success_rate_min > {share} AND \"{adjusted}_max\" <= {limit}")
        }
        (None, _) if metric.ends_with("_ms") => "FALSE".to_owned(),
        (None, _) => format!("\"{metric}_max\" <= {limit}"),
    };
    format!("CASE WHEN failed_requests_max > 0 THEN {failing} ELSE \"{metric}_max\" <= {limit} END")
}

impl Shipped {
    /// The query with its `{parameters}` filled in.
    pub fn fill(&self, parameters: &[(&str, &str)]) -> String {
        let lines = self.template.lines().filter(|line| !line.starts_with("--"));
        filled(&lines.collect::<Vec<_>>().join("\n"), parameters)
    }

    /// The columns that its header says it has.
    pub fn columns(&self) -> Vec<String> {
        let header = self.template.lines().take_while(|line| line.starts_with("--")).map(|line| line[2..].trim());
        let text: Vec<&str> = header.skip_while(|line| !line.starts_with("Columns:")).collect();
        let text = text.join(" ");
        let names = text.trim_start_matches("Columns:").split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(|name| name.split([' ', '(']).next().unwrap_or(name).to_owned()).collect()
    }

    pub async fn ask(&self, lake: &Lake, parameters: &[(&str, &str)]) -> Result<Answer, QueryError> {
        lake.sql(&self.fill(parameters)).await
    }

    /// The rows of the query, by the names of their columns.
    pub async fn rows<T: FromRow>(&self, lake: &Lake, parameters: &[(&str, &str)]) -> Result<Vec<T>, QueryError> {
        self.ask(lake, parameters).await?.typed(self.name)
    }
}
