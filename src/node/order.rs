//! In which order servers get seats, and how long all of them take.

use std::time::Duration;

/// A server that waits for a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting<T> {
    pub what: T,
    pub gpus: usize,
    /// How long it is expected to take.
    pub expected: Duration,
}

/// Those that take most GPUs first, so that they never wait for gaps that smaller ones fill; of these the longest first (Graham's LPT
/// rule), so that none begins late that ends late. Equal ones keep their order.
pub fn arrange<T>(waiting: &mut [Waiting<T>]) {
    waiting.sort_by_key(|one| std::cmp::Reverse((one.gpus, one.expected)));
}

/// How long servers take that get seats in this order, so many at a time, with so many GPUs in all (0: they need none).
pub fn makespan<T>(waiting: &[Waiting<T>], most: usize, gpus: usize) -> Duration {
    let mut left: Vec<(usize, Duration)> = waiting.iter().map(|one| (one.gpus, one.expected)).collect();
    // Those that run: when each ends, and what it holds.
    let mut running: Vec<(Duration, usize)> = Vec::new();
    let mut now = Duration::ZERO;
    loop {
        let held: usize = running.iter().map(|(_, gpus)| gpus).sum();
        let fits = |(need, _): &(usize, Duration)| running.len() < most && (gpus == 0 || held + need <= gpus);
        if let Some(at) = left.iter().position(fits) {
            let (need, expected) = left.remove(at);
            running.push((now + expected, need));
            continue;
        }
        let Some(first) = running.iter().map(|(end, _)| *end).min() else { return now };
        now = first;
        running.retain(|(end, _)| *end > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn waiting(all: &[(usize, u64)]) -> Vec<Waiting<usize>> {
        let one = |(what, (gpus, seconds)): (usize, &(usize, u64))| Waiting {
            what,
            gpus: *gpus,
            expected: Duration::from_secs(*seconds),
        };
        all.iter().enumerate().map(one).collect()
    }

    #[test]
    fn the_largest_begin_and_of_them_the_longest() {
        let mut all = waiting(&[(1, 5), (4, 1), (1, 9), (4, 3), (1, 5)]);
        arrange(&mut all);
        assert_eq!(all.iter().map(|one| one.what).collect::<Vec<_>>(), [3, 1, 2, 0, 4]);
    }

    #[test]
    fn a_large_server_waits_for_room_and_small_ones_fill_gaps() {
        // Six GPUs: 4 for 10 s, then 4 for 10 s; meanwhile two of 1 GPU at a time, twice.
        let mut all = waiting(&[(4, 10), (4, 10), (1, 8), (1, 8), (1, 8), (1, 4)]);
        arrange(&mut all);
        assert_eq!(makespan(&all, 8, 6), Duration::from_secs(20));
        assert_eq!(makespan(&all, 1, 6), Duration::from_secs(48));
    }

    /// The least time that any assignment to so many seats takes.
    fn least(jobs: &[u64], loads: &mut Vec<u64>) -> u64 {
        let Some((first, rest)) = jobs.split_first() else { return loads.iter().copied().max().unwrap_or(0) };
        let mut best = u64::MAX;
        for seat in 0..loads.len() {
            loads[seat] += first;
            best = best.min(least(rest, loads));
            loads[seat] -= first;
        }
        best
    }

    proptest! {
        /// Graham 1969: the longest first takes at most 4/3 - 1/(3m) of the least time.
        #[test]
        fn the_order_is_never_far_from_the_best(jobs in prop::collection::vec(1u64..20, 1..8), most in 1usize..4) {
            let mut all = waiting(&jobs.iter().map(|seconds| (0, *seconds)).collect::<Vec<_>>());
            arrange(&mut all);
            let found = makespan(&all, most, 0).as_secs_f64();
            let best = least(&jobs, &mut vec![0; most]) as f64;
            prop_assert!(found >= best - 1e-9 && found <= best * (4.0 / 3.0 - 1.0 / (3.0 * most as f64)) + 1e-9, "{found} {best}");
        }
    }
}
