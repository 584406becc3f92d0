//! The tables `sweeps`, `runs` and `requests`: Parquet files where there are some, rows in memory for what is
//! loose or was made by vLLM, united by name.

use super::QueryError;
use crate::record::{Cell, Row};
use crate::store::{Detail, StoreError, Sweep, fit_all, parquet_schema, read_parquet, rows_to_batch, unite_schemas};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::execution::context::SessionContext;
use rayon::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use url::Url;

type Table = Arc<dyn TableProvider>;

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

pub fn sweeps(sweeps: &[Sweep]) -> Result<Table, QueryError> {
    let rows: Vec<Row> = sweeps.iter().map(sweep_row).collect();
    let batch = rows_to_batch(&rows);
    let base = Schema::new(base_schema(&SWEEP_COLUMNS));
    let schema = Arc::new(typed(&unite_schemas([batch.schema_ref().as_ref(), &base])));
    in_memory(&schema, &[batch])
}

pub fn runs(context: &SessionContext, sweeps: &[Sweep]) -> Result<Table, QueryError> {
    let (renamed, sweeps): (Vec<Sweep>, Vec<Sweep>) = sweeps.iter().cloned().partition(Sweep::is_renamed);
    let compacted: Vec<PathBuf> = sweeps.iter().filter_map(Sweep::compacted_runs).collect();
    let loose = sweeps.iter().filter(|sweep| sweep.compacted_runs().is_none()).flat_map(Sweep::loose_runs);
    let loose: Vec<PathBuf> = loose.collect();
    let mut batches = loose.par_iter().map(|path| read_parquet(path)).collect::<Result<Vec<_>, _>>()?;
    for sweep in &renamed {
        let files = sweep.compacted_runs().map_or_else(|| sweep.loose_runs(), |file| vec![file]);
        batches.extend(renamed_batches(sweep, &files)?);
    }
    for sweep in &sweeps {
        batches.extend(sweep.foreign_rows(Detail::Runs)?);
    }
    let mut base = base_schema(&RUN_COLUMNS);
    for latency in LATENCIES {
        let names = STATISTICS.map(|statistic| format!("{statistic}_{latency}_ms"));
        base.extend(names.map(|name| Field::new(name, DataType::Float64, true)));
    }
    united(context, base, compacted, batches)
}

pub fn requests(context: &SessionContext, sweeps: &[Sweep]) -> Result<Table, QueryError> {
    let (renamed, sweeps): (Vec<Sweep>, Vec<Sweep>) = sweeps.iter().cloned().partition(Sweep::is_renamed);
    let files: Vec<PathBuf> = sweeps.iter().flat_map(Sweep::request_files).collect();
    let mut batches = Vec::new();
    for sweep in &renamed {
        batches.extend(renamed_batches(sweep, &sweep.request_files())?);
    }
    for sweep in &sweeps {
        batches.extend(sweep.foreign_rows(Detail::Requests)?);
    }
    let mut base = base_schema(&REQUEST_COLUMNS);
    base.push(Field::new("itls_ms", DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true))), true));
    united(context, base, files, batches)
}

pub fn slas(context: &SessionContext, sweeps: &[Sweep]) -> Result<Table, QueryError> {
    of_files(context, base_schema(&SLA_COLUMNS), sweeps, Sweep::sla_file)
}

pub fn sla_history(context: &SessionContext, sweeps: &[Sweep]) -> Result<Table, QueryError> {
    of_files(context, base_schema(&SLA_HISTORY_COLUMNS), sweeps, Sweep::sla_history_file)
}

/// One file of each sweep as one table.
fn of_files(
    context: &SessionContext,
    base: Vec<Field>,
    sweeps: &[Sweep],
    file: impl Fn(&Sweep) -> Option<PathBuf>,
) -> Result<Table, QueryError> {
    let (renamed, sweeps): (Vec<Sweep>, Vec<Sweep>) = sweeps.iter().cloned().partition(Sweep::is_renamed);
    let mut batches = Vec::new();
    for sweep in &renamed {
        batches.extend(renamed_batches(sweep, &file(sweep).into_iter().collect::<Vec<_>>())?);
    }
    united(context, base, sweeps.iter().filter_map(file).collect(), batches)
}

