//! `sweeplake rm`: takes sweeps away.

use super::advice::of_store;
use super::say::{out, say};
use super::{Ended, Failure};
use crate::store::{StoreError, Sweep, find_sweeps, orphans, remove_sweep, resolve};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    /// The sweeps: paths, names in the lake, tags, latest or latest~1.
    #[arg(required = true, value_name = "SWEEP")]
    sweeps: Vec<String>,
    /// The lake in which names are looked up.
    #[arg(long, value_name = "DIR", default_value = "results")]
    lake: PathBuf,
    /// Remove without asking for confirmation.
    #[arg(long, short)]
    yes: bool,
}

pub fn exec(arguments: Arguments) -> Ended {
    let found = arguments.sweeps.iter().map(|sweep| resolve(sweep, &arguments.lake));
    let mut folders = found.collect::<Result<Vec<_>, _>>().map_err(|error| Failure::Input(of_store(&error)))?;
    folders.dedup();
    let told = folders.iter().map(|folder| describe(folder)).collect::<Result<Vec<_>, _>>()?;
    if !arguments.yes && !is_agreed(&told)? {
        say!("nothing was removed");
        return Ok(());
    }
    for (folder, told) in folders.iter().zip(told) {
        remove_sweep(folder).map_err(|error| Failure::Input(of_store(&error)))?;
        out!("removed {told}");
    }
    Ok(())
}

/// A sweep with what would be lost.
fn describe(folder: &Path) -> Result<String, Failure> {
    let found = find_sweeps(&[folder.to_owned()]).map_err(Failure::input)?;
    let is_it = |sweep: &&Sweep| sweep.is_own() && sweep.is_at(folder);
    let Some(sweep) = found.all().iter().find(is_it) else {
        return Err(Failure::input(StoreError::NotOwn { path: folder.into() }));
    };
    let manifest = sweep.manifest().map_err(Failure::input)?;
    let Some(manifest) = manifest else { return Ok(folder.display().to_string()) };
    let begun = manifest.started_at.format("%Y-%m-%d");
    let others = orphans(folder, &manifest);
    let others: Vec<String> = others.iter().map(|path| path.display().to_string()).collect();
    let others = if others.is_empty() {
        String::new()
    } else {
        format!(", including files that are not part of the sweep: {}", others.join(", "))
    };
    Ok(format!("{}: {} runs, started {begun}{others}", folder.display(), manifest.runs))
}

fn is_agreed(told: &[String]) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::input(format!(
            "stdin is not a terminal, so removal cannot be confirmed; pass --yes to remove {}",
            told.join(", ")
        )));
    }
    say!("remove with all their files?\n  {}", told.join("\n  "));
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "[y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(Failure::input)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
