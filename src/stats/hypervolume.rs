//! Pareto dominance, and the hypervolume indicator (Zitzler and Thiele 1998).

/// Whether one point is nowhere worse than another, and somewhere better; less is better on every axis.
pub fn dominates(one: &[f64], other: &[f64]) -> bool {
    let pairs = || one.iter().zip(other);
    pairs().all(|(one, other)| one <= other) && pairs().any(|(one, other)| one < other)
}

/// The volume that points dominate, up to a reference point; less is better on every axis. Exact, by slices along the last axis: fit for few
/// axes and some hundred points.
pub fn hypervolume(points: &[Vec<f64>], reference: &[f64]) -> f64 {
    let inside = |point: &&Vec<f64>| point.iter().zip(reference).all(|(own, limit)| own < limit);
    let points: Vec<&[f64]> = points.iter().filter(inside).map(Vec::as_slice).collect();
    volume(points, reference)
}

fn volume(mut points: Vec<&[f64]>, reference: &[f64]) -> f64 {
    let Some((last, others)) = reference.split_last() else { return 0.0 };
    let at = |point: &[f64]| point.get(others.len()).copied().unwrap_or(*last);
    points.sort_by(|left, right| at(left).total_cmp(&at(right)));
    if others.is_empty() {
        return points.first().map_or(0.0, |point| last - at(point));
    }
    let ends = points.iter().skip(1).map(|point| at(point)).chain([*last]).collect::<Vec<_>>();
    // Of each slice, what the points up to it dominate on the other axes.
    let slice = |(index, end): (usize, &f64)| {
        let (below, thickness) = (points.get(..=index)?, end - at(points.get(index)?));
        (thickness > 0.0).then(|| thickness * volume(below.to_vec(), others))
    };
    ends.iter().enumerate().filter_map(slice).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn boxes_are_united() {
        assert_eq!(hypervolume(&[vec![1.0, 3.0], vec![2.0, 1.0]], &[4.0, 4.0]), 7.0);
        assert_eq!(hypervolume(&[vec![1.0, 1.0], vec![2.0, 2.0], vec![5.0, 0.0]], &[4.0, 4.0]), 9.0);
        assert_eq!(hypervolume(&[vec![0.0, 0.0, 0.0]], &[1.0, 2.0, 3.0]), 6.0);
        assert_eq!(hypervolume(&[], &[1.0]), 0.0);
    }

    proptest! {
        /// Against counting the cells of a grid.
        #[test]
        fn the_volume_is_that_of_the_cells(points in prop::collection::vec(prop::collection::vec(0u8..5, 3), 0..8)) {
            let cells = (0u8..4).flat_map(|x| (0u8..4).flat_map(move |y| (0u8..4).map(move |z| [x, y, z])));
            let covered = |cell: &[u8; 3]| points.iter().any(|point| point.iter().zip(cell).all(|(own, cell)| own <= cell));
            let counted = cells.filter(covered).count() as f64;
            let points: Vec<Vec<f64>> = points.iter().map(|point| point.iter().map(|x| f64::from(*x)).collect()).collect();
            prop_assert!((hypervolume(&points, &[4.0; 3]) - counted).abs() < 1e-9);
        }
    }
}
