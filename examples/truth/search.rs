//! How many runs the SLA search takes, and how close it comes, over families of curves with a known answer; beside plain
//! bisection and the published spline method.
//!
//! Then how wide the 95 % interval of the answer is, beside Fieller's interval (Fieller 1954, <https://doi.org/10.1111/j.2517-6161.1954.tb00159.x>)
//! for where a straight line through the same runs, on logarithmic axes, crosses the limit.

use rand::prelude::*;
use rand_distr::{Distribution, StandardNormal};
use statrs::distribution::{ContinuousCDF, StudentsT};
use sweeplake::sla::{Curve, Domain, Measured, Scales, Status, Step, next_step};

const FAMILIES: [&str; 12] = [
    "linear",
    "power",
    "closed loop",
    "queue",
    "quadratic",
    "stairs",
    "flat, jump",
    "sigmoid",
    "exponential",
    "hyperbola",
    "linear, outliers",
    "queue, outliers",
];
const NOISES: [f64; 3] = [0.0, 0.02, 0.05];
/// One run in fourteen is twice as slow, in families with outliers.
const OUTLIERS: f64 = 0.07;
/// What a straight line is drawn through: runs whose metric is within a factor of two of the limit.
const LOCAL: f64 = std::f64::consts::LN_2;
const DOMAIN: Domain = Domain { min: 1.0, max: 1000.0, is_integer: false, tolerance: 0.01, max_runs: 24 };
/// The other methods are given up after so many runs.
const LIMIT: usize = 60;

/// A margin over the load, and the load at which it crosses zero.
struct Instance {
    margin: Box<dyn Fn(f64) -> f64>,
    truth: f64,
}

/// What a method answers: the value, the bracket, and whether it ended by itself.
struct Found {
    value: f64,
    lower: f64,
    upper: f64,
    /// With 95 % probability.
    interval: Option<(f64, f64)>,
    is_certain: bool,
    is_finished: bool,
}

fn log_uniform(random: &mut StdRng, low: f64, high: f64) -> f64 {
    (low.ln() + (high / low).ln() * random.random::<f64>()).exp()
}

fn instance(family: &str, random: &mut StdRng) -> Instance {
    let root = log_uniform(random, 1.5, 700.0);
    let margin: Box<dyn Fn(f64) -> f64> = match family {
        // A latency of q + load, in units of its value at the root.
        "linear" | "linear, outliers" => {
            let q = log_uniform(random, 0.1, 2.0);
            Box::new(move |load| ((q + load / root) / (q + 1.0)).ln())
        }
        "power" => {
            let power = log_uniform(random, 0.3, 4.0);
            Box::new(move |load| power * (load / root).ln())
        }
        // Just under the target while the server is not full: nothing foretells where it jumps.
        "flat, jump" => {
            let under = log_uniform(random, 0.005, 0.08);
            let height = log_uniform(random, 0.1, 3.0);
            Box::new(move |load| match load <= root {
                true => -under + 0.002 * (load / root).ln(),
                false => height + 0.5 * (load / root).ln(),
            })
        }
        // Flat until the batch is full, then proportional to the load.
        "closed loop" => {
            let ratio = log_uniform(random, 1.1, 4.0);
            Box::new(move |load| (f64::max(1.0, load * ratio / root) / ratio).ln())
        }
        // 1 / (1 - load / capacity), and a backlog that grows with the load beyond it.
        "queue" | "queue, outliers" => {
            let target = log_uniform(random, 1.5, 20.0);
            let capacity = root / (1.0 - 1.0 / target);
            Box::new(move |load| {
                let busy = load / capacity;
                let latency = if busy < 0.999 { 1.0 / (1.0 - busy) } else { 1000.0 * busy };
                (latency / target).ln()
            })
        }
        "quadratic" => {
            let q = log_uniform(random, 0.1, 2.0);
            Box::new(move |load| ((q + (load / root).powi(2)) / (q + 1.0)).ln())
        }
        // A batch more for each step.
        "stairs" => {
            let steps = f64::from(random.random_range(1..=20));
            Box::new(move |load| ((load * steps / root).ceil().max(1.0) / (steps + 0.5)).ln())
        }
        "sigmoid" => {
            let steepness = log_uniform(random, 1.0, 6.0);
            let height = log_uniform(random, 3.0, 50.0);
            let part = random.random_range(0.15..0.85f64);
            let centre = root.ln() - (part / (1.0 - part)).ln() / steepness;
            Box::new(move |load| {
                let latency = 1.0 + height / (1.0 + (-steepness * (load.ln() - centre)).exp());
                (latency / (1.0 + height * part)).ln()
            })
        }
        "exponential" => {
            let target = log_uniform(random, 2.0, 100.0).ln();
            Box::new(move |load| load * target / root - target)
        }
        // Throughput of each user, 1 / (1 + load / c), with a target that it must not fall below.
        _ => {
            let q = log_uniform(random, 0.05, 1.0);
            Box::new(move |load| ((1.0 + load / (q * root)) / (1.0 + 1.0 / q)).ln())
        }
    };
    Instance { margin, truth: root }
}

