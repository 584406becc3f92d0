//! `sweeplake tag`: names for sweeps that others are compared with.

use super::advice::of_store;
use super::{Ended, Failure};
use crate::cli::say::out;
use crate::store::{lake_of, resolve, tag};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    /// The sweep: a path, a name in the lake, another tag, latest or latest~1.
    sweep: String,
    /// The tag; an existing tag is moved.
    name: String,
    /// The lake that stores the tag; default: the lake that contains the sweep if the sweep is given by its path, else results.
    #[arg(long, value_name = "DIR")]
    lake: Option<PathBuf>,
}

pub fn exec(arguments: Arguments) -> Ended {
    let asked = arguments.lake.clone().unwrap_or_else(|| "results".into());
    let sweep = resolve(&arguments.sweep, &asked).map_err(|error| Failure::Input(of_store(&error)))?;
    let lake = match &arguments.lake {
        Some(lake) => lake.clone(),
        None if sweep == asked.join(&arguments.sweep) || !Path::new(&arguments.sweep).is_dir() => asked,
        None => lake_of(&sweep).map_err(Failure::input)?,
    };
    tag(&lake, &sweep, &arguments.name).map_err(|error| Failure::Input(of_store(&error)))?;
    out!("{} now points to {}", lake.join(&arguments.name).display(), sweep.display());
    Ok(())
}
