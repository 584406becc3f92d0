//! In a plan, where types are known: comparisons of mixed columns with numbers compare numbers, and their order is that of numbers.

use crate::query::functions::{as_number, spelled};
use crate::table::is_reserved;
use arrow::datatypes::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ExprSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, InList, InSubquery, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, ExprSchemable, Like, LogicalPlan, Operator, Sort, SortExpr};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::{cast, lit};

/// Puts the numbers of mixed columns into comparisons and orders.
#[derive(Debug)]
pub struct MixedComparisons;

impl AnalyzerRule for MixedComparisons {
    fn name(&self) -> &str {
        "mixed_comparisons"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(rewrite_node)?.data)
    }
}

fn rewrite_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = DFSchema::empty();
    for input in plan.inputs() {
        schema.merge(input.schema());
    }
    if let LogicalPlan::TableScan(scan) = &plan {
        schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
    }
    if !has_settings(&schema) && !plan.expressions().iter().any(refers_outside) {
        return Ok(Transformed::no(plan));
    }
    let rewritten = match plan {
        LogicalPlan::Sort(sort) => {
            let expr = ordered(sort.expr, &schema);
            return Ok(Transformed::yes(LogicalPlan::Sort(Sort { expr, ..sort })));
        }
        LogicalPlan::Join(mut join) => {
            for (left, right) in &mut join.on {
                (*left, *right) = compared(left.clone(), Operator::Eq, right.clone(), &schema)?;
            }
            LogicalPlan::Join(join)
        }
        other => other,
    };
    // The columns of a plan keep their names.
    let names = NamePreserver::new(&rewritten);
    let is_filter = matches!(rewritten, LogicalPlan::Filter(_));
    let rewritten = rewritten.map_expressions(|expr| {
        let name = names.save(&expr);
        let expr = expr.transform_up(|expr| rewrite(expr, &schema))?;
        let is_condition = is_filter && is_mixed(&expr.data, &schema);
        let expr = if is_condition { Transformed::yes(truth(expr.data)) } else { expr };
        Ok(expr.update_data(|expr| name.restore(expr)))
    })?;
    let is_changed = rewritten.transformed;
    let plan = rewritten.data.recompute_schema()?;
    Ok(if is_changed { Transformed::yes(plan) } else { Transformed::no(plan) })
}

fn has_settings(schema: &DFSchema) -> bool {
    schema.fields().iter().any(|field| crate::store::is_mixed(field) || may_be_mixed(field))
}

/// Whether a column may hold numbers in one sweep and texts in another: all but those that mean the same in every run.
pub fn may_be_mixed(field: &Field) -> bool {
    crate::store::kind_of(field).is_some() && !is_reserved(field.name())
}

fn refers_outside(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(matches!(expr, Expr::OuterReferenceColumn(..)))).unwrap_or(false)
}

/// Whether an expression is a mixed column, under whatever name.
fn is_mixed(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Column(column) => field_is_mixed(schema, column),
        Expr::OuterReferenceColumn(field, _) => crate::store::is_mixed(field),
        Expr::Alias(alias) => is_mixed(&alias.expr, schema),
        Expr::Cast(cast) if cast.field.data_type() == &DataType::Utf8 => is_mixed(&cast.expr, schema),
        Expr::ScalarSubquery(subquery) => {
            subquery.subquery.schema().fields().first().is_some_and(|field| crate::store::is_mixed(field))
        }
        other => other.to_field(schema).is_ok_and(|(_, field)| crate::store::is_mixed(&field)),
    }
}

fn field_is_mixed(schema: &DFSchema, column: &Column) -> bool {
    schema.field_from_column(column).is_ok_and(|field| crate::store::is_mixed(field))
}

