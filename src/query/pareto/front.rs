//! Which of many points no other point beats. More is better in every dimension; equal points stay together.

use std::collections::BTreeMap;

/// Points of one number of dimensions, one behind the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    dimensions: usize,
    gains: Vec<f64>,
}

impl Points {
    pub fn new(dimensions: usize) -> Self {
        Self { dimensions, gains: Vec::new() }
    }

    pub fn push(&mut self, gains: &[f64]) {
        self.gains.extend_from_slice(gains);
    }

    pub fn len(&self) -> usize {
        self.gains.len() / self.dimensions
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn get(&self, index: usize) -> &[f64] {
        &self.gains[index * self.dimensions..][..self.dimensions]
    }

    /// For each point whether it is on the frontier.
    ///
    /// In descending order a point can be beaten only by one before it, and one before it is at least as good in the
    /// first dimension: what remains is a search in the others.
    pub fn are_on_frontier(&self) -> Vec<bool> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_unstable_by(|left, right| descending(self.get(*left), self.get(*right)));
        let mut ahead = Ahead::new(self.dimensions - 1);
        let mut on_frontier = vec![false; self.len()];
        for equals in order.chunk_by(|left, right| self.get(*left) == self.get(*right)) {
            let rest = &self.get(equals[0])[1..];
            if !ahead.holds_one_at_least(rest) {
                ahead.add(rest);
                equals.iter().for_each(|index| on_frontier[*index] = true);
            }
        }
        on_frontier
    }
}

fn descending(left: &[f64], right: &[f64]) -> std::cmp::Ordering {
    let differences = left.iter().zip(right).map(|(left, right)| right.total_cmp(left));
    differences.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
}

/// Points that stand before the one in question, by their dimensions but the first.
enum Ahead {
    /// Without another dimension any point before is as good.
    Any(bool),
    Best(Option<f64>),
    /// The best second gain for each first one; it falls as the first one rises.
    Stairs(BTreeMap<Ordered, f64>),
    Window(Window),
}

impl Ahead {
    fn new(dimensions: usize) -> Self {
        match dimensions {
            0 => Self::Any(false),
            1 => Self::Best(None),
            2 => Self::Stairs(BTreeMap::new()),
            _ => Self::Window(Window { points: Points::new(dimensions), tops: Points::new(dimensions) }),
        }
    }

    fn holds_one_at_least(&self, point: &[f64]) -> bool {
        match self {
            Self::Any(any) => *any,
            Self::Best(best) => best.is_some_and(|best| best >= point[0]),
            Self::Stairs(stairs) => {
                stairs.range(Ordered(point[0])..).next().is_some_and(|(_, second)| *second >= point[1])
            }
            Self::Window(window) => window.holds_one_at_least(point),
        }
    }

    fn add(&mut self, point: &[f64]) {
        match self {
            Self::Any(any) => *any = true,
            Self::Best(best) => *best = Some(best.map_or(point[0], |best| best.max(point[0]))),
            Self::Stairs(stairs) => {
                let lower = stairs.range(..=Ordered(point[0])).rev();
                let beaten: Vec<Ordered> =
                    lower.take_while(|(_, second)| **second <= point[1]).map(|(first, _)| *first).collect();
                beaten.iter().for_each(|first| {
                    stairs.remove(first);
                });
                stairs.insert(Ordered(point[0]), point[1]);
            }
            Self::Window(window) => window.add(point),
        }
    }
}

/// Points in blocks, each with the best that its points reach in each dimension: most blocks need no look inside.
struct Window {
    points: Points,
    tops: Points,
}

const BLOCK: usize = 64;

impl Window {
    fn holds_one_at_least(&self, point: &[f64]) -> bool {
        let size = BLOCK * self.points.dimensions;
        self.points.gains.chunks(size).zip(self.tops.gains.chunks(self.tops.dimensions)).any(|(block, top)| {
            is_at_least(top, point) && block.chunks(point.len()).any(|other| is_at_least(other, point))
        })
    }

