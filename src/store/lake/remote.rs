//! Lakes in an object store: `s3://`, `gs://`, `az://`. What is small (manifests, results of single runs) is copied to a
//! temporary folder that looks like the lake; the large tables stay where they are and are read in ranges.

use super::credentials::missing;
use super::places::{COMPACTED, Fingerprint, LATEST, SWEEPS};
use crate::redact::variables;
use crate::store::StoreError;
use crate::store::file::write_bytes_atomically;
use crate::store::sweep::{MANIFEST, RUNS, SUMMARY, is_row, run_number_of};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as Key;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, parse_url_opts};
use std::collections::BTreeMap;
use std::path::Path;
use url::Url;

/// Requests to the store at one time.
const AT_ONCE: usize = 32;

/// A place in an object store, and the folder that stands for it here.
#[derive(Debug)]
pub struct Remote {
    /// Ends with a slash.
    url: Url,
    objects: BTreeMap<String, ObjectMeta>,
    folder: tempfile::TempDir,
}

/// Whether a path names a place in an object store.
pub fn is_remote(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains("://"))
}

/// The store that an URL is of, configured by the environment as the vendor's own tools are (`AWS_ACCESS_KEY_ID`,
/// `AWS_ENDPOINT`, `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME`, …).
pub fn open_store(url: &Url) -> Result<(Box<dyn ObjectStore>, Key), StoreError> {
    let bad = |reason: String| StoreError::NoStore { url: url.to_string(), reason };
    let is_of_vendor = |name: &str| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|vendor| name.starts_with(vendor));
    let variables: BTreeMap<String, String> = variables().collect();
    missing(url, &variables).map_or(Ok(()), |reason| Err(bad(reason)))?;
    let variables = variables.into_iter().filter(|(name, _)| is_of_vendor(name));
    let variables = variables.map(|(name, value)| (name.to_ascii_lowercase(), value));
    // What is sent has a checksum, which the store compares.
    let checked = std::iter::once(("aws_checksum_algorithm".to_owned(), "sha256".to_owned()));
    let variables = checked.chain(variables);
    parse_url_opts(url, variables).map_err(|error| bad(error.to_string()))
}

impl Remote {
    /// Lists the place and copies its catalogue, if it has one.
    pub fn list(text: &str) -> Result<Self, StoreError> {
        let bad = |reason: String| StoreError::NoStore { url: text.to_owned(), reason };
        let url = Url::parse(&format!("{}/", text.trim_end_matches('/'))).map_err(|error| bad(error.to_string()))?;
        let folder = tempfile::tempdir().map_err(|error| bad(error.to_string()))?;
        let (store, prefix) = open_store(&url)?;
        blocking(async {
            let listed: Vec<ObjectMeta> =
                store.list(Some(&prefix)).try_collect().await.map_err(|error| bad(error.to_string()))?;
            let inside = |object: ObjectMeta| {
                let parts: Vec<_> =
                    object.location.prefix_match(&prefix)?.map(|part| part.as_ref().to_owned()).collect();
                Some((parts.join("/"), object))
            };
            let objects: BTreeMap<String, ObjectMeta> = listed.into_iter().filter_map(inside).collect();
            let remote = Self { url: url.clone(), objects, folder };
            let catalogue = format!("{COMPACTED}/{LATEST}/{SWEEPS}");
            if remote.objects.contains_key(&catalogue) {
                remote.copy(store.as_ref(), &catalogue).await?;
            }
            Ok(remote)
        })
    }

