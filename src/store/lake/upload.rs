//! A sweep that is written here and belongs into an object store: its files are sent as they are finished, and again where that failed.
//!
//! A reader of the store counts a run once its row is there, and believes the tables of the whole sweep once the manifest says so. So of what is
//! new, other files go first, then rows of runs, then the manifest.

use super::remote::{blocking, open_store};
use crate::files::sha256;
use crate::store::StoreError;
use crate::store::file::write_bytes_atomically;
use crate::store::sweep::{CHECKSUMS, MANIFEST, check_name, checksum_of, is_claim, is_passing, is_row};
use futures::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use url::Url;
use walkdir::WalkDir;

/// What was sent of a sweep, so that a resume sends only what is missing.
const SENT: &str = ".sent.json";

/// Files as they were sent, and the manifest by its SHA-256: where the store has another one, somebody else went on with the sweep.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Sent {
    files: BTreeMap<String, Look>,
    manifest: Option<String>,
}

/// What was sent is noted once for so many files: the note holds all of them, and one that is lost costs no more than sending these again.
const NOTED_TOGETHER: usize = 256;

/// How a file looked: its size, and when it was written, in nanoseconds.
type Look = (u64, u128);

/// The way of a sweep's files into an object store.
pub struct Upload {
    store: Box<dyn ObjectStore>,
    prefix: Key,
    url: Url,
    folder: PathBuf,
    sent: Sent,
}

impl Upload {
    /// Of the sweep in a folder, into the lake at an URL.
    pub fn new(lake: &Url, folder: &Path) -> Result<Self, StoreError> {
        let (store, prefix) = open_store(lake)?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let sent = std::fs::read(folder.join(SENT)).ok().and_then(|text| serde_json::from_slice::<Sent>(&text).ok());
        let prefix = prefix.join(name);
        Ok(Self { store, prefix, url: lake.clone(), folder: folder.to_owned(), sent: sent.unwrap_or_default() })
    }

    fn bad(&self, error: Error) -> StoreError {
        StoreError::NoStore { url: self.url.to_string(), reason: error.to_string() }
    }

    /// Files that are finished and not as they were sent, in the order in which they may be seen.
    fn open(&self) -> Vec<(String, Look)> {
        let entries = WalkDir::new(&self.folder).sort_by_file_name().into_iter().filter_map(Result::ok);
        let files = entries.filter(|entry| entry.file_type().is_file() && !is_claim(entry.path()));
        let changed = files.filter_map(|entry| {
            let name = entry.path().strip_prefix(&self.folder).ok()?.to_string_lossy().into_owned();
            let metadata = entry.metadata().ok()?;
            let written = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
            let look = (metadata.len(), written);
            let file = entry.file_name().to_string_lossy();
            let is_finished = !file.starts_with('.') && !is_passing(&file);
            (is_finished && self.sent.files.get(&name) != Some(&look)).then_some((name, look))
        });
        let mut open: Vec<_> = changed.collect();
        open.sort_by_key(|(name, _)| turn_of(name));
        open
    }

    /// Sends what is finished and was not sent yet.
    pub async fn send(&mut self) -> Result<(), StoreError> {
        for files in self.open().chunks(NOTED_TOGETHER) {
            let sent = self.send_files(files).await;
            self.note()?;
            sent?;
        }
        Ok(())
    }

    async fn send_files(&mut self, files: &[(String, Look)]) -> Result<(), StoreError> {
        for (name, look) in files {
            let path = self.folder.join(name);
            let bytes = match tokio::fs::read(&path).await {
                // It has another name by now.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                read => read.map_err(StoreError::io(&path))?,
            };
            let hash = (*name == MANIFEST).then(|| sha256(&*bytes).ok()).flatten();
            let key = name.split('/').fold(self.prefix.clone(), |key, part| key.join(part));
            self.store.put(&key, bytes.into()).await.map_err(|error| self.bad(error))?;
            self.sent.manifest = hash.or(self.sent.manifest.take());
            self.sent.files.insert(name.clone(), *look);
        }
        Ok(())
    }

