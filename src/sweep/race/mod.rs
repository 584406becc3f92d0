//! A race: every combination gets one run, and repeats go to those that may still win.

mod standings;

pub use standings::{Dropped, Entry, FEWEST_REPEATS, Fate, Reason, Rules, Standings};

use super::course::{Course, CourseError, Next, Wanted};
use super::finding::identity_of;
use super::goals::{Goals, is_sound};
use super::ledger::{Ledger, Made, count_of};
use crate::plan::{BenchPlan, Combination, Plan};
use crate::record::{Cell, Row};
use crate::sla::Sla;
use crate::store::{StoreError, SweepWriter, Table};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A combination of the plan, and where it is found among the entries.
struct Runner {
    combination: Combination,
    server: usize,
    load: usize,
}

/// The course of `serve --race`.
pub struct Race {
    goals: Goals,
    /// More runs of a combination than these are not made.
    max_runs: usize,
    runners: Vec<Runner>,
    index: HashMap<String, usize>,
    /// Those that show in a round how noisy runs are.
    pilot: Option<(u32, HashSet<usize>)>,
    /// The combinations after so many runs.
    entries: (Option<usize>, Vec<Entry>),
}

/// Rounds that a race takes at most: one for all, one to learn how noisy runs are, and the other repeats.
pub fn rounds_of(max_runs: u32) -> u32 {
    max_runs.saturating_add(1)
}

/// The ends first, then the middles: what lies between is then told by what lies around it.
pub fn ends_first<T>(items: Vec<T>) -> Vec<T> {
    let mut order = Vec::new();
    let mut gaps = std::collections::VecDeque::new();
    if let Some(last) = items.len().checked_sub(1) {
        order.extend([0, last]);
        gaps.push_back((0, last));
    }
    while let Some((left, right)) = gaps.pop_front() {
        let middle = (left + right) / 2;
        order.push(middle);
        if right - left > 1 {
            gaps.extend([(left, middle), (middle, right)]);
        }
    }
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    order.into_iter().filter_map(|index| items.get_mut(index).and_then(Option::take)).collect()
}

impl Race {
    pub fn new(goals: Goals, plan: &Plan) -> Self {
        let mut loads: BTreeMap<String, usize> = BTreeMap::new();
        let mut runners = Vec::new();
        for (server, of) in plan.servers.iter().enumerate() {
            for bench in &of.benches {
                let key = Value::Object(bench.combination.bench.to_record()).to_string();
                let count = loads.len();
                let load = *loads.entry(key).or_insert(count);
                runners.push(Runner { combination: bench.combination.clone(), server, load });
            }
        }
        let index = runners.iter().enumerate().map(|(index, of)| (of.combination.id.to_string(), index)).collect();
        Self { goals, max_runs: plan.num_runs as usize, runners, index, pilot: None, entries: (None, Vec::new()) }
    }

    fn rules(&self) -> Rules {
        let mut from = self.goals.objectives.len();
        let objectives = from;
        let range = |sla: &Sla| {
            let range = from..from + sla.constraints.len();
            from = range.end;
            range
        };
        let slas = self.goals.slas.iter().map(range).collect();
        Rules { objectives, slas }
    }

    fn read(&self, ledger: &Ledger) -> Vec<Entry> {
        let sound = |runner: &Runner| ledger.of_id(&runner.combination.id).iter().filter(|made| is_sound(made));
        let axes = self.goals.axes(self.runners.iter().flat_map(sound).filter_map(|made| made.metrics.as_ref()));
        let entry = |runner: &Runner| {
            let made = ledger.of_id(&runner.combination.id);
            let placed = |made: &Made| self.goals.placed(made.metrics.as_ref()?, &axes);
            let runs: Vec<Vec<f64>> = sound(runner).filter_map(placed).collect();
            Entry { server: runner.server, load: runner.load, is_out: !made.is_empty() && runs.is_empty(), runs }
        };
        self.runners.iter().map(entry).collect()
    }

