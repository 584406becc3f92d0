//! Before a statement is planned: what takes numbers is given the numbers of mixed columns. The planner would refuse texts there.

use crate::query::functions::{AS_NUMBER, AS_SETTING};
use crate::query::quoted;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query,
    SelectItem, SetExpr, UnaryOperator, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Functions that take numbers.
const NUMERIC: [&str; 59] = [
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "ceil",
    "cos",
    "cosh",
    "cot",
    "degrees",
    "exp",
    "factorial",
    "floor",
    "gcd",
    "isnan",
    "iszero",
    "lcm",
    "ln",
    "log",
    "log10",
    "log2",
    "nanvl",
    "pow",
    "power",
    "radians",
    "round",
    "signum",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
    "avg",
    "mean",
    "sum",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "var",
    "var_pop",
    "var_samp",
    "var_population",
    "var_sample",
    "median",
    "corr",
    "covar",
    "covar_pop",
    "covar_samp",
    "approx_median",
    "approx_percentile_cont",
    "percentile_cont",
    "quantile_cont",
    "t_critical",
    "regr_slope",
];

/// Gives the numbers of these columns to whatever in the statement takes numbers.
pub fn rewrite(statement: &mut Statement, mixed: &HashSet<String>) {
    if mixed.is_empty() {
        return;
    }
    match statement {
        Statement::Statement(statement) => {
            let mut names = Names { mixed: mixed.clone() };
            loop {
                let before = names.mixed.len();
                let _ = VisitMut::visit(statement.as_mut(), &mut names);
                if names.mixed.len() == before {
                    break;
                }
            }
            let _ = VisitMut::visit(statement.as_mut(), &mut Rewriter { mixed: names.mixed });
        }
        Statement::Explain(explain) => rewrite(&mut explain.statement, mixed),
        _ => {}
    }
}

/// Finds other names that a statement gives to mixed columns.
struct Names {
    mixed: HashSet<String>,
}

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Select(select) = query.body.as_ref() {
            for item in &select.projection {
                if let SelectItem::ExprWithAlias { expr, alias } = item
                    && is_mixed(expr, &self.mixed)
                {
                    self.mixed.insert(name_of(alias));
                }
            }
        }
        ControlFlow::Continue(())
    }
}

struct Rewriter {
    mixed: HashSet<String>,
}

impl VisitorMut for Rewriter {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::BinaryOp { left, op, right } if is_arithmetic(op) => {
                self.number(left);
                self.number(right);
            }
            Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => self.number(expr),
            Expr::Cast { expr, data_type, .. } if is_number(data_type) => self.number(expr),
            Expr::Floor { expr, .. } | Expr::Ceil { expr, .. } => self.number(expr),
            Expr::Function(function) => {
                let name = function.name.to_string().to_ascii_lowercase();
                if matches!(name.as_str(), "min" | "max") && function.over.is_none() {
                    if let Some(extreme) = self.extreme(function, &name) {
                        *expr = extreme;
                    }
                } else if NUMERIC.contains(&name.as_str())
                    || (ONE_OF_SEVERAL.contains(&name.as_str()) && arguments(function).any(is_number_literal))
                {
                    self.numeric_arguments(function);
                }
            }
            // With a number in one branch, the others are numbers.
            Expr::Case { conditions, else_result, .. } => {
                let results = || conditions.iter().map(|when| &when.result).chain(else_result.as_deref());
                if results().any(is_number_literal) {
                    conditions.iter_mut().for_each(|when| self.number(&mut when.result));
                    else_result.iter_mut().for_each(|result| self.number(result));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Rewriter {
    fn number(&self, expr: &mut Expr) {
        if is_mixed(expr, &self.mixed)
            && let Some(number) = parsed(&format!("{AS_NUMBER}({expr})"))
        {
            *expr = number;
        }
    }

    fn numeric_arguments(&self, function: &mut Function) {
        if let FunctionArguments::List(list) = &mut function.args {
            for arg in &mut list.args {
                if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg {
                    self.number(expr);
                }
            }
        }
        function.within_group.iter_mut().for_each(|order| self.number(&mut order.expr));
    }

    /// The least or the greatest number; of texts alone the first or the last in their order.
    fn extreme(&self, function: &Function, name: &str) -> Option<Expr> {
        let FunctionArguments::List(list) = &function.args else { return None };
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] = list.args.as_slice() else { return None };
        if !is_mixed(argument, &self.mixed) {
            return None;
        }
        let direction = if name == "min" { "ASC" } else { "DESC" };
        let filter = function.filter.as_ref().map(|filter| format!(" FILTER (WHERE {filter})")).unwrap_or_default();
        parsed(&format!(
            "{AS_SETTING}(first_value({argument} ORDER BY {AS_NUMBER}({argument}) {direction} NULLS LAST, {argument} {direction} \
             NULLS LAST){filter})"
        ))
    }
}

/// Functions that give back one of their arguments: with a number among them, all are numbers.
const ONE_OF_SEVERAL: [&str; 6] = ["coalesce", "ifnull", "nvl", "nullif", "greatest", "least"];

fn arguments(function: &Function) -> impl Iterator<Item = &Expr> {
    let list = match &function.args {
        FunctionArguments::List(list) => list.args.as_slice(),
        _ => &[],
    };
    list.iter().filter_map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    })
}

