//! A program and everything that it started, also what left its process group: told by its mark in the environment, by its control
//! group, and by who is whose child.

mod cgroup;
mod leftovers;
mod mark;

pub use leftovers::end_leftovers;
pub use mark::{Mark, VARIABLE};

use crate::os::{Process, children_of, process, processes};
use cgroup::Cgroup;
use mark::marks_of;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

/// How long after SIGKILL the kernel may take to remove a process.
const KILL_LIMIT: Duration = Duration::from_secs(10);
const FIRST_POLL: Duration = Duration::from_millis(5);
const SLOWEST_POLL: Duration = Duration::from_millis(100);

/// A process, told from others that had its number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    pub pid: i32,
    started: u64,
    name: String,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (PID {})", self.name, self.pid)
    }
}

impl Member {
    fn of(process: &Process) -> Self {
        Self { pid: process.pid, started: process.started, name: process.name.clone() }
    }
}

/// Who belongs to a family besides its marked members and their descendants.
#[derive(Clone, Debug)]
pub enum Strays {
    /// Nobody: other programs of the owner run.
    None,
    /// Processes of other sessions that became children of the owner: what a program starts without its environment and lets go.
    /// Only where no other program of the owner runs, since nothing tells whose they are.
    OfOwner,
    /// These, if they are still there.
    Known(HashSet<Member>),
}

/// A program that was started, and what it started.
#[derive(Clone, Debug)]
pub struct Family {
    mark: Mark,
    /// The process that was started, and its process group.
    leader: Option<i32>,
    cgroup: Option<Cgroup>,
}

/// What a program needs to become the first of a family.
pub struct Cradle {
    pub mark: Mark,
    cgroup: Option<Cgroup>,
}

impl Cradle {
    pub fn new() -> std::io::Result<Self> {
        let mark = Mark::new()?;
        Ok(Self { mark, cgroup: Cgroup::make(&mark) })
    }

    pub fn born(self, leader: i32) -> Family {
        self.cgroup.iter().for_each(|cgroup| cgroup.take(leader));
        Family { mark: self.mark, leader: Some(leader), cgroup: self.cgroup }
    }

    /// Nothing was started.
    pub fn give_up(&self) {
        self.cgroup.iter().for_each(Cgroup::remove);
    }
}

impl Family {
    /// The family of a program that another process started.
    pub fn of(mark: Mark, leader: Option<i32>) -> Self {
        Self { mark, leader, cgroup: Cgroup::of(&mark) }
    }

    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Who is alive of it. Those of our children that have ended are reaped.
    pub fn members(&self, strays: &Strays) -> Vec<Member> {
        let this = std::process::id() as i32;
        let owner = self.mark.owner;
        let own_session = process(this).map_or(0, |own| own.session);
        let mut others: Vec<Process> = Vec::new();
        let mut found: Vec<Process> = Vec::new();
        let in_cgroup: HashSet<i32> = self.cgroup.iter().flat_map(Cgroup::members).collect();
        // What was there before the owner is not of its making.
        let later = processes().filter(|seen| seen.started >= owner.started && seen.pid != this);
        for seen in later {
            if seen.is_ended {
                // Programs that we started lead a group of our session; each is waited for by whoever started it.
                let is_started = seen.pid == seen.group && seen.session == own_session;
                if seen.parent == this && !is_started {
                    let _ = waitpid(Pid::from_raw(seen.pid), Some(WaitPidFlag::WNOHANG));
                }
                continue;
            }
            let is_led = self.leader.is_some_and(|leader| seen.pid == leader || seen.group == leader);
            let is_member = is_led || in_cgroup.contains(&seen.pid);
            let marks = if is_member { Vec::new() } else { marks_of(seen.pid) };
            let is_stray = match strays {
                Strays::None => false,
                Strays::OfOwner => marks.is_empty() && seen.parent == owner.pid && seen.session != own_session,
                Strays::Known(known) => known.contains(&Member::of(&seen)),
            };
            if is_member || is_stray || marks.contains(&self.mark) { found.push(seen) } else { others.push(seen) }
        }
        let mut at = 0;
        while let Some(parent) = found.get(at).map(|seen| seen.pid) {
            let (children, rest) = others.into_iter().partition(|seen| seen.parent == parent);
            found.extend::<Vec<Process>>(children);
            others = rest;
            at += 1;
        }
        found.iter().map(Member::of).collect()
    }

    /// Ends who is left: SIGTERM, the grace, SIGKILL. Returns who is still there.
    pub fn end(&self, strays: &Strays, grace: Duration) -> Vec<Member> {
        let started = Instant::now();
        let mut asked: HashSet<Member> = HashSet::new();
        let mut pause = FIRST_POLL;
        loop {
            let left = self.members(strays);
            if left.is_empty() || started.elapsed() > grace + KILL_LIMIT {
                self.cgroup.iter().for_each(Cgroup::remove);
                return left;
            }
            let is_over = started.elapsed() >= grace;
            if is_over {
                self.cgroup.iter().for_each(Cgroup::kill);
            }
            for member in &left {
                if is_over || asked.insert(member.clone()) {
                    let signal = if is_over { Signal::SIGKILL } else { Signal::SIGTERM };
                    let _ = kill(Pid::from_raw(member.pid), signal);
                }
            }
            std::thread::sleep(pause);
            pause = pause.mul_f64(1.5).min(SLOWEST_POLL);
        }
    }
}

/// All descendants of a process.
pub fn descendants_of(pid: i32) -> HashSet<Member> {
    let mut found = HashSet::new();
    let mut open = vec![pid];
    while let Some(parent) = open.pop() {
        for child in children_of(parent).into_iter().filter_map(process) {
            if found.insert(Member::of(&child)) {
                open.push(child.pid);
            }
        }
    }
    found
}
