//! The machine, and how much of it groups of processes take, from `/proc`.

use super::samples::{Reading, Source};
use procfs::process::{Process, Stat};
use procfs::{Current, CurrentSI, KernelStats, LoadAverage, Meminfo};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Processes whose share is sampled.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    pub server: HashSet<i32>,
    pub client: HashSet<i32>,
}

/// Rates follow from what was seen the time before.
#[derive(Debug, Default)]
pub struct Host {
    before: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    at_s: f64,
    /// Ticks of all cores.
    busy: u64,
    /// Ticks by process.
    processes: HashMap<i32, u64>,
}

impl Host {
    /// What is known at a time: the machine's and the groups'.
    pub fn readings(&mut self, at_s: f64, groups: &Groups) -> Vec<Reading> {
        let mut readings = machine();
        let mut now = Seen { at_s, busy: busy_ticks().unwrap_or(0), processes: HashMap::new() };
        for (source, pids) in [(Source::Server, &groups.server), (Source::Client, &groups.client)] {
            let stats: Vec<Stat> = pids.iter().filter_map(|pid| Process::new(*pid).ok()?.stat().ok()).collect();
            if stats.is_empty() {
                continue;
            }
            let memory: u64 = stats.iter().map(|stat| stat.rss * procfs::page_size()).sum();
            readings.push(Reading::new(source, None, "memory_rss_bytes", memory as f64));
            let ticks = stats.iter().map(|stat| (stat.pid, stat.utime + stat.stime));
            now.processes.extend(ticks);
            let of_group = stats.iter().filter_map(|stat| {
                let before = self.before.as_ref()?.processes.get(&stat.pid)?;
                Some((stat.utime + stat.stime).saturating_sub(*before))
            });
            let spent: Vec<u64> = of_group.collect();
            if !spent.is_empty() {
                readings.extend(self.cores(source, &now, spent.into_iter().sum()));
            }
        }
        if let Some(before) = self.before.as_ref().filter(|before| before.busy > 0) {
            readings.extend(self.cores(Source::Host, &now, now.busy.saturating_sub(before.busy)));
        }
        self.before = Some(now);
        readings
    }

    /// Cores that were busy since the time before.
    fn cores(&self, source: Source, now: &Seen, ticks: u64) -> Option<Reading> {
        let seconds = now.at_s - self.before.as_ref()?.at_s;
        let cores = ticks as f64 / procfs::ticks_per_second() as f64 / seconds;
        (seconds > 0.0).then(|| Reading::new(source, None, "cpu_cores", cores))
    }
}

fn machine() -> Vec<Reading> {
    let mut readings = Vec::new();
    let mut add = |metric: &str, value: f64| readings.push(Reading::new(Source::Host, None, metric, value));
    if let Ok(memory) = Meminfo::current()
        && let Some(available) = memory.mem_available
    {
        add("memory_used_bytes", memory.mem_total.saturating_sub(available) as f64);
    }
    if let Ok(load) = LoadAverage::current() {
        add("load_1m", f64::from(load.one));
    }
    if let Ok(interfaces) = procfs::net::dev_status() {
        // Those of bridges and bonds count what went through others.
        let is_real = |name: &str| Path::new("/sys/class/net").join(name).join("device").exists();
        let others = || interfaces.values().filter(|interface| is_real(&interface.name));
        add("network_received_bytes", others().map(|interface| interface.recv_bytes as f64).sum());
        add("network_sent_bytes", others().map(|interface| interface.sent_bytes as f64).sum());
    }
    readings
}

/// Ticks that all cores together were busy since the machine was started.
fn busy_ticks() -> Option<u64> {
    let total = KernelStats::current().ok()?.total;
    Some(total.user + total.nice + total.system + total.irq.unwrap_or(0) + total.softirq.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_busy_process_is_seen_in_its_group() {
        let own = std::process::id() as i32;
        let groups = Groups { client: HashSet::from([own]), ..Groups::default() };
        let (mut host, began) = (Host::default(), Instant::now());
        assert!(host.readings(0.0, &groups).iter().all(|reading| &*reading.series.metric != "cpu_cores"));
        let mut spun = 0u64;
        while began.elapsed() < Duration::from_millis(300) {
            spun = std::hint::black_box(spun + 1);
        }
        let readings = host.readings(began.elapsed().as_secs_f64(), &groups);
        let of = |source: Source, metric: &str| {
            let is_meant = |reading: &&Reading| reading.series.source == source && &*reading.series.metric == metric;
            readings.iter().find(is_meant).map(|reading| reading.value)
        };
        assert!(of(Source::Client, "cpu_cores").unwrap() > 0.2, "{readings:?}");
        assert!(of(Source::Client, "memory_rss_bytes").unwrap() > 1e6);
        assert!(of(Source::Host, "memory_used_bytes").unwrap() > 1e7);
        assert_eq!(of(Source::Server, "cpu_cores"), None);
    }
}
