//! A worker: runs the stages of other machines' queries, over lakes that it has been given.

use super::below::Below;
use super::channels::{Channels, bearer};
use super::codec::{Codec, Readable, refused};
use super::{QueryError, VERSION};
use crate::query::{aggregates, functions, runtime};
use crate::store::{StoreError, is_remote, open_store};
use datafusion::error::Result;
use datafusion::execution::context::{SessionContext, SessionState};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion_distributed::{DistributedExt, Worker, WorkerQueryContext};
use hyper::header::{AUTHORIZATION, HeaderValue};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};
use url::Url;

/// What a worker says to a request without its token.
pub const WRONG_TOKEN: &str = "the token is not this worker's";

/// A worker that can begin to answer.
pub struct Service {
    lakes: Lakes,
    bearer: Option<HeaderValue>,
    channels: Channels,
    memory_limit: Option<usize>,
}

impl Service {
    /// Of lakes, for whoever bears the token. Queries may hold so many bytes; by default three quarters of what the machine has.
    pub fn open(lakes: &[PathBuf], token: Option<&str>, memory_limit: Option<usize>) -> Result<Self, QueryError> {
        Ok(Self {
            lakes: Lakes::of(lakes)?,
            bearer: token.map(bearer).transpose()?,
            channels: Channels::new(token)?,
            memory_limit,
        })
    }

    /// Answers until the future ends.
    pub async fn serve(self, listener: TcpListener, until: impl Future<Output = ()>) -> Result<(), QueryError> {
        let Self { lakes, bearer, channels, memory_limit } = self;
        let folders = lakes.folders.clone();
        let env = runtime(memory_limit).with_object_store_registry(Arc::new(lakes)).build_arc()?;
        let session = move |context: WorkerQueryContext| {
            let state = state(context, &folders, &channels);
            async move { Ok(state) }
        };
        let worker = Worker::from_session_builder(session).with_runtime_env(env).with_version(VERSION);
        let admitted = move |request| admit(request, bearer.as_ref());
        let service = InterceptedService::new(worker.into_worker_server(), admitted);
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = Server::builder().add_service(service).serve_with_incoming_shutdown(incoming, until);
        serving.await.map_err(|error| QueryError::Output(format!("the worker can't serve: {error}")))
    }
}

fn state(context: WorkerQueryContext, folders: &Arc<[PathBuf]>, channels: &Channels) -> SessionState {
    let builder = context
        .builder
        .with_distributed_user_codec(Codec { readable: Readable::Below(folders.clone()) })
        .with_distributed_channel_resolver(channels.clone());
    let context = SessionContext::new_with_state(builder.build());
    functions::register(&context);
    aggregates::known_elsewhere().into_iter().for_each(|function| context.register_udaf(function));
    context.state()
}

/// Lets a request in that bears the token.
fn admit(request: Request<()>, wanted: Option<&HeaderValue>) -> std::result::Result<Request<()>, Status> {
    let given = request.metadata().get(AUTHORIZATION.as_str()).map(|value| value.as_bytes());
    match wanted {
        Some(wanted) if !given.is_some_and(|given| is_same(given, wanted.as_bytes())) => {
            Err(Status::unauthenticated(WRONG_TOKEN))
        }
        _ => Ok(request),
    }
}

/// Takes the same time wherever two texts of one length differ.
fn is_same(given: &[u8], wanted: &[u8]) -> bool {
    let differences = given.iter().zip(wanted).fold(0, |sum, (given, wanted)| sum | (given ^ wanted));
    given.len() == wanted.len() && differences == 0
}

/// What may be read.
#[derive(Debug)]
struct Lakes {
    /// Those that are here, without links in their paths.
    folders: Arc<[PathBuf]>,
    /// By the place that stands for all of a store.
    stores: BTreeMap<Url, Arc<dyn ObjectStore>>,
}

impl Lakes {
    fn of(lakes: &[PathBuf]) -> Result<Self, QueryError> {
        let mut folders = Vec::new();
        let mut stores: BTreeMap<Url, Below> = BTreeMap::new();
        for lake in lakes {
            let (place, store, keys) = match is_remote(lake) {
                true => elsewhere(lake)?,
                false => here(lake, &mut folders)?,
            };
            stores.entry(place).or_insert_with(|| Below { store, folders: Vec::new() }).folders.extend(keys);
        }
        let stores = stores.into_iter().map(|(place, store)| (place, Arc::new(store) as Arc<dyn ObjectStore>));
        Ok(Self { folders: folders.into(), stores: stores.collect() })
    }
}

impl ObjectStoreRegistry for Lakes {
    /// What may be read is settled.
    fn register_store(&self, _: &Url, _: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let lakes = || self.stores.iter().map(|(place, store)| format!("{place} ({store})"));
        self.stores.get(&place_of(url)).cloned().ok_or_else(|| refused(url.as_str(), lakes()))
    }
}

type Store = (Url, Arc<dyn ObjectStore>, Vec<Key>);

/// A lake of this machine, by the path that was typed and by the one without links.
fn here(lake: &Path, folders: &mut Vec<PathBuf>) -> Result<Store, QueryError> {
    let typed = std::path::absolute(lake).map_err(|_| missing(lake))?;
    let real = lake.canonicalize().map_err(|_| missing(lake))?;
    let url = Url::from_file_path(&real).map_err(|()| missing(lake))?;
    let keys = [&typed, &real].into_iter().filter_map(|path| Key::from_absolute_path(path).ok()).collect();
    folders.push(real);
    Ok((place_of(&url), Arc::new(LocalFileSystem::new()), keys))
}

fn elsewhere(lake: &Path) -> Result<Store, QueryError> {
    let text = lake.to_string_lossy().into_owned();
    let url = Url::parse(&text).map_err(|error| StoreError::NoStore { url: text, reason: error.to_string() })?;
    let (store, folder) = open_store(&url)?;
    Ok((place_of(&url), Arc::from(store), vec![folder]))
}

fn missing(lake: &Path) -> QueryError {
    QueryError::Store(StoreError::Missing { path: lake.into() })
}

/// What stands for all of the store of an URL.
fn place_of(url: &Url) -> Url {
    let mut place = url.clone();
    place.set_path("");
    place
}