type Run<'a> = dyn FnMut(f64) -> f64 + 'a;

fn ours(run: &mut Run<'_>) -> Found {
    let mut measured = Vec::new();
    loop {
        match next_step(&DOMAIN, &measured, 0) {
            Step::Run(value) => measured.push(Measured::new(value, run(value))),
            Step::Done(answer) => {
                return Found {
                    value: answer.value.unwrap_or(0.0),
                    lower: answer.lower.unwrap_or(0.0),
                    upper: answer.upper.unwrap_or(f64::INFINITY),
                    interval: answer.interval,
                    is_certain: answer.status != Status::Wide,
                    is_finished: true,
                };
            }
        }
    }
}

/// Both ends first, then whatever `next` proposes between the greatest passing and the least failing value.
fn bracketing(run: &mut Run<'_>, next: impl Fn(&[(f64, f64)], f64, f64) -> f64) -> Found {
    let mut history: Vec<(f64, f64)> = [DOMAIN.max, DOMAIN.min].map(|value| (value, run(value))).to_vec();
    let mut is_finished = true;
    let (lower, upper) = loop {
        let passing = history.iter().filter(|level| level.1 <= 0.0).map(|level| level.0);
        let failing = history.iter().filter(|level| level.1 > 0.0).map(|level| level.0);
        let lower = passing.fold(DOMAIN.min, f64::max);
        let upper = failing.filter(|value| *value > lower).fold(f64::INFINITY, f64::min);
        if upper.is_infinite() || upper / lower <= 1.0 + DOMAIN.tolerance {
            break (lower, upper);
        }
        if history.len() >= LIMIT {
            is_finished = false;
            break (lower, upper);
        }
        history.sort_by(|left, right| left.0.total_cmp(&right.0));
        let value = next(&history, lower, upper);
        let margin = run(value);
        history.push((value, margin));
    };
    Found { value: lower, lower, upper, interval: None, is_certain: true, is_finished }
}

fn bisection(run: &mut Run<'_>) -> Found {
    bracketing(run, |_, lower, upper| (lower * upper).sqrt())
}

fn published(run: &mut Run<'_>) -> Found {
    bracketing(run, |history, lower, upper| {
        let mut points = history.to_vec();
        points.dedup_by(|left, right| left.0 == right.0);
        let root = Curve::through(&points, Scales::PLAIN).map_or(lower, |curve| curve.root(lower, upper));
        // At least a step: the published one counts in whole numbers.
        root.clamp(lower + (upper - lower) * 1e-3, upper - (upper - lower) * 1e-3)
    })
}

/// A method at one instance.
struct Trial {
    found: Found,
    truth: f64,
    /// Logarithms of load and of metric over limit.
    runs: Vec<(f64, f64)>,
}

impl Trial {
    fn holds(&self, (lower, upper): (f64, f64)) -> bool {
        lower <= self.truth * 1.000_001 && upper >= self.truth * 0.999_999
    }
}

