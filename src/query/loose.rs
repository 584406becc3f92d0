//! Rows that lie in thousands of small files: read when they are asked for, a batch of files at a time, and only the columns that
//! are asked for.

use crate::store::LooseRows;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::stream;
use std::fmt;
use std::ops::Range;
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
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let (most, options) = (session.config().target_partitions(), session.config().options());
        // As for other files: what is large enough is read in several pieces.
        let each = if self.rows.num_bytes() < options.optimizer.repartition_file_min_size { 1 } else { most };
        let batches: Vec<_> = self.rows.batches().iter().flat_map(|files| pieces(files, each)).collect();
        let count = most.clamp(1, batches.len().max(1));
        Ok(Arc::new(LooseExec::new(self.rows.clone(), schema, dealt(batches, count))))
    }
}

/// A range in at most so many parts.
pub fn pieces(range: &Range<usize>, most: usize) -> Vec<Range<usize>> {
    let size = range.len().div_ceil(most.max(1)).max(1);
    range.clone().step_by(size).map(|from| from..range.end.min(from + size)).collect()
}

/// Things in turn to so many.
pub fn dealt<T>(things: impl IntoIterator<Item = T>, count: usize) -> Vec<Vec<T>> {
    let mut hands: Vec<Vec<T>> = (0..count).map(|_| Vec::new()).collect();
    for (index, thing) in things.into_iter().enumerate() {
        hands[index % count].push(thing);
    }
    hands
}

/// Reads loose files.
#[derive(Debug)]
pub struct LooseExec {
    pub rows: Arc<LooseRows>,
    /// The files of each partition, by their places: those of a range as one batch.
    pub partitions: Vec<Vec<Range<usize>>>,
    properties: Arc<PlanProperties>,
}

impl LooseExec {
    pub fn new(rows: Arc<LooseRows>, schema: SchemaRef, partitions: Vec<Vec<Range<usize>>>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { rows, partitions, properties: Arc::new(properties) }
    }
}

impl DisplayAs for LooseExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let batches: usize = self.partitions.iter().map(Vec::len).sum();
        write!(f, "LooseExec: partitions={}, batches={batches}", self.partitions.len())
    }
}

impl ExecutionPlan for LooseExec {
    fn name(&self) -> &str {
        "LooseExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (rows, schema) = (self.rows.clone(), self.schema());
        let batches = self.partitions[partition].clone().into_iter().map(move |files| {
            rows.read_files(files, &schema).map_err(|error| DataFusionError::External(Box::new(error)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream::iter(batches))))
    }
}