/// The rows of files under the name that tells their sweep apart.
fn renamed_batches(sweep: &Sweep, files: &[PathBuf]) -> Result<Vec<RecordBatch>, QueryError> {
    let batches = files.par_iter().map(|path| read_parquet(path)).collect::<Result<Vec<_>, _>>()?;
    let renamed = batches.into_iter().map(|batch| {
        let names: ArrayRef = Arc::new(StringArray::from(vec![sweep.name.as_str(); batch.num_rows()]));
        let fields = batch.schema().fields().clone();
        let columns = fields.iter().zip(batch.columns());
        let columns =
            columns.map(|(field, column)| if field.name() == "sweep" { names.clone() } else { column.clone() });
        RecordBatch::try_new(batch.schema(), columns.collect()).map_err(|error| QueryError::Output(error.to_string()))
    });
    renamed.collect()
}

/// Files and rows in memory as one table.
fn united(
    context: &SessionContext,
    base: Vec<Field>,
    files: Vec<PathBuf>,
    batches: Vec<RecordBatch>,
) -> Result<Table, QueryError> {
    let base = Schema::new(base);
    let of_files = files.par_iter().map(|path| parquet_schema(path)).collect::<Result<Vec<_>, _>>()?;
    let found = of_files.iter().map(AsRef::as_ref).chain(batches.iter().map(|batch| batch.schema_ref().as_ref()));
    let schema = Arc::new(typed(&unite_schemas(std::iter::once(&base).chain(found))));
    if files.is_empty() {
        return in_memory(&schema, &batches);
    }
    let stored = listing(&schema, &files)?;
    if batches.is_empty() {
        return Ok(stored);
    }
    let loose = in_memory(&schema, &batches)?;
    Ok(context.read_table(stored)?.union(context.read_table(loose)?)?.into_view())
}

fn listing(schema: &SchemaRef, files: &[PathBuf]) -> Result<Table, QueryError> {
    let urls = files
        .iter()
        .map(|path| {
            let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            // Not parsed: brackets and stars in a folder's name are no pattern.
            let url = Url::from_file_path(&absolute).map_err(|()| StoreError::Missing { path: absolute })?;
            Ok(ListingTableUrl::try_new(url, None)?)
        })
        .collect::<Result<Vec<_>, QueryError>>()?;
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
    let config =
        ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema.clone());
    Ok(Arc::new(ListingTable::try_new(config)?))
}

fn in_memory(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Table, QueryError> {
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

fn sweep_row(sweep: &Sweep) -> Row {
    let manifest = sweep.manifest.as_ref();
    let text = |value: Option<&str>| value.map_or(Cell::Null, Cell::from);
    let environment = manifest.map(|manifest| &manifest.environment);
    let gpus = environment
        .map(|environment| environment.gpus.iter().map(|gpu| gpu.name.as_str()).collect::<Vec<_>>().join(", "));
    let row = [
        ("sweep", Cell::from(sweep.name.as_str())),
        ("kind", text(manifest.map(|manifest| manifest.kind.as_str()))),
        ("state", sweep.state().as_str().into()),
        ("started_at", manifest.map_or(Cell::Null, |manifest| Cell::Time(manifest.started_at.timestamp_micros()))),
        (
            "finished_at",
            manifest
                .and_then(|manifest| manifest.finished_at)
                .map_or(Cell::Null, |time| Cell::Time(time.timestamp_micros())),
        ),
        ("runs", manifest.map(|manifest| manifest.runs as i64).into()),
        ("failed", manifest.map(|manifest| manifest.failed as i64).into()),
        ("combinations", manifest.map(|manifest| manifest.num_combinations() as i64).into()),
        ("serve_cmd", text(manifest.map(|manifest| manifest.serve_cmd.as_str()))),
        ("bench_cmd", text(manifest.map(|manifest| manifest.bench_cmd.as_str()))),
        ("host", text(environment.map(|environment| environment.host.as_str()))),
        ("cpu", text(environment.map(|environment| environment.cpu.as_str()))),
        ("gpu", text(gpus.as_deref().filter(|gpus| !gpus.is_empty()))),
        ("gpus", environment.map(|environment| environment.gpus.len() as i64).into()),
        (
            "gpu_driver",
            text(environment.and_then(|environment| environment.gpus.first()).and_then(|gpu| gpu.driver.as_deref())),
        ),
        ("engine", text(environment.and_then(|environment| environment.engine.as_deref()))),
        ("engine_version", text(environment.and_then(|environment| environment.engine_version.as_deref()))),
        ("git_commit", text(environment.and_then(|environment| environment.git_commit.as_deref()))),
        ("sweeplake_version", text(environment.map(|environment| environment.sweeplake_version.as_str()))),
        ("folder", sweep.folder.to_string_lossy().as_ref().into()),
    ];
    row.into_iter().map(|(name, cell)| (name.to_owned(), cell)).collect()
}
