//! The answer that a sweep was made for: which settings of the server are best under each load, and how sure that is.

mod ladder;
mod matrix;
mod words;

pub use ladder::Ladder;
pub use matrix::{Cell, Mark, Matrix};

use super::ReportError;
use super::table::number;
use crate::params::ParamSet;
use crate::query::{Lake, labels_of, shipped};
use crate::stats::{Candidate, Expected, RunNoise, expected};

/// What one sweep answers.
pub struct Answer {
    /// The sweep, where there are several.
    pub sweep: Option<String>,
    pub sentences: Vec<String>,
    pub matrix: Matrix,
    pub ladder: Option<Ladder>,
}

crate::query::typed_row! {
    pub struct Setting {
        sweep: String,
        serve_name: Option<String>,
        bench_name: Option<String>,
        serve_params: Option<String>,
        bench_params: Option<String>,
        runs: usize,
        starts: usize,
        log_mean: f64,
        log_variance: Option<f64>,
        gpu_count: Option<f64>,
        output_throughput: f64,
        median_ttft_ms: Option<f64>,
        p99_e2el_ms: Option<f64>,
        p99_ttft_ms: Option<f64>,
        p99_tpot_ms: Option<f64>,
    }
}

/// What was measured of a setting under a load.
pub struct Point {
    pub throughput: f64,
    pub ttft_ms: Option<f64>,
    pub e2el_ms: Option<f64>,
    pub p99_ttft_ms: Option<f64>,
    pub p99_tpot_ms: Option<f64>,
    pub gpus: Option<f64>,
    pub candidate: Candidate,
}

/// Settings of a server by loads, those with the highest numbers last.
pub struct Standings {
    pub settings: Vec<String>,
    pub loads: Vec<String>,
    /// By load, then by setting.
    pub points: Vec<Vec<Option<Point>>>,
    /// How much runs scatter; nothing where none was repeated.
    pub noise: Option<RunNoise>,
    /// Whether every setting was measured on one start of its server.
    pub is_of_one_start: bool,
}

/// One answer for each sweep that compares settings under the same load.
pub async fn answers(lake: &Lake) -> Result<Vec<Answer>, ReportError> {
    let rows: Vec<Setting> = shipped::SETTINGS.rows(lake, &[]).await?;
    let is_one = lake.sweeps().len() == 1;
    let sweeps = rows.chunk_by(|left, right| left.sweep == right.sweep);
    let answer = |rows: &[Setting]| {
        let standings = Standings::of(rows)?;
        let price = lake.gpu_hour_price(&rows[0].sweep);
        let expected = standings.noise.map(|noise| standings.expected(noise, |point| point.candidate.log));
        Some(Answer {
            sweep: (!is_one).then(|| rows[0].sweep.clone()),
            sentences: words::sentences(&standings, expected.as_deref())
                .into_iter()
                .chain(ladder::sentence(&standings))
                .collect(),
            matrix: Matrix::of(&standings, expected.as_deref(), price),
            ladder: Ladder::of(&standings, price),
        })
    };
    Ok(sweeps.filter_map(answer).collect())
}

impl Standings {
    /// Nothing where no two settings were measured under one load.
    fn of(rows: &[Setting]) -> Option<Self> {
        let unchanged = ParamSet::unchanged();
        let sets = |side: fn(&Setting) -> (&Option<String>, &Option<String>)| {
            rows.iter().map(|row| set_of(side(row))).collect::<Vec<_>>()
        };
        let (servers, benches) =
            (sets(|row| (&row.serve_name, &row.serve_params)), sets(|row| (&row.bench_name, &row.bench_params)));
        let serve = labels_of(&servers.iter().map(|set| ("", [set, &unchanged])).collect::<Vec<_>>());
        let loads = labels_of(&benches.iter().map(|set| ("", [&unchanged, set])).collect::<Vec<_>>());
        let (settings, known_loads) = (in_order(&serve), sorted(in_order(&loads)));
        let at = |load: &String, setting: &String| {
            // Of one that was measured anew under changed conditions, what holds now.
            let row = (0..rows.len()).rfind(|row| loads[*row] == *load && serve[*row] == *setting)?;
            Some(Point::of(&rows[row]))
        };
        let points = known_loads.iter().map(|load| settings.iter().map(|setting| at(load, setting)).collect());
        let points: Vec<Vec<Option<Point>>> = points.collect();
        let is_compared = |of_load: &Vec<Option<Point>>| of_load.iter().flatten().count() > 1;
        let kept: Vec<bool> = points.iter().map(is_compared).collect();
        let mut keep = kept.iter();
        let loads = known_loads.into_iter().filter(|_| *keep.next().unwrap_or(&false)).collect::<Vec<_>>();
        let points: Vec<Vec<Option<Point>>> = points.into_iter().filter(is_compared).collect();
        (!loads.is_empty()).then(|| Self {
            settings,
            loads,
            points,
            noise: noise_of(rows),
            is_of_one_start: rows.iter().all(|row| row.starts == 1),
        })
    }

