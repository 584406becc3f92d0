//! Queries on several machines, by datafusion-distributed: the plan is made here, and its stages run on workers, which read the same
//! lake. Nothing passes between aggregates but columns, and what is ours in a plan has a codec.

mod below;
mod channels;
mod codec;
mod worker;

pub use worker::Service;

use super::{QueryError, loose};
use channels::Channels;
use codec::{Codec, Readable};
use datafusion::common::exec_datafusion_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::SessionContext;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream};
use datafusion_distributed::{
    ChannelResolver, DesiredTaskCountEvent, DesiredTaskCountEventResponse, DistributedConfig, DistributedExec,
    DistributedExt, DistributedLeafExec, GetWorkerInfoRequest, ScaleUpLeafNodeEvent, ScaleUpLeafNodeEventResponse,
    SessionStateBuilderExt, WorkerResolver,
};
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use loose::{LooseExec, dealt, pieces};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// What a worker must be to understand a plan of ours: the same program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long a worker may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Machines that answer queries together.
#[derive(Clone, Debug)]
pub struct Workers {
    urls: Vec<Url>,
    /// Those that were named and do not answer.
    pub(super) silent: Vec<String>,
    channels: Channels,
    bytes_each: Option<usize>,
}

impl Workers {
    /// Asks the workers at `HOST:PORT,…` who they are; a name may stand for several. `bytes_each` is how much a core has to read before
    /// another machine is worth it.
    pub async fn find(addresses: &str, token: Option<&str>, bytes_each: Option<usize>) -> Result<Self, QueryError> {
        let channels = Channels::new(token)?;
        let urls = urls_of(addresses).await?;
        let asked = versions_at(&urls, &channels).await;
        let (mut found, mut silent) = (Vec::new(), Vec::new());
        for (url, answer) in urls.into_iter().zip(asked) {
            match answer {
                Ok(version) if version == VERSION => found.push(url),
                Ok(version) => {
                    let reason =
                        format!("it is sweeplake {version}, and this one is {VERSION}; use one version everywhere");
                    return Err(QueryError::Worker { address: address(&url), reason });
                }
                Err(Refused::Token) => {
                    return Err(QueryError::WrongToken { address: address(&url) });
                }
                Err(Refused::Silent(reason)) => silent.push(format!("worker {}: {reason}", address(&url))),
            }
        }
        if found.is_empty() {
            return Err(QueryError::NoWorkers { reasons: silent.join("; ") });
        }
        let silent = silent.into_iter().map(|text| format!("{text}; the query runs on the other workers")).collect();
        Ok(Self { urls: found, silent, channels, bytes_each })
    }

    /// A session whose queries these workers answer. The planner that it has plans what they then share.
    pub fn join(&self, builder: SessionStateBuilder) -> Result<SessionStateBuilder> {
        let mut builder = builder
            .with_distributed_worker_resolver(Known(self.urls.clone()))
            .with_distributed_channel_resolver(self.channels.clone())
            .with_distributed_user_codec(Codec { readable: Readable::Everything })
            .with_distributed_desired_task_count_handler(tasks_of_leaf)
            .with_distributed_scale_up_leaf_node_handler(shares_of_loose)
            .with_distributed_planner();
        let Some(bytes) = self.bytes_each.map(|bytes| bytes.max(1)) else { return Ok(builder) };
        if let Some(config) = builder.config() {
            // What is to be shared is read in several pieces.
            config.options_mut().optimizer.repartition_file_min_size = bytes;
        }
        builder.with_distributed_file_scan_config_bytes_per_partition(bytes)
    }
}

/// How a query goes that workers answer.
pub enum Begun {
    Rows(SendableRecordBatchStream),
    /// There is too little to read to share it.
    Small,
    /// They all are there, and can't answer it together.
    Unshared(DataFusionError),
}

impl Workers {
    /// Waits for the first rows. Where they end because a worker is gone, that is what is said.
    pub async fn begin(&self, context: &SessionContext, plan: &LogicalPlan) -> Result<Begun> {
        let plan = match context.state().create_physical_plan(plan).await {
            Ok(plan) if !plan.is::<DistributedExec>() => return Ok(Begun::Small),
            Ok(plan) => plan,
            Err(error) => return self.hindered(error).await,
        };
        let mut rows = match execute_stream(plan, context.task_ctx()) {
            Ok(rows) => rows,
            Err(error) => return self.hindered(error).await,
        };
        let first = match rows.next().await {
            Some(Err(error)) => return self.hindered(error).await,
            first => stream::iter(first),
        };
        let (workers, schema) = (self.clone(), rows.schema());
        let rest = rows.or_else(move |error| {
            let workers = workers.clone();
            async move { Err(workers.loss().await.unwrap_or(error)) }
        });
        Ok(Begun::Rows(Box::pin(RecordBatchStreamAdapter::new(schema, first.chain(rest)))))
    }

