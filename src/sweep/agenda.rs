//! What is left to do on a start of a server, run by run. A sweep and its dry run ask the same agenda.

use super::course::{Course, CourseError, Next};
use super::ledger::{Ledger, Made, count_of};
use crate::plan::{BenchPlan, Level, Plan, RunFlags, Start};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use std::collections::{BTreeSet, HashSet, VecDeque};

/// In which order the combinations of a server get their runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// All runs of one, then all of the next.
    Sequential,
    /// One run of each, then the next of each: what changes with time touches all of them.
    Interleaved,
    /// As interleaved, each pass in an order drawn by this seed.
    Random(u64),
}

/// One run to be made.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The combination of the plan.
    pub of: &'a BenchPlan,
    /// What is run: the combination, at a level if the course chose one.
    pub bench: BenchPlan,
    pub level: Option<Level>,
    pub number: i64,
    pub round: u32,
    /// What its prompts and arrival times are drawn by, where that is its own.
    pub seed: Option<u32>,
}

/// What comes next on a server.
#[derive(Debug)]
pub enum Step<'a> {
    Run(Box<Job<'a>>),
    /// A combination has all its runs.
    Finished(&'a BenchPlan),
}

/// What is left to do on one start of a server.
pub struct Agenda<'a> {
    round: u32,
    order: Order,
    all: Vec<&'a BenchPlan>,
    /// Combinations that have all their runs, or are left out.
    done: HashSet<&'a str>,
    /// The combinations that the present pass has yet to come to.
    pass: VecDeque<&'a BenchPlan>,
    random: StdRng,
}

impl<'a> Agenda<'a> {
    pub fn new(plan: &'a Plan, start: Start, order: Order) -> Self {
        let seed = if let Order::Random(seed) = order { seed } else { 0 };
        let seed = seed.wrapping_add((u64::from(start.round) << 32) + start.server as u64);
        Self {
            round: start.round,
            order,
            all: plan.servers[start.server].benches.iter().collect(),
            done: HashSet::new(),
            pass: VecDeque::new(),
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// The next step, given what was made so far.
    pub fn next(&mut self, ledger: &Ledger, course: &mut dyn Course) -> Result<Option<Step<'a>>, CourseError> {
        let Some(index) = self.next_index() else { return Ok(None) };
        let bench = self.pass[index];
        let made = ledger.of(bench);
        match course.next(bench, ledger, self.round)? {
            Next::Enough => {
                self.skip(bench);
                Ok(Some(Step::Finished(bench)))
            }
            Next::Run(wanted) => {
                let level = wanted.level;
                if self.order != Order::Sequential {
                    self.pass.remove(index);
                }
                let number = free_number(made, level.as_ref());
                let at_level = bench.at_level(level.as_ref());
                let seed = course.seed(&at_level, number);
                let own = at_level.with(&RunFlags {
                    seed,
                    num_prompts: wanted.num_prompts,
                    stop_when_missed: wanted.stop_when_missed,
                });
                let job = Job { of: bench, bench: own, level, number, round: self.round, seed };
                Ok(Some(Step::Run(Box::new(job))))
            }
        }
    }

    /// The combinations that have not all their runs yet.
    pub fn open(&self) -> Vec<&'a BenchPlan> {
        self.all.iter().copied().filter(|bench| !self.done.contains(bench.combination.id.as_str())).collect()
    }

    /// Leaves a combination out from now on.
    pub fn skip(&mut self, bench: &'a BenchPlan) {
        self.done.insert(bench.combination.id.as_str());
    }

    /// The place of the next combination in the present pass, which is begun anew once it is over.
    fn next_index(&mut self) -> Option<usize> {
        loop {
            if self.pass.is_empty() {
                self.pass = self.open().into();
            }
            let index = match self.order {
                Order::Random(_) => (0..self.pass.len()).choose(&mut self.random)?,
                Order::Sequential | Order::Interleaved => 0,
            };
            let bench = self.pass.get(index)?;
            if !self.done.contains(bench.combination.id.as_str()) {
                return Some(index);
            }
            self.pass.remove(index);
        }
    }
}

/// The smallest number that no run of a level has.
fn free_number(made: &[Made], level: Option<&Level>) -> i64 {
    let taken: BTreeSet<i64> =
        made.iter().filter(|made| made.level.as_ref() == level).map(|made| made.number).collect();
    let unbroken = (0..).zip(&taken).take_while(|(number, taken)| number == *taken).count();
    unbroken as i64
}

/// The number of runs that are missing of a plan, where the course knows that beforehand, and of the starts that
/// have any.
pub fn missing(plan: &Plan, ledger: &Ledger, course: &dyn Course) -> (usize, Option<usize>) {
    let Some(each) = course.runs_of_each() else { return (plan.starts().count(), None) };
    let (mut starts, mut runs) = (0, 0);
    for start in plan.starts() {
        let of = |bench: &BenchPlan| each.saturating_sub(count_of(ledger.of(bench), start.round));
        let missing: usize = plan.servers[start.server].benches.iter().map(of).sum();
        starts += usize::from(missing > 0);
        runs += missing;
    }
    (starts, Some(runs))
}

/// A seed for those who gave none.
pub fn any_seed() -> u64 {
    rand::random()
}
