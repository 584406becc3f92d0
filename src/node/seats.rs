//! Who sits where: each server that runs has its GPUs to itself.

use super::gpus::Gpus;
use crate::os::numa_nodes;
use std::collections::BTreeSet;

/// On which cores servers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    Nowhere,
    /// Those of the NUMA node of its GPUs.
    ToNode,
}

/// What a server is given while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seat {
    slot: usize,
    held: Vec<usize>,
    /// Names of its GPUs; none where GPUs are not given out.
    pub gpus: Vec<String>,
    /// Variables that tell its processes so.
    pub env: Vec<(String, String)>,
    /// The cores that its processes are kept to; none: they may run anywhere.
    pub cores: Vec<usize>,
}

/// The seats of this machine.
#[derive(Clone, Debug)]
pub struct Seats {
    gpus: Gpus,
    pin: Pin,
    most: usize,
    free_slots: BTreeSet<usize>,
    free: BTreeSet<usize>,
}

/// Up to so many choices of GPUs all are looked at.
const MOST_CHOICES: usize = 20_000;

impl Seats {
    /// One server at a time, which takes what it finds.
    pub fn one() -> Self {
        Self::new(Gpus::none(), 1, Pin::Nowhere)
    }

    /// So many servers at a time, each with GPUs of its own where there are any.
    pub fn new(gpus: Gpus, slots: usize, pin: Pin) -> Self {
        let free = (0..gpus.all.len()).collect();
        Self { gpus, pin, most: slots, free_slots: (0..slots).collect(), free }
    }

    /// How many servers can run at a time.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Whether GPUs are given out.
    pub fn has_gpus(&self) -> bool {
        !self.gpus.all.is_empty()
    }

    /// How many GPUs there are to give out.
    pub fn gpu_count(&self) -> usize {
        self.gpus.all.len()
    }

    /// Whether a server that takes so many GPUs can have a seat now.
    pub fn is_room_for(&self, gpus: usize) -> bool {
        !self.free_slots.is_empty() && (!self.has_gpus() || gpus <= self.free.len())
    }

    /// A seat with so many GPUs, those that lie nearest to each other.
    pub fn take(&mut self, gpus: usize) -> Option<Seat> {
        if !self.is_room_for(gpus) {
            return None;
        }
        let slot = self.free_slots.pop_first()?;
        let held = if self.has_gpus() { self.nearest(gpus) } else { Vec::new() };
        self.free.retain(|index| !held.contains(index));
        let own: Vec<_> = held.iter().filter_map(|index| self.gpus.all.get(*index)).collect();
        let names: Vec<String> = own.iter().map(|gpu| gpu.name.clone()).collect();
        let env = if held.is_empty() { Vec::new() } else { self.gpus.vendor.variables(&names.join(",")) };
        let beside: BTreeSet<usize> = own.iter().flat_map(|gpu| &gpu.cores).copied().collect();
        let cores = match self.pin {
            Pin::Nowhere => Vec::new(),
            Pin::ToNode if held.is_empty() => node_of(slot),
            Pin::ToNode => beside.into_iter().collect(),
        };
        Some(Seat { slot, held, gpus: names, env, cores })
    }

    pub fn give_back(&mut self, seat: &Seat) {
        self.free_slots.insert(seat.slot);
        self.free.extend(&seat.held);
    }

    /// Free GPUs near to each other, whose taking leaves others near to each other.
    fn nearest(&self, count: usize) -> Vec<usize> {
        let free: Vec<usize> = self.free.iter().copied().collect();
        let spread = |chosen: &[usize]| -> u64 {
            let pairs = chosen
                .iter()
                .enumerate()
                .flat_map(|(at, one)| chosen.iter().skip(at + 1).map(move |other| (*one, *other)));
            pairs.map(|(one, other)| u64::from(self.gpus.distance(one, other))).sum()
        };
        let rest = |chosen: &[usize]| free.iter().copied().filter(|index| !chosen.contains(index)).collect::<Vec<_>>();
        let choices = Choices::new(&free, count).take(MOST_CHOICES);
        choices.min_by_key(|chosen| (spread(chosen), spread(&rest(chosen)))).unwrap_or_default()
    }
}

