//! Names of columns: as they were typed, and each its own.

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, Ident, SelectItem, SetExpr, Statement as SqlStatement};
use std::collections::HashSet;
use std::sync::Arc;

/// Columns of one name, as a join has them, get names of their own: `sweep` and `sweep_2`.
pub fn told_apart(schema: &SchemaRef) -> SchemaRef {
    let mut taken: HashSet<String> = HashSet::new();
    let fields = schema.fields().iter().map(|field| {
        let others = (2..).map(|place| format!("{}_{place}", field.name()));
        let name = std::iter::once(field.name().clone()).chain(others).find(|name| !taken.contains(name));
        let name = name.unwrap_or_else(|| field.name().clone());
        taken.insert(name.clone());
        field.as_ref().clone().with_name(name)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Gives each expression that a query answers without a name the words it was typed with: `avg(x) / 2`, not `avg(runs.x) / Int64(2)`.
pub fn as_typed(statement: &mut Statement) {
    let Statement::Statement(statement) = statement else { return };
    let SqlStatement::Query(query) = statement.as_mut() else { return };
    let mut body = query.body.as_mut();
    while let SetExpr::SetOperation { left, .. } = body {
        body = left.as_mut();
    }
    let SetExpr::Select(select) = body else { return };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expression) = item
            && !matches!(expression, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
        {
            let alias = Ident::with_quote('"', expression.to_string());
            *item = SelectItem::ExprWithAlias { expr: expression.clone(), alias };
        }
    }
}
