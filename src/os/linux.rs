//! Linux: `/proc`, `prctl`, `waitid` and timers of the kernel.

use super::{Machine, Process};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
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

/// The cores of each NUMA node.
pub fn numa_nodes() -> Vec<Vec<usize>> {
    let list = |node: usize| std::fs::read_to_string(format!("/sys/devices/system/node/node{node}/cpulist")).ok();
    (0..).map_while(list).map(|text| core_list(&text)).collect()
}

/// `0-3,8` as numbers.
fn core_list(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

/// The NUMA node of the device at a PCI address, in NVML's spelling or the kernel's.
pub fn numa_node_of(bus: &str) -> Option<usize> {
    // NVML writes the domain with eight digits, the kernel with four.
    let short = bus.get(bus.len().checked_sub("0000:00:00.0".len())?..)?;
    let text = std::fs::read_to_string(format!("/sys/bus/pci/devices/{short}/numa_node")).ok()?;
    // -1: the machine has none.
    text.trim().parse().ok()
}

/// Does something on these cores; what it starts stays there. None: on any.
pub fn with_cores<T>(cores: &[usize], work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    if cores.is_empty() {
        return work();
    }
    let this_thread = Pid::from_raw(0);
    let before = sched_getaffinity(this_thread)?;
    let mut wanted = CpuSet::new();
    // What may not be used at all is left out.
    let usable = cores.iter().filter(|core| before.is_set(**core).unwrap_or(false));
    for core in usable {
        wanted.set(*core)?;
    }
    if wanted == CpuSet::new() {
        return work();
    }
    sched_setaffinity(this_thread, &wanted)?;
    let done = work();
    sched_setaffinity(this_thread, &before)?;
    done
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

/// Waits until a child has ended, and leaves it to be waited for; what it took of the CPU, with the children that it waited for. It
/// blocks.
pub fn cpu_at_end(child: Pid) -> Option<Duration> {
    while matches!(waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT), Err(Errno::EINTR)) {}
    let stat = OfProc::new(child.as_raw()).ok()?.stat().ok()?;
    let of_children = u64::try_from(stat.cutime + stat.cstime).unwrap_or(0);
    Some(Duration::from_secs_f64(seconds(stat.utime + stat.stime + of_children)))
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