fn number(expr: Expr) -> Expr {
    as_number().call(vec![expr])
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let mixed = |expr: &Expr| is_mixed(expr, schema);
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if is_comparison(op)
                && (is_text_beside(&left, &right, schema) || is_text_beside(&right, &left, schema)) =>
        {
            let (left, right) = compared(*left, op, *right, schema)?;
            Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
        }
        // As texts numbers are spelled as a mixed column spells them.
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right })
            if is_plain(&left, schema) || is_plain(&right, schema) =>
        {
            let text = |side: Box<Expr>| if is_plain(&side, schema) { Box::new(as_text(*side)) } else { side };
            Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(text(left), Operator::StringConcat, text(right))))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let as_condition = |side: Box<Expr>| if mixed(&side) { Box::new(truth(*side)) } else { side };
            let is_changed = mixed(&left) || mixed(&right);
            let expr = Expr::BinaryExpr(BinaryExpr::new(as_condition(left), op, as_condition(right)));
            if is_changed { Transformed::yes(expr) } else { Transformed::no(expr) }
        }
        Expr::Not(inner) if mixed(&inner) => Transformed::yes(Expr::Not(Box::new(truth(*inner)))),
        Expr::IsTrue(inner) if mixed(&inner) => Transformed::yes(Expr::IsTrue(Box::new(truth(*inner)))),
        Expr::IsFalse(inner) if mixed(&inner) => Transformed::yes((*inner).eq(lit("false"))),
        Expr::Between(between) if mixed(&between.expr) && is_number(&between.low, schema) => {
            let Between { expr, negated, low, high } = between;
            Transformed::yes(Expr::Between(Between::new(Box::new(number(*expr)), negated, low, high)))
        }
        Expr::InList(InList { expr, list, negated }) if list.iter().any(|item| is_text_beside(&expr, item, schema)) => {
            let expr = if mixed(&expr) { expr } else { Box::new(as_text(*expr)) };
            let list = list.into_iter().map(|item| if mixed(&item) { item } else { spelled_literal(item) }).collect();
            Transformed::yes(Expr::InList(InList { expr, list, negated }))
        }
        Expr::Like(like) if is_plain(&like.expr, schema) => {
            let expr = Box::new(as_text(*like.expr));
            Transformed::yes(Expr::Like(Like { expr, ..like }))
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            let column = subquery.subquery.schema().fields().first().cloned();
            let is_number = column.as_ref().is_some_and(|field| field.data_type().is_numeric());
            let is_text = column.as_ref().is_some_and(|field| crate::store::is_mixed(field));
            let own_is_number = expr.get_type(schema).is_ok_and(|holds| holds.is_numeric());
            if mixed(&expr) && is_number {
                Transformed::yes(Expr::InSubquery(InSubquery { expr: Box::new(number(*expr)), subquery, negated }))
            } else if own_is_number && is_text {
                let expr = Box::new(spelled().call(vec![*expr]));
                Transformed::yes(Expr::InSubquery(InSubquery { expr, subquery, negated }))
            } else {
                Transformed::no(Expr::InSubquery(InSubquery { expr, subquery, negated }))
            }
        }
        Expr::AggregateFunction(AggregateFunction { func, mut params })
            if params.order_by.iter().any(|sort| mixed(&sort.expr)) =>
        {
            params.order_by = ordered(params.order_by, schema);
            Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params }))
        }
        Expr::WindowFunction(window) if window.params.order_by.iter().any(|sort| mixed(&sort.expr)) => {
            let WindowFunction { fun, mut params } = *window;
            params.order_by = ordered(params.order_by, schema);
            Transformed::yes(Expr::WindowFunction(Box::new(WindowFunction { fun, params })))
        }
        other => Transformed::no(other),
    })
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn is_equality(op: Operator) -> bool {
    matches!(op, Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}

/// Whether an expression is such a column that holds only numbers, here.
fn is_plain(expr: &Expr, schema: &DFSchema) -> bool {
    let Expr::Column(column) = expr else { return false };
    let field = schema.field_from_column(column);
    field.is_ok_and(|field| may_be_mixed(field) && field.data_type().is_numeric())
}

/// Whether a column is compared as texts with a value: a mixed one; and one of numbers, with what is no number. What is a number here
/// may be a text elsewhere: the comparison is no error, and has the answer that it has there.
fn is_text_beside(column: &Expr, value: &Expr, schema: &DFSchema) -> bool {
    let is_no_number = match text_of(value) {
        Some(text) => text.parse::<f64>().is_err(),
        None => matches!(value, Expr::Literal(ScalarValue::Boolean(Some(_)), _)),
    };
    is_mixed(column, schema) || (is_no_number && is_plain(column, schema))
}

/// Such a column as a mixed one would have it.
fn as_text(expr: Expr) -> Expr {
    spelled().call(vec![cast(expr, DataType::Float64)])
}

/// Both sides of a comparison, as they are compared.
fn compared(left: Expr, op: Operator, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    let is_equality = is_equality(op);
    let sides = (is_text_beside(&left, &right, schema), is_text_beside(&right, &left, schema));
    let settled = |side: Expr| if is_mixed(&side, schema) { side } else { as_text(side) };
    Ok(match sides {
        (true, true) if is_equality => (left, right),
        (true, true) => (number(left), number(right)),
        (true, false) => beside(settled(left), right, is_equality, schema)?,
        (false, true) => {
            let (right, left) = beside(settled(right), left, is_equality, schema)?;
            (left, right)
        }
        (false, false) => (left, right),
    })
}

/// A mixed column and what it is compared with.
fn beside(mixed: Expr, other: Expr, is_equality: bool, schema: &DFSchema) -> Result<(Expr, Expr)> {
    let holds = other.get_type(schema)?;
    Ok(match text_of(&other) {
        Some(text) => match text.parse::<f64>() {
            // `'8.0'` is the same number as 8, in quotes or not.
            Ok(value) if is_equality => (mixed, lit(crate::record::spelled_number(value))),
            Ok(value) => (number(mixed), lit(value)),
            Err(_) => (mixed, other),
        },
        None if holds.is_numeric() => (number(mixed), other),
        None if holds == DataType::Boolean => (mixed, cast(other, DataType::Utf8)),
        None => (mixed, other),
    })
}

fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(
            ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)),
            _,
        ) => Some(text),
        _ => None,
    }
}

fn is_number(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|holds| holds.is_numeric())
}

/// A value of a list, as a mixed column spells it.
fn spelled_literal(expr: Expr) -> Expr {
    match &expr {
        Expr::Literal(value, _) if value.data_type().is_numeric() => {
            spelled().call(vec![cast(expr, DataType::Float64)])
        }
        Expr::Literal(ScalarValue::Boolean(Some(value)), _) => lit(value.to_string()),
        other => match text_of(other).and_then(|text| text.parse::<f64>().ok()) {
            Some(value) => lit(crate::record::spelled_number(value)),
            None => expr,
        },
    }
}

/// A mixed column as a condition.
fn truth(expr: Expr) -> Expr {
    expr.eq(lit("true"))
}

/// Numbers in their order, then texts in theirs. What an order names twice says nothing more.
fn ordered(order: Vec<SortExpr>, schema: &DFSchema) -> Vec<SortExpr> {
    let mut ordered: Vec<SortExpr> = Vec::new();
    for sort in order {
        let by_number =
            is_mixed(&sort.expr, schema).then(|| SortExpr { expr: number(sort.expr.clone()), ..sort.clone() });
        for sort in by_number.into_iter().chain([sort]) {
            if !ordered.iter().any(|known| known.expr == sort.expr) {
                ordered.push(sort);
            }
        }
    }
    ordered
}
