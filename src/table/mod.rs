//! The columns of every table, declared once: name, type, kind, unit, meaning. Schemas, `DESCRIBE`, the documentation and
//! completion come from here; what a benchmark reports besides is known by its kind alone.

mod declared;
mod markdown;

pub use markdown::document;

use crate::metric::Metric;
use std::collections::HashMap;
use std::sync::LazyLock;

/// A table that can be queried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    Sweeps,
    Runs,
    Requests,
    Telemetry,
    Combinations,
    Sla,
    SlaHistory,
    Dropped,
    TuneHistory,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Text,
    /// A whole number.
    Integer,
    Number,
    Boolean,
    /// Microseconds since 1970, UTC.
    Time,
    Numbers,
    Texts,
    /// Texts by key.
    Map,
}

/// What a value is. It is known when the value is written, and stays with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Tells which run, combination or sweep this is.
    Identity,
    /// A fact about the run that was neither set by the sweep nor measured.
    Context,
    /// Set by the sweep, of the server.
    ServeParameter,
    /// Set by the sweep, of the load.
    BenchParameter,
    /// Measured.
    Metric,
}

/// A column that a table always has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub holds: Type,
    pub kind: Kind,
    pub unit: Option<&'static str>,
    pub meaning: &'static str,
}

impl Table {
    pub const ALL: [Self; 9] = [
        Self::Sweeps,
        Self::Runs,
        Self::Requests,
        Self::Telemetry,
        Self::Combinations,
        Self::Sla,
        Self::SlaHistory,
        Self::Dropped,
        Self::TuneHistory,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sweeps => "sweeps",
            Self::Runs => "runs",
            Self::Requests => "requests",
            Self::Telemetry => "telemetry",
            Self::Combinations => "combinations",
            Self::Sla => "sla",
            Self::SlaHistory => "sla_history",
            Self::Dropped => "dropped",
            Self::TuneHistory => "tune_history",
        }
    }

    /// What a row of it is.
    pub fn row(self) -> &'static str {
        match self {
            Self::Sweeps => "a sweep",
            Self::Runs => "a run, including failed ones",
            Self::Requests => "a request of a run, if the benchmark stored its requests",
            Self::Telemetry => "a value that the server, a GPU, the machine or the client reported during a run",
            Self::Combinations => "the runs of a combination, summarized",
            Self::Sla => "an answer of `serve_sla`",
            Self::SlaHistory => "a load that was measured for an answer",
            Self::Dropped => "a combination that got no further runs in a race",
            Self::TuneHistory => "a combination that `serve_tune` proposed, and what came of it",
        }
    }

    /// The columns that are always there, in the order in which they stand.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Sweeps => &declared::SWEEPS,
            Self::Runs => &declared::RUNS,
            Self::Requests => &declared::REQUESTS,
            Self::Telemetry => &declared::TELEMETRY,
            Self::Combinations => &declared::COMBINATIONS,
            Self::Sla => &declared::SLA,
            Self::SlaHistory => &declared::SLA_HISTORY,
            Self::Dropped => &declared::DROPPED,
            Self::TuneHistory => &declared::TUNE_HISTORY,
        }
    }

    pub fn column(self, name: &str) -> Option<&'static Column> {
        match self {
            // A run's row has hundreds of columns, and a lake thousands of kinds of rows.
            Self::Runs => RUNS_BY_NAME.get(name).copied(),
            _ => self.columns().iter().find(|column| column.name == name),
        }
    }
}

static RUNS_BY_NAME: LazyLock<HashMap<&'static str, &'static Column>> =
    LazyLock::new(|| declared::RUNS.iter().map(|column| (column.name, column)).collect());

/// The names of the statistics that table `combinations` has of each metric, and what they are.
pub const STATISTICS: [(&str, &str); 5] = [
    ("mean", "mean over the runs"),
    ("std", "standard deviation over the runs"),
    ("min", "lowest of the runs"),
    ("max", "highest of the runs"),
    ("ci95", "half the width of the 95 % confidence interval of the mean (Student's t)"),
];

impl Kind {
    pub const ALL: [Self; 5] =
        [Self::Identity, Self::Context, Self::ServeParameter, Self::BenchParameter, Self::Metric];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Context => "context",
            Self::ServeParameter => "serve parameter",
            Self::BenchParameter => "bench parameter",
            Self::Metric => "metric",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    pub fn is_parameter(self) -> bool {
        matches!(self, Self::ServeParameter | Self::BenchParameter)
    }
}

/// Whether a name belongs to a column of `runs` that means the same in every run: a parameter of this name stands under
/// `param.NAME`, and another thing of this name in a result under `result.NAME`. Settings of the load are not: there the
/// parameter and the result speak of the same thing.
pub fn is_reserved(name: &str) -> bool {
    match Table::Runs.column(name) {
        Some(column) => !column.kind.is_parameter(),
        None => Metric::of(name).is_some(),
    }
}

