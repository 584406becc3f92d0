//! Table functions in a statement, before it is planned: what they take becomes plain SQL.

use super::shipped;
use super::{QueryError, pareto};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Query, SetExpr, Statement as SqlStatement, TableAlias, TableFactor, VisitMut,
    VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use std::ops::ControlFlow;

const GOODPUT: &str = "goodput";

/// Rewrites the calls of `pareto` and `goodput`.
pub fn expand(statement: &mut Statement) -> Result<(), QueryError> {
    let expanded = match statement {
        Statement::Statement(statement) => VisitMut::visit(statement.as_mut(), &mut Calls),
        Statement::Explain(explain) => return expand(&mut explain.statement),
        _ => ControlFlow::Continue(()),
    };
    match expanded {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Calls;

impl VisitorMut for Calls {
    type Break = QueryError;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<QueryError> {
        let TableFactor::Table { name, args: Some(args), alias, .. } = factor else {
            return ControlFlow::Continue(());
        };
        match name.to_string().to_ascii_lowercase().as_str() {
            pareto::NAME => {
                if let Some(first) = args.args.first_mut() {
                    table_to_query(first);
                }
            }
            GOODPUT => match goodput(&args.args, alias.take()) {
                Ok(expanded) => *factor = expanded,
                Err(error) => return ControlFlow::Break(error),
            },
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `runs` as an argument means the table: as a query, planners find it.
fn table_to_query(arg: &mut FunctionArg) {
    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg
        && let Expr::Identifier(_) | Expr::CompoundIdentifier(_) = expr
        && let Ok(query) = parse(&format!("SELECT * FROM {expr}"))
    {
        *expr = Expr::Subquery(query);
    }
}

/// `goodput(requests, ttft_ms <= 200, tpot_ms <= 50)`: the combinations with the requests that meet all conditions.
fn goodput(args: &[FunctionArg], alias: Option<TableAlias>) -> Result<TableFactor, QueryError> {
    let wrong = |reason: String| QueryError::BadCall { function: GOODPUT, reason };
    let exprs = args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr.to_string()),
        other => Err(wrong(format!("{other} is neither a table nor a condition"))),
    });
    let exprs = exprs.collect::<Result<Vec<_>, _>>()?;
    let (requests, conditions) = match exprs.split_first() {
        Some((requests, conditions)) if !conditions.is_empty() => (requests, conditions),
        _ => return Err(wrong("expected goodput(requests, ttft_ms <= 200, …)".into())),
    };
    let all = |of_each: fn(&String) -> String| conditions.iter().map(of_each).collect::<Vec<_>>().join(" AND ");
    let condition = all(|condition| format!("({condition}) IS NOT FALSE"));
    let is_known = all(|condition| format!("count({condition}) > 0"));
    let sql = shipped::GOODPUT.fill(&[("requests", requests), ("condition", &condition), ("is_known", &is_known)]);
    let subquery = parse(&sql).map_err(wrong)?;
    Ok(TableFactor::Derived { lateral: false, subquery, alias, sample: None })
}

fn parse(sql: &str) -> Result<Box<Query>, String> {
    let statements = Parser::parse_sql(&GenericDialect {}, sql).map_err(|error| error.to_string())?;
    match statements.into_iter().next() {
        Some(SqlStatement::Query(query)) if !matches!(*query.body, SetExpr::Values(_)) => Ok(query),
        _ => Err(format!("{sql} is not a query")),
    }
}
