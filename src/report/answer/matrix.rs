//! Settings by loads: throughput with the latency beside it, and which is best.

use super::{Standings, running};
use crate::report::table::number;
use crate::stats::Expected;

pub struct Matrix {
    pub loads: Vec<String>,
    pub rows: Vec<Row>,
}

pub struct Row {
    pub setting: String,
    pub cells: Vec<Option<Cell>>,
}

pub struct Cell {
    /// tok/s
    pub throughput: String,
    /// Median TTFT and P99 of the end-to-end latency, ms.
    pub latency: String,
    pub mark: Mark,
}

/// How a setting stands under a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// No other may be better.
    Best,
    /// It can't be told from the best, or is the likeliest of those.
    MayBeBest,
    Behind,
    /// Nothing was repeated: it can't be said.
    Unknown,
}

impl Mark {
    pub fn sign(self) -> &'static str {
        match self {
            Self::Best => "✓",
            Self::MayBeBest => "≈",
            Self::Behind | Self::Unknown => "",
        }
    }

    pub fn class(self) -> &'static str {
        match self {
            Self::Best => "first",
            Self::MayBeBest => "maybe",
            Self::Behind | Self::Unknown => "",
        }
    }
}

impl Matrix {
    pub fn of(standings: &Standings, expected: Option<&[Vec<Option<Expected>>]>, price: Option<f64>) -> Self {
        let of_loads: Option<Vec<Vec<usize>>> =
            expected.map(|expected| expected.iter().map(|of_load| running(of_load)).collect());
        let mark = |load: usize, setting: usize| match of_loads.as_ref().map(|of_loads| of_loads[load].as_slice()) {
            None => Mark::Unknown,
            Some([only]) if *only == setting => Mark::Best,
            Some(running) if running.contains(&setting) => Mark::MayBeBest,
            Some(_) => Mark::Behind,
        };
        let cell = |load: usize, setting: usize| {
            let point = standings.points[load][setting].as_ref()?;
            let latencies = [("TTFT", point.ttft_ms), ("P99", point.e2el_ms)];
            let latency = latencies.iter().filter_map(|(name, value)| Some(format!("{name} {}", number((*value)?))));
            Some(Cell {
                throughput: number(point.throughput),
                latency: latency.chain(point.cost_text(price)).collect::<Vec<_>>().join(" · "),
                mark: mark(load, setting),
            })
        };
        let row = |(setting, name): (usize, &String)| Row {
            setting: name.clone(),
            cells: (0..standings.loads.len()).map(|load| cell(load, setting)).collect(),
        };
        let rows = standings.settings.iter().enumerate().map(row);
        Self {
            loads: standings.loads.clone(),
            rows: rows.filter(|row| row.cells.iter().any(Option::is_some)).collect(),
        }
    }
}
