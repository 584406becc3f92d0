//! How much equal sweeps differ, level by level.
//!
//! A sweep is a unit: whatever differs from day to day, from start to start, or drifts while it runs, is in its numbers, and so
//! in the scatter of equal sweeps. The scatter of a sweep's logarithms is parted as in a nested analysis of variance: what all
//! of its cells share, what the cells of one server share besides, and what is a cell's own. The mean squares of the three
//! add up to the variance of a cell of one sweep, with degrees of freedom after Satterthwaite (1946).

use crate::stats::{moderate, t_quantile};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A unit of replication: the level of each cell, as a logarithm.
pub type Unit = BTreeMap<usize, f64>;

/// Which server each cell was measured on.
pub type ServerOf = BTreeMap<usize, usize>;

/// A variance, and what it is known from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeanSquare {
    pub value: f64,
    pub degrees_of_freedom: f64,
}

impl MeanSquare {
    fn of(squares: f64, degrees_of_freedom: f64) -> Self {
        let value = if degrees_of_freedom > 0.0 { squares / degrees_of_freedom } else { 0.0 };
        Self { value, degrees_of_freedom }
    }

    fn times(self, factor: f64) -> Self {
        Self { value: self.value * factor, ..self }
    }
}

/// The sum of independent variances. Its degrees of freedom are Satterthwaite's; where a part has so few that it is easily
/// estimated far too small, they are at most those with which a 95 % interval is as wide as that of each part with its own
/// quantile.
pub fn total(parts: &[MeanSquare]) -> MeanSquare {
    let parts = || parts.iter().filter(|part| part.value > 0.0);
    let value: f64 = parts().map(|part| part.value).sum();
    let weighed: f64 = parts().map(|part| part.value.powi(2) / part.degrees_of_freedom).sum();
    let satterthwaite = if weighed > 0.0 { value * value / weighed } else { f64::INFINITY };
    let degrees_of_freedom = match parts().any(|part| part.degrees_of_freedom < FEW_DEGREES) {
        true => satterthwaite.min(degrees_of(
            parts().map(|part| part.value * quantile(part.degrees_of_freedom).powi(2)).sum::<f64>() / value,
        )),
        false => satterthwaite,
    };
    MeanSquare { value, degrees_of_freedom }
}

/// With fewer degrees of freedom a variance may be anything.
const FEW_DEGREES: f64 = 3.0;

fn quantile(degrees_of_freedom: f64) -> f64 {
    t_quantile(0.975, degrees_of_freedom)
}

/// The degrees of freedom whose 97.5 % quantile has this square: between two of a table, for the quantile is a search itself.
fn degrees_of(square: f64) -> f64 {
    static TABLE: LazyLock<Vec<(f64, f64)>> = LazyLock::new(|| {
        let degrees =
            (0..=STEPS).map(|step| LEAST_DEGREES * (MOST_DEGREES / LEAST_DEGREES).powf(step as f64 / STEPS as f64));
        degrees.map(|degrees| (degrees, quantile(degrees).powi(2))).collect()
    });
    let above = TABLE.partition_point(|(_, other)| *other > square);
    let (Some(before), Some(behind)) = (TABLE.get(above.wrapping_sub(1)), TABLE.get(above)) else {
        return if above == 0 { LEAST_DEGREES } else { MOST_DEGREES };
    };
    let part = (before.1 / square).ln() / (before.1 / behind.1).ln();
    before.0 * (behind.0 / before.0).powf(part)
}

const LEAST_DEGREES: f64 = 0.5;
const MOST_DEGREES: f64 = 1e4;
const STEPS: usize = 200;

/// The scatter of equal units.
#[derive(Clone, Debug)]
pub struct Strata {
    /// Of the mean over all cells of a unit.
    common: MeanSquare,
    /// Of a server's mean about that.
    server: MeanSquare,
    servers: f64,
    /// Of each cell about its server's mean; of others what is usual among them.
    cells: BTreeMap<usize, MeanSquare>,
    usual: MeanSquare,
    cells_of_server: f64,
    /// Sweeps that it is known from.
    pub units: usize,
}

/// So many times its own degrees of freedom are lent to a variance at most.
const MOST_LENT: f64 = 1.0;

/// In a sweep that drifts its servers lie on a line: so many of them count for one.
const SERVERS_ALIKE: f64 = 3.0;

/// Squares and degrees of freedom, summed over groups.
#[derive(Default)]
struct Sums {
    common: (f64, f64),
    server: (f64, f64),
    server_free: f64,
    cells: BTreeMap<usize, (f64, f64)>,
    servers: Vec<f64>,
    cells_of_server: Vec<f64>,
    units: usize,
}