    /// Copies what is small and not known already: `known` tells how the manifest of a folder looked.
    pub fn copy_small(&self, known: impl Fn(&Path) -> Option<Fingerprint>) -> Result<(), StoreError> {
        let (store, _) = open_store(&self.url)?;
        let copies = self.small(known)?.into_iter().map(|name| {
            let store = &store;
            async move { self.copy(store.as_ref(), &name).await }
        });
        let copies: Vec<_> = copies.collect();
        blocking(async { stream::iter(copies).buffer_unordered(AT_ONCE).try_collect::<()>().await })
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The place of what the folder here has, or would have, at a path; `None` if there is no such object.
    pub fn url_of(&self, path: &Path) -> Option<Url> {
        self.objects.contains_key(&self.name_of(path)?).then(|| self.place_of(path))
    }

    /// The place that a path in the folder stands for.
    pub fn place_of(&self, path: &Path) -> Url {
        let mut url = self.url.clone();
        if let (Some(name), Ok(mut segments)) = (self.name_of(path), url.path_segments_mut()) {
            segments.pop_if_empty().extend(name.split('/').filter(|part| !part.is_empty()));
        }
        url
    }

    /// What a folder is called in the store; the one that stands for the whole place has a name of its own here only.
    pub fn name_of_folder(&self, folder: &Path) -> String {
        let url = self.place_of(folder);
        let name = url.path_segments().and_then(|mut parts| parts.rfind(|part| !part.is_empty()));
        let host = || url.host_str().unwrap_or_default().to_owned();
        name.map_or_else(host, percent_decoded)
    }

    /// The objects below a path whose file names are as asked.
    pub fn urls_below(&self, path: &Path, is_wanted: impl Fn(&str) -> bool) -> Vec<Url> {
        let Some(name) = self.name_of(path) else { return Vec::new() };
        let prefix = if name.is_empty() { name } else { format!("{name}/") };
        let names = self.objects.keys().filter(|name| name.starts_with(&prefix));
        let names = names.filter(|name| is_wanted(name.rsplit('/').next().unwrap_or(name)));
        names.map(|name| self.place_of(&self.folder().join(name))).collect()
    }

    /// Whether a manifest is as it was when the lake was compacted, as far as can be told from a list of objects: of the
    /// same size, and not newer than the compacted tables.
    pub fn is_as(&self, manifest: &Path, fingerprint: Fingerprint) -> bool {
        let object = self.name_of(manifest).and_then(|name| self.objects.get(&name));
        let compacted = self.objects.get(&format!("{COMPACTED}/{LATEST}/{SWEEPS}"));
        object.zip(compacted).is_some_and(|(object, compacted)| {
            object.size as i64 == fingerprint.size && object.last_modified <= compacted.last_modified
        })
    }

    /// Reads an object that was not copied.
    pub fn read(&self, path: &Path) -> Result<String, StoreError> {
        let name = self.name_of(path).unwrap_or_default();
        let (store, _) = open_store(&self.url)?;
        let object = self.objects.get(&name).ok_or_else(|| StoreError::Missing { path: path.into() })?;
        let bytes = blocking(async { store.get(&object.location).await?.bytes().await });
        let bytes =
            bytes.map_err(|error| StoreError::NoStore { url: self.url.to_string(), reason: error.to_string() })?;
        String::from_utf8(bytes.to_vec()).map_err(StoreError::data(path))
    }

    fn name_of(&self, path: &Path) -> Option<String> {
        Some(path.strip_prefix(self.folder()).ok()?.to_string_lossy().into_owned())
    }

    async fn copy(&self, store: &dyn ObjectStore, name: &str) -> Result<(), StoreError> {
        let path = self.folder().join(name);
        let fail = |error: &dyn std::fmt::Display| StoreError::NoStore {
            url: self.url.to_string(),
            reason: format!("{name}: {error}"),
        };
        let object = self.objects.get(name).ok_or_else(|| fail(&"not found"))?;
        let bytes = store.get(&object.location).await.map_err(|error| fail(&error))?;
        let bytes = bytes.bytes().await.map_err(|error| fail(&error))?;
        self.put(&path, &bytes)
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let folder = path.parent().unwrap_or(self.folder());
        std::fs::create_dir_all(folder).map_err(StoreError::io(folder))?;
        write_bytes_atomically(path, bytes)
    }

    /// The objects to copy. A sweep that is known gets an empty manifest: it is seen, and not read.
    fn small(&self, known: impl Fn(&Path) -> Option<Fingerprint>) -> Result<Vec<String>, StoreError> {
        let mut small = Vec::new();
        let compacted = format!("{COMPACTED}/");
        for name in self.objects.keys().filter(|name| !name.starts_with(&compacted)) {
            let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
            let path = self.folder().join(name);
            let is_known = || known(Path::new(folder)).is_some_and(|fingerprint| self.is_as(&path, fingerprint));
            if file == MANIFEST && is_known() {
                self.put(&path, b"")?;
            } else if self.is_wanted(folder, file) {
                small.push(name.clone());
            }
        }
        Ok(small)
    }

    fn is_wanted(&self, folder: &str, file: &str) -> bool {
        let sweep = ancestors(folder).find(|folder| self.has(folder, MANIFEST));
        match sweep {
            Some(sweep) => file == MANIFEST || (is_row(file) && !self.has(sweep, RUNS)),
            None => file == SUMMARY || run_number_of(file, ".json").is_some(),
        }
    }

    fn has(&self, folder: &str, file: &str) -> bool {
        let name = if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") };
        self.objects.contains_key(&name)
    }
}

fn percent_decoded(text: &str) -> String {
    // A query string is decoded as a path is, but for the plus sign, which is none in a path.
    let pair = format!("x={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes()).next().map_or_else(|| text.to_owned(), |(_, value)| value.into_owned())
}

/// A folder and all above it, as `a/b`, `a`, and the empty text.
fn ancestors(folder: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder), |folder| {
        (!folder.is_empty()).then(|| folder.rsplit_once('/').map_or("", |(above, _)| above))
    })
}

/// Waits for the store, wherever this is called: on a thread and a runtime of its own.
#[expect(clippy::expect_used, reason = "a runtime needs a few file descriptors, and waiting does not panic")]
pub fn blocking<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime needs no more than a few file descriptors").block_on(future)
        });
        waiting.join().expect("waiting for the store does not panic")
    })
}
