//! Aggregates of our own in place of DataFusion's, where those spend most of their time on handing states over: the number of distinct
//! values, and percentiles, which are exact to the last digit besides; and extremes that may be infinite.

mod distinct;
mod exchange;
mod extreme;
mod percentile;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, NullTreatment};
use datafusion::logical_expr::{Aggregate, AggregateUDF, Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use distinct::CountDistinct;
use extreme::Extreme;
use percentile::{ExactPercentile, Place};
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
    if params.null_treatment.is_some_and(|nulls| nulls != NullTreatment::RespectNulls) {
        return None;
    }
    let is_double = |value: &Expr| value.get_type(aggregate.input.schema()).is_ok_and(|kind| kind == DataType::Float64);
    match (func.name(), params.args.as_slice()) {
        ("count", [value])
            if params.distinct
                && params.filter.is_none()
                && aggregate.group_expr.is_empty()
                && !matches!(value, Expr::Literal(..)) =>
        {
            Some(own(AggregateUDF::from(CountDistinct::new()), value, None))
        }
        ("min" | "max", [value]) if !aggregate.group_expr.is_empty() && is_double(value) => {
            Some(own(AggregateUDF::from(Extreme { of: func.clone() }), value, params.filter.clone()))
        }
        ("percentile_cont", [value, Expr::Literal(ScalarValue::Float64(Some(share)), _)])
            if !params.distinct && (0.0..=1.0).contains(share) =>
        {
            let place = Place { share: *share, is_from_the_top: params.order_by.iter().any(|sort| !sort.asc) };
            is_double(value).then(|| own(AggregateUDF::from(ExactPercentile::new(place)), value, params.filter.clone()))
        }
        _ => None,
    }
}

fn own(function: AggregateUDF, value: &Expr, filter: Option<Box<Expr>>) -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(
        Arc::new(function),
        vec![value.clone()],
        false,
        filter,
        Vec::new(),
        None,
    ))
}
