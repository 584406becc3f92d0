//! The tables of a lake: Parquet files where there are some, rows in memory for what is loose or was made by vLLM, united by name
//! and kind.

use super::QueryError;
use super::aggregates::Reach;
use super::functions::spelled;
use super::loose::LooseTable;
use crate::store::{
    Found, LooseRows, Source, StoreError, Table as Stored, check_version, fit_all, is_metric, is_mixed, is_remote,
    kind_of, list_of, map_type, open_store, parquet_schema, read_runs, source_of, unite_schemas, version_of,
};
use crate::table::{Column, Kind, Table, Type, is_reserved};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::common::metadata::FieldMetadata;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::execution::context::SessionContext;
use datafusion::functions::expr_fn::{concat, left};
use datafusion::prelude::{DataFrame, Expr, cast, ident, lit};
use futures::{StreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

/// A table that is ready to be queried, and what is to be said about it.
pub struct Opened {
    pub table: Arc<dyn TableProvider>,
    pub warnings: Vec<String>,
}

pub fn sweeps(found: &Found) -> Result<Opened, QueryError> {
    let rows = found.facts()?;
    let base = Schema::new(declared(Table::Sweeps));
    let schema =
        typed(Table::Sweeps, &unite_schemas(rows.iter().map(|batch| batch.schema_ref().as_ref()).chain([&base])));
    Ok(Opened {
        table: in_memory(&schema, &rows)?,
        warnings: found.left_out().iter().map(ToString::to_string).collect(),
    })
}

/// A table of which rows are stored: files where there are some, rows in memory for what is loose or was made by vLLM.
pub async fn stored(
    context: &SessionContext,
    found: &Found,
    reach: Reach,
    table: Stored,
) -> Result<Opened, QueryError> {
    let parts = Parts::of(context, found, reach, table).await?;
    let base = Schema::new(declared(table.declared()));
    let schemas = || {
        let files = parts.groups.iter().flat_map(|group| group.files.iter().map(|(_, schema)| schema.as_ref()));
        let loose = parts.loose.iter().flat_map(|(rows, _)| rows.schemas());
        files.chain(loose).chain(parts.rows.iter().map(|batch| batch.schema_ref().as_ref()))
    };
    let schema = typed(table.declared(), &unite_schemas(std::iter::once(&base).chain(schemas())));
    let mut tables = Vec::new();
    for group in &parts.groups {
        tables.extend(group.tables(context, &schema)?);
    }
    for (rows, name) in parts.loose {
        let table: Arc<dyn TableProvider> = Arc::new(LooseTable::new(rows, schema.clone()));
        tables.push(match name {
            Some(name) => renamed(context, table, &name)?,
            None => table,
        });
    }
    if !parts.rows.is_empty() || tables.is_empty() {
        tables.push(in_memory(&schema, &parts.rows)?);
    }
    Ok(Opened { table: united(context, tables)?, warnings: parts.left_out })
}

/// Where the rows of a table lie, with the columns of every file.
#[derive(Default)]
struct Parts {
    groups: Vec<Group>,
    loose: Vec<(LooseRows, Option<String>)>,
    rows: Vec<RecordBatch>,
    left_out: Vec<String>,
}

/// Files that need the same care.
struct Group {
    files: Vec<(Url, SchemaRef)>,
    care: Care,
}

enum Care {
    None,
    /// The sweep has another name here.
    Renamed(String),
    /// The rows of these sweeps are out of date.
    Without(Vec<String>),
}

impl Parts {
    async fn of(context: &SessionContext, found: &Found, reach: Reach, table: Stored) -> Result<Self, QueryError> {
        let sources = found.sources(table)?;
        let mut parts =
            Self { left_out: sources.left_out.iter().map(ToString::to_string).collect(), ..Self::default() };
        for source in sources.sources {
            match source {
                Source::Rows(rows) => parts.rows.extend(rows),
                Source::Loose { files, name } => parts.add_loose(found, reach, table, files, name)?,
                Source::Files(files) => parts.add_files(context, found, table, files, Care::None).await?,
                Source::Renamed { files, name } => {
                    parts.add_files(context, found, table, files, Care::Renamed(name)).await?;
                }
                Source::Without { file, sweeps } => {
                    parts.add_files(context, found, table, vec![file], Care::Without(sweeps)).await?;
                }
            }
        }
        Ok(parts)
    }

    fn add_loose(
        &mut self,
        found: &Found,
        reach: Reach,
        table: Stored,
        files: Vec<PathBuf>,
        name: Option<String>,
    ) -> Result<(), QueryError> {
        let first = files.first().cloned();
        let rows = match table {
            Stored::Runs => LooseRows::open_runs(files),
            _ => LooseRows::open(files),
        };
        for (path, error) in rows.unreadable {
            self.left_out.push(found.leave_out(&path, error)?.to_string());
        }
        let old = rows.rows.old_runs()?;
        self.rows.extend(match &name {
            Some(name) => old.iter().map(|batch| crate::store::renamed(batch, name)).collect(),
            None => old,
        });
        match reach {
            _ if rows.rows.is_empty() => {}
            // Only this machine has the copies.
            Reach::Machines if first.is_some_and(|path| is_copy(found, &path)) => {
                let read = rows.rows.read(&unite_schemas(rows.rows.schemas()))?;
                self.rows.extend(read.into_iter().map(|batch| match &name {
                    Some(name) => crate::store::renamed(&batch, name),
                    None => batch,
                }));
            }
            _ => self.loose.push((rows.rows, name)),
        }
        Ok(())
    }

    async fn add_files(
        &mut self,
        context: &SessionContext,
        found: &Found,
        table: Stored,
        files: Vec<Url>,
        care: Care,
    ) -> Result<(), QueryError> {
        let mut group = Group { files: Vec::new(), care };
        for (url, footer) in footers(context, files).await {
            match footer {
                Ok(Footer { version: Some(1), .. }) if table == Stored::Runs => {
                    let rows = old_runs(&url).await?;
                    self.rows.extend(match &group.care {
                        Care::Renamed(name) => rows.iter().map(|batch| crate::store::renamed(batch, name)).collect(),
                        _ => rows,
                    });
                }
                Ok(footer) => group.files.push((url, footer.schema)),
                Err(QueryError::Store(error)) => {
                    let path = url.to_file_path().unwrap_or_else(|()| PathBuf::from(url.as_str()));
                    self.left_out.push(found.leave_out(&path, error)?.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        if !group.files.is_empty() {
            self.groups.push(group);
        }
        Ok(())
    }
}

/// Whether a file was copied from an object store.
fn is_copy(found: &Found, path: &Path) -> bool {
    found.all().iter().any(|sweep| is_remote(Path::new(&sweep.location())) && path.starts_with(&sweep.folder))
}

impl Group {
    /// The files under the table's schema. Those whose columns are as the table has them are read as they are; of others
    /// columns go under other names.
    fn tables(&self, context: &SessionContext, schema: &SchemaRef) -> Result<Vec<Arc<dyn TableProvider>>, QueryError> {
        let mut alike: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, (_, file)) in self.files.iter().enumerate() {
            let key = if needs_care(schema, file) { format!("{:?}", file.fields()) } else { String::new() };
            alike.entry(key).or_default().push(index);
        }
        let tables = alike.into_iter().map(|(key, indices)| {
            let urls: Vec<Url> = indices.iter().map(|index| self.files[*index].0.clone()).collect();
            let table = match key.is_empty() {
                true => listing(schema, &urls)?,
                false => adapted(context, schema, &self.files[indices[0]].1, &urls)?,
            };
            match &self.care {
                Care::None => Ok(table),
                Care::Renamed(name) => renamed(context, table, name),
                Care::Without(sweeps) => {
                    let names = sweeps.iter().map(|name| lit(name.as_str())).collect();
                    Ok(context.read_table(table)?.filter(ident("sweep").in_list(names, true))?.into_view())
                }
            }
        });
        tables.collect()
    }
}

/// The column of a file for each column of the table.
fn places(schema: &SchemaRef, file: &SchemaRef) -> Vec<Option<usize>> {
    schema.fields().iter().map(|field| source_of(field, file)).collect()
}

/// Whether a file's columns can't be taken by their names and cast: what is measured here is set elsewhere, or numbers meet texts.
fn needs_care(schema: &SchemaRef, file: &SchemaRef) -> bool {
    schema.fields().iter().zip(places(schema, file)).any(|(field, place)| match place {
        Some(index) => {
            let own = file.field(index);
            let is_number = own.data_type().is_floating();
            own.name() != field.name() || (is_number && field.data_type() == &DataType::Utf8)
        }
        None => file.index_of(field.name()).is_ok(),
    })
}

/// Files of one schema as a table of another one.
fn adapted(
    context: &SessionContext,
    schema: &SchemaRef,
    file: &SchemaRef,
    urls: &[Url],
) -> Result<Arc<dyn TableProvider>, QueryError> {
    let columns = schema.fields().iter().zip(places(schema, file)).map(|(field, place)| {
        let value = match place.map(|index| file.field(index)) {
            None => null_of(field.data_type())?,
            Some(own) if own.data_type().is_floating() && field.data_type() == &DataType::Utf8 => {
                spelled().call(vec![cast(ident(own.name()), DataType::Float64)])
            }
            Some(own) if own.data_type() == field.data_type() => ident(own.name()),
            Some(own) => cast(ident(own.name()), field.data_type().clone()),
        };
        Ok(named(value, field))
    });
    let columns = columns.collect::<Result<Vec<_>, QueryError>>()?;
    Ok(context.read_table(listing(file, urls)?)?.select(columns)?.into_view())
}

fn null_of(holds: &DataType) -> Result<Expr, QueryError> {
    Ok(lit(ScalarValue::try_from(holds)?))
}

/// An expression under the name of a column, with all that is known of that column.
pub fn named(value: Expr, field: &Field) -> Expr {
    value.alias_with_metadata(field.name(), Some(FieldMetadata::from(field.metadata().clone())))
}

/// Tables of one schema as one.
fn united(context: &SessionContext, tables: Vec<Arc<dyn TableProvider>>) -> Result<Arc<dyn TableProvider>, QueryError> {
    let mut tables = tables.into_iter();
    let Some(first) = tables.next() else { return in_memory(&Arc::new(Schema::empty()), &[]) };
    if tables.len() == 0 {
        return Ok(first);
    }
    let all = tables.try_fold(context.read_table(first)?, |all, table| all.union(context.read_table(table)?))?;
    Ok(all.into_view())
}

/// A sweep's table under another name of it.
fn renamed(
    context: &SessionContext,
    table: Arc<dyn TableProvider>,
    name: &str,
) -> Result<Arc<dyn TableProvider>, QueryError> {
    let schema = table.schema();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        // A constant would be taken for sorted wherever it goes, also where a join then mixes it with others.
        "sweep" => named(concat(vec![left(ident("sweep"), lit(0_i64)), lit(name)]), field),
        column => ident(column),
    });
    Ok(context.read_table(table)?.select(columns.collect::<Vec<_>>())?.into_view())
}

/// What the end of a file tells.
struct Footer {
    schema: SchemaRef,
    version: Option<u32>,
}

/// The columns of each file. Places in an object store become known to the session here.
async fn footers(context: &SessionContext, files: Vec<Url>) -> Vec<(Url, Result<Footer, QueryError>)> {
    let (local, remote): (Vec<Url>, Vec<Url>) = files.into_iter().partition(|url| url.scheme() == "file");
    let of_local = local.into_par_iter().map(|url| {
        let path = url.to_file_path().map_err(|()| StoreError::Missing { path: PathBuf::from(url.as_str()) });
        let footer = path.and_then(|path| parquet_schema(&path)).map(|(schema, version)| Footer { schema, version });
        (url, footer.map_err(QueryError::from))
    });
    let mut footers: Vec<_> = of_local.collect();
    let of_remote = stream::iter(remote).map(|url| async move {
        let footer = remote_footer(context, &url).await;
        (url, footer)
    });
    footers.extend(of_remote.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await);
    footers
}

/// Footers that are read at one time.
const AT_ONCE: usize = 32;

async fn remote_footer(context: &SessionContext, url: &Url) -> Result<Footer, QueryError> {
    let (store, key) = open_store(url)?;
    let store: Arc<dyn ObjectStore> = Arc::from(store);
    let object = store.head(&key).await.map_err(|error| unreachable(url, &error))?;
    let format = ParquetFormat::default().with_skip_metadata(false);
    let schema = format.infer_schema(&context.state(), &store, &[object]).await?;
    check_version(&schema, Path::new(url.as_str()))?;
    context.register_object_store(url, store);
    Ok(Footer { version: version_of(&schema), schema: crate::store::without_metadata(&schema) })
}

fn unreachable(url: &Url, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::NoStore { url: url.to_string(), reason: error.to_string() }
}

/// The runs of a file of format version 1, wherever it lies.
async fn old_runs(url: &Url) -> Result<Vec<RecordBatch>, QueryError> {
    if let Ok(path) = url.to_file_path() {
        return Ok(read_runs(&path)?);
    }
    let (store, key) = open_store(url)?;
    let object = store.get(&key).await.map_err(|error| unreachable(url, &error))?;
    let bytes = object.bytes().await.map_err(|error| unreachable(url, &error))?;
    let copied = || {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), &bytes)?;
        Ok(file)
    };
    let file = copied().map_err(|error: std::io::Error| unreachable(url, &error))?;
    Ok(read_runs(file.path())?)
}