    /// Whether a further run of a combination may tell who wins.
    fn wants(&mut self, index: usize, round: u32) -> bool {
        let (entries, rules) = (&self.entries.1, self.rules());
        let standings = Standings::of(entries, &rules);
        if !entries[index].runs.is_empty() && round > 0 && !standings.knows_noise() {
            let known = self.pilot.take().filter(|(of, _)| *of == round);
            let pilot = known.unwrap_or_else(|| (round, standings.pilot()));
            return self.pilot.insert(pilot).1.contains(&index);
        }
        standings.fate(index) == Fate::Open
    }

    /// Why a combination got no further runs, or is none of those that may win.
    fn row(&self, sweep: &str, index: usize, runs: usize, dropped: Option<Dropped>) -> Row {
        let (reason, by) = match dropped.map(|dropped| dropped.reason) {
            None => ("it has no sound run: it failed, too few requests succeeded, or a metric is missing", None),
            Some(Reason::Dominated { by }) => ("another combination is better in every objective", Some(by)),
            Some(Reason::MissesSla) => ("it misses the SLA", None),
            Some(Reason::WouldBeDominated { by }) => {
                ("another server is better at this load, judged by the loads that were measured on both", Some(by))
            }
            Some(Reason::WouldMissSla { by }) => {
                ("it would miss the SLA, judged by another server and the loads that were measured on both", Some(by))
            }
        };
        let by = by.map(|by| self.runners[by].combination.id.as_str());
        let mut row = identity_of(sweep, &self.runners[index].combination);
        row.extend([
            ("reason".into(), reason.into()),
            ("dropped_by".into(), by.into()),
            ("confidence".into(), dropped.map(|dropped| dropped.confidence).into()),
            ("runs".into(), (runs as i64).into()),
            ("is_predicted".into(), Cell::Bool(runs == 0)),
        ]);
        row
    }
}

impl Course for Race {
    fn runs_of_each(&self) -> Option<usize> {
        None
    }

    fn next(&mut self, bench: &BenchPlan, ledger: &Ledger, round: u32) -> Result<Next, CourseError> {
        // What all runs say is looked at anew only where there is another one.
        let count = ledger.count();
        if self.entries.0 != Some(count) {
            self.goals.check(ledger, self.runners.iter().map(|runner| &runner.combination.id))?;
            self.entries = (Some(count), self.read(ledger));
        }
        let made = ledger.of(bench);
        let Some(index) = self.index.get(bench.combination.id.as_str()).copied() else { return Ok(Next::Enough) };
        let is_over = made.len() >= self.max_runs || count_of(made, round) > 0 || (round == 0 && !made.is_empty());
        Ok(if !is_over && self.wants(index, round) { Next::Run(Wanted::default()) } else { Next::Enough })
    }

    fn is_decided(&mut self, ledger: &Ledger) -> bool {
        let (entries, rules) = (self.read(ledger), self.rules());
        let standings = Standings::of(&entries, &rules);
        let is_open = |index: usize| {
            let made = ledger.of_id(&self.runners[index].combination.id).len();
            made < self.max_runs && standings.fate(index) == Fate::Open
        };
        !(0..entries.len()).any(is_open)
    }

    fn end(&mut self, ledger: &Ledger, writer: &SweepWriter) -> Result<(), StoreError> {
        let (entries, rules) = (self.read(ledger), self.rules());
        let standings = Standings::of(&entries, &rules);
        let runs = |index: usize| ledger.of_id(&self.runners[index].combination.id).len();
        let rows = (0..entries.len()).filter_map(|index| match standings.fate(index) {
            Fate::Dropped(dropped) => Some(self.row(writer.name(), index, runs(index), Some(dropped))),
            _ if entries[index].is_out => Some(self.row(writer.name(), index, runs(index), None)),
            Fate::Open | Fate::Settled => None,
        });
        writer.write_table(Table::Dropped, &rows.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ends_first_is_an_order(count in 0usize..200) {
            let mut order = ends_first((0..count).collect());
            prop_assert_eq!(order.first().copied(), (count > 0).then_some(0));
            prop_assert_eq!(order.get(1).copied(), (count > 1).then(|| count - 1));
            order.sort_unstable();
            prop_assert_eq!(order, (0..count).collect::<Vec<_>>());
        }
    }
}
