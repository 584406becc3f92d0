//! The frontier as an operator of DataFusion: rows in, those on the frontier of their group out.
//!
//! Each partition first turns away what a few good points beat, without holding anything back; what is left comes
//! together and is decided exactly.

use super::front::{Points, Sieve};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchemaRef, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties, InputDistributionRequirements,
    Partitioning, PlanProperties, SendableRecordBatchStream,
};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The rows of a plan that are on the frontier of their group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub struct Pareto {
    pub input: LogicalPlan,
    pub objectives: Vec<Expr>,
    /// Of each objective, whether more is better.
    pub is_max: Vec<bool>,
    pub group: Vec<Expr>,
}

impl Pareto {
    fn used(&self) -> Vec<Expr> {
        [self.objectives.clone(), self.group.clone()].concat()
    }
}

impl UserDefinedLogicalNodeCore for Pareto {
    fn name(&self) -> &str {
        "Pareto"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        self.used()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let objectives = self.objectives.iter().zip(&self.is_max);
        let objectives = objectives.map(|(objective, is_max)| format!("{objective} {}", direction(*is_max)));
        write!(f, "Pareto: {}", objectives.collect::<Vec<_>>().join(", "))?;
        let group: Vec<String> = self.group.iter().map(Expr::to_string).collect();
        if group.is_empty() { Ok(()) } else { write!(f, " group={}", group.join(", ")) }
    }

    fn with_exprs_and_inputs(&self, mut exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let group = exprs.split_off(self.objectives.len());
        Ok(Self { input: inputs.swap_remove(0), objectives: exprs, is_max: self.is_max.clone(), group })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let used = self.used().into_iter().flat_map(|expr| expr.column_refs().into_iter().cloned().collect::<Vec<_>>());
        let used: Option<Vec<usize>> = used.map(|column| self.input.schema().maybe_index_of_column(&column)).collect();
        let mut needed = [output_columns, &used?].concat();
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}

fn direction(is_max: bool) -> &'static str {
    if is_max { "max" } else { "min" }
}

/// Plans queries, the frontier too.
#[derive(Debug)]
pub struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(ParetoPlanner)]);
        planner.create_physical_plan(plan, session).await
    }
}

struct ParetoPlanner;

#[async_trait]
impl ExtensionPlanner for ParetoPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<Pareto>() else { return Ok(None) };
        let physical = |exprs: &[Expr]| -> Result<Vec<Arc<dyn PhysicalExpr>>> {
            exprs.iter().map(|expr| planner.create_physical_expr(expr, node.input.schema(), session, context)).collect()
        };
        let question = Arc::new(Question {
            objectives: physical(&node.objectives)?,
            is_max: node.is_max.clone(),
            group: physical(&node.group)?,
        });
        let sieved = ParetoExec::new(physical_inputs[0].clone(), question.clone(), Stage::Sieve);
        let together = Arc::new(CoalescePartitionsExec::new(Arc::new(sieved)));
        Ok(Some(Arc::new(ParetoExec::new(together, question, Stage::Decide))))
    }
}

#[derive(Debug)]
pub struct Question {
    pub objectives: Vec<Arc<dyn PhysicalExpr>>,
    pub is_max: Vec<bool>,
    pub group: Vec<Arc<dyn PhysicalExpr>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Turns away most of what is beaten, row by row.
    Sieve,
    /// Decides, once all rows are there.
    Decide,
}

#[derive(Debug)]
pub struct ParetoExec {
    input: Arc<dyn ExecutionPlan>,
    pub question: Arc<Question>,
    pub stage: Stage,
    properties: Arc<PlanProperties>,
}

impl ParetoExec {
    pub fn new(input: Arc<dyn ExecutionPlan>, question: Arc<Question>, stage: Stage) -> Self {
        let (partitions, emission) = match stage {
            Stage::Sieve => (input.output_partitioning().partition_count(), EmissionType::Incremental),
            Stage::Decide => (1, EmissionType::Final),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(partitions),
            emission,
            Boundedness::Bounded,
        );
        Self { input, question, stage, properties: Arc::new(properties) }
    }
}

impl DisplayAs for ParetoExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let objectives = self.question.objectives.iter().zip(&self.question.is_max);
        let objectives = objectives.map(|(objective, is_max)| format!("{objective} {}", direction(*is_max)));
        write!(f, "ParetoExec: stage={:?}, {}", self.stage, objectives.collect::<Vec<_>>().join(", "))
    }
}

