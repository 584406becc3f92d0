//! `sweeplake mv`: gives a sweep another name.

use super::advice::of_store;
use super::say::out;
use super::{Ended, Failure};
use crate::store::{StoreError, rename_sweep, resolve};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// The sweep: a path, a name in the lake, a tag, latest or latest~1.
    sweep: String,
    /// New name of its folder in the same lake. Tags keep pointing to it.
    new_name: String,
    /// The lake in which names are looked up.
    #[arg(long, value_name = "DIR", default_value = "results")]
    lake: PathBuf,
}

pub fn exec(arguments: Arguments) -> Ended {
    let failed = |error| Failure::Input(of_store(&error));
    let sweep = resolve(&arguments.sweep, &arguments.lake).map_err(failed)?;
    let folder = rename_sweep(&sweep, &arguments.new_name).map_err(|error| match error {
        StoreError::BadName { .. } => Failure::input(format!("NEW_NAME: {error}")),
        other => failed(other),
    })?;
    out!("renamed {} to {}", sweep.display(), sweep.with_file_name(folder.file_name().unwrap_or_default()).display());
    Ok(())
}
