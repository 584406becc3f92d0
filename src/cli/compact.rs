//! `sweeplake compact`: many small files become few large ones.

use super::{Ended, Failure};
use crate::cli::say::{out, say};
use crate::store::{compact_lake, compact_sweep, damage_of, find_sweeps};
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(
    after_help = "Sweeps are compacted automatically when they end; run this for interrupted sweeps and for lakes with many \
                  sweeps. Nothing is removed: a sweep keeps all its files, and LAKE/compacted/latest/ can be deleted and \
                  rebuilt."
)]
pub struct Arguments {
    /// Sweeps or lakes. The finished sweeps of a lake are also merged into LAKE/compacted/latest/*.parquet.
    #[arg(default_value = "results", value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub fn exec(arguments: Arguments) -> Ended {
    for path in &arguments.paths {
        let found = find_sweeps(std::slice::from_ref(path)).map_err(Failure::input)?;
        let mut compacted = 0;
        found.left_out().iter().for_each(|left_out| say!("{left_out}"));
        let is_lake = found.all().iter().any(|sweep| sweep.folder != *path);
        for sweep in found.all() {
            match damage_of(sweep).map_or_else(|| compact_sweep(sweep), Err) {
                Ok(done) => compacted += usize::from(done),
                // One sweep of many takes no other down.
                Err(error) if is_lake => say!("skipped: {error}"),
                Err(error) => return Err(Failure::work(error)),
            }
        }
        let lake = if is_lake { compact_lake(path).map_err(Failure::work)? } else { None };
        out!("{}: {}", path.display(), told(compacted, is_lake.then_some(lake)));
    }
    Ok(())
}

fn told(sweeps: usize, lake: Option<Option<usize>>) -> String {
    let of_sweeps = match sweeps {
        0 => "nothing to compact".to_owned(),
        1 => "1 sweep compacted".to_owned(),
        many => format!("{many} sweeps compacted"),
    };
    match lake {
        Some(Some(all)) => format!("{of_sweeps}; {all} sweeps in compacted/latest"),
        Some(None) => format!("{of_sweeps}; compacted/latest is up to date"),
        None => of_sweeps,
    }
}
