//! Rows that lie in thousands of small files: read when they are asked for, a batch of files at a time, and only the columns that
//! are asked for.

use crate::store::LooseRows;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream;
use std::sync::Arc;

#[derive(Debug)]
pub struct LooseTable {
    rows: Arc<LooseRows>,
    schema: SchemaRef,
}

impl LooseTable {
    pub fn new(rows: LooseRows, schema: SchemaRef) -> Self {
        Self { rows: Arc::new(rows), schema }
    }
}

#[async_trait]
impl TableProvider for LooseTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let count = session.config().target_partitions().clamp(1, self.rows.num_batches().max(1));
        let share = |first: usize| {
            Arc::new(Share { rows: self.rows.clone(), schema: schema.clone(), first, step: count })
                as Arc<dyn PartitionStream>
        };
        let shares = (0..count).map(share).collect();
        Ok(Arc::new(StreamingTableExec::try_new(schema.clone(), shares, None, [], false, limit)?))
    }
}

/// What one partition reads: a batch, and then every `step`-th.
#[derive(Debug)]
struct Share {
    rows: Arc<LooseRows>,
    schema: SchemaRef,
    first: usize,
    step: usize,
}

impl PartitionStream for Share {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (rows, schema) = (self.rows.clone(), self.schema.clone());
        let batches = (self.first..self.rows.num_batches()).step_by(self.step).map(move |index| {
            rows.read_batch(index, &schema).map_err(|error| DataFusionError::External(Box::new(error)))
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream::iter(batches)))
    }
}
