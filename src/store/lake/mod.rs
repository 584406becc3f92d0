//! A lake: sweeps found, named and compacted, here or in an object store, and runs brought into it.

mod catalogue;
mod compact;
mod compact_sweep;
mod credentials;
mod discover;
mod facts;
mod imported;
mod keep;
mod places;
mod reference;
mod remote;
mod upload;
mod verify;

pub use catalogue::renamed;
pub use compact::{compact_lake, damage_of};
pub use compact_sweep::compact_sweep;
pub use discover::{Found, LeftOut, Source, Sources, Sweep, find_sweeps};
pub use imported::{Home, ImportedSweep, add_runs, files_below, imported_run_ids, lock_for_import, place_named};
pub use keep::{note_sweep, remove_sweep, rename_sweep};
pub use reference::{before, known_tags, lake_of, resolve, resolve_all, tag};
pub use remote::{is_remote, open_store};
pub use upload::{Upload, is_uploaded};
pub use verify::{Verified, orphans, repair, verify};
