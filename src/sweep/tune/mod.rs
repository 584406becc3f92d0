//! A tune: the frontier of a space too large to measure, by Bayesian optimization.

mod belief;
mod coordinates;
mod history;
mod optimizer;

pub use coordinates::Coordinates;
pub use optimizer::{Egobox, Optimizer, Told};

use super::course::{Course, CourseError, Next, Visit, Wanted};
use super::goals::{Axes, Goals, is_sound};
use super::ledger::{Ledger, Made};
use crate::params::ParamSet;
use crate::plan::{BenchPlan, Combination, Plan};
use crate::stats::mean;
use crate::store::{StoreError, SweepWriter, Table};
use belief::{Belief, Expected};
use coordinates::Side;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// What a tune is after.
#[derive(Clone, Debug, PartialEq)]
pub struct TuneOptions {
    pub goals: Goals,
    /// Combinations that are measured at most.
    pub max_runs: usize,
    pub seed: u64,
    /// What is known of like combinations from elsewhere.
    pub known: Vec<Known>,
}

/// What somebody else measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub serve: ParamSet,
    pub bench: ParamSet,
    pub metrics: Map<String, Value>,
}

/// A combination that may be measured.
struct Candidate {
    combination: Combination,
    server: usize,
    at: Vec<f64>,
}

/// What is known so far, as the optimizer is told.
struct Picture {
    told: Vec<Told>,
    /// What is best so far: objectives of those that keep all constraints.
    front: Vec<Vec<f64>>,
    reference: Vec<f64>,
    measured: HashSet<usize>,
    /// How many points were known from elsewhere.
    known: usize,
    /// Seconds that a run and a start of a server take.
    run_s: f64,
    start_s: f64,
}

/// Loads of a server that are to be measured on one start.
struct Batch {
    server: usize,
    loads: Vec<usize>,
    /// Expected gain for each second.
    rate: f64,
}

/// The course of `serve_tune`.
pub struct Tune {
    options: TuneOptions,
    coordinates: Coordinates,
    candidates: Vec<Candidate>,
    index: HashMap<String, usize>,
    optimizer: Box<dyn Optimizer>,
    /// What is to be measured on the present start.
    wanted: HashSet<usize>,
    random: StdRng,
}

/// Whether something works, as a constraint.
const WORKS: f64 = -1.0;
const FAILS: f64 = 1.0;
/// Before the optimizer is asked, so many combinations for each axis are measured, spread over the space; and at most this share of all.
const DESIGN: usize = 2;
const DESIGN_SHARE: f64 = 0.4;
/// So many are drawn for each.
const DRAWN: usize = 8;
/// Of these, so many loads on each start of a server.
const DESIGN_LOADS: usize = 2;
/// Proposals that are weighed against each other by what their servers take to start.
const ALTERNATIVES: u64 = 3;
/// More loads are not measured on one start: what is learned from them may lead elsewhere.
const MOST_LOADS: usize = 8;

impl Tune {
    pub fn new(options: TuneOptions, plan: &Plan) -> Self {
        let coordinates = Coordinates::of_plan(plan);
        let optimizer = Box::new(Egobox::new(&coordinates, options.seed));
        let mut candidates = Vec::new();
        for (server, of) in plan.servers.iter().enumerate() {
            for BenchPlan { combination, .. } in &of.benches {
                if let Some(at) = coordinates.place(&combination.serve, &combination.bench) {
                    candidates.push(Candidate { combination: combination.clone(), server, at });
                }
            }
        }
        let index = candidates.iter().enumerate().map(|(index, of)| (of.combination.id.to_string(), index)).collect();
        let random = StdRng::seed_from_u64(options.seed);
        Self { options, coordinates, candidates, index, optimizer, wanted: HashSet::new(), random }
    }

