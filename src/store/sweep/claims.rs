//! Who does what, where several machines work at one sweep: leases on the starts of its servers, kept beside its runs.
//!
//! A lease is an object that only one can create (put-if-absent), `claims/NAME/TERM.json`. Its holder writes it anew as long as it works;
//! once it is older than a lease lasts, by the time of the store alone, the next term may be created, and with it the work is another's.
//! What is done is `claims/NAME/done.json`. Nothing else is asked of a store, and no clock of any machine.

use super::layout::CLAIMS;
use crate::store::StoreError;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A lease is renewed so many times while it lasts.
const RENEWALS: u32 = 3;
const DONE: &str = "done";
/// Behind the number of a term that was given back.
const RELEASED: &str = "-released";
const NOW: &str = "now";

/// Where claims of a sweep are kept, and on whose behalf.
#[derive(Clone)]
pub struct Claims {
    store: Arc<dyn ObjectStore>,
    prefix: Key,
    node: String,
    /// What kind of machine it is: repeats stay on one.
    kind: String,
    lease: Duration,
}

/// What is known of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has it, or whoever had it is gone; the term that would be next.
    Free {
        term: u32,
    },
    Held,
    Done,
}

/// What came of a claim.
pub enum Claimed {
    Ours(Lease),
    /// Somebody else has it.
    Held,
    Done,
    /// It was begun on a machine of another kind.
    OtherKind(String),
}

/// Work that is ours as long as it is renewed.
pub struct Lease {
    claims: Claims,
    name: String,
    term: u32,
}

#[derive(Serialize, Deserialize)]
struct Held {
    node: String,
    kind: String,
}

/// The last term of a claim.
#[derive(Clone, Copy)]
struct Last {
    term: u32,
    modified: DateTime<Utc>,
    is_released: bool,
}

/// A claim as its files tell it.
#[derive(Default)]
struct Told {
    last: Option<Last>,
    is_done: bool,
}

impl Told {
    fn add(&mut self, file: &str, modified: DateTime<Utc>) {
        let (number, is_released) = file.strip_suffix(RELEASED).map_or((file, false), |number| (number, true));
        match number.parse::<u32>() {
            Err(_) => self.is_done |= file == DONE,
            Ok(term) => match &mut self.last {
                Some(last) if last.term > term => {}
                Some(last) if last.term == term => {
                    // Both files are of one term; its own is the one that is renewed.
                    last.is_released |= is_released;
                    last.modified = last.modified.max(modified);
                }
                _ => self.last = Some(Last { term, modified, is_released }),
            },
        }
    }
}

impl Claims {
    /// Those of a sweep that lies in a folder which all machines see.
    pub fn in_folder(folder: &Path, node: &str, kind: &str, lease: Duration) -> Result<Self, StoreError> {
        let bad = |error: Error| StoreError::NoStore { url: folder.display().to_string(), reason: error.to_string() };
        let store = LocalFileSystem::new_with_prefix(folder).map_err(bad)?;
        Ok(Self::new(Arc::new(store), &Key::default(), node, kind, lease))
    }

    pub fn new(store: Arc<dyn ObjectStore>, sweep: &Key, node: &str, kind: &str, lease: Duration) -> Self {
        let prefix = sweep.clone().join(CLAIMS);
        Self { store, prefix, node: node.to_owned(), kind: kind.to_owned(), lease }
    }

    /// How long to wait before looking again at what others hold.
    pub fn patience(&self) -> Duration {
        self.lease / RENEWALS
    }

    fn key(&self, name: &str, file: &str) -> Key {
        self.prefix.clone().join(name).join(format!("{file}.json"))
    }

