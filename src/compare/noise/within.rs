//! What the runs of one sweep say of their own noise: how far the level of a cell may be off for reasons inside the sweep.
//!
//! Runs are made one after the other, and neighbours resemble each other: the machine warms up, a co-tenant comes and goes. So a
//! straight drift over the order of runs is taken out of the levels, its error is kept in theirs, and the resemblance of
//! neighbours (a first-order autoregression) widens them.

use super::strata::{MeanSquare, Strata, Unit, total};
use super::{SweepRuns, logs, unit};
use crate::stats::moderate;
use crate::stats::robust;
use std::collections::BTreeMap;

/// Neighbours are never taken to resemble each other more than this.
const MOST_ALIKE: f64 = 0.9;

/// The levels of a sweep's cells, and their variances.
#[derive(Clone, Debug)]
pub struct Within {
    pub levels: Unit,
    variances: BTreeMap<usize, MeanSquare>,
    mean: MeanSquare,
}

/// A run in the order of its sweep.
#[derive(Clone, Copy)]
struct Point {
    cell: usize,
    order: f64,
    /// Less the level of its cell, and later less the drift.
    residual: f64,
    /// Order, less the mean order of its cell.
    offset: f64,
}

impl Within {
    /// Nothing where no cell has two runs.
    pub fn of(runs: &SweepRuns, spread: f64) -> Option<Self> {
        let cells: BTreeMap<usize, Vec<(f64, f64)>> = runs
            .cells
            .iter()
            .filter_map(|(cell, runs)| {
                let orders = runs.iter().map(|run| f64::from(run.order));
                Some((*cell, orders.zip(logs(runs)?).collect()))
            })
            .collect();
        let count: usize = cells.values().map(Vec::len).sum();
        let free = count.checked_sub(cells.len() + 1).filter(|free| *free > 0)? as f64;
        let levels: Unit = cells
            .iter()
            .map(|(cell, runs)| (*cell, robust::level(&runs.iter().map(|run| run.1).collect::<Vec<_>>(), spread)))
            .collect();
        let mut points = points(&cells, &levels);
        let spans: f64 = points.iter().map(|point| point.offset.powi(2)).sum();
        let slope =
            points.iter().map(|point| point.offset * point.residual).sum::<f64>() / spans.max(f64::MIN_POSITIVE);
        points.iter_mut().for_each(|point| point.residual -= slope * point.offset);
        let variance = points.iter().map(|point| point.residual.powi(2)).sum::<f64>() / free;
        let alike = alike(&points, &cells, variance);
        let slope_variance = variance * spread_of_mean(alike) / spans.max(f64::MIN_POSITIVE);
        Some(Self::assemble(
            &cells,
            &levels,
            &points,
            alike,
            (slope, MeanSquare { value: slope_variance, degrees_of_freedom: free }),
        ))
    }

    /// From rounds over all servers: what differs from start to start is in their scatter.
    pub fn of_rounds(runs: &SweepRuns, rounds: &Strata, spread: f64) -> Self {
        let count = 1.0 / runs.rounds().len().max(1) as f64;
        let part = |variance: MeanSquare| MeanSquare { value: variance.value * count, ..variance };
        let levels = unit(runs, spread);
        let variances = levels.keys().map(|cell| (*cell, part(rounds.of_cell(*cell)))).collect();
        Self { variances, mean: part(rounds.of_mean()), levels }
    }

