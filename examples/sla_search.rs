//! How many runs the SLA search takes, and how close it comes, over families of curves with a known answer; beside plain
//! bisection and the published spline method.
//!
//!     cargo run --release --example sla_search
//!     cargo run --release --example sla_search -- 200        # so many instances of each family

use rand::prelude::*;
use rand_distr::{Distribution, StandardNormal};
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
const INSTANCES: u64 = 60;
/// One run in fourteen is twice as slow, in families with outliers.
const OUTLIERS: f64 = 0.07;
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
    Found { value: lower, lower, upper, is_certain: true, is_finished }
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

fn report(name: &str, family: &str, noise: f64, instances: u64, method: impl Fn(&mut Run<'_>) -> Found) {
    let (mut runs, mut off, mut wide, mut covered, mut unfinished) = (Vec::new(), 0, 0, 0, 0);
    for seed in 0..instances {
        let mut random = StdRng::seed_from_u64(1000 + seed);
        let instance = instance(family, &mut random);
        let mut count = 0;
        let found = method(&mut |load| {
            count += 1;
            let error: f64 = StandardNormal.sample(&mut random);
            let is_slow = family.ends_with("outliers") && random.random::<f64>() < OUTLIERS;
            (instance.margin)(load) + noise * error + if is_slow { 2f64.ln() } else { 0.0 }
        });
        runs.push(count);
        off += usize::from((found.value / instance.truth - 1.0).abs() > 0.05);
        wide += usize::from(!found.is_certain);
        covered += usize::from(found.lower <= instance.truth * 1.000_001 && found.upper >= instance.truth * 0.999_999);
        unfinished += usize::from(!found.is_finished);
    }
    runs.sort_unstable();
    let percent = |count: usize| 100.0 * count as f64 / instances as f64;
    println!(
        "| {family} | {noise} | {name} | {} | {} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
        runs[runs.len() / 2],
        runs[runs.len() * 9 / 10],
        runs[runs.len() - 1],
        percent(off),
        percent(wide),
        percent(covered),
        percent(unfinished),
    );
}

fn main() {
    let instances = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(INSTANCES);
    println!(
        "| family | noise | method | runs, median | p90 | max | off by > 5 %, % | says it is wide, % | truth in bracket, % | unfinished, % |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for family in FAMILIES {
        for noise in NOISES {
            report("sweeplake", family, noise, instances, ours);
            report("bisection", family, noise, instances, bisection);
            report("spline", family, noise, instances, published);
        }
    }
}