    async fn hindered(&self, error: DataFusionError) -> Result<Begun> {
        self.loss().await.map_or(Ok(Begun::Unshared(error)), Err)
    }

    /// That a worker is gone, if one is.
    async fn loss(&self) -> Option<DataFusionError> {
        let asked = versions_at(&self.urls, &self.channels).await;
        let gone = self.urls.iter().zip(asked).filter(|(_, answer)| answer.is_err());
        let gone: Vec<String> = gone.map(|(url, _)| format!("worker {}", address(url))).collect();
        (!gone.is_empty()).then(|| {
            exec_datafusion_err!("{} no longer answers; ask again: the others answer without it", gone.join(", "))
        })
    }
}

struct Known(Vec<Url>);

impl WorkerResolver for Known {
    fn get_urls(&self) -> Result<Vec<Url>> {
        Ok(self.0.clone())
    }
}

/// How many machines read a leaf: as for other files, so many bytes of loose ones are work for a core.
fn tasks_of_leaf(event: DesiredTaskCountEvent) -> Option<Result<DesiredTaskCountEventResponse>> {
    // What has one partition is put together by nobody: above it everything is decided at once, and once.
    if event.plan.children().is_empty() && event.plan.output_partitioning().partition_count() == 1 {
        return Some(Ok(DesiredTaskCountEventResponse::maximum(1)));
    }
    let exec = event.plan.downcast_ref::<LooseExec>()?;
    let tasks = DistributedConfig::from_session_config(event.session_config).map(|config| {
        let cores = exec.rows.num_bytes().div_ceil(config.file_scan_config_bytes_per_partition);
        DesiredTaskCountEventResponse::desired(cores.div_ceil(event.session_config.target_partitions()).max(1))
    });
    Some(tasks)
}

/// Each worker gets its own files.
fn shares_of_loose(event: ScaleUpLeafNodeEvent) -> Option<Result<ScaleUpLeafNodeEventResponse>> {
    let exec = event.plan.downcast_ref::<LooseExec>()?;
    let partitions = exec.partitions.len();
    let batches = exec.partitions.iter().flatten();
    let pieces = batches.flat_map(|files| pieces(files, event.task_count * partitions));
    let variants = dealt(pieces, event.task_count).into_iter().map(|own| {
        let exec = LooseExec::new(exec.rows.clone(), exec.schema(), dealt(own, partitions));
        Arc::new(exec) as Arc<dyn ExecutionPlan>
    });
    let leaf = DistributedLeafExec::try_new(event.plan.clone(), variants);
    Some(leaf.map(|leaf| ScaleUpLeafNodeEventResponse::new(Arc::new(leaf))))
}

/// The places of workers, each once.
async fn urls_of(addresses: &str) -> Result<Vec<Url>, QueryError> {
    let mut urls = BTreeSet::new();
    for address in addresses.split(',').map(str::trim).filter(|address| !address.is_empty()) {
        let bad = |reason: String| QueryError::Worker { address: address.to_owned(), reason };
        if address.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            return Err(bad("expected HOST:PORT, such as 10.0.0.5:7077".into()));
        }
        let places = tokio::net::lookup_host(address).await;
        for place in places.map_err(|error| bad(format!("the name does not resolve: {error}")))? {
            urls.insert(Url::parse(&format!("http://{place}")).map_err(|error| bad(error.to_string()))?);
        }
    }
    match urls.is_empty() {
        true => Err(QueryError::NoWorkers { reasons: "none is named; expected HOST:PORT,…".into() }),
        false => Ok(urls.into_iter().collect()),
    }
}

fn address(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

/// Why a worker did not say who it is.
enum Refused {
    Token,
    Silent(String),
}

type Version = std::result::Result<String, Refused>;

async fn versions_at(urls: &[Url], channels: &Channels) -> Vec<Version> {
    join_all(urls.iter().map(|url| version_at(url, channels))).await
}

async fn version_at(url: &Url, channels: &Channels) -> Version {
    let ask = async {
        let mut client = channels.get_worker_client_for_url(url).await?;
        client.get_worker_info(GetWorkerInfoRequest {}).await
    };
    match tokio::time::timeout(PATIENCE, ask).await {
        Ok(Ok(info)) => Ok(info.version),
        Ok(Err(error)) if error.to_string().contains(worker::WRONG_TOKEN) => Err(Refused::Token),
        Ok(Err(_)) => Err(Refused::Silent("nothing answers there".into())),
        Err(_) => Err(Refused::Silent(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}
