//! Names of columns, each its own.

use arrow::datatypes::{Schema, SchemaRef};
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
