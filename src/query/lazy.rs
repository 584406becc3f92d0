//! A table with columns that cost something and are made only when a query asks for them.

use super::pareto;
use async_trait::async_trait;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::{QueryPlanner, SessionContext, SessionState};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::ident;
use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;

/// Columns that are added to the rows of a plan.
#[async_trait]
pub trait Added: Debug + Send + Sync {
    fn fields(&self) -> Vec<Field>;

    /// The columns that they are made from.
    fn needs(&self) -> &'static [&'static str];

    /// The plan with these columns behind its own.
    async fn add_to(&self, plan: LogicalPlan, context: &SessionContext) -> Result<LogicalPlan>;
}

/// Rows whose plan is made from the columns that are asked for: of thousands, planning all takes seconds.
#[async_trait]
pub trait Rows: Debug + Send + Sync {
    fn fields(&self) -> Vec<Field>;

    /// A plan with at least these of its columns.
    async fn plan(&self, columns: &HashSet<&str>, context: &SessionContext) -> Result<LogicalPlan>;
}

#[async_trait]
impl Rows for LogicalPlan {
    fn fields(&self) -> Vec<Field> {
        self.schema().fields().iter().map(|field| field.as_ref().clone()).collect()
    }

    async fn plan(&self, _: &HashSet<&str>, _: &SessionContext) -> Result<LogicalPlan> {
        Ok(self.clone())
    }
}

/// Rows, with what can be added to them.
#[derive(Debug)]
pub struct LazyTable {
    rows: Arc<dyn Rows>,
    added: Vec<Arc<dyn Added>>,
    schema: SchemaRef,
}

impl LazyTable {
    /// `order` says where columns stand that have a place of their own.
    pub fn new(rows: Arc<dyn Rows>, added: Vec<Arc<dyn Added>>, order: impl Fn(&str) -> usize) -> Self {
        let own = rows.fields().into_iter().map(|field| field.with_nullable(true));
        let mut fields: Vec<Field> = own.chain(added.iter().flat_map(|added| added.fields())).collect();
        fields.sort_by_key(|field| order(field.name()));
        Self { rows, added, schema: Arc::new(Schema::new(fields)) }
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
        let asked: HashSet<&str> = wanted.iter().copied().chain(filtered.iter().map(String::as_str)).collect();
        let is_asked =
            |added: &&Arc<dyn Added>| added.fields().iter().any(|field| asked.contains(field.name().as_str()));
        let added: Vec<&Arc<dyn Added>> = self.added.iter().filter(is_asked).collect();
        let needed: HashSet<&str> =
            asked.iter().copied().chain(added.iter().flat_map(|added| added.needs()).copied()).collect();
        let state = session.as_any().downcast_ref::<SessionState>();
        let state = state.ok_or_else(|| DataFusionError::Internal("a session of another kind".into()))?;
        let context = SessionContext::new_with_state(state.clone());
        let mut plan = self.rows.plan(&needed, &context).await?;
        for added in added {
            plan = added.add_to(plan, &context).await?;
        }
        let mut plan = LogicalPlanBuilder::from(plan);
        if let Some(filter) = filters.iter().cloned().reduce(Expr::and) {
            plan = plan.filter(unqualified(filter)?)?;
        }
        plan = plan.project(wanted.iter().map(|name| ident(*name)))?;
        // Whatever plans the whole query goes on with what is planned here: only the whole is shared with other machines.
        pareto::Planner.create_physical_plan(&state.optimize(&plan.limit(0, limit)?.build()?)?, session).await
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
