//! `sweeplake man`: a manual page of each sub-command.

use super::{Ended, Failure, presented};
use crate::cli::say::out;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// The folder to write them to; it is created if it does not exist.
    #[arg(value_name = "DIR", value_parser = super::lake::local_path)]
    folder: PathBuf,
}

pub fn exec(arguments: Arguments) -> Ended {
    let failed = |error| Failure::work(format!("{}: {error}", arguments.folder.display()));
    std::fs::create_dir_all(&arguments.folder).map_err(failed)?;
    clap_mangen::generate_to(presented(), &arguments.folder).map_err(failed)?;
    out!("{}", arguments.folder.join("sweeplake.1").display());
    Ok(())
}
