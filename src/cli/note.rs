//! `sweeplake note`: what a person has to say about a sweep, kept with it.

use super::advice::of_store;
use super::say::out;
use super::{Ended, Failure};
use crate::redact::Redactor;
use crate::store::{note_sweep, resolve};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// The sweep: a path, a name in the lake, a tag, latest or latest~1.
    sweep: String,
    /// Text of the note. It is added to earlier notes.
    #[arg(required_unless_present = "clear")]
    text: Option<String>,
    /// Remove all earlier notes first; without TEXT, no notes remain.
    #[arg(long)]
    clear: bool,
    /// The lake in which names are looked up.
    #[arg(long, value_name = "DIR", default_value = "results")]
    lake: PathBuf,
}

pub fn exec(arguments: Arguments) -> Ended {
    let failed = |error| Failure::Input(of_store(&error));
    let sweep = resolve(&arguments.sweep, &arguments.lake).map_err(failed)?;
    let redactor = Redactor::of_environment();
    if arguments.clear {
        note_sweep(&sweep, None, &redactor).map_err(failed)?;
    }
    if let Some(text) = &arguments.text {
        note_sweep(&sweep, Some(text), &redactor).map_err(failed)?;
    }
    out!("updated the notes of {}", sweep.display());
    Ok(())
}
