//! Combinations whose runs may be of two things.

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

impl Lake {
    /// Combinations whose runs differ by more than repeats do.
    pub async fn pooled_apart(&self) -> Result<Vec<Apart>, QueryError> {
        shipped::POOLED_APART.rows(self, &[]).await
    }
}