/// The name under which a parameter stands in table `runs`.
pub fn parameter_column(name: String) -> String {
    if is_reserved(&name) { format!("param.{name}") } else { name }
}

/// The type of a metric; what no one declared is a number.
pub fn metric_type(name: &str) -> Type {
    Table::Runs.column(name).map_or(Type::Number, |column| column.holds)
}

/// What a column of a table is measured in.
pub fn unit_of(table: Table, name: &str) -> Option<&'static str> {
    let declared = table.column(name).or_else(|| Table::Runs.column(plain(name)));
    declared.and_then(|column| column.unit).or_else(|| Metric::of(plain(name)).and_then(|metric| metric.unit))
}

/// What a column of a table means, in a few words.
pub fn meaning_of(table: Table, name: &str, kind: Kind) -> String {
    if let Some(column) = table.column(name) {
        return column.meaning.into();
    }
    if table == Table::Combinations
        && kind == Kind::Metric
        && let Some((inner, statistic)) = statistic(name)
    {
        return format!("{inner}: {statistic}");
    }
    if table == Table::Combinations
        && let Some(column) = Table::Runs.column(name)
    {
        return column.meaning.into();
    }
    match (name.split_once('.'), kind) {
        (Some(("result", inner)), _) => format!("{inner}, as reported in the benchmark's result"),
        (Some(("param", inner)), _) => format!("the parameter {inner}"),
        (_, Kind::ServeParameter) => "parameter of the server".into(),
        (_, Kind::BenchParameter) => "parameter of the load".into(),
        (_, Kind::Metric) => Metric::of(name).map_or("reported by the benchmark".into(), |metric| metric.label),
        (_, Kind::Context) => "reported by the benchmark".into(),
        (_, Kind::Identity) => String::new(),
    }
}

/// A statistic of table `combinations` as the metric and the statistic: `p99_e2el_ms` and its mean of `p99_e2el_ms_mean`.
pub fn statistic(name: &str) -> Option<(&str, &'static str)> {
    let (metric, suffix) = name.rsplit_once('_')?;
    STATISTICS.into_iter().find(|(statistic, _)| *statistic == suffix).map(|(_, meaning)| (metric, meaning))
}

/// What stands in a column when all is well. A column that says nothing else needs no room in a table for people.
pub fn usual(name: &str) -> Option<&'static str> {
    match name {
        "status" => Some("completed"),
        "success_rate_mean" => Some("1"),
        "failed_runs" | "degraded_runs" => Some("0"),
        _ => None,
    }
}

/// Whether a column is half the width of the interval of the one before it: `x_ci95` behind `x_mean`, or behind `x` itself.
pub fn is_interval_of(name: &str, before: &str) -> bool {
    let metric = name.strip_suffix("_ci95");
    metric.is_some_and(|metric| before == metric || before.strip_suffix("_mean") == Some(metric))
}

/// The name of a metric without its statistic over runs, and without its mark as the benchmark's own.
fn plain(name: &str) -> &str {
    let name = statistic(name).map_or(name, |(metric, _)| metric);
    name.strip_prefix("result.").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_every_column_says_what_it_means() {
        for table in Table::ALL {
            let names: HashSet<&str> = table.columns().iter().map(|column| column.name).collect();
            assert_eq!(names.len(), table.columns().len(), "{table:?}");
            let unclear = table.columns().iter().find(|column| column.meaning.len() < 8);
            assert_eq!(unclear, None);
        }
    }

    #[test]
    fn kinds_are_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::parse("x"), None);
    }

    #[test]
    fn names_of_ours_and_of_known_metrics_are_reserved_and_settings_are_not() {
        for name in ["status", "sweep", "duration", "p99.9_ttft_ms", "success_rate", "label"] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["max_concurrency", "request_rate", "tensor_parallel_size", "gpu_power_w", "dtype"] {
            assert!(!is_reserved(name), "{name}");
        }
        assert_eq!(parameter_column("duration".into()), "param.duration");
    }

    #[test]
    fn statistics_keep_the_unit_of_their_metric() {
        assert_eq!(unit_of(Table::Combinations, "p99_e2el_ms_mean"), Some("ms"));
        assert_eq!(unit_of(Table::Combinations, "output_throughput_ci95"), Some("tok/s"));
        assert_eq!(unit_of(Table::Runs, "startup_time_s"), Some("s"));
        assert_eq!(
            meaning_of(Table::Combinations, "gpu_power_w_std", Kind::Metric),
            "gpu_power_w: standard deviation over the runs"
        );
    }
}
