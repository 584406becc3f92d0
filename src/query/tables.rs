//! The tables of a lake: Parquet files where there are some, rows in memory for what is loose or was made by vLLM,
//! united by name.

use super::QueryError;
use super::loose::LooseTable;
use crate::store::{
    Found, LooseRows, Source, StoreError, Table as Stored, check_version, fit_all, mixed_columns, open_store,
    parquet_schema, unite_schemas, without_metadata,
};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::execution::context::SessionContext;
use datafusion::prelude::{ident, lit};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

/// Columns that are there even where no run has a value for them: those of sweeplake, and what vLLM measures.
const RUN_COLUMNS: [(&str, DataType); 39] = [
    ("sweep", DataType::Utf8),
    ("combination", DataType::Utf8),
    ("run_id", DataType::Utf8),
    ("run_number", DataType::Int64),
    ("status", DataType::Utf8),
    ("error_kind", DataType::Utf8),
    ("error", DataType::Utf8),
    ("exit_code", DataType::Int64),
    ("log_tail", DataType::Utf8),
    ("started_at", DataType::Timestamp(TimeUnit::Microsecond, None)),
    ("wall_time_s", DataType::Float64),
    ("startup_time_s", DataType::Float64),
    ("serve_name", DataType::Utf8),
    ("bench_name", DataType::Utf8),
    ("serve_params", DataType::Utf8),
    ("bench_params", DataType::Utf8),
    ("gpu_count", DataType::Float64),
    ("tokens_per_user", DataType::Float64),
    ("tokens_per_gpu", DataType::Float64),
    ("date", DataType::Utf8),
    ("backend", DataType::Utf8),
    ("label", DataType::Utf8),
    ("model_id", DataType::Utf8),
    ("tensor_parallel_size", DataType::Int64),
    ("pipeline_parallel_size", DataType::Int64),
    ("data_parallel_size", DataType::Int64),
    ("num_prompts", DataType::Int64),
    ("max_concurrency", DataType::Int64),
    ("request_rate", DataType::Float64),
    ("burstiness", DataType::Float64),
    ("duration", DataType::Float64),
    ("completed", DataType::Int64),
    ("failed", DataType::Int64),
    ("max_concurrent_requests", DataType::Int64),
    ("request_throughput", DataType::Float64),
    ("request_goodput", DataType::Float64),
    ("output_throughput", DataType::Float64),
    ("total_token_throughput", DataType::Float64),
    ("max_output_tokens_per_s", DataType::Float64),
];

/// Of each of these, vLLM writes these statistics.
const LATENCIES: [&str; 4] = ["ttft", "tpot", "itl", "e2el"];
const STATISTICS: [&str; 4] = ["mean", "median", "std", "p99"];

/// Columns of `sweeps` that hold no text: of a folder that vLLM made none of them is known.
const SWEEP_COLUMNS: [(&str, DataType); 6] = [
    ("started_at", DataType::Timestamp(TimeUnit::Microsecond, None)),
    ("finished_at", DataType::Timestamp(TimeUnit::Microsecond, None)),
    ("runs", DataType::Int64),
    ("failed", DataType::Int64),
    ("combinations", DataType::Int64),
    ("gpus", DataType::Int64),
];

const REQUEST_COLUMNS: [(&str, DataType); 14] = [
    ("sweep", DataType::Utf8),
    ("combination", DataType::Utf8),
    ("run_id", DataType::Utf8),
    ("run_number", DataType::Int64),
    ("request_index", DataType::Int64),
    ("start_s", DataType::Float64),
    ("input_len", DataType::Int64),
    ("output_len", DataType::Int64),
    ("ttft_ms", DataType::Float64),
    ("tpot_ms", DataType::Float64),
    ("e2el_ms", DataType::Float64),
    ("queue_time_ms", DataType::Float64),
    ("ok", DataType::Boolean),
    ("error", DataType::Utf8),
];

const SLA_COLUMNS: [(&str, DataType); 20] = [
    ("sweep", DataType::Utf8),
    ("combination", DataType::Utf8),
    ("serve_params", DataType::Utf8),
    ("bench_params", DataType::Utf8),
    ("sla", DataType::Utf8),
    ("sla_name", DataType::Utf8),
    ("variable", DataType::Utf8),
    ("value", DataType::Float64),
    ("lower", DataType::Float64),
    ("upper", DataType::Float64),
    ("status", DataType::Utf8),
    ("confidence", DataType::Float64),
    ("is_monotone", DataType::Boolean),
    ("binding", DataType::Utf8),
    ("reason", DataType::Utf8),
    ("runs", DataType::Int64),
    ("levels", DataType::Int64),
    ("measured_value", DataType::Float64),
    ("output_throughput", DataType::Float64),
    ("request_throughput", DataType::Float64),
];