impl ExecutionPlan for ParetoExec {
    fn name(&self) -> &str {
        "ParetoExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![match self.stage {
            Stage::Sieve => Distribution::UnspecifiedDistribution,
            Stage::Decide => Distribution::SinglePartition,
        }])
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let mut all = self.question.objectives.iter().chain(&self.question.group);
        all.try_fold(TreeNodeRecursion::Continue, |recursion, expr| recursion.visit_sibling(|| visit(expr)))
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(children.swap_remove(0), self.question.clone(), self.stage)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context.clone())?;
        let schema = self.schema();
        let mut sieve = GroupSieve::new(self.question.clone(), &schema)?;
        let stream = match self.stage {
            Stage::Sieve => input
                .map(move |batch| sieve.filter(&batch?).map(|(rows, _)| rows))
                .try_filter(|batch| std::future::ready(batch.num_rows() > 0))
                .boxed(),
            Stage::Decide => {
                let decided = decide(input, sieve, context, schema.clone());
                stream::once(decided).boxed()
            }
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

/// All rows on the frontiers of their groups.
async fn decide(
    mut input: SendableRecordBatchStream,
    mut sieve: GroupSieve,
    context: Arc<TaskContext>,
    schema: SchemaRef,
) -> Result<RecordBatch> {
    let reservation = MemoryConsumer::new("pareto").register(context.memory_pool());
    let dimensions = sieve.question.objectives.len();
    let (mut rows, mut candidates) = (Vec::new(), Vec::new());
    while let Some(batch) = input.next().await {
        let (kept, found) = sieve.filter(&batch?)?;
        reservation.try_grow(kept.get_array_memory_size() + found.len() * (dimensions * 8 + 32))?;
        rows.push(kept);
        candidates.extend(found);
    }
    let mut groups: Vec<(Points, Vec<usize>)> = vec![(Points::new(dimensions), Vec::new()); sieve.sieves.len()];
    for (row, (group, gains)) in candidates.iter().enumerate() {
        groups[*group].0.push(gains);
        groups[*group].1.push(row);
    }
    let mut is_on_frontier = vec![false; candidates.len()];
    for (points, of_rows) in groups {
        let decided = points.are_on_frontier();
        decided.into_iter().zip(of_rows).for_each(|(is_on, row)| is_on_frontier[row] = is_on);
    }
    let mut from = 0;
    let filtered = rows.iter().map(|batch| {
        let mask = BooleanArray::from(is_on_frontier[from..from + batch.num_rows()].to_vec());
        from += batch.num_rows();
        filter_record_batch(batch, &mask)
    });
    let filtered = filtered.collect::<Result<Vec<_>, _>>()?;
    Ok(concat_batches(&schema, &filtered)?)
}

/// A sieve for each group.
struct GroupSieve {
    question: Arc<Question>,
    converter: RowConverter,
    groups: HashMap<OwnedRow, usize>,
    sieves: Vec<Sieve>,
}

/// The group of a row, and what it gains in each objective.
type Candidate = (usize, Vec<f64>);

impl GroupSieve {
    fn new(question: Arc<Question>, schema: &SchemaRef) -> Result<Self> {
        let fields = question.group.iter().map(|expr| Ok(SortField::new(expr.data_type(schema)?)));
        let converter = RowConverter::new(fields.collect::<Result<_>>()?)?;
        Ok(Self { question, converter, groups: HashMap::new(), sieves: Vec::new() })
    }

    /// The rows that no row seen so far is known to beat. Rows that lack an objective are on no frontier.
    fn filter(&mut self, batch: &RecordBatch) -> Result<(RecordBatch, Vec<Candidate>)> {
        let gains = self.gains(batch)?;
        let groups = self.groups_of(batch)?;
        let mut point = vec![0.0; gains.len()];
        let mut candidates = Vec::new();
        let mask: BooleanArray = (0..batch.num_rows())
            .map(|row| {
                let is_whole = gains.iter().zip(&mut point).all(|(column, gain)| {
                    *gain = column.value(row);
                    column.is_valid(row) && !gain.is_nan()
                });
                let group = groups.as_ref().map_or(0, |groups| groups[row]);
                let passes = is_whole && self.sieves[group].passes(&point);
                if passes {
                    candidates.push((group, point.clone()));
                }
                Some(passes)
            })
            .collect();
        Ok((filter_record_batch(batch, &mask)?, candidates))
    }

    /// The objectives as numbers of which more is better.
    fn gains(&self, batch: &RecordBatch) -> Result<Vec<arrow::array::Float64Array>> {
        let columns = self.question.objectives.iter().zip(&self.question.is_max).map(|(objective, is_max)| {
            let values = cast(&objective.evaluate(batch)?.into_array(batch.num_rows())?, &DataType::Float64)?;
            let sign = if *is_max { 1.0 } else { -1.0 };
            // Adding zero makes one zero of both.
            Ok(values.as_primitive::<Float64Type>().unary(|value| sign * value + 0.0))
        });
        columns.collect()
    }

    /// The group of each row; `None` where there is only one.
    fn groups_of(&mut self, batch: &RecordBatch) -> Result<Option<Vec<usize>>> {
        let dimensions = self.question.objectives.len();
        if self.question.group.is_empty() {
            self.sieves.resize_with(1, || Sieve::new(dimensions));
            return Ok(None);
        }
        let columns = self.question.group.iter().map(|expr| expr.evaluate(batch)?.into_array(batch.num_rows()));
        let rows = self.converter.convert_columns(&columns.collect::<Result<Vec<ArrayRef>>>()?)?;
        let mut groups = Vec::with_capacity(batch.num_rows());
        for (index, row) in rows.iter().enumerate() {
            // Rows of one group often follow each other.
            let group = match groups.last().filter(|_| rows.row(index - 1) == row) {
                Some(group) => *group,
                None => {
                    let group = *self.groups.entry(row.owned()).or_insert(self.sieves.len());
                    if group == self.sieves.len() {
                        self.sieves.push(Sieve::new(dimensions));
                    }
                    group
                }
            };
            groups.push(group);
        }
        Ok(Some(groups))
    }
}
