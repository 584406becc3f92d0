//! Aggregates of our own in place of DataFusion's, where those spend most of their time on handing states over: exact percentiles in
//! groups, and the number of distinct values. Answers are the same.

mod distinct;
mod exchange;
mod percentile;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, NullTreatment};
use datafusion::logical_expr::{Aggregate, AggregateUDF, Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use distinct::CountDistinct;
use percentile::GroupedPercentile;
use std::sync::Arc;

/// Puts our aggregates into plans.
#[derive(Debug)]
pub struct OwnAggregates;

impl AnalyzerRule for OwnAggregates {
    fn name(&self) -> &str {
        "own_aggregates"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Aggregate(aggregate) => replace(aggregate),
            other => Ok(Transformed::no(other)),
        })?;
        Ok(plan.data)
    }
}

fn replace(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let replaced: Vec<Option<Expr>> = aggregate.aggr_expr.iter().map(|expr| replacement(expr, &aggregate)).collect();
    if replaced.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let exprs = aggregate.aggr_expr.into_iter().zip(replaced).map(|(old, new)| match new {
        Some(new) => new.alias(old.schema_name().to_string()),
        None => old,
    });
    let aggregate = Aggregate::try_new(aggregate.input.clone(), aggregate.group_expr, exprs.collect())?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
}

fn replacement(expr: &Expr, aggregate: &Aggregate) -> Option<Expr> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expr else { return None };
    let is_plain =
        params.filter.is_none() && params.null_treatment.is_none_or(|nulls| nulls == NullTreatment::RespectNulls);
    let is_grouped = !aggregate.group_expr.is_empty();
    match (func.name(), params.args.as_slice()) {
        ("count", [value]) if params.distinct && !is_grouped && is_plain && !matches!(value, Expr::Literal(..)) => {
            Some(own(AggregateUDF::from(CountDistinct::new()), value))
        }
        ("percentile_cont", [value, Expr::Literal(ScalarValue::Float64(Some(share)), _)])
            if !params.distinct && is_grouped && is_plain && params.order_by.iter().all(|sort| sort.asc) =>
        {
            let is_double = value.get_type(aggregate.input.schema()).is_ok_and(|kind| kind == DataType::Float64);
            is_double.then(|| own(AggregateUDF::from(GroupedPercentile::new(*share)), value))
        }
        _ => None,
    }
}

fn own(function: AggregateUDF, value: &Expr) -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(
        Arc::new(function),
        vec![value.clone()],
        false,
        None,
        Vec::new(),
        None,
    ))
}
