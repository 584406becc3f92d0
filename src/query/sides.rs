//! `serve` and `bench` of `runs`: what the settings and the load of a run are called, as in `combinations`.

use super::columns::SIDES;
use super::lazy::Added;
use crate::table::Table;
use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::error::Result;
use datafusion::execution::context::SessionContext;
use datafusion::functions::expr_fn::coalesce;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::{Expr, ident};

const MADE_FROM: [&str; 4] = ["serve_name", "serve_params", "bench_name", "bench_params"];

#[derive(Debug)]
pub struct Sides;

fn field(name: &str) -> Field {
    let declared = Table::Runs.column(name).map(|column| super::tables::field(Table::Runs, column));
    declared.unwrap_or_else(|| Field::new(name, DataType::Utf8, true))
}

#[async_trait]
impl Added for Sides {
    fn fields(&self) -> Vec<Field> {
        SIDES.map(|(name, _)| field(name)).to_vec()
    }

    fn needs(&self) -> &'static [&'static str] {
        &MADE_FROM
    }

    async fn add_to(&self, plan: LogicalPlan, _: &SessionContext) -> Result<LogicalPlan> {
        let own: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        let is_there = |name: &&str| plan.schema().has_column_with_unqualified_name(name);
        let sides = SIDES.map(|(name, from)| {
            let known: Vec<Expr> = from.iter().filter(|name| is_there(name)).map(|name| ident(*name)).collect();
            super::tables::named(coalesce(known), &field(name))
        });
        LogicalPlanBuilder::from(plan).project(own.into_iter().chain(sides))?.build()
    }
}
