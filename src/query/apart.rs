//! What is to be said of numbers: combinations whose runs may be of two things, and cautions of single runs.

use super::typed_row;
use super::{Lake, QueryError, shipped};
use std::fmt;

typed_row! {
    /// A combination whose runs differ by more than repeats do.
    pub struct Apart {
        pub sweep: String,
        pub label: Option<String>,
        pub n: i64,
        pub why: String,
    }
}

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.label.as_deref().unwrap_or_default();
        write!(f, "{label}: its {} runs may be of two things: {}", self.n, self.why)
    }
}

typed_row! {
    /// What is to be said of single runs, and of how many.
    pub struct Cautioned {
        pub caution: String,
        pub runs: i64,
    }
}

typed_row! {
    /// A percentile of which the requests are too few to say how high it may be, and in how many runs.
    pub struct Unbounded {
        pub percentile: String,
        pub runs: i64,
    }
}

impl fmt::Display for Unbounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { percentile, runs } = self;
        write!(f, "{runs} run(s) have too few requests for an upper bound of their {percentile}")
    }
}

impl Lake {
    /// Percentiles without an upper bound.
    pub async fn unbounded_percentiles(&self) -> Result<Vec<Unbounded>, QueryError> {
        let sql = "SELECT percentile, count(*) AS runs FROM (SELECT unnest(percentiles_without_bound) AS percentile FROM runs \
                   WHERE status IN ('completed', 'degraded')) GROUP BY percentile ORDER BY runs DESC, percentile";
        self.sql(sql).await?.typed("percentiles without a bound")
    }

    /// Reasons not to trust numbers as they stand, those of most runs first.
    pub async fn cautions(&self) -> Result<Vec<Cautioned>, QueryError> {
        let sql = "SELECT caution, count(*) AS runs FROM (SELECT unnest(caution) AS caution FROM runs WHERE status IN ('completed', 'degraded')) \
                   GROUP BY caution ORDER BY runs DESC, caution";
        self.sql(sql).await?.typed("cautions")
    }

    /// Combinations whose runs differ by more than repeats do.
    pub async fn pooled_apart(&self) -> Result<Vec<Apart>, QueryError> {
        shipped::POOLED_APART.rows(self, &[]).await
    }
}
