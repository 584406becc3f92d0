//! `columns`: what each column of each table is, with its kind, unit and meaning. `DESCRIBE` asks it.

use super::TABLES;
use super::spelling::literal;
use crate::store::{is_mixed, kind_of};
use crate::table::{Kind, Table, meaning_of, unit_of};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::execution::context::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{DescribeAlias, Statement as SqlStatement};
use std::sync::Arc;

pub const COLUMNS: &str = "columns";

/// The column of short names, which is computed when it is asked for.
pub const LABEL: &str = "label";
/// Each column, and the two that it is made from: a name, or else the parameters.
pub const SIDES: [(&str, [&str; 2]); 2] =
    [("serve", ["serve_name", "serve_params"]), ("bench", ["bench_name", "bench_params"])];

const NAMES: [&str; 6] = ["table_name", "column_name", "data_type", "kind", "unit", "meaning"];

/// The query that a `DESCRIBE` of one of our tables is.
pub fn described(statement: &Statement) -> Option<String> {
    let Statement::Statement(statement) = statement else { return None };
    let SqlStatement::ExplainTable { describe_alias, table_name, .. } = statement.as_ref() else { return None };
    let is_describe = matches!(describe_alias, DescribeAlias::Describe | DescribeAlias::Desc);
    let name = table_name.to_string();
    let table = TABLES.into_iter().find(|table| *table == name).filter(|table| is_describe && *table != COLUMNS)?;
    Some(format!(
        "SELECT column_name, data_type, kind, unit, meaning FROM {COLUMNS} WHERE table_name = {}",
        literal(table)
    ))
}

/// The columns of all other tables, which are known to the session.
pub async fn table(context: &SessionContext) -> Result<Arc<dyn TableProvider>> {
    let mut rows: Vec<[Option<String>; 6]> = Vec::new();
    for table in Table::ALL {
        let frame = context.table(table.name()).await?;
        rows.extend(frame.schema().fields().iter().map(|field| row(table, field)));
    }
    let fields: Vec<Field> = NAMES.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
    let columns = (0..NAMES.len())
        .map(|index| Arc::new(rows.iter().map(|row| row[index].as_deref()).collect::<StringArray>()) as ArrayRef);
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), columns.collect())?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}

fn row(table: Table, field: &Field) -> [Option<String>; 6] {
    let name = field.name();
    let declared = table.column(name).map(|column| column.kind);
    let kind = declared.or_else(|| kind_of(field)).unwrap_or(Kind::Metric);
    [
        Some(table.name().to_owned()),
        Some(name.clone()),
        Some(type_name(field)),
        Some(kind.as_str().to_owned()),
        unit_of(table, name).map(str::to_owned),
        Some(meaning_of(table, name, kind)),
    ]
}

/// A type as SQL calls it.
pub fn type_name(field: &Field) -> String {
    if is_mixed(field) {
        return "DOUBLE or VARCHAR".into();
    }
    fn of(holds: &DataType) -> String {
        match holds {
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "VARCHAR".into(),
            DataType::Float64 => "DOUBLE".into(),
            DataType::Int64 => "BIGINT".into(),
            DataType::Boolean => "BOOLEAN".into(),
            DataType::Timestamp(..) => "TIMESTAMP".into(),
            DataType::List(item) => format!("{}[]", of(item.data_type())),
            DataType::Map(..) => "MAP(VARCHAR, VARCHAR)".into(),
            other => other.to_string(),
        }
    }
    of(field.data_type())
}
