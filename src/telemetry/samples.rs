//! Values over time, kept small: a run of hours has millions.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Series beyond this many are left out; that is said.
const MOST_SERIES: usize = 5000;

/// Who reports a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The server, in its metrics, and its processes.
    Server,
    Gpu,
    /// The whole machine.
    Host,
    /// The benchmark's processes.
    Client,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Gpu => "gpu",
            Self::Host => "host",
            Self::Client => "client",
        }
    }
}

/// One value over time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Series {
    pub source: Source,
    /// Which of several: the index of a GPU, the number of an engine.
    pub device: Option<Arc<str>>,
    /// With its unit.
    pub metric: Arc<str>,
}

/// What a source reports at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub series: Series,
    pub value: f64,
}

impl Reading {
    pub fn new(source: Source, device: Option<&str>, metric: &str, value: f64) -> Self {
        Self { series: Series { source, device: device.map(Arc::from), metric: metric.into() }, value }
    }
}

/// A metric of one device: when, in seconds since the run's start, and what.
#[derive(Clone, Debug, PartialEq)]
pub struct Course<'a> {
    pub device: Option<&'a str>,
    pub values: Vec<(f64, f64)>,
}

/// All values of a run, in the order in which they were sampled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    series: Vec<Series>,
    index: HashMap<Series, u32>,
    /// Which series, when (in seconds since the run's start), and what.
    values: Vec<(u32, f64, f64)>,
    /// Whether the server is not a process of ours: it may be on another machine, with GPUs of its own.
    pub is_remote: bool,
    /// Whether the server answered until the end.
    pub is_complete: bool,
    /// GPUs on which processes of the server were seen; `None` where nobody knows.
    pub server_gpus: Option<Vec<String>>,
    /// What could not be sampled, and why.
    pub notes: Vec<String>,
}

impl Samples {
    /// Adds a value; what is not finite is not known.
    pub fn push(&mut self, at_s: f64, reading: Reading) {
        if !reading.value.is_finite() {
            return;
        }
        let count = self.series.len();
        let index = match self.index.entry(reading.series) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(_) if count >= MOST_SERIES => {
                self.note(format!("more than {MOST_SERIES} metrics were reported: the rest are left out"));
                return;
            }
            Entry::Vacant(new) => {
                self.series.push(new.key().clone());
                *new.insert(count as u32)
            }
        };
        self.values.push((index, at_s, reading.value));
    }

    /// Says something once.
    pub fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Series, time in seconds since the run's start, and value.
    pub fn iter(&self) -> impl Iterator<Item = (&Series, f64, f64)> {
        self.values.iter().map(|(index, at_s, value)| (&self.series[*index as usize], *at_s, *value))
    }

    /// How many devices a source has.
    pub fn devices(&self, source: Source) -> usize {
        let of_source = self.series.iter().filter(|series| series.source == source);
        of_source.map(|series| series.device.as_deref()).collect::<HashSet<_>>().len()
    }

    /// The values of a metric over time, for each device.
    pub fn over_time<'a>(&'a self, source: Source, metric: &str) -> Vec<Course<'a>> {
        let is_meant = |series: &Series| series.source == source && &*series.metric == metric;
        let meant = self.series.iter().enumerate().filter(|(_, series)| is_meant(series));
        let course = |(index, series): (usize, &'a Series)| {
            let own = self.values.iter().filter(|(of, _, _)| *of as usize == index);
            Course { device: series.device.as_deref(), values: own.map(|(_, at_s, value)| (*at_s, *value)).collect() }
        };
        meant.map(course).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_by_device_and_what_is_not_finite_is_left_out() {
        let mut samples = Samples::default();
        for (at_s, device, value) in [(0.0, "0", 1.0), (0.0, "1", 5.0), (1.0, "0", 2.0), (1.0, "1", f64::NAN)] {
            samples.push(at_s, Reading::new(Source::Gpu, Some(device), "power_w", value));
        }
        samples.push(0.0, Reading::new(Source::Host, None, "power_w", 7.0));
        let course = |device, values| Course { device: Some(device), values };
        let expected = vec![course("0", vec![(0.0, 1.0), (1.0, 2.0)]), course("1", vec![(0.0, 5.0)])];
        assert_eq!(samples.over_time(Source::Gpu, "power_w"), expected);
        assert_eq!(samples.len(), 4);
    }

    #[test]
    fn a_flood_of_series_is_bounded_and_said_once() {
        let mut samples = Samples::default();
        for number in 0..MOST_SERIES + 10 {
            samples.push(0.0, Reading::new(Source::Server, None, &format!("m{number}"), 1.0));
        }
        samples.push(1.0, Reading::new(Source::Server, None, "m0", 2.0));
        assert_eq!((samples.len(), samples.notes.len()), (MOST_SERIES + 1, 1));
    }
}
