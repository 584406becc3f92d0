//! Two Pareto frontiers: how much one dominates more than the other.

use crate::query::Points;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};

/// A configuration: both values are better the greater they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    pub key: String,
    pub x: f64,
    pub y: f64,
}

/// Configurations of which it can be told that they came onto the frontier, or went from it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moves {
    pub entered: Vec<String>,
    pub left: Vec<String>,
}

/// The configurations that no other one beats, by falling x; of equals all.
pub fn frontier(configurations: &[Configuration]) -> Vec<&Configuration> {
    let placed: Vec<&Configuration> =
        configurations.iter().filter(|one| one.x.is_finite() && one.y.is_finite()).collect();
    let mut points = Points::new(2);
    placed.iter().for_each(|one| points.push(&[one.x, one.y]));
    let on = placed.into_iter().zip(points.are_on_frontier()).filter(|(_, is_on)| *is_on);
    let mut on: Vec<&Configuration> = on.map(|(one, _)| one).collect();
    on.sort_by(|left, right| right.x.total_cmp(&left.x).then(right.y.total_cmp(&left.y)));
    on
}

/// The area that a frontier dominates, from the origin.
pub fn hypervolume(configurations: &[Configuration]) -> f64 {
    let mut area = 0.0;
    let mut height = 0.0f64;
    for one in frontier(configurations) {
        area += one.x.max(0.0) * (one.y.max(0.0) - height).max(0.0);
        height = height.max(one.y);
    }
    area
}

/// How sure it must be that a configuration is on the one frontier and not on the other.
const SURE: f64 = 0.95;
const DRAWS: usize = 1000;

/// Which configurations moved, told by drawing each side's again and again with the noise of its cells: both values of one move
/// together, by its standard deviation. Nothing where that is not known.
pub fn moves(base: &[Configuration], candidate: &[Configuration], noise: [&[Option<f64>]; 2]) -> Moves {
    let sides = [(base, noise[0]), (candidate, noise[1])].map(|(side, noise)| chances(side, noise));
    let [Some(was), Some(is)] = sides else { return Moves::default() };
    let moved = |from: &[f64], to: &[f64]| -> Vec<String> {
        let both = base.iter().zip(from.iter().zip(to));
        let sure = both.filter(|(_, (from, to))| **from <= 1.0 - SURE && **to >= SURE);
        sure.map(|(one, _)| one.key.clone()).collect()
    };
    Moves { entered: moved(&was, &is), left: moved(&is, &was) }
}

/// How likely each configuration is on the frontier.
fn chances(side: &[Configuration], noise: &[Option<f64>]) -> Option<Vec<f64>> {
    let noise: Vec<f64> = noise.iter().copied().collect::<Option<_>>()?;
    let mut random = StdRng::seed_from_u64(1);
    let mut counts = vec![0.0; side.len()];
    for _ in 0..DRAWS {
        let mut points = Points::new(2);
        for (one, sd) in side.iter().zip(&noise) {
            let error: f64 = StandardNormal.sample(&mut random);
            let factor = (sd * error).exp();
            points.push(&[one.x * factor, one.y * factor]);
        }
        let on = points.are_on_frontier();
        counts.iter_mut().zip(on).for_each(|(count, is_on)| *count += f64::from(u8::from(is_on)));
    }
    Some(counts.into_iter().map(|count| count / DRAWS as f64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(points: &[(&str, f64, f64)]) -> Vec<Configuration> {
        points.iter().map(|(key, x, y)| Configuration { key: (*key).to_owned(), x: *x, y: *y }).collect()
    }

    #[test]
    fn hypervolume_is_the_dominated_area() {
        // Rectangles 4x1, then 2 wide from 1 to 3: 4 + 4; the dominated point adds nothing.
        assert_eq!(hypervolume(&side(&[("a", 4.0, 1.0), ("b", 2.0, 3.0), ("c", 1.0, 1.0)])), 8.0);
        assert_eq!(hypervolume(&[]), 0.0);
    }

    #[test]
    fn ties_and_duplicates_of_a_frontier() {
        let points =
            side(&[("a", 2.0, 2.0), ("again", 2.0, 2.0), ("tie", 2.0, 1.0), ("b", 1.0, 3.0), ("nan", f64::NAN, 9.0)]);
        let keys: Vec<&str> = frontier(&points).into_iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["a", "again", "b"]);
    }

    #[test]
    fn what_surely_enters_and_leaves_is_named() {
        let base = side(&[("a", 4.0, 1.0), ("b", 2.0, 3.0), ("c", 1.0, 1.0)]);
        let candidate = side(&[("a", 4.0, 1.0), ("b", 2.0, 0.5), ("c", 3.0, 3.0)]);
        let quiet = [Some(0.01); 3];
        let found = moves(&base, &candidate, [&quiet, &quiet]);
        assert_eq!((found.entered, found.left), (vec!["c".to_owned()], vec!["b".to_owned()]));
        // Within the noise nothing is said, nor where the noise is not known.
        let loud = [Some(0.8); 3];
        assert_eq!(moves(&base, &candidate, [&loud, &loud]), Moves::default());
        assert_eq!(moves(&base, &candidate, [&quiet, &[None, None, None]]), Moves::default());
        let near = side(&[("a", 4.0, 1.0), ("b", 2.0, 3.0), ("c", 2.01, 3.01)]);
        assert_eq!(
            moves(&near, &side(&[("a", 4.0, 1.0), ("b", 2.01, 3.01), ("c", 2.0, 3.0)]), [&quiet, &quiet]),
            Moves::default()
        );
    }
}
