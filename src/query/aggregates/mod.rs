//! Aggregates of our own in place of DataFusion's, where those spend most of their time on handing states over: the number of distinct
//! values, and percentiles, which are exact to the last digit besides; and extremes that may be infinite.

mod distinct;
mod exchange;
mod extreme;
mod percentile;

pub use exchange::Reach;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue};
#[cfg(feature = "distributed")]
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::expr::{AggregateFunction, NullTreatment};
use datafusion::logical_expr::{Aggregate, AggregateUDF, Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::lit;
use distinct::CountDistinct;
use extreme::Extreme;
use percentile::ExactPercentile;
use std::sync::Arc;

/// Puts our aggregates into plans.
#[derive(Debug)]
pub struct OwnAggregates {
    pub reach: Reach,
}

impl AnalyzerRule for OwnAggregates {
    fn name(&self) -> &str {
        "own_aggregates"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Aggregate(aggregate) => replace(aggregate, self.reach),
            other => Ok(Transformed::no(other)),
        })?;
        Ok(plan.data)
    }
}

fn replace(aggregate: Aggregate, reach: Reach) -> Result<Transformed<LogicalPlan>> {
    let replaced: Vec<Option<Expr>> =
        aggregate.aggr_expr.iter().map(|expr| replacement(expr, &aggregate, reach)).collect();
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

fn replacement(expr: &Expr, aggregate: &Aggregate, reach: Reach) -> Option<Expr> {
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
            Some(own(AggregateUDF::from(CountDistinct::new(reach)), vec![value.clone()], None))
        }
        ("min" | "max", [value]) if !aggregate.group_expr.is_empty() && is_double(value) => {
            Some(own(AggregateUDF::from(Extreme::new(func.clone())), vec![value.clone()], params.filter.clone()))
        }
        ("percentile_cont", [value, Expr::Literal(ScalarValue::Float64(Some(share)), _)])
            if !params.distinct && (0.0..=1.0).contains(share) =>
        {
            let is_from_the_top = params.order_by.iter().any(|sort| !sort.asc);
            let arguments = vec![value.clone(), lit(*share), lit(is_from_the_top)];
            let percentile = || AggregateUDF::from(ExactPercentile::new(reach));
            is_double(value).then(|| own(percentile(), arguments, params.filter.clone()))
        }
        _ => None,
    }
}

fn own(function: AggregateUDF, arguments: Vec<Expr>, filter: Option<Box<Expr>>) -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(Arc::new(function), arguments, false, filter, Vec::new(), None))
}

/// The aggregates that plans of other machines name.
#[cfg(feature = "distributed")]
pub fn known_elsewhere() -> [AggregateUDF; 4] {
    [
        AggregateUDF::from(CountDistinct::new(Reach::Machines)),
        AggregateUDF::from(ExactPercentile::new(Reach::Machines)),
        AggregateUDF::from(Extreme::new(max_udaf())),
        AggregateUDF::from(Extreme::new(min_udaf())),
    ]
}