    fn add(&mut self, point: &[f64]) {
        if self.points.len().is_multiple_of(BLOCK) {
            self.tops.push(point);
        } else {
            let from = self.tops.gains.len() - point.len();
            self.tops.gains[from..].iter_mut().zip(point).for_each(|(top, gain)| *top = top.max(*gain));
        }
        self.points.push(point);
    }
}

fn is_at_least(left: &[f64], right: &[f64]) -> bool {
    left.iter().zip(right).all(|(left, right)| left >= right)
}

#[derive(Clone, Copy, Debug)]
struct Ordered(f64);

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// A few good points that turn most others away at the door.
#[derive(Clone, Debug)]
pub struct Sieve {
    guards: Points,
}

const GUARDS: usize = 16;

impl Sieve {
    pub fn new(dimensions: usize) -> Self {
        Self { guards: Points::new(dimensions) }
    }

    /// Whether a point may be on the frontier: no guard beats it.
    pub fn passes(&mut self, point: &[f64]) -> bool {
        let dimensions = self.guards.dimensions;
        let beats = |guard: &[f64]| is_at_least(guard, point) && guard != point;
        match (0..self.guards.len()).find(|index| beats(self.guards.get(*index))) {
            Some(index) => {
                // The guard that turns away most comes to stand first.
                (0..dimensions * usize::from(index > 0)).for_each(|offset| {
                    self.guards.gains.swap((index - 1) * dimensions + offset, index * dimensions + offset);
                });
                false
            }
            None => {
                self.keep(point);
                true
            }
        }
    }

    /// Makes the point a guard in place of one that it beats, or of the one that stood longest without use.
    fn keep(&mut self, point: &[f64]) {
        let beaten = (0..self.guards.len()).find(|index| is_at_least(point, self.guards.get(*index)));
        let place = match beaten {
            Some(index) => index,
            None if self.guards.len() < GUARDS => return self.guards.push(point),
            None => GUARDS - 1,
        };
        let dimensions = point.len();
        self.guards.gains[place * dimensions..][..dimensions].copy_from_slice(point);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn on_frontier(dimensions: usize, gains: &[f64]) -> Vec<bool> {
        Points { dimensions, gains: gains.to_vec() }.are_on_frontier()
    }

    #[test]
    fn beaten_points_go_and_equal_ones_stay() {
        assert_eq!(on_frontier(1, &[1.0, 3.0, 3.0, 2.0]), [false, true, true, false]);
        let points = [1.0, 5.0, 2.0, 5.0, 3.0, 1.0, 3.0, 1.0, 3.0, 0.5];
        assert_eq!(on_frontier(2, &points), [false, true, true, true, false]);
        let points = [1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 0.0, 3.0, 0.0, 1.0, 1.0, 2.0, 0.0, 3.0, -1.0];
        assert_eq!(on_frontier(3, &points), [false, true, true, true, false]);
        let infinite = [f64::NEG_INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        assert_eq!(on_frontier(2, &infinite), [true, true]);
    }

    proptest! {
        #[test]
        fn the_frontier_is_what_no_point_beats(
            dimensions in 1_usize..6,
            gains in prop::collection::vec(prop::sample::select(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), 0..900),
        ) {
            let gains = &gains[..gains.len() / dimensions * dimensions];
            let points: Vec<&[f64]> = gains.chunks(dimensions).collect();
            let is_beaten = |point: &[f64]| points.iter().any(|other| is_at_least(other, point) && *other != point);
            let expected: Vec<bool> = points.iter().map(|point| !is_beaten(point)).collect();
            prop_assert_eq!(on_frontier(dimensions, gains), expected.clone());
            let mut sieve = Sieve::new(dimensions);
            for (point, is_on_frontier) in points.iter().zip(expected) {
                let passes = sieve.passes(point);
                prop_assert!(passes || !is_on_frontier, "{:?} was turned away", point);
            }
        }
    }
}