const SLA_HISTORY_COLUMNS: [(&str, DataType); 12] = [
    ("sweep", DataType::Utf8),
    ("combination", DataType::Utf8),
    ("serve_params", DataType::Utf8),
    ("bench_params", DataType::Utf8),
    ("sla", DataType::Utf8),
    ("variable", DataType::Utf8),
    ("value", DataType::Float64),
    ("runs", DataType::Int64),
    ("failed_runs", DataType::Int64),
    ("margin", DataType::Float64),
    ("passes", DataType::Boolean),
    ("binding", DataType::Utf8),
];

/// A table that is ready to be asked, and what is to be said about it.
pub struct Opened {
    pub table: Arc<dyn TableProvider>,
    pub warnings: Vec<String>,
}

pub fn sweeps(found: &Found) -> Result<Opened, QueryError> {
    let rows = found.facts()?;
    let base = Schema::new(base_schema(&SWEEP_COLUMNS));
    let schema = Arc::new(typed(&unite_schemas(rows.iter().map(|batch| batch.schema_ref().as_ref()).chain([&base]))));
    Ok(Opened { table: in_memory(&schema, &rows)?, warnings: Vec::new() })
}

/// A table of which rows are stored: files where there are some, rows in memory for what is loose or was made by vLLM,
/// united by name.
pub async fn stored(context: &SessionContext, found: &Found, table: Stored) -> Result<Opened, QueryError> {
    let base = Schema::new(columns_of(table));
    let (mut files, mut loose, mut parts, mut rows) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for source in found.sources(table)? {
        match source {
            Source::Rows(found) => rows.extend(found),
            Source::Files(found) => files.extend(found),
            Source::Loose { files, name } => loose.push((LooseRows::open(files)?, name)),
            source => parts.push(source),
        }
    }
    let of_parts = parts.iter().flat_map(|source| match source {
        Source::Renamed { files, .. } => files.clone(),
        Source::Without { file, .. } => vec![file.clone()],
        Source::Files(_) | Source::Loose { .. } | Source::Rows(_) => Vec::new(),
    });
    let all: Vec<Url> = files.iter().cloned().chain(of_parts).collect();
    let schemas = schemas_of(context, &all).await?;
    let found = || {
        let of_loose = loose.iter().flat_map(|(rows, _)| rows.schemas());
        schemas.iter().map(AsRef::as_ref).chain(of_loose).chain(rows.iter().map(|batch| batch.schema_ref().as_ref()))
    };
    let schema = Arc::new(typed(&unite_schemas(std::iter::once(&base).chain(found()))));
    let warnings = mixed(table, &mixed_columns(found())).into_iter().collect();
    let mut tables = Vec::new();
    if !files.is_empty() {
        tables.push(listing(&schema, &files)?);
    }
    for part in &parts {
        tables.extend(changed(context, &schema, part)?);
    }
    for (rows, name) in loose {
        let table: Arc<dyn TableProvider> = Arc::new(LooseTable::new(rows, schema.clone()));
        tables.push(match name {
            Some(name) => renamed(context, table, &name)?,
            None => table,
        });
    }
    if !rows.is_empty() || tables.is_empty() {
        tables.push(in_memory(&schema, &rows)?);
    }
    let table = united(context, tables)?;
    Ok(Opened { table, warnings })
}

fn mixed(table: Stored, columns: &[String]) -> Option<String> {
    let table = table.file_name().trim_end_matches(".parquet");
    let (is, hold) = if columns.len() == 1 { ("column", "holds") } else { ("columns", "hold") };
    let names: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
    (!columns.is_empty()).then(|| {
        format!(
            "{is} {} of {table} {hold} numbers in some sweeps and text in others: all of it is read as text",
            names.join(", ")
        )
    })
}

