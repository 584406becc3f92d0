//! A lake in an object store: a sweep is written here, and sent there as its runs end.

use super::{Common, interrupt_on_signals};
use crate::cli::say::say;
use crate::cli::{Failure, block_on};
use crate::id::text_hash;
use crate::store::{StoreError, Upload, is_remote, is_uploaded};
use crate::sweep::Outbox;
use std::path::{Path, PathBuf};
use url::Url;

/// The folder in which sweeps wait that belong into object stores.
const STAGING: &str = "SWEEPLAKE_STAGING";

impl Common {
    /// The same with a lake on this machine: where it is in an object store, a folder that stands for it, which has the sweep that is to be
    /// gone on with.
    pub fn localized(mut self) -> Result<Self, Failure> {
        if !is_remote(&self.output_dir) {
            return Ok(self);
        }
        let text = self.output_dir.to_string_lossy().trim_end_matches('/').to_owned();
        let url = Url::parse(&format!("{text}/")).map_err(|error| Failure::input(format!("-o: {text}: {error}")))?;
        self.output_dir = staging(&text)?;
        let wrong = |error: StoreError| Failure::input(format!("-o: {error}"));
        // A store that can't be reached is known before anything starts.
        let has = |name: &str| is_uploaded(&url, name).map_err(wrong);
        match self.name() {
            Some(name) if self.is_resumed() => {
                let mut upload = Upload::new(&url, &self.output_dir.join(name)).map_err(wrong)?;
                upload.catch_up().map_err(wrong)?;
            }
            _ if self.is_dry() || self.is_resumed() => {}
            None => drop(has("sweep")?),
            Some(name) if has(name)? => {
                return Err(Failure::input(format!(
                    "-o: {text} already has a sweep {name:?}; add --resume to continue it, or choose another -e/--experiment-name"
                )));
            }
            _ => {}
        }
        self.bucket = Some(url);
        Ok(self)
    }

    /// The way of a sweep's files into the object store, where the lake is there.
    pub fn outbox(&self, folder: &Path) -> Result<Option<Outbox>, Failure> {
        let upload = self.bucket.as_ref().map(|url| Upload::new(url, folder)).transpose().map_err(Failure::work)?;
        Ok(upload.map(Outbox::new))
    }

    /// Sends what was not sent yet of a sweep that has ended.
    pub fn send_rest(&self, folder: &Path) -> Result<(), Failure> {
        let (Some(outbox), Some(url)) = (self.outbox(folder)?, &self.bucket) else { return Ok(()) };
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let ended = block_on(async {
            let mut interrupt = interrupt_on_signals()?;
            Ok::<_, Failure>(tokio::select! {
                biased;
                () = interrupt.asked() => None,
                ended = outbox.empty() => Some(ended),
            })
        })??;
        let Some(ended) = ended else {
            say!("not all files were uploaded; the same command with --resume -e {name} sends what is left");
            return Err(Failure::Interrupted);
        };
        match ended {
            Ok(()) => {
                say!("uploaded: {url}{name} (also kept in {})", folder.display());
                Ok(())
            }
            Err((error, left)) => Err(Failure::work(format!(
                "{left} file(s) could not be uploaded: {error}\nthey are kept in {}; the same command with --resume -e {name} sends them",
                folder.display()
            ))),
        }
    }
}

/// Where the sweeps of a lake in an object store are written.
fn staging(url: &str) -> Result<PathBuf, Failure> {
    let own = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache =
        || own("XDG_CACHE_HOME").or_else(|| Some(own("HOME")?.join(".cache"))).map(|path| path.join("sweeplake"));
    let root = own(STAGING).or_else(cache);
    let root =
        root.ok_or_else(|| Failure::input(format!("-o {url}: set {STAGING} to a folder for sweeps on their way")))?;
    let mark = text_hash(url);
    let last = url.rsplit('/').next().unwrap_or_default();
    Ok(root.join(format!("{last}-{}", mark.get(..8).unwrap_or(&mark))))
}