    fn bad(&self) -> impl Fn(Error) -> StoreError + '_ {
        |error| StoreError::NoStore { url: self.prefix.to_string(), reason: error.to_string() }
    }

    /// What time it is at the store.
    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        let key = self.key(NOW, &self.node);
        self.store.put(&key, PutPayload::from_static(b"{}")).await.map_err(self.bad())?;
        Ok(self.store.head(&key).await.map_err(self.bad())?.last_modified)
    }

    /// How all claims stand that were ever made, by name.
    pub async fn survey(&self) -> Result<BTreeMap<String, Standing>, StoreError> {
        let listed = self.list(&self.prefix).await?;
        let now = self.now().await?;
        let mut told: BTreeMap<String, Told> = BTreeMap::new();
        for (name, file, modified) in listed {
            told.entry(name).or_default().add(&file, modified);
        }
        let stands = |told: &Told| match told.last {
            _ if told.is_done => Standing::Done,
            Some(last) if !last.is_released && !self.is_over(last.modified, now) => Standing::Held,
            last => Standing::Free { term: last.map_or(0, |last| last.term + 1) },
        };
        Ok(told.iter().map(|(name, told)| (name.clone(), stands(told))).collect())
    }

    fn is_over(&self, modified: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        (now - modified).to_std().is_ok_and(|age| age > self.lease)
    }

    /// The objects below a place: claim, file and time.
    async fn list(&self, prefix: &Key) -> Result<Vec<(String, String, DateTime<Utc>)>, StoreError> {
        let objects: Vec<_> = self.store.list(Some(prefix)).try_collect().await.map_err(self.bad())?;
        let told = objects.into_iter().filter_map(|object| {
            let inner: Vec<String> =
                object.location.prefix_match(&self.prefix)?.map(|part| part.as_ref().into()).collect();
            match inner.as_slice() {
                [name, file] if name != NOW => {
                    Some((name.clone(), file.strip_suffix(".json")?.to_owned(), object.last_modified))
                }
                _ => None,
            }
        });
        Ok(told.collect())
    }

    /// Claims a piece of work, if nobody has it; `mixes`: whatever machine had it before.
    pub async fn claim(&self, name: &str, mix: Mix) -> Result<Claimed, StoreError> {
        let mut told = Told::default();
        let files = self.list(&self.prefix.clone().join(name)).await?;
        files.iter().for_each(|(_, file, modified)| told.add(file, *modified));
        let term = match told.last {
            _ if told.is_done => return Ok(Claimed::Done),
            None => 0,
            Some(last) => {
                let held = self.read(name, last.term).await?;
                if mix == Mix::Refused && held.kind != self.kind {
                    return Ok(Claimed::OtherKind(held.kind));
                }
                if !last.is_released && !self.is_over(last.modified, self.now().await?) {
                    return Ok(Claimed::Held);
                }
                last.term + 1
            }
        };
        let key = self.key(name, &term.to_string());
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&key, self.payload(), options).await {
            Ok(_) => Ok(Claimed::Ours(Lease { claims: self.clone(), name: name.to_owned(), term })),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Claimed::Held),
            Err(error) => Err(self.bad()(error)),
        }
    }

    async fn read(&self, name: &str, term: u32) -> Result<Held, StoreError> {
        let key = self.key(name, &term.to_string());
        let bytes = self.store.get(&key).await.map_err(self.bad())?.bytes().await.map_err(self.bad())?;
        serde_json::from_slice(&bytes)
            .map_err(|error| StoreError::NoStore { url: key.to_string(), reason: error.to_string() })
    }

    fn payload(&self) -> PutPayload {
        let held = Held { node: self.node.clone(), kind: self.kind.clone() };
        serde_json::to_vec(&held).unwrap_or_default().into()
    }
}

/// Whether repeats of a combination may come from machines of several kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    Refused,
    Allowed,
}

impl Lease {
    /// Whether nobody else has taken it over.
    pub async fn is_ours(&self) -> Result<bool, StoreError> {
        let files = self.claims.list(&self.claims.prefix.clone().join(self.name.as_str())).await?;
        Ok(!files.iter().any(|(_, file, _)| file == DONE || file.parse::<u32>().is_ok_and(|term| term > self.term)))
    }

