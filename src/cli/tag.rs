//! `sweeplake tag`: names for sweeps that others are compared with.

use super::{Ended, Failure};
use crate::store::{resolve, tag};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// A path, a name in the lake, another tag, latest, latest~1.
    sweep: String,
    /// The tag; one that is there already moves.
    name: String,
    /// The lake that keeps the tag.
    #[arg(long, default_value = "results", value_name = "DIR")]
    lake: PathBuf,
}

pub fn exec(arguments: Arguments) -> Ended {
    let sweep = resolve(&arguments.sweep, &arguments.lake).map_err(Failure::input)?;
    tag(&arguments.lake, &sweep, &arguments.name).map_err(Failure::input)?;
    println!("{} is {}", arguments.name, sweep.display());
    Ok(())
}
