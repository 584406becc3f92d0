//! A process that outlives a killed sweep for just long enough to end what the sweep started.
//!
//! When sweeplake ends in order it ends its programs itself. When it is killed, nobody would: so a second process holds the other end
//! of a pipe, is told of each program, and at the end of the pipe ends those that are left. It has a name and a session of its own,
//! so that what kills the sweep does not kill it, too.

use super::family::{Family, Mark, Member, Strays, VARIABLE, descendants_of};
use crate::os::name_this;
use nix::sys::signal::{SigHandler, Signal, killpg, signal};
use nix::unistd::{Pid, setsid};
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a program may take to end after SIGTERM when the sweep was killed.
const GRACE: Duration = Duration::from_secs(3);
/// How often the keeper looks who is whose child: of what leaves the sweep without its mark this is all that tells. A look costs a
/// fraction of a millisecond.
const LOOK: Duration = Duration::from_millis(100);

/// What the keeper is called among the processes.
pub const NAME: &str = "slkeeper";

/// The sweep's end of the pipe.
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

struct Inner {
    child: Mutex<Child>,
    pipe: Mutex<Option<ChildStdin>>,
    /// The programs that run.
    running: Mutex<HashSet<Mark>>,
    /// Who could not be ended.
    left: Mutex<Vec<Member>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    /// Starts the keeper: `program` is sweeplake itself, which runs [`keep`] when called as `sweeplake keeper`.
    #[expect(unsafe_code, reason = "a child is prepared between fork and exec")]
    pub fn start(program: &Path) -> std::io::Result<Self> {
        let mut command = Command::new(program);
        command
            .arg0(NAME)
            .arg("keeper")
            .env(VARIABLE, Mark::new()?.value())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // SAFETY: setsid is async-signal-safe and touches nothing but the new process.
        unsafe {
            command.pre_exec(|| setsid().map(drop).map_err(Into::into));
        }
        let mut child = command.spawn()?;
        let pipe = child.stdin.take();
        Ok(Self(Arc::new(Inner {
            child: Mutex::new(child),
            pipe: Mutex::new(pipe),
            running: Mutex::default(),
            left: Mutex::default(),
        })))
    }

    /// A program with this mark is about to be started.
    pub(super) fn expect(&self, mark: Mark) {
        locked(&self.0.running).insert(mark);
        self.tell(&format!("+{mark}"));
    }

    /// It was started, and leads this process group.
    pub(super) fn watch(&self, mark: Mark, leader: Pid) {
        self.tell(&format!("={mark} {leader}"));
    }

    pub(super) fn forget(&self, mark: Mark, left: Vec<Member>) {
        locked(&self.0.running).remove(&mark);
        locked(&self.0.left).extend(left);
        self.tell(&format!("-{mark}"));
    }

    /// Who may belong to a program that ends.
    pub(super) fn strays(&self, mark: Mark) -> Strays {
        let is_alone = locked(&self.0.running).iter().all(|other| *other == mark);
        if is_alone { Strays::OfOwner } else { Strays::None }
    }

    /// Who could not be ended since this was asked.
    pub fn take_left(&self) -> Vec<Member> {
        std::mem::take(&mut locked(&self.0.left))
    }

    fn tell(&self, line: &str) {
        if let Some(pipe) = locked(&self.0.pipe).as_mut() {
            // A keeper that died can't be told anything; the sweep itself still ends its programs.
            let _ = writeln!(pipe, "{line}");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        locked(&self.pipe).take();
        let _ = locked(&self.child).wait();
    }
}

/// The keeper's whole life: read of programs until the pipe ends, then end those that are left.
#[expect(unsafe_code, reason = "signals are ignored")]
pub fn keep(pipe: impl BufRead) {
    for ignored in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: ignoring a signal installs no handler that could run.
        let _ = unsafe { signal(ignored, SigHandler::SigIgn) };
    }
    name_this(c"slkeeper");
    let known = Arc::new(Mutex::new(HashSet::new()));
    look_on(nix::unistd::getppid(), known.clone());
    let mut families: HashMap<Mark, Option<i32>> = HashMap::new();
    for line in pipe.lines().map_while(Result::ok) {
        let Some((sign, rest)) = line.split_at_checked(1) else { continue };
        let (mark, leader) = rest.split_once(' ').unwrap_or((rest, ""));
        let Ok(mark) = mark.parse() else { continue };
        match sign {
            "-" => families.remove(&mark),
            _ => families.insert(mark, leader.parse().ok()),
        };
    }
    end_all(&families, &Strays::Known(locked(&known).clone()));
}

/// Keeps looking at the descendants of a process, as long as it lives.
fn look_on(owner: Pid, known: Arc<Mutex<HashSet<Member>>>) {
    let this = std::process::id() as i32;
    std::thread::spawn(move || {
        while nix::unistd::getppid() == owner {
            let mut found = descendants_of(owner.as_raw());
            found.retain(|member| member.pid != this);
            *locked(&known) = found;
            std::thread::sleep(LOOK);
        }
    });
}

fn end_all(families: &HashMap<Mark, Option<i32>>, strays: &Strays) {
    let groups: Vec<Pid> = families.values().flatten().map(|leader| Pid::from_raw(*leader)).collect();
    let send = |signal| groups.iter().filter(|group| killpg(**group, signal).is_ok()).count();
    let deadline = Instant::now() + GRACE;
    send(Signal::SIGTERM.into());
    while send(None) > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    send(Signal::SIGKILL.into());
    // Whoever was seen below the sweep belongs to it, whichever program started it.
    for (mark, leader) in families {
        Family::of(*mark, *leader).end(strays, GRACE);
    }
}
