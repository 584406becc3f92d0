//! What there is of queries on several machines in a program without the feature `distributed`: a sentence.

use super::QueryError;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::SessionContext;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use std::path::PathBuf;
use tokio::net::TcpListener;

/// Machines that answer queries together; none can be found.
#[derive(Clone, Debug)]
pub struct Workers {
    pub(super) silent: Vec<String>,
}

impl Workers {
    #[expect(clippy::unused_async, reason = "as where it asks")]
    pub async fn find(_: &str, _: Option<&str>, _: Option<usize>) -> Result<Self, QueryError> {
        Err(QueryError::NotBuilt)
    }

    pub fn join(&self, builder: SessionStateBuilder) -> Result<SessionStateBuilder> {
        Ok(builder)
    }

    pub async fn begin(&self, _: &SessionContext, _: &LogicalPlan) -> Result<Begun> {
        Ok(Begun::Small)
    }
}

/// How a query goes that workers answer.
pub enum Begun {
    Rows(SendableRecordBatchStream),
    Small,
    Unshared(DataFusionError),
}

/// A worker that can begin to answer; none can.
pub struct Service;

impl Service {
    pub fn open(_: &[PathBuf], _: Option<&str>, _: Option<usize>) -> Result<Self, QueryError> {
        Err(QueryError::NotBuilt)
    }

    #[expect(clippy::unused_async, reason = "as where it serves")]
    pub async fn serve(self, _: TcpListener, _: impl Future<Output = ()>) -> Result<(), QueryError> {
        Err(QueryError::NotBuilt)
    }
}
