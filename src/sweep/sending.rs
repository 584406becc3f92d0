//! Runs that are sent away once they are stored: between two measurements on a lane, and in nobody's time.

use crate::exec::{BenchJob, Benched, EvalJob, Executor, Ready, Scores, ServerJob, Stop};
use crate::store::{StoreError, Upload};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A store that takes longer is asked again later.
const LIMIT: Duration = Duration::from_secs(60);
const LATER: Duration = Duration::from_secs(300);

/// The way into a store that all lanes share.
#[derive(Clone)]
pub struct Outbox(Arc<Mutex<State>>);

struct State {
    upload: Upload,
    /// Not to be tried before, since it did not work.
    not_before: Option<Instant>,
}

impl Outbox {
    pub fn new(upload: Upload) -> Self {
        Self(Arc::new(Mutex::new(State { upload, not_before: None })))
    }

    /// Sends what is new, unless another lane does; why that did not work.
    async fn send(&self) -> Option<String> {
        let mut state = self.0.try_lock().ok()?;
        if state.not_before.is_some_and(|time| Instant::now() < time) {
            return None;
        }
        let sent = tokio::time::timeout(LIMIT, state.upload.send()).await;
        let why = match sent {
            Ok(Ok(_)) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("nothing was sent within {} s", LIMIT.as_secs()),
        };
        state.not_before = Some(Instant::now() + LATER);
        Some(format!("{why}; the runs are kept here, and sent later"))
    }

    /// Sends all that is left, however long that takes; how many files are left where it does not work.
    pub async fn empty(&self) -> Result<(), (StoreError, usize)> {
        let mut state = self.0.lock().await;
        let sent = state.upload.send().await;
        sent.map_err(|error| (error, state.upload.left()))
    }
}

/// An executor whose runs are sent away.
pub struct Sending<E> {
    pub inner: E,
    /// None where runs stay where they are.
    pub outbox: Option<Outbox>,
}

impl<E> Sending<E> {
    async fn send(&self) -> Option<String> {
        self.outbox.as_ref()?.send().await
    }
}

impl<E: Executor> Executor for Sending<E> {
    async fn start(&mut self, job: ServerJob<'_>) -> Result<Ready, Stop> {
        self.inner.start(job).await
    }

    async fn bench(&mut self, job: BenchJob<'_>) -> Result<Benched, Stop> {
        self.inner.bench(job).await
    }

    async fn evaluate(&mut self, job: EvalJob<'_>) -> Result<Scores, Stop> {
        self.inner.evaluate(job).await
    }

    async fn clean(&mut self) {
        self.inner.clean().await;
        // Why it does not work is said when the server is stopped, or at the end.
        let _ = self.send().await;
    }

    async fn stop(&mut self) -> Vec<String> {
        let mut told = self.inner.stop().await;
        told.extend(self.send().await);
        told
    }

    fn is_interrupted(&self) -> bool {
        self.inner.is_interrupted()
    }
}
