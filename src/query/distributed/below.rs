//! A store of which only lakes can be read, and nothing written.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

#[derive(Debug)]
pub struct Below {
    pub store: Arc<dyn ObjectStore>,
    pub folders: Vec<Path>,
}

impl fmt::Display for Below {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folders: Vec<&str> = self.folders.iter().map(Path::as_ref).collect();
        write!(f, "{} below {}", self.store, folders.join(", "))
    }
}

impl Below {
    fn check(&self, path: &Path) -> Result<()> {
        match self.folders.iter().any(|folder| path.prefix_matches(folder)) {
            true => Ok(()),
            false => Err(self.refused(path)),
        }
    }

    fn refused(&self, path: &Path) -> Error {
        let folders: Vec<String> = self.folders.iter().map(|folder| format!("/{folder}")).collect();
        let reason = format!("the worker reads only {}", folders.join(", "));
        Error::PermissionDenied { path: format!("/{path}"), source: reason.into() }
    }
}

#[async_trait]
impl ObjectStore for Below {
    async fn put_opts(&self, path: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(self.refused(path))
    }

    async fn put_multipart_opts(&self, path: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(self.refused(path))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.check(path)?;
        self.store.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.check(path)?;
        self.store.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::iter([Err(self.refused(&Path::default()))]).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.check(prefix.unwrap_or(&Path::default())) {
            Ok(()) => self.store.list(prefix),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.check(prefix.unwrap_or(&Path::default()))?;
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, to: &Path, _: CopyOptions) -> Result<()> {
        Err(self.refused(to))
    }
}