fn listing(schema: &SchemaRef, files: &[Url]) -> Result<Arc<dyn TableProvider>, QueryError> {
    // Not parsed: brackets and stars in a folder's name are no pattern.
    let urls = files.iter().map(|url| ListingTableUrl::try_new(url.clone(), None)).collect::<Result<Vec<_>, _>>()?;
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
    let config =
        ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema.clone());
    Ok(Arc::new(ListingTable::try_new(config)?))
}

fn in_memory(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Arc<dyn TableProvider>, QueryError> {
    let batches = fit_all(schema, batches).map_err(|error| QueryError::Failed(error.into()))?;
    Ok(Arc::new(MemTable::try_new(schema.clone(), vec![batches])?))
}

/// The columns that a table always has, but for those that are computed when they are asked for.
fn declared(table: Table) -> Vec<Field> {
    let is_side = |name: &str| table == Table::Runs && super::columns::SIDES.iter().any(|(side, _)| *side == name);
    let stored = table.columns().iter().filter(|column| column.name != super::columns::LABEL && !is_side(column.name));
    stored.map(|column| field(table, column)).collect()
}

/// A declared column. Only those of `runs` are told apart by kind: elsewhere a name is one thing.
pub fn field(table: Table, column: &Column) -> Field {
    let holds = match column.holds {
        Type::Text => DataType::Utf8,
        Type::Integer => DataType::Int64,
        Type::Number => DataType::Float64,
        Type::Boolean => DataType::Boolean,
        Type::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::Numbers => list_of(DataType::Float64),
        Type::Texts => list_of(DataType::Utf8),
        Type::Map => map_type(),
    };
    crate::store::field_of(column.name, holds, Some(column.kind).filter(|_| table == Table::Runs), false)
}

/// The types that columns have in queries: parameters and metrics that are numbers are floats, whatever a file holds, so that no
/// file of another lake changes what arithmetic on them means; columns of which nothing is known are texts.
fn typed(table: Table, schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let is_whole = table.column(field.name()).is_some_and(|column| column.holds == Type::Integer);
        match field.data_type() {
            DataType::Null => field.as_ref().clone().with_data_type(DataType::Utf8),
            holds if holds.is_integer() && !is_whole && kind_of(field).is_some_and(|kind| kind != Kind::Identity) => {
                field.as_ref().clone().with_data_type(DataType::Float64)
            }
            // Texts or truth values here, and numbers elsewhere.
            DataType::Utf8 | DataType::Boolean if super::mixed::may_be_mixed(field) => {
                crate::store::field_of(field.name(), DataType::Utf8, kind_of(field), true)
            }
            _ => field.as_ref().clone(),
        }
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The table `runs` as it is shown: a name that is set in one run and measured in another is one column, in which the parameter
/// stands where there is one, beside `param.NAME` and `result.NAME`.
pub fn with_shared_names(runs: DataFrame) -> Result<DataFrame, QueryError> {
    let schema = runs.schema().as_arrow().clone();
    let measured: HashMap<&str, &Field> = schema
        .fields()
        .iter()
        .filter(|field| is_metric(kind_of(field)))
        .filter_map(|field| Some((field.name().strip_prefix("result.")?, field.as_ref())))
        .filter(|(name, _)| !is_reserved(name))
        .collect();
    if measured.is_empty() {
        return Ok(runs);
    }
    let mut columns = Vec::new();
    for field in schema.fields() {
        let Some(result) = measured.get(field.name().as_str()) else {
            columns.push(ident(field.name()));
            continue;
        };
        let (set, found) = (ident(field.name()), ident(result.name()));
        let is_number = field.data_type().is_numeric();
        let shown = match is_number {
            true => datafusion::functions::expr_fn::coalesce(vec![cast(set.clone(), DataType::Float64), found]),
            false => datafusion::functions::expr_fn::coalesce(vec![
                cast(set.clone(), DataType::Utf8),
                spelled().call(vec![found]),
            ]),
        };
        let holds = if is_number { DataType::Float64 } else { DataType::Utf8 };
        let as_shown = crate::store::field_of(field.name(), holds, kind_of(field), !is_number || is_mixed(field));
        let as_set = field.as_ref().clone().with_name(format!("param.{}", field.name()));
        columns.extend([named(shown, &as_shown), named(set, &as_set)]);
    }
    Ok(runs.select(columns)?)
}
