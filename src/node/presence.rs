//! Whether sweeps of one machine run beside each other.

use crate::files::to_lock;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(500);

/// How a sweep wants to be on its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Beside others.
    Shared,
    /// Alone.
    Alone,
}

/// Waits until a sweep may be here, and says once that it waits. As long as the file is held, it is here.
pub fn enter(presence: Presence, waits: impl FnOnce()) -> std::io::Result<Option<Flock<File>>> {
    let path = std::env::temp_dir().join("sweeplake-sweeps.lock");
    let mut file = match (to_lock(&path), presence) {
        (Ok(file), _) => file,
        // Where the file can't be had nobody can be alone, and others need not care.
        (Err(_), Presence::Shared) => return Ok(None),
        (Err(error), Presence::Alone) => {
            return Err(std::io::Error::new(error.kind(), format!("{}: {error}", path.display())));
        }
    };
    let how = match presence {
        Presence::Shared => FlockArg::LockSharedNonblock,
        Presence::Alone => FlockArg::LockExclusiveNonblock,
    };
    let mut waits = Some(waits);
    loop {
        match Flock::lock(file, how) {
            Ok(held) => return Ok(Some(held)),
            Err((again, _)) => file = again,
        }
        if let Some(waits) = waits.take() {
            waits();
        }
        std::thread::sleep(POLL);
    }
}