    fn assemble(
        cells: &BTreeMap<usize, Vec<(f64, f64)>>,
        levels: &Unit,
        points: &[Point],
        alike: f64,
        (slope, slope_variance): (f64, MeanSquare),
    ) -> Self {
        let own: Vec<(f64, f64)> = cells.iter().map(|(cell, runs)| own_variance(*cell, runs, points, alike)).collect();
        let moderated = moderate(
            &own.iter().map(|own| own.0).collect::<Vec<_>>(),
            &own.iter().map(|own| own.1).collect::<Vec<_>>(),
        );
        let orders: Vec<f64> = cells.values().map(|runs| mean(runs.iter().map(|run| run.0))).collect();
        let middle = mean(orders.iter().copied());
        let mut within = Self { levels: Unit::new(), variances: BTreeMap::new(), mean: MeanSquare::default() };
        let mut of_levels = Vec::new();
        for (index, (cell, runs)) in cells.iter().enumerate() {
            let noise = MeanSquare {
                value: moderated.variances[index] * share_of_mean(runs, alike),
                degrees_of_freedom: moderated.degrees_of_freedom[index],
            };
            of_levels.push(noise);
            let off = orders[index] - middle;
            let drift = MeanSquare { value: slope_variance.value * off * off, ..slope_variance };
            within.levels.insert(*cell, levels[cell] - slope * off);
            within.variances.insert(*cell, total(&[noise, drift]));
        }
        let all = total(&of_levels);
        let factor = spread_of_mean(alike) / (cells.len() as f64).powi(2);
        within.mean = MeanSquare { value: all.value * factor, ..all };
        within
    }

    /// The variance of a cell's level.
    pub fn of_cell(&self, cell: usize) -> Option<MeanSquare> {
        self.variances.get(&cell).copied()
    }

    /// The variance of the mean of all levels.
    pub fn of_mean(&self) -> MeanSquare {
        self.mean
    }
}

fn points(cells: &BTreeMap<usize, Vec<(f64, f64)>>, levels: &Unit) -> Vec<Point> {
    let mut points = Vec::new();
    for (cell, runs) in cells {
        let middle = mean(runs.iter().map(|run| run.0));
        points.extend(runs.iter().map(|(order, value)| Point {
            cell: *cell,
            order: *order,
            residual: value - levels[cell],
            offset: order - middle,
        }));
    }
    points.sort_by(|left, right| left.order.total_cmp(&right.order));
    points
}

/// How much a run resembles the one before: the correlation of neighbours, one and a half standard errors up, with what the levels took
/// out of it put back.
fn alike(points: &[Point], cells: &BTreeMap<usize, Vec<(f64, f64)>>, variance: f64) -> f64 {
    if variance <= 0.0 || points.len() < 3 {
        return 0.0;
    }
    let neighbours = points.windows(2);
    let products = neighbours.map(|pair| {
        let taken_out = if pair[0].cell == pair[1].cell { 1.0 / cells[&pair[0].cell].len() as f64 } else { 0.0 };
        pair[0].residual * pair[1].residual / variance + taken_out
    });
    let correlation = mean(products);
    (correlation + 1.5 / ((points.len() - 1) as f64).sqrt()).clamp(0.0, MOST_ALIKE)
}

/// The variance of a run of a cell, and its degrees of freedom; that its runs resemble each other hides some of it.
fn own_variance(cell: usize, runs: &[(f64, f64)], points: &[Point], alike: f64) -> (f64, f64) {
    let free = (runs.len() - 1) as f64;
    if runs.len() < 2 {
        return (0.0, 0.0);
    }
    let squares: f64 = points.iter().filter(|point| point.cell == cell).map(|point| point.residual.powi(2)).sum();
    let count = runs.len() as f64;
    let between = (share_of_mean(runs, alike) * count * count - count) / (count * (count - 1.0));
    (squares / free / (1.0 - between).max(1.0 - MOST_ALIKE), free)
}

/// The variance of the mean of runs at these places in the order, as a share of a run's.
fn share_of_mean(runs: &[(f64, f64)], alike: f64) -> f64 {
    let pairs = runs.iter().flat_map(|(order, _)| runs.iter().map(move |(other, _)| (order - other).abs()));
    pairs.map(|distance| alike.powf(distance)).sum::<f64>() / (runs.len() as f64).powi(2)
}

/// How much wider the resemblance of neighbours makes the mean of a long series.
fn spread_of_mean(alike: f64) -> f64 {
    (1.0 + alike) / (1.0 - alike)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}