    fn made<'a>(&self, index: usize, ledger: &'a Ledger) -> &'a [Made] {
        self.candidates.get(index).map_or(&[], |of| ledger.of_id(&of.combination.id))
    }

    /// The results of a combination's sound runs.
    fn results<'a>(&self, index: usize, ledger: &'a Ledger) -> impl Iterator<Item = &'a Map<String, Value>> + Clone {
        self.made(index, ledger).iter().filter(|made| is_sound(made)).filter_map(|made| made.metrics.as_ref())
    }

    fn axes(&self, ledger: &Ledger) -> Axes {
        let own = (0..self.candidates.len()).flat_map(|index| self.results(index, ledger));
        self.options.goals.axes(own.chain(self.options.known.iter().map(|known| &known.metrics)))
    }

    /// What a combination came to: the mean of its runs.
    fn value(&self, index: usize, ledger: &Ledger, axes: &Axes) -> Option<Vec<f64>> {
        let runs: Vec<Vec<f64>> =
            self.results(index, ledger).filter_map(|metrics| self.options.goals.placed(metrics, axes)).collect();
        let width = runs.first()?.len();
        Some((0..width).map(|value| mean(&runs.iter().map(|run| run[value]).collect::<Vec<_>>())).collect())
    }

    fn told(&self, at: Vec<f64>, value: &[f64]) -> Told {
        let turned: Vec<f64> = value.iter().map(|value| -value).collect();
        let (objectives, constraints) = turned.split_at(self.options.goals.objectives.len().min(turned.len()));
        Told { at, objectives: objectives.to_vec(), constraints: constraints.to_vec() }
    }

    /// Combinations in the order in which they were measured.
    fn in_order(&self, measured: &HashSet<usize>, ledger: &Ledger) -> Vec<usize> {
        let mut order: Vec<usize> = measured.iter().copied().collect();
        order.sort_by_key(|index| self.made(*index, ledger).first().map(|made| made.order));
        order
    }

    fn picture(&self, ledger: &Ledger) -> Picture {
        let axes = self.axes(ledger);
        let measured: HashSet<usize> =
            (0..self.candidates.len()).filter(|index| !self.made(*index, ledger).is_empty()).collect();
        let mut told: Vec<Told> = Vec::new();
        for known in &self.options.known {
            let place = self.coordinates.place(&known.serve, &known.bench);
            let place = place.filter(|at| self.coordinates.holds(at));
            if let (Some(at), Some(value)) = (place, self.options.goals.placed(&known.metrics, &axes)) {
                told.push(self.told(at, &value));
            }
        }
        let known = told.len();
        let mut failed = Vec::new();
        for index in self.in_order(&measured, ledger) {
            match self.value(index, ledger, &axes) {
                Some(value) => told.push(self.told(self.candidates[index].at.clone(), &value)),
                None => failed.push(index),
            }
        }
        let front = told.iter().filter(|told| told.constraints.iter().all(|limit| *limit <= 0.0));
        let front: Vec<Vec<f64>> = front.map(|told| told.objectives.clone()).collect();
        let reference = reference_of(&told);
        let told = self.with_failures(told, &failed);
        let seconds = |of: fn(&Made) -> Option<f64>| {
            let all = measured.iter().flat_map(|index| self.made(*index, ledger)).filter(|made| is_sound(made));
            let all: Vec<f64> = all.filter_map(of).collect();
            if all.is_empty() { 0.0 } else { mean(&all) }
        };
        let (run_s, start_s) = (seconds(|made| made.wall_time_s), seconds(|made| made.startup_time_s));
        Picture { told, front, reference, measured, known, run_s, start_s }
    }

    /// With combinations that failed, where there are any. That something fails is a constraint of its own; what it would have come to
    /// otherwise is what is believed of its place, so that a cliff does not bend the surface before it.
    fn with_failures(&self, mut told: Vec<Told>, failed: &[usize]) -> Vec<Told> {
        let places: Vec<&[f64]> = failed.iter().map(|index| self.candidates[*index].at.as_slice()).collect();
        if places.is_empty() || told.is_empty() {
            return told;
        }
        let believed = Belief::of(&self.coordinates, &told).and_then(|belief| belief.at(&places));
        let usual = told[told.len() / 2].clone();
        told.iter_mut().for_each(|told| told.constraints.push(WORKS));
        for (number, place) in places.into_iter().enumerate() {
            let values: Vec<f64> = match believed.as_ref().and_then(|all| all.get(number)) {
                Some(expected) => expected.iter().map(|expected| expected.mean).collect(),
                None => usual.objectives.iter().chain(&usual.constraints).copied().collect(),
            };
            let (objectives, constraints) = values.split_at(usual.objectives.len().min(values.len()));
            let constraints = constraints.iter().copied().chain([FAILS]).collect();
            told.push(Told { at: place.to_vec(), objectives: objectives.to_vec(), constraints });
        }
        told
    }

    /// Servers that did not start: their other loads would fail, too.
    fn broken(&self, ledger: &Ledger, measured: &HashSet<usize>) -> HashSet<usize> {
        let is_down = |index: &&usize| self.made(**index, ledger).iter().any(|made| made.lost_server);
        let works = |index: &&usize| self.results(**index, ledger).next().is_some();
        let server = |index: &usize| self.candidates[*index].server;
        let working: HashSet<usize> = measured.iter().filter(works).map(server).collect();
        measured.iter().filter(is_down).map(server).filter(|server| !working.contains(server)).collect()
    }

    /// How many points tell of a space of so many axes as much as a search needs to begin.
    fn enough(&self) -> usize {
        DESIGN * (self.coordinates.axes.len() + 1)
    }

    /// How many combinations are spread over the space first.
    fn design_size(&self) -> usize {
        self.enough().min((self.options.max_runs as f64 * DESIGN_SHARE).ceil() as usize)
    }

    /// Whether what is known from elsewhere takes the place of a design.
    fn knows_enough(&self, known: usize) -> bool {
        known >= self.enough()
    }

    /// A server far from those that were measured, at loads far from those that were: each the furthest of a few that are drawn (best-candidate
    /// sampling, Mitchell 1991), so that a space is filled and not only its corners.
    fn spread(&mut self, free: &[usize], measured: &HashSet<usize>, most: usize) -> Option<Batch> {
        let mut known: Vec<usize> = measured.iter().copied().collect();
        known.sort_unstable();
        let first = self.furthest(free, &known, Side::Serve)?;
        let server = self.candidates[first].server;
        let mut rest: Vec<usize> =
            free.iter().copied().filter(|index| self.candidates[*index].server == server).collect();
        let mut loads = Vec::new();
        while loads.len() < DESIGN_LOADS.min(most) && !rest.is_empty() {
            // Those of this start lie far from each other; the first lies far from those of others.
            let near = if loads.is_empty() { &known } else { &loads };
            let next = self.furthest(&rest, near, Side::Bench)?;
            rest.retain(|index| *index != next);
            loads.push(next);
        }
        Some(Batch { server, loads, rate: 0.0 })
    }

    /// Of a few that are drawn the one that is furthest from all others.
    fn furthest(&mut self, of: &[usize], others: &[usize], side: Side) -> Option<usize> {
        let drawn: Vec<usize> = of.choose_multiple(&mut self.random, DRAWN).copied().collect();
        let at = |index: usize| self.candidates[index].at.as_slice();
        let apart = |one: usize| {
            let distance = |other: &usize| self.coordinates.distance(at(one), at(*other), Some(side));
            others.iter().map(distance).fold(f64::INFINITY, f64::min)
        };
        drawn.into_iter().max_by(|left, right| apart(*left).total_cmp(&apart(*right)))
    }

    /// The free combination that is nearest to a place.
    fn nearest(&self, place: &[f64], free: &[usize]) -> Option<usize> {
        let distance = |index: &usize| self.coordinates.distance(&self.candidates[*index].at, place, None);
        free.iter().copied().min_by(|left, right| distance(left).total_cmp(&distance(right)))
    }

    /// The best of some proposals: each with those loads of its server that are worth their time.
    fn proposed(&mut self, free: &[usize], picture: &Picture, most: usize) -> Option<Batch> {
        // Where starts cost nothing there is nothing to weigh.
        let alternatives = if picture.start_s > 0.0 { ALTERNATIVES } else { 1 };
        let places: Vec<Vec<f64>> =
            (0..alternatives).filter_map(|attempt| self.optimizer.propose(&picture.told, attempt)).collect();
        let mut firsts: Vec<usize> = places.iter().filter_map(|place| self.nearest(place, free)).collect();
        firsts.sort_unstable();
        firsts.dedup();
        let belief = Belief::of(&self.coordinates, &picture.told);
        let batches = firsts.into_iter().map(|first| match &belief {
            Some(belief) => self.batch(first, free, picture, belief, most),
            None => Batch { server: self.candidates[first].server, loads: vec![first], rate: 0.0 },
        });
        batches.max_by(|left, right| left.rate.total_cmp(&right.rate))
    }

    /// A proposed combination, and other loads of its server as long as each gains more in its time than the batch does on average.
    fn batch(&self, first: usize, free: &[usize], picture: &Picture, belief: &Belief<'_>, most: usize) -> Batch {
        let server = self.candidates[first].server;
        let loads: Vec<usize> = free.iter().copied().filter(|index| self.candidates[*index].server == server).collect();
        let places: Vec<&[f64]> = loads.iter().map(|index| self.candidates[*index].at.as_slice()).collect();
        let expected: HashMap<usize, Vec<Expected>> =
            loads.iter().copied().zip(belief.at(&places).unwrap_or_default()).collect();
        let mut front = picture.front.clone();
        let gain = |index: usize, front: &[Vec<f64>]| {
            expected.get(&index).map_or(0.0, |expected| belief.gain(expected, front, &picture.reference))
        };
        let run_s = picture.run_s.max(f64::MIN_POSITIVE);
        let (mut chosen, mut total) = (vec![first], gain(first, &front));
        loop {
            let believed = chosen.last().and_then(|last| expected.get(last)).into_iter().flatten();
            front.push(believed.take(picture.reference.len()).map(|expected| expected.mean).collect());
            let others = loads.iter().copied().filter(|index| !chosen.contains(index));
            let best =
                others.map(|index| (index, gain(index, &front))).max_by(|left, right| left.1.total_cmp(&right.1));
            let average = total / (picture.start_s + run_s * chosen.len() as f64);
            match best {
                Some((index, more)) if chosen.len() < most.min(MOST_LOADS) && more > 0.0 && more / run_s > average => {
                    chosen.push(index);
                    total += more;
                }
                _ => return Batch { server, rate: average, loads: chosen },
            }
        }
    }
}

