//! The machine, and how much of it groups of processes take.

use super::samples::{Reading, Source};
use crate::os::{Machine, Process, machine, process};
use std::collections::{HashMap, HashSet};

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
    /// Seconds of all cores.
    busy_s: Option<f64>,
    /// Seconds by process.
    processes: HashMap<i32, f64>,
}

impl Host {
    /// What is known at a time: the machine's and the groups'.
    pub fn readings(&mut self, at_s: f64, groups: &Groups) -> Vec<Reading> {
        let machine = machine();
        let mut readings = of_machine(&machine);
        let mut now = Seen { at_s, busy_s: machine.busy_s, processes: HashMap::new() };
        for (source, pids) in [(Source::Server, &groups.server), (Source::Client, &groups.client)] {
            let seen: Vec<Process> = pids.iter().filter_map(|pid| process(*pid)).collect();
            if seen.is_empty() {
                continue;
            }
            let memory: u64 = seen.iter().map(|process| process.memory_bytes).sum();
            readings.push(Reading::new(source, None, "memory_rss_bytes", memory as f64));
            now.processes.extend(seen.iter().map(|process| (process.pid, process.cpu_s)));
            let of_group = seen.iter().filter_map(|process| {
                let before = self.before.as_ref()?.processes.get(&process.pid)?;
                Some((process.cpu_s - before).max(0.0))
            });
            let spent: Vec<f64> = of_group.collect();
            if !spent.is_empty() {
                readings.extend(self.cores(source, &now, spent.into_iter().sum()));
            }
        }
        let busy = self.before.as_ref().and_then(|before| Some((now.busy_s? - before.busy_s?).max(0.0)));
        readings.extend(busy.and_then(|busy| self.cores(Source::Host, &now, busy)));
        self.before = Some(now);
        readings
    }

    /// Cores that were busy for so many seconds since the time before.
    fn cores(&self, source: Source, now: &Seen, busy_s: f64) -> Option<Reading> {
        let seconds = now.at_s - self.before.as_ref()?.at_s;
        (seconds > 0.0).then(|| Reading::new(source, None, "cpu_cores", busy_s / seconds))
    }
}

fn of_machine(machine: &Machine) -> Vec<Reading> {
    let known = [
        ("memory_used_bytes", machine.memory_used_bytes),
        ("load_1m", machine.load_1m),
        ("network_received_bytes", machine.network_bytes.map(|(received, _)| received)),
        ("network_sent_bytes", machine.network_bytes.map(|(_, sent)| sent)),
    ];
    known.into_iter().filter_map(|(metric, value)| Some(Reading::new(Source::Host, None, metric, value?))).collect()
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
