//! Two Pareto frontiers: how much one dominates more than the other.

use crate::query::Points;

/// A configuration: both values are better the greater they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    pub key: String,
    pub x: f64,
    pub y: f64,
}

/// What became of the frontier.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontierChange {
    /// The dominated area of each side, from the origin.
    pub base_hypervolume: f64,
    pub candidate_hypervolume: f64,
    /// Configurations that are on the candidate's frontier and were not on the base's.
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

pub fn compare_frontiers(base: &[Configuration], candidate: &[Configuration]) -> FrontierChange {
    let keys = |side: &[Configuration]| frontier(side).into_iter().map(|one| one.key.clone()).collect::<Vec<_>>();
    let (was, is) = (keys(base), keys(candidate));
    FrontierChange {
        base_hypervolume: hypervolume(base),
        candidate_hypervolume: hypervolume(candidate),
        entered: is.iter().filter(|key| !was.contains(key)).cloned().collect(),
        left: was.iter().filter(|key| !is.contains(key)).cloned().collect(),
    }
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
    fn what_enters_and_leaves_is_named() {
        let change = compare_frontiers(
            &side(&[("a", 4.0, 1.0), ("b", 2.0, 3.0)]),
            &side(&[("a", 4.0, 1.0), ("b", 2.0, 0.5), ("c", 3.0, 3.0)]),
        );
        assert_eq!((change.entered, change.left), (vec!["c".to_owned()], vec!["b".to_owned()]));
        assert_eq!((change.base_hypervolume, change.candidate_hypervolume), (8.0, 10.0));
    }
}