fn columns_of(table: Stored) -> Vec<Field> {
    match table {
        Stored::Runs => {
            let mut columns = base_schema(&RUN_COLUMNS);
            for latency in LATENCIES {
                let names = STATISTICS.map(|statistic| format!("{statistic}_{latency}_ms"));
                columns.extend(names.map(|name| Field::new(name, DataType::Float64, true)));
            }
            columns
        }
        Stored::Requests => {
            let mut columns = base_schema(&REQUEST_COLUMNS);
            let gaps = DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)));
            columns.push(Field::new("itls_ms", gaps, true));
            columns
        }
        Stored::Slas => base_schema(&SLA_COLUMNS),
        Stored::SlaHistory => base_schema(&SLA_HISTORY_COLUMNS),
    }
}

/// Tables of one schema as one.
fn united(context: &SessionContext, tables: Vec<Arc<dyn TableProvider>>) -> Result<Arc<dyn TableProvider>, QueryError> {
    let mut tables = tables.into_iter();
    let first = tables.next().expect("at least the rows in memory are a table");
    if tables.len() == 0 {
        return Ok(first);
    }
    let all = tables.try_fold(context.read_table(first)?, |all, table| all.union(context.read_table(table)?))?;
    Ok(all.into_view())
}

/// Files whose rows do not stand as they are.
fn changed(
    context: &SessionContext,
    schema: &SchemaRef,
    source: &Source,
) -> Result<Option<Arc<dyn TableProvider>>, QueryError> {
    let changed = match source {
        Source::Renamed { files, name } => return renamed(context, listing(schema, files)?, name).map(Some),
        Source::Without { file, sweeps } => {
            let is_other = ident("sweep").in_list(sweeps.iter().map(|name| lit(name.as_str())).collect(), true);
            context.read_table(listing(schema, std::slice::from_ref(file))?)?.filter(is_other)?
        }
        Source::Files(_) | Source::Loose { .. } | Source::Rows(_) => return Ok(None),
    };
    Ok(Some(changed.into_view()))
}

/// A sweep's table under another name of it.
fn renamed(
    context: &SessionContext,
    table: Arc<dyn TableProvider>,
    name: &str,
) -> Result<Arc<dyn TableProvider>, QueryError> {
    let schema = table.schema();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "sweep" => lit(name).alias("sweep"),
        column => ident(column),
    });
    Ok(context.read_table(table)?.select(columns.collect::<Vec<_>>())?.into_view())
}

/// The columns of each file. Places in an object store become known to the session here.
async fn schemas_of(context: &SessionContext, files: &[Url]) -> Result<Vec<SchemaRef>, QueryError> {
    let (local, remote): (Vec<Url>, Vec<Url>) = files.iter().cloned().partition(|url| url.scheme() == "file");
    let of_local = local.par_iter().map(|url| {
        let path = url.to_file_path().map_err(|()| StoreError::Missing { path: PathBuf::from(url.as_str()) })?;
        parquet_schema(&path)
    });
    let mut schemas: Vec<SchemaRef> = of_local.collect::<Result<_, StoreError>>()?;
    let of_remote =
        stream::iter(remote).map(|url| async move { remote_schema(context, &url).await }).buffer_unordered(AT_ONCE);
    schemas.extend(of_remote.try_collect::<Vec<_>>().await?);
    Ok(schemas)
}

/// Footers that are read at one time.
const AT_ONCE: usize = 32;

async fn remote_schema(context: &SessionContext, url: &Url) -> Result<SchemaRef, QueryError> {
    let fail = |error: &dyn std::fmt::Display| StoreError::NoStore { url: url.to_string(), reason: error.to_string() };
    let (store, key) = open_store(url)?;
    let store: Arc<dyn ObjectStore> = Arc::from(store);
    let object = store.head(&key).await.map_err(|error| fail(&error))?;
    let format = ParquetFormat::default().with_skip_metadata(false);
    let schema = format.infer_schema(&context.state(), &store, &[object]).await?;
    check_version(&schema, Path::new(url.as_str()))?;
    context.register_object_store(url, store);
    Ok(without_metadata(&schema))
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

fn base_schema(columns: &[(&str, DataType)]) -> Vec<Field> {
    columns
        .iter()
        .map(|(name, kind)| match kind {
            DataType::Timestamp(unit, _) => Field::new(*name, DataType::Timestamp(*unit, Some("UTC".into())), true),
            kind => Field::new(*name, kind.clone(), true),
        })
        .collect()
}

/// Columns of which nothing is known are text.
fn typed(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Null => Field::new(field.name(), DataType::Utf8, true),
        _ => field.as_ref().clone(),
    });
    Schema::new(fields.collect::<Vec<_>>())
}
