//! How often the frontier that a race answers has all members of the true one, and what it takes, on surfaces of simulated servers.

use rand::prelude::*;
use rand_distr::{Distribution, Normal};
use rayon::prelude::*;
use sweeplake::stats::{mean, median};
use sweeplake::sweep::race::{Entry, Fate, Rules, Standings, ends_first};

/// Repeats of `--num-runs`.
const MOST_RUNS: usize = 3;
/// Who is no worse than this in every objective stands for a member of the frontier.
const INDIFFERENCE: f64 = 0.01;

/// Servers × loads, and what each truly is: logarithms, more is better.
struct Surface {
    servers: usize,
    loads: usize,
    truth: Vec<[f64; 2]>,
}

/// Servers that differ in speed, in how their throughput saturates and in how many requests they take at a time; latency by Little's law.
fn surface(servers: usize, loads: usize, spread: f64, random: &mut StdRng) -> Surface {
    let differ = Normal::new(0.0, spread).expect("a spread above 0");
    let mut truth = Vec::new();
    for _ in 0..servers {
        let (speed, latency) = (differ.sample(random), differ.sample(random));
        let most = 2f64.powf(random.random_range(3.0..8.0));
        let half = 2f64.powf(random.random_range(3.5..5.5));
        for load in 0..loads {
            let users = 2f64.powi(load as i32);
            let throughput = speed + (users.min(most) / (users.min(most) + half)).ln();
            let queued = if users > most { 0.3 } else { 0.0 };
            truth.push([throughput, -(users.ln() - throughput + latency + queued)]);
        }
    }
    Surface { servers, loads, truth }
}

fn is_better(one: [f64; 2], other: [f64; 2]) -> bool {
    one[0] >= other[0] && one[1] >= other[1] && one != other
}

struct Told {
    holds: bool,
    share: f64,
    kept: usize,
}

fn race(surface: &Surface, noise: &[f64], random: &mut StdRng) -> Told {
    let rules = Rules { objectives: 2, slas: Vec::new() };
    let count = surface.truth.len();
    let entry = |index: usize| Entry { server: index / surface.loads, load: index % surface.loads, ..Entry::default() };
    let mut entries: Vec<Entry> = (0..count).map(entry).collect();
    let order = ends_first((0..surface.loads).collect());
    for round in 0..=MOST_RUNS {
        let pilot = Standings::of(&entries, &rules).pilot();
        for index in (0..surface.servers).flat_map(|server| order.iter().map(move |load| server * surface.loads + load))
        {
            let standings = Standings::of(&entries, &rules);
            let is_wanted = match entries[index].runs.len() {
                MOST_RUNS => false,
                0 => standings.fate(index) == Fate::Open,
                _ if round == 0 => false,
                _ if !standings.knows_noise() => pilot.contains(&index),
                _ => standings.fate(index) == Fate::Open,
            };
            if is_wanted {
                let scatter = Normal::new(0.0, noise[index]).expect("noise above 0");
                let run = surface.truth[index].iter().map(|truth| truth + scatter.sample(random)).collect();
                entries[index].runs.push(run);
            }
        }
    }
    let standings = Standings::of(&entries, &rules);
    let kept: Vec<usize> = (0..count).filter(|index| !matches!(standings.fate(*index), Fate::Dropped(_))).collect();
    let mut frontier = surface.truth.iter().filter(|one| !surface.truth.iter().any(|other| is_better(*other, **one)));
    let stands_for = |one: usize, member: &[f64; 2]| {
        surface.truth[one].iter().zip(member).all(|(own, its)| *own >= its - INDIFFERENCE)
    };
    let holds = frontier.all(|member| kept.iter().any(|one| stands_for(*one, member)));
    let runs: usize = entries.iter().map(|entry| entry.runs.len()).sum();
    Told { holds, share: runs as f64 / (MOST_RUNS * count) as f64, kept: kept.len() }
}

pub fn run(races: u64) {
    println!(
        "| combinations | noise | noise of all is | has all members | runs, of 3 each: median | 90 % of races | left: mean |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let (mut all, mut worst): (Vec<f64>, f64) = (Vec::new(), 1.0);
    for (servers, loads) in [(6, 4), (10, 6), (25, 8)] {
        for noise in [0.01, 0.03, 0.1] {
            for (differs, kind) in [(0.0, "equal"), (0.4, "different")] {
                let told: Vec<Told> = (0..races)
                    .into_par_iter()
                    .map(|seed| {
                        let mut random = StdRng::seed_from_u64(seed);
                        let surface = surface(servers, loads, if seed % 2 == 0 { 0.1 } else { 0.25 }, &mut random);
                        let own = Normal::new(0.0f64, differs).expect("not below 0");
                        let noises: Vec<f64> =
                            surface.truth.iter().map(|_| noise * own.sample(&mut random).exp()).collect();
                        race(&surface, &noises, &mut random)
                    })
                    .collect();
                let mut shares: Vec<f64> = told.iter().map(|told| told.share).collect();
                shares.sort_by(f64::total_cmp);
                let holds = told.iter().filter(|told| told.holds).count() as f64 / told.len() as f64;
                let kept = mean(&told.iter().map(|told| told.kept as f64).collect::<Vec<_>>());
                println!(
                    "| {} | {:.0} % | {kind} | {:.1} % | {:.0} % | {:.0} % | {kept:.1} |",
                    servers * loads,
                    100.0 * noise,
                    100.0 * holds,
                    100.0 * median(&shares),
                    100.0 * shares[shares.len() * 9 / 10]
                );
                worst = worst.min(holds);
                all.extend(shares);
            }
        }
    }
    println!("\nworst: {:.1} %; runs over all races, median: {:.0} %", 100.0 * worst, 100.0 * median(&all));
}
