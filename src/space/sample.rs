//! Some points of a space that is too large to measure whole.

use egobox_doe::{Lhs, LhsKind, SamplingMethod};
use ndarray::Array2;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::SeedableRng as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    pub count: usize,
    pub method: Method,
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Random,
    /// Latin hypercube: each parameter's values evenly often.
    Lhs,
    /// Sobol's sequence, scrambled as by Owen.
    Sobol,
    /// Halton's sequence, shifted.
    Halton,
}

/// The bases of Halton's sequence: more dimensions than these are too many for it anyway.
const PRIMES: [u8; 30] = [
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113,
];

/// Finding places far from each other takes time with the square of their number.
const MOST_OPTIMIZED: usize = 100;

/// The sequence has no more points.
const LAST_OF_SOBOL: u32 = 1 << 16;

/// What a method can't do.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{method:?} takes at most {most} parameters, and {given} vary")]
pub struct TooMany {
    method: Method,
    most: usize,
    given: usize,
}

/// Draws points of a space in batches, a choice of each dimension.
pub struct Draws {
    sample: Sample,
    sizes: Vec<usize>,
    round: u64,
}

impl Draws {
    pub fn new(sample: Sample, sizes: Vec<usize>) -> Result<Self, TooMany> {
        let most = match sample.method {
            Method::Halton => PRIMES.len(),
            Method::Sobol => sobol_burley::NUM_DIMENSIONS as usize,
            Method::Random | Method::Lhs => usize::MAX,
        };
        match sizes.len() > most {
            true => Err(TooMany { method: sample.method, most, given: sizes.len() }),
            false => Ok(Self { sample, sizes, round: 0 }),
        }
    }

    /// The next points; some may have been drawn before.
    pub fn next(&mut self) -> Vec<Vec<usize>> {
        let round = self.round;
        self.round += 1;
        let points = self.unit_points(round);
        let choice = |(place, size): (&f64, &usize)| ((place * *size as f64) as usize).min(size - 1);
        points.iter().map(|point| point.iter().zip(&self.sizes).map(choice).collect()).collect()
    }

    /// Points of the unit cube.
    fn unit_points(&self, round: u64) -> Vec<Vec<f64>> {
        let Sample { count, method, seed } = self.sample;
        let dimensions = self.sizes.len();
        let first = round as usize * count;
        match method {
            Method::Random => {
                let mut rng = StdRng::seed_from_u64(seed.wrapping_add(round << 32));
                (0..count).map(|_| (0..dimensions).map(|_| rng.random::<f64>()).collect()).collect()
            }
            Method::Lhs => latin(count, dimensions, seed.wrapping_add(round << 32), round),
            Method::Sobol => {
                let place = |index: usize, dimension: usize| {
                    let (index, turn) = (index as u32 % LAST_OF_SOBOL, index as u32 / LAST_OF_SOBOL);
                    f64::from(sobol_burley::sample(index, dimension as u32, (seed as u32).wrapping_add(turn)))
                };
                (first..first + count).map(|index| (0..dimensions).map(|at| place(index, at)).collect()).collect()
            }
            Method::Halton => {
                let mut rng = StdRng::seed_from_u64(seed);
                let shifts: Vec<f64> = (0..dimensions).map(|_| rng.random()).collect();
                let place = |index: usize, at: usize| (halton::number(PRIMES[at], index + 1) + shifts[at]).fract();
                (first..first + count).map(|index| (0..dimensions).map(|at| place(index, at)).collect()).collect()
            }
        }
    }
}

fn latin(count: usize, dimensions: usize, seed: u64, round: u64) -> Vec<Vec<f64>> {
    let limits = Array2::from_shape_fn((dimensions, 2), |(_, end)| end as f64);
    let kind = if round == 0 && (2..=MOST_OPTIMIZED).contains(&count) { LhsKind::Optimized } else { LhsKind::Classic };
    let lhs = Lhs::new_with_rng(&limits, Xoshiro256Plus::seed_from_u64(seed)).kind(kind);
    lhs.normalized_sample(count).rows().into_iter().map(|row| row.to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn draw(method: Method, count: usize, seed: u64, sizes: &[usize]) -> Vec<Vec<usize>> {
        Draws::new(Sample { count, method, seed }, sizes.to_vec()).unwrap().next()
    }

    const METHODS: [Method; 4] = [Method::Random, Method::Lhs, Method::Sobol, Method::Halton];

    #[test]
    fn a_seed_says_what_is_drawn() {
        for method in METHODS {
            let sizes = [5, 3, 7];
            assert_eq!(draw(method, 20, 7, &sizes), draw(method, 20, 7, &sizes), "{method:?}");
            assert_ne!(draw(method, 20, 7, &sizes), draw(method, 20, 8, &sizes), "{method:?}");
        }
    }

    #[test]
    fn a_latin_hypercube_takes_each_value_equally_often() {
        for count in [40, 200] {
            for dimension in 0..3 {
                let mut times: HashMap<usize, usize> = HashMap::new();
                draw(Method::Lhs, count, 1, &[8, 4, 10])
                    .iter()
                    .for_each(|point| *times.entry(point[dimension]).or_default() += 1);
                assert!(times.values().all(|each| *each == count / times.len()), "{times:?}");
            }
        }
    }

    /// The largest gap between the share of points and of space in boxes from the corner, over many boxes.
    fn discrepancy(points: &[Vec<usize>], size: usize) -> f64 {
        let mut worst: f64 = 0.0;
        for x in 1..=size {
            for y in 1..=size {
                let inside = points.iter().filter(|point| point[0] < x && point[1] < y).count();
                let share = (x * y) as f64 / (size * size) as f64;
                worst = worst.max((inside as f64 / points.len() as f64 - share).abs());
            }
        }
        worst
    }

    #[test]
    fn designed_samples_cover_a_space_more_evenly_than_random_ones() {
        let mean = |method: Method| {
            (0..20).map(|seed| discrepancy(&draw(method, 64, seed, &[64, 64]), 64)).sum::<f64>() / 20.0
        };
        let random = mean(Method::Random);
        for method in [Method::Lhs, Method::Sobol, Method::Halton] {
            assert!(mean(method) < 0.7 * random, "{method:?}: {} against {random}", mean(method));
        }
    }

    #[test]
    fn later_draws_go_on() {
        for method in METHODS {
            let mut draws = Draws::new(Sample { count: 10, method, seed: 3 }, vec![1000, 1000]).unwrap();
            assert_ne!(draws.next(), draws.next(), "{method:?}");
        }
        assert!(Draws::new(Sample { count: 1, method: Method::Halton, seed: 0 }, vec![2; 31]).is_err());
    }
}
