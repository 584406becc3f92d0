//! `pareto(table or query, 'x max', 'y min', …, group => 'model')`: the rows on the frontier, as a table function. Rows of failed and
//! degraded runs and combinations are on none.

mod front;
mod operator;

pub use front::Points;
pub use operator::Planner;
#[cfg(feature = "distributed")]
pub use operator::{ParetoExec, Question, Stage};

use crate::metric::{Better, Metric};
use datafusion::common::{DFSchema, Result, plan_datafusion_err, plan_err};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::{ident, lit};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, TableFactor, Value as SqlValue, ValueWithSpan,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use operator::Pareto;
use std::sync::Arc;

/// The function's name.
pub const NAME: &str = "pareto";

/// Turns calls of `pareto` into plans.
#[derive(Debug)]
pub struct ParetoCalls;

impl RelationPlanner for ParetoCalls {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        match relation {
            TableFactor::Table { ref name, args: Some(ref args), ref alias, .. }
                if name.to_string().eq_ignore_ascii_case(NAME) =>
            {
                let plan = plan(&args.args, context)?;
                Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias.clone()))))
            }
            other => Ok(RelationPlanning::Original(Box::new(other))),
        }
    }
}

fn plan(args: &[FunctionArg], context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    let Some((FunctionArg::Unnamed(FunctionArgExpr::Expr(SqlExpr::Subquery(query))), rest)) = args.split_first() else {
        return plan_err!("pareto: the first argument must be a table, or a query in parentheses");
    };
    let derived = TableFactor::Derived { lateral: false, subquery: query.clone(), alias: None, sample: None };
    let input = sound(context.plan(derived)?)?;
    let schema = input.schema().clone();
    let (mut objectives, mut is_max, mut group) = (Vec::new(), Vec::new(), Vec::new());
    for arg in rest {
        match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => {
                let (expression, more_is_better) = objective(text_of(expr, arg)?)?;
                objectives.push(expr_of(expression, context, &schema)?);
                is_max.push(more_is_better);
            }
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. }
                if name.value.eq_ignore_ascii_case("group") =>
            {
                for column in super::split_outside(text_of(expr, arg)?, ',') {
                    group.push(expr_of(column, context, &schema)?);
                }
            }
            other => {
                return plan_err!(
                    "pareto: {other} is neither an objective such as 'output_throughput max' nor group => 'COLUMN, …'"
                );
            }
        }
    }
    if objectives.is_empty() {
        return plan_err!("pareto: needs at least one objective, such as 'output_throughput max'");
    }
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(Pareto { input, objectives, is_max, group }) }))
}

/// What a server measured that did not answer all is on no frontier: where rows tell their status, only the completed are.
fn sound(input: LogicalPlan) -> Result<LogicalPlan> {
    // Rows of runs and of combinations; of another table `status` may mean anything.
    let has = |name: &str| input.schema().has_column_with_unqualified_name(name);
    match has(STATUS) && has("combination") {
        true => LogicalPlanBuilder::from(input).filter(ident(STATUS).eq(lit("completed")))?.build(),
        false => Ok(input),
    }
}

const STATUS: &str = "status";

fn text_of<'a>(expr: &'a SqlExpr, arg: &FunctionArg) -> Result<&'a str> {
    match expr {
        SqlExpr::Value(ValueWithSpan { value: SqlValue::SingleQuotedString(text), .. }) => Ok(text),
        _ => plan_err!("pareto: {arg} must be a string in single quotes, such as 'output_throughput max'"),
    }
}

/// The expression of an objective, and whether more of it is better: what it says, or what is known of the metric.
fn objective(text: &str) -> Result<(&str, bool)> {
    let text = text.trim();
    let (expression, last) = text.rsplit_once(char::is_whitespace).unwrap_or((text, ""));
    match last.to_ascii_lowercase().as_str() {
        "max" => Ok((expression.trim(), true)),
        "min" => Ok((expression.trim(), false)),
        _ => match Metric::of(text) {
            Some(metric) => Ok((text, metric.better == Better::Higher)),
            None => plan_err!("pareto: '{text}': specify which direction is better: '{text} max' or '{text} min'"),
        },
    }
}

fn expr_of(text: &str, context: &mut dyn RelationPlannerContext, schema: &DFSchema) -> Result<Expr> {
    let parsed = Parser::new(&GenericDialect {}).try_with_sql(text).and_then(|mut parser| parser.parse_expr());
    let parsed = parsed.map_err(|error| plan_datafusion_err!("pareto: '{text}' is not an expression: {error}"))?;
    context.sql_to_expr(parsed, schema)
}