    /// What is to be expected of each setting under each load, of the logarithm of a number.
    pub fn expected(&self, noise: RunNoise, log: impl Fn(&Point) -> f64) -> Vec<Vec<Option<Expected>>> {
        let candidate = |point: &Option<Point>| {
            point.as_ref().map(|point| Candidate { log: log(point), runs: point.candidate.runs })
        };
        let loads: Vec<Vec<Option<Candidate>>> =
            self.points.iter().map(|of_load| of_load.iter().map(candidate).collect()).collect();
        expected(&loads, noise)
    }
}

impl Point {
    fn of(row: &Setting) -> Self {
        Self {
            throughput: row.output_throughput,
            ttft_ms: row.median_ttft_ms,
            e2el_ms: row.p99_e2el_ms,
            p99_ttft_ms: row.p99_ttft_ms,
            p99_tpot_ms: row.p99_tpot_ms,
            gpus: row.gpu_count,
            candidate: Candidate { log: row.log_mean, runs: row.runs },
        }
    }
}

impl Point {
    /// `$0.54/M tok`: what a million output tokens cost, where the price and the number of GPUs are known.
    pub fn cost_text(&self, price: Option<f64>) -> Option<String> {
        let cost = price? * self.gpus? / 3600.0 / self.throughput * 1e6;
        Some(if cost < 0.01 { format!("${}/M tok", number(cost)) } else { format!("${cost:.2}/M tok") })
    }
}

/// How much runs of a combination scatter, pooled.
fn noise_of(rows: &[Setting]) -> Option<RunNoise> {
    let repeated = || rows.iter().filter_map(|row| Some((row.log_variance?, row.runs as f64 - 1.0)));
    let degrees: f64 = repeated().map(|(_, degrees)| degrees).sum();
    let squares: f64 = repeated().map(|(variance, degrees)| variance * degrees).sum();
    (degrees > 0.0).then(|| RunNoise { variance: squares / degrees, degrees })
}

fn set_of((name, params): (&Option<String>, &Option<String>)) -> ParamSet {
    ParamSet {
        name: name.clone().filter(|name| !name.is_empty()),
        params: params.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
    }
}

fn in_order(labels: &[String]) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for label in labels {
        if !known.contains(label) {
            known.push(label.clone());
        }
    }
    known
}

/// By the numbers in them.
fn sorted(mut labels: Vec<String>) -> Vec<String> {
    let numbers = |label: &String| -> Vec<f64> {
        let values = label.split(' ').filter_map(|pair| pair.split_once('=').map(|(_, value)| value));
        values.map(|value| value.parse().unwrap_or(f64::NEG_INFINITY)).collect()
    };
    labels.sort_by(|left, right| {
        let (left, right) = (numbers(left), numbers(right));
        left.iter()
            .zip(&right)
            .map(|(one, other)| one.total_cmp(other))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| left.len().cmp(&right.len()))
    });
    labels
}

/// A setting whose chance of being the best is this share of the likeliest's can't be told from it.
const IN_THE_RUNNING: f64 = 0.05;

/// The settings that may be the best under a load, the likeliest first.
pub(super) fn running(of_load: &[Option<Expected>]) -> Vec<usize> {
    let chance = |index: &usize| of_load[*index].map_or(0.0, |one| one.best);
    let highest = (0..of_load.len()).map(|index| chance(&index)).fold(0.0, f64::max);
    let is_in = |index: &usize| of_load[*index].is_some() && chance(index) >= IN_THE_RUNNING * highest;
    let mut running: Vec<usize> = (0..of_load.len()).filter(is_in).collect();
    running.sort_by(|left, right| chance(right).total_cmp(&chance(left)));
    running
}