/// The worst that was told of each objective, and a little more.
fn reference_of(told: &[Told]) -> Vec<f64> {
    let width = told.first().map_or(0, |told| told.objectives.len());
    let reference = |value: usize| {
        let all = told.iter().map(|told| told.objectives[value]);
        let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), of| (low.min(of), high.max(of)));
        high + 0.1 * (high - low)
    };
    (0..width).map(reference).collect()
}

impl Course for Tune {
    fn runs_of_each(&self) -> Option<usize> {
        None
    }

    fn visit(&mut self, ledger: &Ledger, busy: &[usize]) -> Visit {
        let picture = self.picture(ledger);
        let is_busy = |index: &usize| busy.contains(&self.candidates[*index].server);
        self.wanted.retain(|index| is_busy(index));
        let under_way = self.wanted.iter().filter(|index| !picture.measured.contains(index)).count();
        let most = self.options.max_runs.saturating_sub(picture.measured.len() + under_way);
        let broken = self.broken(ledger, &picture.measured);
        let is_free = |index: &usize| {
            !picture.measured.contains(index) && !broken.contains(&self.candidates[*index].server) && !is_busy(index)
        };
        let free: Vec<usize> = (0..self.candidates.len()).filter(is_free).collect();
        if most == 0 || free.is_empty() {
            return Visit::Over;
        }
        let is_spread = picture.measured.len() >= self.design_size() || self.knows_enough(picture.known);
        let proposed = if is_spread { self.proposed(&free, &picture, most) } else { None };
        match proposed.or_else(|| self.spread(&free, &picture.measured, most)) {
            Some(batch) => {
                self.wanted.extend(batch.loads);
                Visit::Server(batch.server)
            }
            None => Visit::Over,
        }
    }

    fn next(&mut self, bench: &BenchPlan, ledger: &Ledger, _: u32) -> Result<Next, CourseError> {
        let index = self.index.get(bench.combination.id.as_str());
        if !index.is_some_and(|index| self.wanted.contains(index)) {
            return Ok(Next::Enough);
        }
        self.options.goals.check(ledger, self.candidates.iter().map(|of| &of.combination.id))?;
        Ok(if ledger.of(bench).is_empty() { Next::Run(Wanted::default()) } else { Next::Enough })
    }

    fn end(&mut self, ledger: &Ledger, writer: &SweepWriter) -> Result<(), StoreError> {
        writer.write_table(Table::TuneHistory, &self.history(writer.name(), ledger))
    }
}
