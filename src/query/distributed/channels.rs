//! Connections to workers.

use super::QueryError;
use async_trait::async_trait;
use datafusion::error::{DataFusionError, Result};
use datafusion_distributed::grpc::{BoxCloneSyncChannel, create_worker_client};
use datafusion_distributed::{ChannelResolver, WorkerChannel};
use hyper::header::{AUTHORIZATION, HeaderValue};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::{Handle, Id};
use tonic::transport::{Channel, Endpoint};
use tower::ServiceBuilder;
use url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A machine that is gone is noticed within these two.
const ASKED_EVERY: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that are kept, for each runtime its own, and the token that every request bears.
#[derive(Clone)]
pub struct Channels {
    bearer: Option<HeaderValue>,
    open: Arc<Mutex<HashMap<(Id, Url), Channel>>>,
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channels")
    }
}

/// What a request must bear where there is a token.
pub fn bearer(token: &str) -> Result<HeaderValue, QueryError> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.map_err(|_| QueryError::BadToken)?;
    value.set_sensitive(true);
    Ok(value)
}

impl Channels {
    pub fn new(token: Option<&str>) -> Result<Self, QueryError> {
        Ok(Self { bearer: token.map(bearer).transpose()?, open: Arc::default() })
    }

    fn channel(&self, url: &Url) -> Result<Channel> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Handle::current().id(), url.clone());
        if let Some(channel) = open.get(&key) {
            return Ok(channel.clone());
        }
        let endpoint =
            Endpoint::from_shared(url.to_string()).map_err(|error| DataFusionError::External(error.into()))?;
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(ASKED_EVERY)
            .keep_alive_timeout(ANSWER_TIMEOUT)
            .keep_alive_while_idle(true);
        let channel = endpoint.connect_lazy();
        open.insert(key, channel.clone());
        Ok(channel)
    }
}

#[async_trait]
impl ChannelResolver for Channels {
    async fn get_worker_client_for_url(&self, url: &Url) -> Result<Box<dyn WorkerChannel>> {
        let bearer = self.bearer.clone();
        let channel = ServiceBuilder::new()
            .map_request(move |mut request: hyper::Request<_>| {
                if let Some(bearer) = &bearer {
                    request.headers_mut().insert(AUTHORIZATION, bearer.clone());
                }
                request
            })
            .service(self.channel(url)?);
        Ok(create_worker_client(BoxCloneSyncChannel::new(channel)))
    }
}