impl Strata {
    /// From groups of units that are equal within each; nothing where no group has two with a cell in common.
    pub fn of<'a>(groups: impl IntoIterator<Item = &'a [Unit]>, server_of: &ServerOf) -> Option<Self> {
        let mut sums = Sums::default();
        groups.into_iter().for_each(|group| sums.add(group, server_of));
        (sums.common.1 > 0.0).then(|| sums.strata())
    }

    /// With what is usual elsewhere lent to what is known of the common level: a variance and its degrees of freedom.
    pub fn with_lent(self, (prior, degrees): (f64, f64)) -> Self {
        let own = self.common;
        let lent = degrees.min(MOST_LENT * own.degrees_of_freedom);
        let all = own.degrees_of_freedom + lent;
        let value = (own.value * own.degrees_of_freedom + prior * lent) / all;
        Self { common: MeanSquare { value, degrees_of_freedom: all }, ..self }
    }

    /// With the common level known from elsewhere alone.
    pub fn with_prior(self, (prior, degrees): (f64, f64)) -> Self {
        let degrees_of_freedom = degrees.min(self.common.degrees_of_freedom);
        Self { common: MeanSquare { value: prior, degrees_of_freedom }, ..self }
    }

    /// The variance of the mean over all cells of a unit.
    pub fn of_mean(&self) -> MeanSquare {
        self.common
    }

    /// The variance of a cell of a unit.
    pub fn of_cell(&self, cell: usize) -> MeanSquare {
        let own = self.cells.get(&cell).copied().unwrap_or(self.usual);
        let share = |count: f64| 1.0 - 1.0 / count;
        total(&[self.common, self.server.times(share(self.servers)), own.times(share(self.cells_of_server))])
    }

    /// The variance of a cell about what all cells of its unit share.
    pub fn of_cell_alone(&self, cell: usize) -> MeanSquare {
        let own = self.cells.get(&cell).copied().unwrap_or(self.usual);
        total(&[self.server, own])
    }
}

impl Sums {
    fn add(&mut self, group: &[Unit], server_of: &ServerOf) {
        // A sweep that was cut short would leave few cells in common.
        let most = group.iter().map(Unit::len).max().unwrap_or(0);
        let group: Vec<&Unit> = group.iter().filter(|unit| 2 * unit.len() >= most).collect();
        let Some((first, others)) = group.split_first().filter(|(_, others)| !others.is_empty()) else { return };
        let in_all = |cell: &&usize| others.iter().all(|unit| unit.contains_key(*cell));
        let cells: Vec<usize> = first.keys().filter(in_all).copied().collect();
        if cells.is_empty() {
            return;
        }
        let count = group.len() as f64;
        let level: BTreeMap<usize, f64> =
            cells.iter().map(|cell| (*cell, group.iter().map(|unit| unit[cell]).sum::<f64>() / count)).collect();
        let mut servers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for cell in &cells {
            servers.entry(server_of.get(cell).copied().unwrap_or(0)).or_default().push(*cell);
        }
        let free = count - 1.0;
        self.common.1 += free;
        self.server_free += free * ((servers.len() - 1) as f64 / SERVERS_ALIKE).max(servers.len().min(2) as f64 - 1.0);
        self.server.1 += free * (servers.len() - 1) as f64;
        self.servers.push(servers.len() as f64);
        self.cells_of_server.push(cells.len() as f64 / servers.len() as f64);
        self.units += group.len();
        for unit in &group {
            let residual = |cell: &usize| unit[cell] - level[cell];
            let mean = |cells: &[usize]| cells.iter().map(residual).sum::<f64>() / cells.len() as f64;
            let common = mean(&cells);
            self.common.0 += common * common;
            for own in servers.values() {
                let server = mean(own);
                self.server.0 += (server - common).powi(2);
                for cell in own.iter().filter(|_| own.len() > 1) {
                    let sum = self.cells.entry(*cell).or_default();
                    sum.0 += (residual(cell) - server).powi(2);
                    sum.1 += free / count * (1.0 - 1.0 / own.len() as f64);
                }
            }
        }
    }

    fn strata(self) -> Strata {
        let of = |(squares, free): (f64, f64)| MeanSquare::of(squares, free);
        let own: Vec<MeanSquare> = self.cells.values().map(|sum| of(*sum)).collect();
        let moderated = moderate(
            &own.iter().map(|own| own.value).collect::<Vec<_>>(),
            &own.iter().map(|own| own.degrees_of_freedom).collect::<Vec<_>>(),
        );
        let moderated = moderated.variances.into_iter().zip(moderated.degrees_of_freedom);
        let moderated = moderated.map(|(value, degrees_of_freedom)| MeanSquare { value, degrees_of_freedom });
        let sum = |f: fn(&(f64, f64)) -> f64| self.cells.values().map(f).sum::<f64>();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        Strata {
            common: of(self.common),
            server: MeanSquare { degrees_of_freedom: self.server_free, ..of(self.server) },
            servers: mean(&self.servers),
            usual: MeanSquare::of(sum(|own| own.0), sum(|own| own.1)),
            cells: self.cells.keys().copied().zip(moderated).collect(),
            cells_of_server: mean(&self.cells_of_server),
            units: self.units,
        }
    }
}