fn trials(family: &str, noise: f64, instances: u64, method: impl Fn(&mut Run<'_>) -> Found) -> Vec<Trial> {
    let trial = |seed: u64| {
        let mut random = StdRng::seed_from_u64(1000 + seed);
        let instance = instance(family, &mut random);
        let mut runs = Vec::new();
        let found = method(&mut |load| {
            let error: f64 = StandardNormal.sample(&mut random);
            let is_slow = family.ends_with("outliers") && random.random::<f64>() < OUTLIERS;
            let margin = (instance.margin)(load) + noise * error + if is_slow { 2f64.ln() } else { 0.0 };
            runs.push((load.ln(), margin));
            margin
        });
        Trial { found, truth: instance.truth, runs }
    };
    (0..instances).map(trial).collect()
}

fn percent(trials: &[Trial], is_so: impl Fn(&Trial) -> bool) -> f64 {
    100.0 * trials.iter().filter(|trial| is_so(trial)).count() as f64 / trials.len() as f64
}

/// The value at a part of the way through sorted ones.
fn at<T: PartialOrd + Copy>(mut values: Vec<T>, part: f64) -> Option<T> {
    values.sort_by(|left, right| left.partial_cmp(right).expect("numbers"));
    values.get((values.len() as f64 * part) as usize).or(values.last()).copied()
}

fn report(name: &str, family: &str, noise: f64, trials: &[Trial]) {
    let runs = |part: f64| at(trials.iter().map(|trial| trial.runs.len()).collect(), part).unwrap_or(0);
    println!(
        "| {family} | {noise} | {name} | {} | {} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
        runs(0.5),
        runs(0.9),
        runs(1.0),
        percent(trials, |trial| (trial.found.value / trial.truth - 1.0).abs() > 0.05),
        percent(trials, |trial| !trial.found.is_certain),
        percent(trials, |trial| trial.holds((trial.found.lower, trial.found.upper))),
        percent(trials, |trial| !trial.found.is_finished),
    );
}

/// Where a straight line through the runs near the limit crosses it, with 95 % confidence. None where the slope may be zero.
fn fieller(runs: &[(f64, f64)]) -> Option<(f64, f64)> {
    let near: Vec<_> = runs.iter().filter(|(_, margin)| margin.abs() <= LOCAL).collect();
    let count = near.len() as f64;
    if near.len() < 4 {
        return None;
    }
    let mean = |part: fn(&(f64, f64)) -> f64| near.iter().map(|run| part(run)).sum::<f64>() / count;
    let (x_mean, y_mean) = (mean(|run| run.0), mean(|run| run.1));
    let of = |left: fn(&(f64, f64)) -> f64, right: fn(&(f64, f64)) -> f64, (a, b): (f64, f64)| {
        near.iter().map(|run| (left(run) - a) * (right(run) - b)).sum::<f64>()
    };
    let xx = of(|run| run.0, |run| run.0, (x_mean, x_mean));
    let slope = of(|run| run.0, |run| run.1, (x_mean, y_mean)) / xx;
    let residual = near.iter().map(|(x, y)| (y - y_mean - slope * (x - x_mean)).powi(2)).sum::<f64>();
    let t = StudentsT::new(0.0, 1.0, count - 2.0).ok()?.inverse_cdf(0.975);
    let spread = t * t * residual / (count - 2.0);
    // (y_mean + slope * d)² = spread * (1 / count + d² / xx), for the distance d from the mean.
    let (a, b, c) = (slope * slope - spread / xx, y_mean * slope, y_mean * y_mean - spread / count);
    let root = (b * b - a * c).sqrt();
    (slope > 0.0 && a > 0.0).then(|| ((x_mean + (-b - root) / a).exp(), (x_mean + (-b + root) / a).exp()))
}

/// How wide intervals are, and how often they hold the truth.
fn widths(family: &str, noise: f64, trials: &[Trial]) {
    let column = |interval: &dyn Fn(&Trial) -> Option<(f64, f64)>| {
        let width = |trial| interval(trial).map(|(lower, upper)| 100.0 * (upper / lower - 1.0));
        let known = trials.iter().filter_map(width).collect::<Vec<_>>();
        let none = trials.len() - known.len();
        let holds = trials.iter().filter(|trial| interval(trial).is_some_and(|interval| trial.holds(interval))).count();
        (at(known, 0.5), 100.0 * holds as f64 / (trials.len() - none).max(1) as f64, none)
    };
    let (ours, ours_hold, _) = column(&|trial| trial.found.interval);
    let (line, line_holds, none) = column(&|trial| fieller(&trial.runs));
    let [ours, line] = [ours, line].map(|width| width.unwrap_or(f64::NAN));
    println!(
        "| {family} | {noise} | {ours_hold:.1} | {ours:.1} | {line_holds:.1} | {line:.1} | {none} | {:.2} |",
        ours / line
    );
}

pub fn run(instances: u64) {
    println!(
        "| family | noise | method | runs, median | p90 | max | off by > 5 %, % | says it is wide, % | truth in bracket, % | unfinished, % |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut searched = Vec::new();
    for family in FAMILIES {
        for noise in NOISES {
            let found = trials(family, noise, instances, ours);
            report("sweeplake", family, noise, &found);
            report("bisection", family, noise, &trials(family, noise, instances, bisection));
            report("spline", family, noise, &trials(family, noise, instances, published));
            searched.push((family, noise, found));
        }
    }
    println!(
        "\n| family | noise | interval holds the truth, % | its width, median, % | Fieller's holds it, % | its width, median, % | none | ratio of widths |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (family, noise, found) in searched.iter().filter(|searched| searched.1 > 0.0) {
        widths(family, *noise, found);
    }
}
