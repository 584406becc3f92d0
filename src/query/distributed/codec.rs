//! What of a plan is ours, as bytes: frontiers, and loose files.

use crate::query::loose::LooseExec;
use crate::query::pareto::{ParetoExec, Question, Stage};
use crate::store::LooseRows;
use arrow::datatypes::Schema;
use datafusion::common::{exec_datafusion_err, exec_err, internal_datafusion_err, internal_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::from_proto::parse_physical_exprs;
use datafusion_proto::physical_plan::to_proto::serialize_physical_exprs;
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf;
use prost::Message;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where files that a plan names may lie.
#[derive(Clone, Debug)]
pub enum Readable {
    Everything,
    /// Below these folders, whose paths are whole and without links.
    Below(Arc<[PathBuf]>),
}

impl Readable {
    fn check(&self, path: &Path) -> Result<()> {
        let Self::Below(folders) = self else { return Ok(()) };
        let real = path.canonicalize().map_err(|error| exec_datafusion_err!("{}: {error}", path.display()))?;
        match folders.iter().any(|folder| real.starts_with(folder)) {
            true => Ok(()),
            false => {
                Err(refused(&path.display().to_string(), folders.iter().map(|folder| folder.display().to_string())))
            }
        }
    }
}

/// What a worker says of a place that is none of its lakes.
pub fn refused(place: &str, lakes: impl Iterator<Item = String>) -> DataFusionError {
    exec_datafusion_err!("{place}: the worker reads only {}", lakes.collect::<Vec<_>>().join(", "))
}

#[derive(Debug)]
pub struct Codec {
    pub readable: Readable,
}

#[derive(Clone, PartialEq, Message)]
struct Operator {
    #[prost(oneof = "Kind", tags = "1, 2")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Pareto(ParetoNode),
    #[prost(message, tag = "2")]
    Loose(LooseNode),
}

#[derive(Clone, PartialEq, Message)]
struct ParetoNode {
    #[prost(message, repeated, tag = "1")]
    objectives: Vec<protobuf::PhysicalExprNode>,
    #[prost(bool, repeated, tag = "2")]
    is_max: Vec<bool>,
    #[prost(message, repeated, tag = "3")]
    group: Vec<protobuf::PhysicalExprNode>,
    #[prost(bool, tag = "4")]
    decides: bool,
}

#[derive(Clone, PartialEq, Message)]
struct LooseNode {
    #[prost(message, optional, tag = "1")]
    schema: Option<protobuf::Schema>,
    #[prost(message, repeated, tag = "2")]
    partitions: Vec<Partition>,
}

#[derive(Clone, PartialEq, Message)]
struct Partition {
    #[prost(message, repeated, tag = "1")]
    batches: Vec<Batch>,
}

#[derive(Clone, PartialEq, Message)]
struct Batch {
    #[prost(string, repeated, tag = "1")]
    files: Vec<String>,
}

impl PhysicalExtensionCodec for Codec {
    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buffer: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let kind = match (node.downcast_ref::<ParetoExec>(), node.downcast_ref::<LooseExec>()) {
            (Some(exec), _) => Kind::Pareto(self.of_pareto(exec, converter)?),
            (_, Some(exec)) => Kind::Loose(of_loose(exec)?),
            _ => return internal_err!("{} is no operator of sweeplake", node.name()),
        };
        Operator { kind: Some(kind) }.encode(buffer).map_err(|error| DataFusionError::External(error.into()))
    }

    fn try_decode(
        &self,
        buffer: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let operator = Operator::decode(buffer).map_err(|error| DataFusionError::External(error.into()))?;
        match (operator.kind, inputs) {
            (Some(Kind::Pareto(node)), [input]) => self.to_pareto(&node, input, context, converter),
            (Some(Kind::Loose(node)), []) => self.to_loose(node),
            _ => internal_err!("an operator that this version of sweeplake does not know"),
        }
    }
}

impl Codec {
    fn of_pareto(&self, exec: &ParetoExec, converter: &dyn PhysicalProtoConverterExtension) -> Result<ParetoNode> {
        Ok(ParetoNode {
            objectives: serialize_physical_exprs(&exec.question.objectives, self, converter)?,
            is_max: exec.question.is_max.clone(),
            group: serialize_physical_exprs(&exec.question.group, self, converter)?,
            decides: exec.stage == Stage::Decide,
        })
    }

    fn to_pareto(
        &self,
        node: &ParetoNode,
        input: &Arc<dyn ExecutionPlan>,
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (context, schema) = (PhysicalPlanDecodeContext::new(context, self), input.schema());
        let question = Question {
            objectives: parse_physical_exprs(&node.objectives, &context, &schema, converter)?,
            is_max: node.is_max.clone(),
            group: parse_physical_exprs(&node.group, &context, &schema, converter)?,
        };
        let stage = if node.decides { Stage::Decide } else { Stage::Sieve };
        Ok(Arc::new(ParetoExec::new(input.clone(), Arc::new(question), stage)))
    }

    fn to_loose(&self, node: LooseNode) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = node.schema.as_ref().ok_or_else(|| internal_datafusion_err!("loose files without columns"))?;
        let schema = Arc::new(Schema::try_from(schema)?);
        let (mut paths, mut partitions) = (Vec::new(), Vec::new());
        for partition in node.partitions {
            let batches = partition.batches.into_iter().map(|batch| {
                let first = paths.len();
                paths.extend(batch.files.into_iter().map(PathBuf::from));
                first..paths.len()
            });
            partitions.push(batches.collect());
        }
        paths.iter().try_for_each(|path| self.readable.check(path))?;
        let rows = LooseRows::open(paths).whole().map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(Arc::new(LooseExec::new(Arc::new(rows), schema, partitions)))
    }
}

fn of_loose(exec: &LooseExec) -> Result<LooseNode> {
    let text = |path: &Path| match std::path::absolute(path)?.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => exec_err!("{}: a name that is no text can't be sent to workers", path.display()),
    };
    let batch =
        |files: &Range<usize>| Ok(Batch { files: exec.rows.paths(files.clone()).map(text).collect::<Result<_>>()? });
    let partition =
        |batches: &Vec<Range<usize>>| Ok(Partition { batches: batches.iter().map(batch).collect::<Result<_>>()? });
    Ok(LooseNode {
        schema: Some(exec.schema().as_ref().try_into()?),
        partitions: exec.partitions.iter().map(partition).collect::<Result<_>>()?,
    })
}
