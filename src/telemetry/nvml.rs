//! NVIDIA GPUs, by NVML, which is found when it is needed: a machine without it has no such GPUs.

use super::samples::{Reading, Source};
use crate::os::numa_node_of;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, PcieUtilCounter, TemperatureSensor, TopologyLevel,
};
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id::{
    NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX,
};
use nvml_wrapper::{Device, Nvml};
use std::collections::{BTreeSet, HashSet};

/// What holds clocks down, besides idleness and what somebody set.
const THROTTLED: [(&str, ThrottleReasons); 3] = [
    ("throttled_by_power", ThrottleReasons::SW_POWER_CAP.union(ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN)),
    ("throttled_by_heat", ThrottleReasons::SW_THERMAL_SLOWDOWN.union(ThrottleReasons::HW_THERMAL_SLOWDOWN)),
    // Power or heat, as the hardware says, where it does not say which.
    ("throttled_by_hardware", ThrottleReasons::HW_SLOWDOWN),
];

/// No GPU has more links.
const MOST_LINKS: u32 = 18;
/// Farther than any level of PCIe.
const FARTHEST: u32 = 6;

/// Where a GPU is in its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuPlace {
    pub index: u32,
    pub uuid: Option<String>,
    pub numa_node: Option<usize>,
    /// Its PCI address, and those at the other ends of its NVLinks: of GPUs, or of switches.
    pub bus: Option<String>,
    pub linked: BTreeSet<String>,
    /// How far PCIe takes it to each GPU of the machine: from 1, the same board, to 6, another socket.
    pub pcie: Vec<u32>,
}

impl GpuPlace {
    pub fn is_called(&self, name: &str) -> bool {
        name == self.index.to_string() || self.uuid.as_deref() == Some(name)
    }

    /// 0 over NVLink, else as far as PCIe takes it.
    pub fn distance(&self, other: &Self) -> u32 {
        let is_linked = other.bus.as_ref().is_some_and(|bus| self.linked.contains(bus));
        if is_linked || self.linked.intersection(&other.linked).next().is_some() {
            return 0;
        }
        self.pcie.get(other.index as usize).copied().unwrap_or(FARTHEST)
    }
}

/// The NVIDIA GPUs of this machine.
pub struct Nvidia {
    nvml: Nvml,
    count: u32,
}

impl Nvidia {
    /// None where there are none, or the driver's library is not found.
    pub fn open() -> Option<Self> {
        let nvml = Nvml::init().ok()?;
        let count = nvml.device_count().ok().filter(|count| *count > 0)?;
        Some(Self { nvml, count })
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    /// What all GPUs report; nothing of what one does not.
    pub fn readings(&self) -> Vec<Reading> {
        let mut readings = Vec::new();
        for (index, device) in self.devices() {
            let name = index.to_string();
            let mut add = |metric: &str, value: Option<f64>| {
                readings.extend(value.map(|value| Reading::new(Source::Gpu, Some(&name), metric, value)));
            };
            add("power_w", device.power_usage().ok().map(|milliwatts| f64::from(milliwatts) / 1e3));
            add("energy_j", device.total_energy_consumption().ok().map(|millijoules| millijoules as f64 / 1e3));
            if let Ok(busy) = device.utilization_rates() {
                add("utilization", Some(f64::from(busy.gpu) / 100.0));
                add("memory_utilization", Some(f64::from(busy.memory) / 100.0));
            }
            add("memory_used_bytes", device.memory_info().ok().map(|memory| memory.used as f64));
            add("sm_clock_mhz", device.clock_info(Clock::SM).ok().map(f64::from));
            add("memory_clock_mhz", device.clock_info(Clock::Memory).ok().map(f64::from));
            add("temperature_c", device.temperature(TemperatureSensor::Gpu).ok().map(f64::from));
            if let Ok(reasons) = device.current_throttle_reasons() {
                let is_any = THROTTLED.iter().any(|(_, of_kind)| reasons.intersects(*of_kind));
                add("throttled", Some(f64::from(u8::from(is_any))));
                for (metric, of_kind) in THROTTLED {
                    add(metric, Some(f64::from(u8::from(reasons.intersects(of_kind)))));
                }
            }
            let errors = device.total_ecc_errors(MemoryError::Uncorrected, EccCounter::Volatile);
            add("ecc_errors", errors.ok().map(|errors| errors as f64));
            let kilobytes = |counter| device.pcie_throughput(counter).ok().map(|rate| f64::from(rate) * 1e3);
            add("pcie_sent_bytes_per_s", kilobytes(PcieUtilCounter::Send));
            add("pcie_received_bytes_per_s", kilobytes(PcieUtilCounter::Receive));
            let nvlink = nvlink_kibibytes(&device);
            add("nvlink_sent_bytes", nvlink.map(|(sent, _)| sent * 1024.0));
            add("nvlink_received_bytes", nvlink.map(|(_, received)| received * 1024.0));
        }
        readings
    }

    /// Where the GPUs are.
    pub fn places(&self) -> Vec<GpuPlace> {
        let bus_of = |device: &Device<'_>| device.pci_info().ok().map(|pci| pci.bus_id.to_ascii_lowercase());
        let place = |(index, device): (u32, Device<'_>)| {
            let links = (0..MOST_LINKS).map(|link| device.link_wrapper_for(link));
            let active = links.filter(|link| link.is_active().unwrap_or(false));
            let linked = active.filter_map(|link| Some(link.remote_pci_info().ok()?.bus_id.to_ascii_lowercase()));
            let level = |other: u32| {
                let other = self.nvml.device_by_index(other).ok()?;
                device.topology_common_ancestor(other).ok().map(|level| match level {
                    TopologyLevel::Internal => 1,
                    TopologyLevel::Single => 2,
                    TopologyLevel::Multiple => 3,
                    TopologyLevel::HostBridge => 4,
                    TopologyLevel::Node => 5,
                    TopologyLevel::System => FARTHEST,
                })
            };
            let bus = bus_of(&device);
            GpuPlace {
                index,
                uuid: device.uuid().ok(),
                numa_node: bus.as_deref().and_then(numa_node_of),
                linked: linked.collect(),
                pcie: (0..self.count).map(|other| level(other).unwrap_or(FARTHEST)).collect(),
                bus,
            }
        };
        self.devices().map(place).collect()
    }

    /// The GPUs on which any of these processes has work, by index.
    pub fn devices_of(&self, pids: &HashSet<i32>) -> Vec<String> {
        let is_theirs = |device: &Device<'_>| {
            let processes = device.running_compute_processes().unwrap_or_default();
            processes.iter().any(|process| i32::try_from(process.pid).is_ok_and(|pid| pids.contains(&pid)))
        };
        self.devices().filter(|(_, device)| is_theirs(device)).map(|(index, _)| index.to_string()).collect()
    }

    fn devices(&self) -> impl Iterator<Item = (u32, Device<'_>)> {
        (0..self.count).filter_map(|index| Some((index, self.nvml.device_by_index(index).ok()?)))
    }
}

/// What went over all links of a GPU since the driver was loaded, sent and received.
fn nvlink_kibibytes(device: &Device<'_>) -> Option<(f64, f64)> {
    let fields = [NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX].map(FieldId);
    let values = device.field_values_for(&fields).ok()?;
    let number = |index: usize| match values.get(index)?.as_ref().ok()?.value.as_ref().ok()? {
        SampleValue::F64(value) => Some(*value),
        SampleValue::U32(value) => Some(f64::from(*value)),
        SampleValue::U64(value) => Some(*value as f64),
        SampleValue::I64(value) => Some(*value as f64),
    };
    Some((number(0)?, number(1)?))
}