/// The cores of one NUMA node after the other.
fn node_of(slot: usize) -> Vec<usize> {
    let nodes = numa_nodes();
    slot.checked_rem(nodes.len()).and_then(|node| nodes.into_iter().nth(node)).unwrap_or_default()
}

/// All choices of so many of some, in ascending order.
struct Choices<'a> {
    of: &'a [usize],
    at: Option<Vec<usize>>,
}

impl<'a> Choices<'a> {
    fn new(of: &'a [usize], count: usize) -> Self {
        Self { of, at: (count <= of.len()).then(|| (0..count).collect()) }
    }
}

impl Iterator for Choices<'_> {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        let at = self.at.take()?;
        let chosen = at.iter().filter_map(|index| self.of.get(*index).copied()).collect();
        // The last place that can move on, and those behind it.
        let room = self.of.len() - at.len();
        if let Some((place, index)) = at.iter().copied().enumerate().rev().find(|(place, index)| *index < place + room)
        {
            let kept = at.iter().copied().take(place);
            self.at = Some(kept.chain(index + 1..index + 1 + at.len() - place).collect());
        }
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Vendor;
    use crate::telemetry::GpuPlace;
    use proptest::prelude::*;

    /// Eight GPUs, of which 0-3 and 4-7 hang on one switch each, and those on one socket each.
    fn two_sockets() -> Seats {
        let place = |index: u32| {
            let linked = [format!("switch {}", index / 4)].into();
            GpuPlace { index, linked, pcie: vec![6; 8], ..GpuPlace::default() }
        };
        let places: Vec<GpuPlace> = (0..8).map(place).collect();
        let names: Vec<String> = (0..8).map(|index: u32| index.to_string()).collect();
        Seats::new(Gpus::of(Vendor::Nvidia, &names, &places).unwrap(), 8, Pin::Nowhere)
    }

    #[test]
    fn neighbours_sit_together_and_leave_neighbours() {
        let mut seats = two_sockets();
        assert_eq!(seats.take(2).unwrap().gpus, ["0", "1"]);
        assert_eq!(seats.take(4).unwrap().gpus, ["4", "5", "6", "7"]);
        let last = seats.take(2).unwrap();
        assert_eq!(last.gpus, ["2", "3"]);
        assert!(seats.take(1).is_none());
        seats.give_back(&last);
        let one = seats.take(1).unwrap();
        assert_eq!(
            one.env,
            [("CUDA_DEVICE_ORDER", "PCI_BUS_ID"), ("CUDA_VISIBLE_DEVICES", "2")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn a_broken_half_is_filled_before_a_whole_one_is_broken() {
        let mut seats = two_sockets();
        let _first = seats.take(1).unwrap();
        assert_eq!(seats.take(1).unwrap().gpus, ["1"]);
        assert_eq!(seats.take(4).unwrap().gpus, ["4", "5", "6", "7"]);
    }

    #[test]
    fn choices_are_all_there_are() {
        let all: Vec<Vec<usize>> = Choices::new(&[3, 5, 8, 9], 2).collect();
        assert_eq!(all, [[3, 5], [3, 8], [3, 9], [5, 8], [5, 9], [8, 9]]);
        assert_eq!(Choices::new(&[1, 2], 0).collect::<Vec<_>>(), [Vec::<usize>::new()]);
        assert_eq!(Choices::new(&[1, 2], 3).count(), 0);
    }

    proptest! {
        #[test]
        fn nobody_sits_on_a_seat_that_is_taken(steps in prop::collection::vec((0usize..9, any::<bool>()), 1..40)) {
            let mut seats = two_sockets();
            let mut taken: Vec<Seat> = Vec::new();
            for (count, gives_back) in steps {
                if gives_back && !taken.is_empty() {
                    let seat = taken.remove(count % taken.len());
                    seats.give_back(&seat);
                } else if let Some(seat) = seats.take(count) {
                    prop_assert_eq!(seat.gpus.len(), count);
                    taken.push(seat);
                }
                let held: Vec<&String> = taken.iter().flat_map(|seat| &seat.gpus).collect();
                let distinct: BTreeSet<&&String> = held.iter().collect();
                prop_assert_eq!((distinct.len(), seats.free.len()), (held.len(), 8 - held.len()));
                prop_assert!(taken.len() <= seats.most());
            }
        }
    }
}