    /// How many files are still to be sent.
    pub fn left(&self) -> usize {
        self.open().len()
    }

    /// Brings a sweep that is to be gone on with to where the store has it: what others did to it since this folder was sent is fetched. Where
    /// the folder has something of its own besides, that is an error.
    pub fn catch_up(&mut self) -> Result<(), StoreError> {
        let key = self.prefix.clone().join(MANIFEST);
        let there = blocking(async {
            match self.store.get(&key).await {
                Ok(found) => found.bytes().await.map(Some).map_err(|error| self.bad(error)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(self.bad(error)),
            }
        })?;
        let is_here = self.folder.join(MANIFEST).is_file();
        match there {
            None => return Ok(()),
            Some(there) if is_here && self.sent.manifest == sha256(&*there).ok() => return Ok(()),
            Some(_) if is_here && self.left() > 0 => {
                let reason = format!(
                    "the sweep was gone on with elsewhere, and {} has {} file(s) that were not uploaded",
                    self.folder.display(),
                    self.left()
                );
                return Err(StoreError::NoStore { url: self.url.to_string(), reason });
            }
            Some(_) => {}
        }
        if is_here {
            std::fs::remove_dir_all(&self.folder).map_err(StoreError::io(&self.folder))?;
        }
        self.fetch()?;
        let manifest = checksum_of(&self.folder.join(MANIFEST)).ok();
        self.sent = Sent { files: BTreeMap::new(), manifest };
        self.sent.files = self.open().into_iter().collect();
        self.note()
    }

    /// Brings all files of the sweep into the folder, the manifest last: without it the folder is no sweep.
    fn fetch(&self) -> Result<(), StoreError> {
        let objects = blocking(async {
            let listed: Vec<_> = self.store.list(Some(&self.prefix)).try_collect().await?;
            let mut objects = Vec::new();
            for object in listed {
                let parts = object.location.prefix_match(&self.prefix).into_iter().flatten();
                let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
                objects.push((parts, self.store.get(&object.location).await?.bytes().await?));
            }
            Ok::<_, Error>(objects)
        });
        let (manifest, others): (Vec<_>, Vec<_>) = objects
            .map_err(|error| self.bad(error))?
            .into_iter()
            .partition(|(parts, _)| parts.as_slice() == [MANIFEST]);
        let is_inside = |parts: &[String]| !parts.iter().any(|part| part == ".." || part.is_empty());
        for (parts, bytes) in others.into_iter().chain(manifest).filter(|(parts, _)| is_inside(parts)) {
            let path = parts.iter().fold(self.folder.clone(), |path, part| path.join(part));
            let parent = path.parent().unwrap_or(&self.folder);
            std::fs::create_dir_all(parent).map_err(StoreError::io(parent))?;
            write_bytes_atomically(&path, &bytes)?;
        }
        Ok(())
    }

    fn note(&self) -> Result<(), StoreError> {
        let text = serde_json::to_vec(&self.sent).unwrap_or_default();
        write_bytes_atomically(&self.folder.join(SENT), &text)
    }
}

/// In which turn a file goes.
fn turn_of(name: &str) -> u8 {
    let file = name.rsplit('/').next().unwrap_or(name);
    match file {
        MANIFEST => 3,
        CHECKSUMS => 2,
        _ if is_row(file) => 1,
        _ => 0,
    }
}

/// Whether a lake in an object store has a sweep.
pub fn is_uploaded(lake: &Url, name: &str) -> Result<bool, StoreError> {
    check_name(name)?;
    let (store, prefix) = open_store(lake)?;
    let key = prefix.join(name).join(MANIFEST);
    blocking(async {
        match store.head(&key).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(StoreError::NoStore { url: lake.to_string(), reason: error.to_string() }),
        }
    })
}