fn is_number_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(value.value, Value::Number(..)),
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_number_literal(expr),
        _ => false,
    }
}

fn parsed(sql: &str) -> Option<Expr> {
    Parser::new(&GenericDialect {}).try_with_sql(sql).ok()?.parse_expr().ok()
}

fn is_mixed(expr: &Expr, mixed: &HashSet<String>) -> bool {
    match expr {
        Expr::Identifier(name) => mixed.contains(&name_of(name)),
        Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|name| mixed.contains(&name_of(name))),
        Expr::Nested(inner) => is_mixed(inner, mixed),
        _ => false,
    }
}

/// A name as the planner reads it: in lower case, unless it is quoted.
fn name_of(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_ascii_lowercase() }
}

fn is_arithmetic(operator: &BinaryOperator) -> bool {
    use BinaryOperator::{Divide, Minus, Modulo, Multiply, Plus};
    matches!(operator, Plus | Minus | Multiply | Divide | Modulo)
}

fn is_number(data_type: &DataType) -> bool {
    let name = data_type.to_string().to_ascii_uppercase();
    ["INT", "BIGINT", "SMALLINT", "TINYINT", "FLOAT", "DOUBLE", "REAL", "DECIMAL", "NUMERIC"]
        .iter()
        .any(|number| name.starts_with(number))
}

/// The numbers of a column.
pub fn number_of(column: &str) -> String {
    as_number(&quoted(column))
}

/// The same of a column as SQL writes it, with its table before it maybe.
pub fn as_number(sql: &str) -> String {
    format!("{AS_NUMBER}({sql})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::parser::DFParser;

    fn rewritten(sql: &str) -> String {
        let mut statement = DFParser::parse_sql(sql).unwrap().pop_front().unwrap();
        rewrite(&mut statement, &HashSet::from(["len".to_owned()]));
        statement.to_string()
    }

    #[test]
    fn what_takes_numbers_gets_them() {
        let cases = [
            ("SELECT avg(len) FROM t", "SELECT avg(as_number(len)) FROM t"),
            ("SELECT t.len + 1, -len FROM t", "SELECT as_number(t.len) + 1, -as_number(len) FROM t"),
            (
                "SELECT CAST(len AS DOUBLE), CAST(len AS VARCHAR) FROM t",
                "SELECT CAST(as_number(len) AS DOUBLE), CAST(len AS VARCHAR) FROM t",
            ),
            ("SELECT upper(len), len FROM t WHERE len = 'auto'", "SELECT upper(len), len FROM t WHERE len = 'auto'"),
            (
                "WITH x AS (SELECT len AS l FROM t) SELECT sum(l) FROM x",
                "WITH x AS (SELECT len AS l FROM t) SELECT sum(as_number(l)) FROM x",
            ),
            ("SELECT avg(other) FROM t", "SELECT avg(other) FROM t"),
            (
                "SELECT coalesce(len, 0), coalesce(len, 'x') FROM t",
                "SELECT coalesce(as_number(len), 0), coalesce(len, 'x') FROM t",
            ),
            (
                "SELECT CASE WHEN a THEN len ELSE -1 END FROM t",
                "SELECT CASE WHEN a THEN as_number(len) ELSE -1 END FROM t",
            ),
        ];
        for (sql, expected) in cases {
            assert_eq!(rewritten(sql), expected);
        }
        assert!(
            rewritten("SELECT max(len) FROM t").contains("first_value(len ORDER BY as_number(len) DESC NULLS LAST")
        );
    }
}
