//! `sweeplake note`: what a person has to say about a sweep, kept with it.

use super::advice::of_store;
use super::say::out;
use super::{Ended, Failure};
use crate::redact::Redactor;
use crate::store::{note_sweep, resolve};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// A path, a name in the lake, a tag, latest, latest~1.
    sweep: String,
    /// What there is to say. It is added to what was said before.
    #[arg(required_unless_present = "clear")]
    text: Option<String>,
    /// Take all notes out first; without a text there are none then.
    #[arg(long)]
    clear: bool,
    /// The lake in which names are looked for.
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
    out!("noted in {}", sweep.display());
    Ok(())
}
