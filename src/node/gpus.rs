//! The GPUs that servers can be given, how near to each other they are, and the cores beside them.

use crate::os::numa_nodes;
use crate::telemetry::{Amd, GpuPlace, Nvidia};
use std::collections::BTreeSet;

/// Whose GPUs they are: by which variables a process is told which of them are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    Nvidia,
    Amd,
    /// Nobody tells.
    Unknown,
}

/// A GPU that a server can be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// What the variables call it: its index, or its UUID.
    pub name: String,
    /// Cores of the NUMA node that it hangs on; none where that is not known.
    pub cores: Vec<usize>,
}

/// GPUs, and what lies between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpus {
    pub vendor: Vendor,
    pub all: Vec<Gpu>,
    /// Between each two of them: 0 over NVLink, else more the further PCIe takes it.
    distances: Vec<Vec<u32>>,
}

/// What is wrong with a list of GPUs.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum BadGpus {
    #[error("{0:?} is no list of GPUs; give indices, such as 0-3,6, or UUIDs")]
    NoList(String),
    #[error("GPU {0} is there twice")]
    Twice(String),
    #[error("there is no GPU {name}: this machine has {count}")]
    NotThere { name: String, count: usize },
}

/// More than these are a slip of the finger.
const MOST: usize = 1024;

/// The names in a list such as `0-3,6`.
pub fn parse_gpus(text: &str) -> Result<Vec<String>, BadGpus> {
    let wrong = || BadGpus::NoList(text.to_owned());
    let mut names = Vec::new();
    for part in text.split(',').map(str::trim) {
        let number = |text: &str| text.trim().parse::<usize>().ok().filter(|number| *number < MOST);
        let range = part.split_once('-').and_then(|(first, last)| Some((number(first)?, number(last)?)));
        match range {
            Some((first, last)) if first <= last => names.extend((first..=last).map(|index| index.to_string())),
            None if number(part).is_some() || is_uuid(part) => names.push(part.to_owned()),
            _ => return Err(wrong()),
        }
    }
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(*name)) {
        Some(twice) => Err(BadGpus::Twice(twice.clone())),
        None => Ok(names),
    }
}

fn is_uuid(text: &str) -> bool {
    let is_plain = text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    is_plain && (text.starts_with("GPU-") || text.starts_with("MIG-"))
}

/// The GPUs of this machine that are named; else those that the environment leaves to this process, which may be all.
pub fn given(named: Option<&[String]>) -> Result<Gpus, BadGpus> {
    let nvidia = Nvidia::open();
    let places = nvidia.as_ref().map(Nvidia::places).unwrap_or_default();
    let names = named.map(<[String]>::to_vec).or_else(left_to_us);
    let names = names.unwrap_or_else(|| places.iter().map(|place| place.index.to_string()).collect());
    // AMD's tools are programs that take half a second, and nobody's GPUs have no vendor.
    let vendor = match places.is_empty() {
        false => Vendor::Nvidia,
        true if !names.is_empty() && Amd::open().is_some() => Vendor::Amd,
        true => Vendor::Unknown,
    };
    Gpus::of(vendor, &names, &places)
}

/// What the environment says, as a scheduler sets it.
fn left_to_us() -> Option<Vec<String>> {
    let text = VARIABLES.iter().find_map(|name| std::env::var(name).ok().filter(|text| !text.trim().is_empty()))?;
    parse_gpus(&text).ok()
}

const VARIABLES: [&str; 3] = ["CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"];

impl Gpus {
    /// No GPUs.
    pub fn none() -> Self {
        Self { vendor: Vendor::Unknown, all: Vec::new(), distances: Vec::new() }
    }

    /// GPUs by name, with what is known of all GPUs of the machine.
    pub fn of(vendor: Vendor, names: &[String], places: &[GpuPlace]) -> Result<Self, BadGpus> {
        let found = names.iter().map(|name| {
            let place = places.iter().find(|place| place.is_called(name));
            match place {
                // A slice of a GPU is no device of the list.
                None if !places.is_empty() && !name.starts_with("MIG-") => {
                    Err(BadGpus::NotThere { name: name.clone(), count: places.len() })
                }
                place => Ok(place),
            }
        });
        let found: Vec<Option<&GpuPlace>> = found.collect::<Result<_, _>>()?;
        let nodes = numa_nodes();
        let gpus = names.iter().zip(&found).map(|(name, place)| {
            let cores = place.and_then(|place| nodes.get(place.numa_node?)).cloned().unwrap_or_default();
            Gpu { name: name.clone(), cores }
        });
        let between = |one: &Option<&GpuPlace>| {
            found.iter().map(|other| one.zip(*other).map_or(0, |(one, other)| one.distance(other))).collect()
        };
        Ok(Self { vendor, all: gpus.collect(), distances: found.iter().map(between).collect() })
    }

    /// How far a GPU is from another.
    pub fn distance(&self, one: usize, other: usize) -> u32 {
        self.distances.get(one).and_then(|row| row.get(other)).copied().unwrap_or(0)
    }
}

impl Vendor {
    /// The variables that tell a process which GPUs are its own.
    pub fn variables(self, names: &str) -> Vec<(String, String)> {
        let of = |name: &str| (name.to_owned(), names.to_owned());
        // NVML counts by PCI bus, CUDA by speed unless told otherwise.
        let order = ("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".to_owned());
        match self {
            Self::Nvidia => vec![order, of("CUDA_VISIBLE_DEVICES")],
            Self::Amd => vec![of("HIP_VISIBLE_DEVICES")],
            Self::Unknown => std::iter::once(order).chain(VARIABLES.map(of)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_are_indices_ranges_and_uuids() {
        let names = |text: &str| parse_gpus(text).map_err(|error| error.to_string());
        assert_eq!(names("0-2,5").unwrap(), ["0", "1", "2", "5"]);
        assert_eq!(names("GPU-1a2b, MIG-3c").unwrap(), ["GPU-1a2b", "MIG-3c"]);
        for bad in ["", "a", "3-1", "0,,1", "1-", "-1", "0-99999"] {
            assert!(names(bad).unwrap_err().contains("no list of GPUs"), "{bad}");
        }
        assert_eq!(names("0-2,1").unwrap_err(), "GPU 1 is there twice");
    }

    #[test]
    fn a_gpu_that_is_not_there_is_refused() {
        let places = [GpuPlace { index: 0, uuid: Some("GPU-a".into()), ..GpuPlace::default() }];
        let of = |name: &str| Gpus::of(Vendor::Nvidia, &[name.to_owned()], &places);
        assert!(of("0").is_ok() && of("GPU-a").is_ok() && of("MIG-x").is_ok());
        assert_eq!(of("1").unwrap_err().to_string(), "there is no GPU 1: this machine has 1");
    }

    proptest! {
        #[test]
        fn a_list_that_is_read_names_each_once(text in "[0-9,-]{0,12}") {
            if let Ok(names) = parse_gpus(&text) {
                let distinct: BTreeSet<&String> = names.iter().collect();
                prop_assert!(!names.is_empty() && distinct.len() == names.len());
            }
        }
    }
}
