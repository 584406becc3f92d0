//! A process that outlives a killed sweep for just long enough to end what the sweep started.
//!
//! A server and its workers form a process group. When sweeplake ends in order it stops the group itself. When
//! it is killed, nobody would: so a second process holds the other end of a pipe, is told of each group, and at
//! the end of the pipe terminates those that are left.

use nix::sys::signal::{SigHandler, Signal, killpg, signal};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a group may take to end after SIGTERM when the sweep was killed.
const GRACE: Duration = Duration::from_secs(3);

/// The sweep's end of the pipe.
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

struct Inner {
    child: Mutex<Child>,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Keeper {
    /// Starts the keeper: `program` is sweeplake itself, which runs [`keep`] when called as `sweeplake keeper`.
    pub fn start(program: &Path) -> std::io::Result<Self> {
        let mut child = Command::new(program)
            .arg("keeper")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = child.stdin.take();
        Ok(Self(Arc::new(Inner { child: Mutex::new(child), pipe: Mutex::new(pipe) })))
    }

    pub(super) fn watch(&self, group: Pid) {
        self.tell('+', group);
    }

    pub(super) fn forget(&self, group: Pid) {
        self.tell('-', group);
    }

    fn tell(&self, verb: char, group: Pid) {
        if let Some(pipe) = self.0.pipe.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).as_mut() {
            // A keeper that died can't be told anything; the sweep itself still stops its groups.
            let _ = writeln!(pipe, "{verb}{group}");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.pipe.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        let _ = self.child.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).wait();
    }
}

/// The keeper's whole life: read groups until the pipe ends, then end those that are left.
pub fn keep(pipe: impl BufRead) {
    for ignored in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: ignoring a signal installs no handler that could run.
        let _ = unsafe { signal(ignored, SigHandler::SigIgn) };
    }
    let mut groups = BTreeSet::new();
    for line in pipe.lines().map_while(Result::ok) {
        match (line.chars().next(), line.get(1..).and_then(|text| text.parse().ok())) {
            (Some('+'), Some(group)) => groups.insert(group),
            (Some('-'), Some(group)) => groups.remove(&group),
            _ => false,
        };
    }
    let send = |signal| groups.iter().filter(|group| killpg(Pid::from_raw(**group), signal).is_ok()).count();
    let step = Duration::from_millis(50);
    let mut waited = Duration::ZERO;
    send(Signal::SIGTERM.into());
    while send(None) > 0 && waited < GRACE {
        std::thread::sleep(step);
        waited += step;
    }
    send(Signal::SIGKILL.into());
}
