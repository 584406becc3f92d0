//! An expression of SQL over rows that are no lake's.

use super::{QueryError, Value, mixed, session};
use crate::id::column_name;
use crate::record::Row;
use crate::store::{is_mixed, rows_to_batch};
use crate::words::nearest_name;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, SelectItem, SetExpr, Statement as SqlStatement, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;
use std::collections::HashSet;
use std::ops::ControlFlow;

#[derive(Clone, Debug, PartialEq)]
pub struct Expression(Expr);

const TABLE: &str = "parameters";

impl Expression {
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let refuse = |reason: String| QueryError::BadExpression { text: text.to_owned(), reason };
        if text.trim().is_empty() {
            return Err(refuse("is empty".into()));
        }
        let parsed = Parser::new(&GenericDialect {}).try_with_sql(text).and_then(|mut parser| {
            let expr = parser.parse_expr()?;
            parser.expect_token(&Token::EOF).map(|_| expr)
        });
        let expr = parsed.map_err(|error| {
            let text = error.to_string();
            refuse(text.trim_start_matches("sql parser error: ").to_owned())
        })?;
        Ok(Self(expr))
    }

    /// The expression with its names as columns of these rows; `a.b` names the column `a.b`. Without any name it is refused: it would
    /// say the same of every row.
    pub fn of_columns(&self, columns: &HashSet<String>) -> Result<Self, QueryError> {
        let mut names = Names { columns, found: 0 };
        let mut expr = self.0.clone();
        match VisitMut::visit(&mut expr, &mut names) {
            ControlFlow::Break(error) => Err(*error),
            ControlFlow::Continue(()) if names.found == 0 => {
                Err(QueryError::BadExpression { text: self.0.to_string(), reason: "names no parameter".into() })
            }
            ControlFlow::Continue(()) => Ok(Self(expr)),
        }
    }

    /// What it is for each of the rows. `known` are rows that say which columns there are, and what they hold, beyond these.
    pub async fn over(&self, rows: &[Row], known: &[Row]) -> Result<Vec<Value>, QueryError> {
        let all: Vec<Row> = rows.iter().chain(known).cloned().collect();
        let columns = all.iter().flatten().map(|(name, _)| name.as_ref().to_owned()).collect();
        let Self(expr) = self.of_columns(&columns)?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let context = session();
        let batch = rows_to_batch(&all).slice(0, rows.len());
        let fields = batch.schema();
        let mixed = fields.fields().iter().filter(|field| is_mixed(field)).map(|field| field.name().clone()).collect();
        context.register_batch(TABLE, batch)?;
        let mut statement = select(expr)?;
        mixed::rewrite(&mut statement, &mixed);
        let plan = context.state().statement_to_plan(statement).await.map_err(QueryError::explain)?;
        let frame = context.execute_logical_plan(plan).await.map_err(QueryError::explain)?;
        let answer =
            super::Rows::new(frame.execute_stream().await.map_err(QueryError::of_execution)?).collect().await?;
        let refuse = |reason: &str| QueryError::BadExpression { text: self.0.to_string(), reason: reason.into() };
        if answer.nested_column().is_some() {
            return Err(refuse("is not one value but a list or a structure"));
        }
        let values = answer.column("value")?;
        match values.len() == rows.len() {
            true => Ok(values),
            false => Err(refuse("is one value for all combinations; aggregates are not possible here")),
        }
    }
}

fn select(expr: Expr) -> Result<Statement, QueryError> {
    let sql = format!("SELECT 1 AS value FROM {TABLE}");
    let mut statements =
        Parser::parse_sql(&GenericDialect {}, &sql).map_err(|error| QueryError::Output(error.to_string()))?;
    if let Some(SqlStatement::Query(query)) = statements.first_mut()
        && let SetExpr::Select(select) = query.body.as_mut()
    {
        select.projection = vec![SelectItem::ExprWithAlias { expr, alias: Ident::new("value") }];
    }
    let statement = statements.pop().ok_or_else(|| QueryError::Output(sql))?;
    Ok(Statement::Statement(Box::new(statement)))
}

struct Names<'a> {
    columns: &'a HashSet<String>,
    found: usize,
}

impl VisitorMut for Names<'_> {
    type Break = Box<QueryError>;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Expr::Function(function) = expr {
            let name = function.name.to_string().to_lowercase();
            let why = match name.as_str() {
                _ if function.over.is_some() => Some("a window function sees other combinations, too"),
                "random" | "rand" | "uuid" | "now" | "current_timestamp" | "current_date" | "current_time"
                | "today" => Some("it says something else each time, so that a resume would run other combinations"),
                _ => None,
            };
            if let Some(why) = why {
                let reason = format!("can't be used: {why}");
                return ControlFlow::Break(Box::new(QueryError::BadExpression { text: function.to_string(), reason }));
            }
        }
        let idents = match expr {
            Expr::Identifier(ident) => std::slice::from_ref(ident),
            Expr::CompoundIdentifier(idents) => idents.as_slice(),
            _ => return ControlFlow::Continue(()),
        };
        let name = idents.iter().map(|ident| ident.value.as_str()).collect::<Vec<_>>().join(".");
        let wanted = column_name(&name);
        let found = self.columns.get(&wanted);
        let found = found.or_else(|| self.columns.iter().find(|column| column.eq_ignore_ascii_case(&wanted)));
        match found {
            Some(column) => {
                self.found += 1;
                *expr = Expr::Identifier(Ident::with_quote('"', column));
                ControlFlow::Continue(())
            }
            None => {
                // A name that is there with something before it is meant more than once.
                let ending = format!(".{wanted}");
                let longer = self.columns.iter().filter(|column| column.ends_with(&ending)).max().cloned();
                let nearest = longer.or_else(|| nearest_name(&name, self.columns.iter().map(String::as_str)));
                ControlFlow::Break(Box::new(QueryError::NoParameter { parameter: name, nearest }))
            }
        }
    }
}
