//! `sweeplake verify`: looks through every file of a lake.

use super::say::out;
use super::{Ended, Failure};
use crate::store::{Verified, repair, verify};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(
    after_help = "Reads every file in full. The files of a finished sweep must not have changed since it ended: SHA256SUMS in its \
                  folder lists their checksums (sha256sum -c reads it, too), and sweep.json has the checksum of that list. Exits \
                  with 1 if anything is damaged."
)]
pub struct Arguments {
    /// Lakes or sweeps.
    #[arg(default_value = "results", value_name = "LAKE")]
    paths: Vec<PathBuf>,
    /// Remove what killed programs left behind, and nothing else.
    #[arg(long)]
    repair: bool,
}

pub fn exec(arguments: Arguments) -> Ended {
    let mut damaged = 0;
    for path in &arguments.paths {
        let verified = verify(path).map_err(Failure::input)?;
        damaged += verified.damaged.len();
        tell(path, &verified);
        if arguments.repair {
            repair(&verified).map_err(Failure::work)?;
            out!("removed {} leftover(s)", verified.leftovers.len());
        } else if !verified.leftovers.is_empty() {
            out!("use --repair to remove leftovers");
        }
    }
    match damaged {
        0 => Ok(()),
        many => Err(Failure::work(format!("{many} file(s) are damaged"))),
    }
}

fn tell(path: &Path, verified: &Verified) {
    out!("{}: {} sweep(s), {} file(s) read", path.display(), verified.sweeps, verified.files);
    verified.damaged.iter().for_each(|(file, why)| out!("damaged: {}: {why}", file.display()));
    verified.orphans.iter().for_each(|file| out!("orphan: {}: not part of its sweep", file.display()));
    verified.leftovers.iter().for_each(|file| out!("leftover: {}", file.display()));
    verified.running.iter().for_each(|sweep| out!("skipped: {}: still being written", sweep.display()));
}
