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
        write!(f, "{label}: its {} runs may not have measured the same thing: {}", self.n, self.why)
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
    /// Percentiles of which the requests are too few to say how high they may be, and in how many runs.
    pub struct Unbounded {
        pub percentiles: String,
        pub runs: i64,
    }
}

typed_row! {
    /// How much higher the throughput is in the steady parts of runs than over the whole of them, as shares.
    pub struct SteadyState {
        pub runs: i64,
        pub usual: f64,
        pub most: f64,
    }
}

impl fmt::Display for SteadyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, usual, most } = self;
        let (usual, most) = (usual * 100.0, most * 100.0);
        write!(
            f,
            "throughput without ramp-up and drain differs by {usual:+.1} % (median of {runs} runs, at most {most:+.1} %): see columns steady_…"
        )
    }
}

impl fmt::Display for Unbounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { percentiles, runs } = self;
        write!(f, "{runs} run(s) have too few requests for an upper bound on {percentiles}")
    }
}

impl Lake {
    /// Percentiles without an upper bound.
    pub async fn unbounded_percentiles(&self) -> Result<Vec<Unbounded>, QueryError> {
        let sql = "SELECT array_to_string(percentiles_without_bound, ', ') AS percentiles, count(*) AS runs FROM runs \
                   WHERE status IN ('completed', 'degraded') AND cardinality(percentiles_without_bound) > 0 GROUP BY percentiles \
                   ORDER BY runs DESC, percentiles";
        self.sql(sql).await?.typed("percentiles without a bound")
    }

    /// Reasons not to trust numbers as they stand, those of most runs first.
    pub async fn cautions(&self) -> Result<Vec<Cautioned>, QueryError> {
        let sql = "SELECT caution, count(*) AS runs FROM (SELECT unnest(caution) AS caution FROM runs WHERE status IN ('completed', 'degraded')) \
                   GROUP BY caution ORDER BY runs DESC, caution";
        self.sql(sql).await?.typed("cautions")
    }

    /// What ramp-up and drain do to throughput, where single requests tell.
    pub async fn steady_states(&self) -> Result<Vec<SteadyState>, QueryError> {
        let sql = "SELECT count(*) AS runs, median(steady_output_throughput / output_throughput - 1) AS usual, \
                   max(steady_output_throughput / output_throughput - 1) AS most FROM runs \
                   WHERE status IN ('completed', 'degraded') AND steady_output_throughput > 0 AND output_throughput > 0 \
                   HAVING count(*) > 0";
        self.sql(sql).await?.typed("steady states")
    }

    /// Combinations whose runs differ by more than repeats do.
    pub async fn pooled_apart(&self) -> Result<Vec<Apart>, QueryError> {
        shipped::POOLED_APART.rows(self, &[]).await
    }
}
