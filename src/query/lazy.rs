//! A table with columns that cost something and are made only when a query asks for them.

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::{SessionContext, SessionState};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::ident;
use std::fmt::Debug;
use std::sync::Arc;

/// Columns that are added to the rows of a plan.
#[async_trait]
pub trait Added: Debug + Send + Sync {
    fn fields(&self) -> Vec<Field>;

    /// The plan with these columns behind its own.
    async fn add_to(&self, plan: LogicalPlan, context: &SessionContext) -> Result<LogicalPlan>;
}

/// The rows of a plan, with what can be added to them.
#[derive(Debug)]
pub struct LazyTable {
    plan: LogicalPlan,
    added: Vec<Arc<dyn Added>>,
    schema: SchemaRef,
}

impl LazyTable {
    /// `order` says where columns stand that have a place of their own.
    pub fn new(plan: LogicalPlan, added: Vec<Arc<dyn Added>>, order: impl Fn(&str) -> usize) -> Self {
        let own = plan.schema().fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let mut fields: Vec<Field> = own.chain(added.iter().flat_map(|added| added.fields())).collect();
        fields.sort_by_key(|field| order(field.name()));
        Self { plan, added, schema: Arc::new(Schema::new(fields)) }
    }
}

#[async_trait]
impl TableProvider for LazyTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Exact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted: Vec<&str> = match projection {
            Some(columns) => columns.iter().map(|index| self.schema.field(*index).name().as_str()).collect(),
            None => self.schema.fields().iter().map(|field| field.name().as_str()).collect(),
        };
        let filtered: Vec<String> =
            filters.iter().flat_map(|filter| filter.column_refs()).map(|column| column.name.clone()).collect();
        let is_asked =
            |field: &Field| wanted.contains(&field.name().as_str()) || filtered.iter().any(|name| name == field.name());
        let mut plan = self.plan.clone();
        for added in self.added.iter().filter(|added| added.fields().iter().any(is_asked)) {
            let state = session.as_any().downcast_ref::<SessionState>();
            let state = state.ok_or_else(|| DataFusionError::Internal("a session of another kind".into()))?;
            plan = added.add_to(plan, &SessionContext::new_with_state(state.clone())).await?;
        }
        let mut plan = LogicalPlanBuilder::from(plan);
        if let Some(filter) = filters.iter().cloned().reduce(Expr::and) {
            plan = plan.filter(unqualified(filter)?)?;
        }
        plan = plan.project(wanted.iter().map(|name| ident(*name)))?;
        session.create_physical_plan(&plan.limit(0, limit)?.build()?).await
    }
}

/// The condition with the names of its columns alone.
fn unqualified(filter: Expr) -> Result<Expr> {
    let plain = filter.transform(|expr| match expr {
        Expr::Column(column) => Ok(Transformed::yes(ident(&column.name))),
        other => Ok(Transformed::no(other)),
    });
    Ok(plain?.data)
}
