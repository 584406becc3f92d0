//! What kind of sweep one is, and how far it came.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepKind {
    Serve,
    ServeSla,
    ServeTune,
    ServeWorkload,
    Startup,
    /// Base and candidate in turn.
    Ab,
    /// Runs of other tools.
    Import,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepState {
    Running,
    Completed,
    /// Ended with failed runs, or stopped at one.
    Failed,
    Interrupted,
}

impl SweepKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::ServeSla => "serve_sla",
            Self::ServeTune => "serve_tune",
            Self::ServeWorkload => "serve_workload",
            Self::Startup => "startup",
            Self::Ab => "ab",
            Self::Import => "import",
        }
    }
}

impl SweepState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}
