//! Linux: `/proc`, `prctl`, `waitid` and timers of the kernel.

use super::{Machine, Process};
use nix::sys::prctl;
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId as TimerClock, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use procfs::process::{Process as OfProc, Stat, all_processes};
use procfs::{Current, CurrentSI, KernelStats, LoadAverage, Meminfo};
use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

fn seen(stat: Stat) -> Process {
    Process {
        pid: stat.pid,
        parent: stat.ppid,
        group: stat.pgrp,
        session: stat.session,
        started: stat.starttime,
        is_ended: stat.state == 'Z',
        memory_bytes: stat.rss * procfs::page_size(),
        cpu_s: seconds(stat.utime + stat.stime),
        name: stat.comm,
    }
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / procfs::ticks_per_second() as f64
}

/// All processes that can be seen, each when it is asked for.
pub fn processes() -> impl Iterator<Item = Process> {
    all_processes().into_iter().flatten().flatten().filter_map(|process| process.stat().ok()).map(seen)
}

pub fn process(pid: i32) -> Option<Process> {
    OfProc::new(pid).and_then(|process| process.stat()).ok().map(seen)
}

/// A variable of the environment that a process was started with; none where that can't be read.
pub fn variable_of(pid: i32, name: &str) -> Option<String> {
    let environment = OfProc::new(pid).and_then(|process| process.environ()).ok()?;
    environment.get(OsStr::new(name)).map(|value| value.to_string_lossy().into_owned())
}

/// The children of all threads of a process.
pub fn children_of(pid: i32) -> Vec<i32> {
    let tasks = OfProc::new(pid).and_then(|process| process.tasks());
    let children = tasks.into_iter().flatten().flatten().flat_map(|task| task.children().unwrap_or_default());
    children.map(|child| child as i32).collect()
}

/// In another namespace, numbers of processes mean others.
pub fn namespace() -> io::Result<u64> {
    std::fs::metadata("/proc/self/ns/pid").map(|file| file.ino())
}

/// Orphaned descendants become our children.
pub fn adopt_orphans() {
    let _ = prctl::set_child_subreaper(true);
}

/// What this process is called in lists of processes.
pub fn name_this(name: &CStr) {
    let _ = prctl::set_name(name);
}

/// The signals that whoever started this process has it ignore: a bit each, the first for signal 1.
pub fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Whether a child was stopped or continued since this was asked the last time.
pub fn was_stopped(pid: Pid) -> bool {
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WCONTINUED | WaitPidFlag::WNOHANG;
    matches!(waitid(Id::Pid(pid), flags), Ok(WaitStatus::Stopped(..) | WaitStatus::Continued(..)))
}

/// How long the machine slept since it was started.
pub fn slept() -> Duration {
    let at = |clock| clock_gettime(clock).map_or(0, |time| time.num_nanoseconds());
    Duration::from_nanos(at(ClockId::CLOCK_BOOTTIME).saturating_sub(at(ClockId::CLOCK_MONOTONIC)).unsigned_abs())
}

pub fn machine() -> Machine {
    let memory = Meminfo::current().ok();
    Machine {
        busy_s: KernelStats::current().ok().map(|stats| {
            let total = stats.total;
            let interrupts = total.irq.unwrap_or(0) + total.softirq.unwrap_or(0);
            seconds(total.user + total.nice + total.system + interrupts)
        }),
        memory_used_bytes: memory
            .and_then(|memory| Some(memory.mem_total.saturating_sub(memory.mem_available?) as f64)),
        load_1m: LoadAverage::current().ok().map(|load| f64::from(load.one)),
        network_bytes: procfs::net::dev_status().ok().map(|interfaces| {
            // Those of bridges and bonds count what went through others.
            let is_real = |name: &str| Path::new("/sys/class/net").join(name).join("device").exists();
            let real = || interfaces.values().filter(|interface| is_real(&interface.name));
            let received = real().map(|interface| interface.recv_bytes as f64).sum();
            (received, real().map(|interface| interface.sent_bytes as f64).sum())
        }),
    }
}

/// A timer of the kernel's own, for one waiter at a time.
pub struct Timer(AsyncFd<Descriptor>);

struct Descriptor(TimerFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Timer {
    /// Inside a runtime with its I/O enabled.
    #[expect(
        unsafe_code,
        reason = "a descriptor is registered that stays open and the same for as long as the timer lives"
    )]
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(TimerClock::CLOCK_MONOTONIC, flags)?;
        // SAFETY: the timer owns its descriptor, and nothing closes or replaces it before the registration ends with it.
        Ok(Self(unsafe { AsyncFd::register(Descriptor(timer))? }))
    }

    /// Waits for so long.
    pub async fn wait(&self, left: Duration) -> io::Result<()> {
        let once = Expiration::OneShot(TimeSpec::from_duration(left));
        self.0.get_ref().0.set(once, TimerSetTimeFlags::empty())?;
        loop {
            let mut ready = self.0.readable().await?;
            match ready.try_io(|timer| timer.get_ref().0.wait().map_err(io::Error::from)) {
                Ok(ended) => return ended,
                // Woken by what had expired before.
                Err(_would_block) => {}
            }
        }
    }
}