    /// Renews it again and again; ends once it is lost: another has it, or the store could not be reached for as long as it lasts.
    pub async fn keep(&self) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.claims.patience()).await;
            match self.renew().await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) => return,
                Err(_) if renewed.elapsed() > self.claims.lease => return,
                Err(_) => {}
            }
        }
    }

    async fn renew(&self) -> Result<bool, StoreError> {
        if !self.is_ours().await? {
            return Ok(false);
        }
        self.write(&self.term.to_string()).await?;
        Ok(true)
    }

    async fn write(&self, file: &str) -> Result<(), StoreError> {
        let key = self.claims.key(&self.name, file);
        self.claims.store.put(&key, self.claims.payload()).await.map_err(self.claims.bad())?;
        Ok(())
    }

    /// The work is done.
    pub async fn finish(self) -> Result<(), StoreError> {
        self.write(DONE).await
    }

    /// The work is left to whoever wants it.
    pub async fn release(self) -> Result<(), StoreError> {
        self.write(&format!("{}{RELEASED}", self.term)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    fn claims(store: &Arc<dyn ObjectStore>, node: &str, lease_ms: u64) -> Claims {
        Claims::new(
            store.clone(),
            &Key::from("s"),
            node,
            node.split('-').next().unwrap(),
            Duration::from_millis(lease_ms),
        )
    }

    async fn ours(claims: &Claims, name: &str) -> Option<Lease> {
        match claims.claim(name, Mix::Allowed).await.unwrap() {
            Claimed::Ours(lease) => Some(lease),
            _ => None,
        }
    }

    fn stores() -> (tempfile::TempDir, [Arc<dyn ObjectStore>; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let local = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
        (folder, [Arc::new(local), Arc::new(InMemory::new())])
    }

    #[tokio::test]
    async fn of_many_who_claim_at_once_one_has_it() {
        let (_folder, stores) = stores();
        for store in stores {
            let all: Vec<Claims> = (0..16).map(|node| claims(&store, &format!("a-{node}"), 10_000)).collect();
            let claimed = futures::future::join_all(all.iter().map(|one| ours(one, "work"))).await;
            assert_eq!(claimed.iter().flatten().count(), 1);
            let survey = all[0].survey().await.unwrap();
            assert_eq!(survey.get("work"), Some(&Standing::Held));
            claimed.into_iter().flatten().next().unwrap().finish().await.unwrap();
            assert!(matches!(all[3].claim("work", Mix::Allowed).await.unwrap(), Claimed::Done));
            assert_eq!(all[0].survey().await.unwrap().get("work"), Some(&Standing::Done));
        }
    }

    #[tokio::test]
    async fn who_does_not_renew_loses_it_and_who_does_keeps_it() {
        let (_folder, stores) = stores();
        for store in stores {
            let (one, other) = (claims(&store, "a-1", 300), claims(&store, "a-2", 300));
            let dead = ours(&one, "dead").await.unwrap();
            let alive = ours(&one, "alive").await.unwrap();
            let kept = tokio::spawn(async move {
                tokio::time::timeout(Duration::from_millis(900), alive.keep()).await.is_err().then_some(alive)
            });
            assert!(ours(&other, "dead").await.is_none());
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert_eq!(other.survey().await.unwrap().get("dead"), Some(&Standing::Free { term: 1 }));
            assert!(ours(&other, "alive").await.is_none());
            let taken = ours(&other, "dead").await.unwrap();
            assert!(!dead.is_ours().await.unwrap() && taken.is_ours().await.unwrap());
            assert!(!dead.renew().await.unwrap());
            assert!(kept.await.unwrap().is_some_and(|lease| lease.term == 0));
        }
    }

    #[tokio::test]
    async fn what_is_given_back_is_free_at_once_and_stays_with_machines_of_its_kind() {
        let (_folder, stores) = stores();
        for store in stores {
            let (one, same, other) =
                (claims(&store, "h100-1", 60_000), claims(&store, "h100-2", 60_000), claims(&store, "b200-1", 60_000));
            ours(&one, "work").await.unwrap().release().await.unwrap();
            assert_eq!(one.survey().await.unwrap().get("work"), Some(&Standing::Free { term: 1 }));
            assert!(
                matches!(other.claim("work", Mix::Refused).await.unwrap(), Claimed::OtherKind(kind) if kind == "h100")
            );
            assert!(matches!(same.claim("work", Mix::Refused).await.unwrap(), Claimed::Ours(_)));
        }
    }
}
