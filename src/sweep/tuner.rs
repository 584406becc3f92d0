//! The SLA auto-tuner: for each combination and SLA the greatest load that meets it.

use super::amount::Amount;
use super::commands::{can_be_told, is_own_client};
use super::course::{Course, CourseError, Next, Wanted};
use super::event::SearchState;
use super::finding::Finding;
use super::ledger::{Detail, Ledger, Made};
use super::runs::{Counted, EXTENSIONS, Runs, Search, with_unlimited};
use super::variable::Variable;
use crate::id::text_hash;
use crate::plan::BenchPlan;
use crate::record::Row;
use crate::sla::{Answer, Domain, Sla, Status, Step, next_step, rounded};
use crate::store::{StoreError, SweepWriter};
use std::collections::{HashMap, HashSet};

/// How to search.
#[derive(Clone, Debug)]
pub struct TunerOptions {
    pub slas: Vec<Sla>,
    pub variable: Variable,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// Relative; `None`: adjacent integers, or 1 % of a rate.
    pub tolerance: Option<f64>,
    /// Runs for one SLA of one combination.
    pub max_iters: usize,
    /// Runs of each level at least.
    pub num_runs: usize,
    pub seeds: Seeds,
    /// Seconds that the steady part of a run lasts at least; 0: as many prompts as the command says.
    pub min_duration: f64,
}

/// By what runs draw their prompts and arrival times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// Each by its own: what differs between runs is what differs between hours of real traffic.
    Own,
    /// All by the command's: runs differ by the server alone.
    OfCommand,
}

/// The least rate that is tried, as a share of the highest.
const LEAST_RATE: f64 = 0.005;

/// Where the answer is near, runs last so many times as long: close to what a server can bear it takes its time to show.
pub const NEAR_TIMES: f64 = 3.0;
/// It is near when the least failing value is so many times the greatest passing one.
const NEAR_RATIO: f64 = 1.3;

/// The course of `serve_sla`.
pub struct Tuner {
    options: TunerOptions,
    /// Runs that a combination had when the search for an SLA began.
    given: HashMap<(String, usize), usize>,
    /// Runs that a combination had when this sweep came to it.
    stored: HashMap<String, usize>,
    /// The SLA of each combination that the latest run was asked for.
    searched: HashMap<String, usize>,
    /// Combinations with SLAs that were answered by a sweep that had ended.
    answered: HashSet<(String, String)>,
    answers: Vec<Row>,
    history: Vec<Row>,
}

impl Tuner {
    pub fn new(options: TunerOptions, answered: HashSet<(String, String)>) -> Self {
        Self {
            options,
            answered,
            given: HashMap::new(),
            stored: HashMap::new(),
            searched: HashMap::new(),
            answers: Vec::new(),
            history: Vec::new(),
        }
    }

    /// The runs that count: those at an unlimited rate only where the search goes up to it.
    fn runs<'a>(&self, bench: &BenchPlan, made: &'a [Made]) -> Runs<'a> {
        let runs = Runs::of(self.options.variable, made);
        let runs = if self.chooses_prompts(bench) { runs.sustained() } else { runs };
        if self.is_max_infinite() { runs } else { runs.limited() }
    }

    /// Between which values is searched, once that is known: a rate needs a run at full load first.
    fn domain(&self, bench: &BenchPlan, runs: &Runs<'_>) -> Option<Domain> {
        let options = &self.options;
        let max = match (options.max, options.variable) {
            (Some(max), _) => max,
            (None, Variable::MaxConcurrency) => f64::from(bench.num_prompts()),
            (None, Variable::RequestRate) => runs.unlimited()?,
        };
        let least = match options.variable {
            Variable::MaxConcurrency => 1.0,
            Variable::RequestRate => rounded(max * LEAST_RATE, options.variable.default_tolerance()),
        };
        Some(Domain {
            min: options.min.unwrap_or(least).min(max),
            max,
            is_integer: options.variable.is_integer(),
            tolerance: options.tolerance.unwrap_or(options.variable.default_tolerance()),
            max_runs: options.max_iters,
        })
    }

    /// Whether a run at the domain's greatest value is one at an infinite rate.
    fn is_max_infinite(&self) -> bool {
        self.options.max.is_none() && self.options.variable == Variable::RequestRate
    }

    fn given(&self, bench: &BenchPlan, sla: usize) -> usize {
        self.given.get(&(bench.combination.id.to_string(), sla)).copied().unwrap_or(0)
    }

    /// The runs that count for an SLA, and what the search may still make of its own.
    fn counted<'a>(&self, domain: &Domain, bench: &BenchPlan, index: usize, runs: &Runs<'a>) -> (Domain, Counted<'a>) {
        let counted = match self.chooses_prompts(bench) {
            true => runs.counted(&self.options.slas[index], self.given(bench, index), Search::GoesOn),
            false => {
                let given = self.given(bench, index);
                let given = runs.first(given).measured(&self.options.slas[index], domain.max).len();
                Counted { runs: runs.clone(), given, left_out: 0 }
            }
        };
        let max_runs = domain.max_runs.saturating_sub(counted.left_out);
        (Domain { max_runs, ..*domain }, counted)
    }

    fn step(&self, domain: &Domain, bench: &BenchPlan, index: usize, runs: &Runs<'_>) -> Step {
        let (domain, counted) = self.counted(domain, bench, index, runs);
        next_step(&domain, &counted.runs.measured(&self.options.slas[index], domain.max), counted.given)
    }

    /// The answer to an SLA, whether the search has ended or not, from the runs that count for it.
    fn answer(&self, domain: &Domain, sla: &Sla, counted: &Counted<'_>) -> Option<Answer> {
        match next_step(domain, &counted.runs.measured(sla, domain.max), counted.given) {
            Step::Done(answer) if self.is_max_infinite() => Some(with_unlimited(answer, domain.max)),
            Step::Done(answer) => Some(answer),
            Step::Run(_) => counted.runs.standing(sla, domain.tolerance).map(|answer| unfinished(answer, domain)),
        }
    }

    /// After how many of the runs the search for an SLA had ended.
    fn ended_after(&self, index: usize, domain: &Domain, bench: &BenchPlan, runs: &Runs<'_>) -> usize {
        let from = self.given(bench, index);
        let has_ended = |count: &usize| matches!(self.step(domain, bench, index, &runs.first(*count)), Step::Done(_));
        (from..runs.count()).find(has_ended).unwrap_or(runs.count())
    }

    /// Whether the search says how many prompts a run sends: where they are no parameter, and the client is one that is known.
    fn chooses_prompts(&self, bench: &BenchPlan) -> bool {
        let is_parameter = bench.combination.bench.get("num_prompts").is_some();
        let takes_them = bench.command.flag(&["num-prompts"]).is_some() || can_be_told(&bench.command);
        self.options.min_duration > 0.0 && !is_parameter && takes_them
    }

    /// A run at a value, as long as what is known so far asks for.
    fn wanted(&self, bench: &BenchPlan, value: f64, index: usize, runs: &Runs<'_>) -> Wanted {
        let level = self.options.variable.level(value);
        if value.is_infinite() || !self.chooses_prompts(bench) {
            return Wanted::at(level);
        }
        let sla = &self.options.slas[index];
        let extended = 2f64.powi(runs.unclear(sla).min(EXTENSIONS) as i32);
        let times = if self.is_near(sla, runs) { NEAR_TIMES } else { 1.0 };
        let seconds = self.options.min_duration * times * extended;
        let amount = Amount { bench, slas: &self.options.slas, runs, seconds };
        Wanted { num_prompts: Some(amount.prompts(value)), ..Wanted::at(level) }
    }

    /// Whether the boundary is known well enough to look closely. A closed loop can't pile up.
    fn is_near(&self, sla: &Sla, runs: &Runs<'_>) -> bool {
        let measured = runs.measured(sla, f64::INFINITY);
        let passing = measured.iter().filter(|run| run.margin <= 0.0).map(|run| run.value).fold(0.0, f64::max);
        let failing = measured.iter().filter(|run| run.margin > 0.0).map(|run| run.value).fold(f64::INFINITY, f64::min);
        self.options.variable == Variable::RequestRate && failing < NEAR_RATIO * passing
    }

    /// The SLAs that are not answered yet, of which `first` is one: while one of them can be met, a run is worth its time.
    fn open(&self, first: usize, domain: &Domain, bench: &BenchPlan, runs: &Runs<'_>) -> Vec<String> {
        let later = (first + 1..self.options.slas.len())
            .filter(|index| matches!(self.step(domain, bench, *index, runs), Step::Run(_)));
        std::iter::once(first).chain(later).map(|index| self.options.slas[index].to_string()).collect()
    }
}

/// A seed that a text always gives; clients take 32 bits.
fn seed_of(text: &str) -> u32 {
    u32::from_str_radix(text_hash(text).get(..8).unwrap_or_default(), 16).unwrap_or(0)
}

/// An answer of a search that was cut short: what holds at the ends of what was measured need not hold everywhere.
fn unfinished(answer: Answer, domain: &Domain) -> Answer {
    let is_everywhere = match answer.status {
        Status::PassesEverywhere => answer.lower.is_some_and(|value| value >= domain.max),
        Status::FailsEverywhere => answer.upper.is_some_and(|value| value <= domain.min),
        Status::Found | Status::Wide => true,
    };
    if is_everywhere { answer } else { Answer { status: Status::Wide, ..answer } }
}

impl Course for Tuner {
    fn detail(&self) -> Detail {
        Detail::Requests
    }

    fn runs_of_each(&self) -> Option<usize> {
        None
    }

    fn state(&self, bench: &BenchPlan, made: &[Made]) -> Option<SearchState> {
        let index = *self.searched.get(bench.combination.id.as_str())?;
        let (runs, sla) = (self.runs(bench, made), &self.options.slas[index]);
        let measured = runs.counted(sla, 0, Search::GoesOn).runs.measured(sla, f64::INFINITY);
        let failed = measured.iter().filter(|run| run.margin > 0.0).map(|run| run.value).reduce(f64::min);
        let passed = measured.iter().filter(|run| run.margin <= 0.0 && failed.is_none_or(|failed| run.value < failed));
        let latest =
            made.last().map(std::slice::from_ref).map(|last| self.runs(bench, last).measured(sla, f64::INFINITY));
        Some(SearchState {
            sla: sla.name.clone().unwrap_or_else(|| sla.to_string()),
            variable: self.options.variable.key(),
            passed: passed.map(|run| run.value).reduce(f64::max),
            failed: failed.filter(|value| value.is_finite()),
            last_margin: latest.and_then(|latest| latest.first().map(|run| run.margin)),
            most_runs: self.options.max_iters.saturating_sub(runs.count() - self.given(bench, index)),
            run_seconds: measured.last().and_then(|run| run.seconds),
        })
    }

    fn seed(&self, bench: &BenchPlan, number: i64) -> Option<u32> {
        let given = bench.command.flag(&["seed"]).unwrap_or_default();
        let takes_seeds = !given.is_empty() || can_be_told(&bench.command);
        let of = || seed_of(&format!("{given}\0{}\0{number}", bench.combination.id));
        (self.options.seeds == Seeds::Own && takes_seeds).then(of)
    }

    fn next(&mut self, bench: &BenchPlan, ledger: &Ledger, _: u32) -> Result<Next, CourseError> {
        let made = ledger.of(bench);
        let stored = *self.stored.entry(bench.combination.id.to_string()).or_insert(made.len());
        check_metrics(&self.options.slas, &made[stored..])?;
        let variable = self.options.variable;
        let runs = self.runs(bench, made);
        if let Some(value) = runs.value_with_fewer_than(self.options.num_runs) {
            return Ok(Next::Run(self.wanted(bench, value, 0, &runs)));
        }
        let Some(domain) = self.domain(bench, &runs) else {
            return match runs.count_at(f64::INFINITY) {
                (0, _) => Ok(Next::Run(Wanted::at(variable.level(f64::INFINITY)))),
                // Nothing can be tuned on a server that fails under load.
                (_, 0) => Ok(Next::Enough),
                _ => Err(CourseError::NoHighestRate),
            };
        };
        if let Some(min) = self.options.min.filter(|min| *min > domain.max) {
            return Err(CourseError::NothingBetween { min, max: domain.max });
        }
        for (index, sla) in self.options.slas.iter().enumerate() {
            let id = bench.combination.id.to_string();
            if !self.given.contains_key(&(id.clone(), index)) {
                // A search that goes on does not get its runs anew.
                let is_answered = self.answered.contains(&(id.clone(), sla.to_string()));
                let is_interrupted = stored > 0 && !self.answered.iter().any(|(combination, _)| *combination == id);
                let given = match (is_answered, is_interrupted, index.checked_sub(1)) {
                    (true, ..) | (_, true, None) => 0,
                    (_, true, Some(before)) => self.ended_after(before, &domain, bench, &runs),
                    (_, false, _) => runs.count(),
                };
                self.given.insert((id, index), given);
            }
            if let Step::Run(value) = self.step(&domain, bench, index, &runs) {
                let is_unlimited = self.is_max_infinite() && value == domain.max;
                let value = if is_unlimited { f64::INFINITY } else { value };
                let mut wanted = self.wanted(bench, value, index, &runs);
                if is_own_client(&bench.command) && !is_unlimited {
                    wanted.stop_when_missed = self.open(index, &domain, bench, &runs);
                }
                self.searched.insert(bench.combination.id.to_string(), index);
                return Ok(Next::Run(wanted));
            }
        }
        Ok(Next::Enough)
    }

    fn conclude(&mut self, bench: &BenchPlan, made: &[Made], writer: &SweepWriter) -> Result<(), StoreError> {
        let runs = self.runs(bench, made);
        let stored = self.stored.get(bench.combination.id.as_str()).copied().unwrap_or(made.len());
        let can_tell = check_metrics(&self.options.slas, &made[stored..]).is_ok();
        let Some(domain) = self.domain(bench, &runs).filter(|_| can_tell) else { return Ok(()) };
        for (index, sla) in self.options.slas.clone().iter().enumerate() {
            let (domain, counted) = self.counted(&domain, bench, index, &runs);
            let Some(answer) = self.answer(&domain, sla, &counted) else { continue };
            let finding = Finding::new(writer.name(), &bench.combination, sla, &counted.runs, answer);
            self.answers.push(finding.row());
            self.history.extend(finding.history());
            writer.write_findings(&bench.combination, &sla.file_text(), &finding.to_json())?;
        }
        writer.write_slas(&self.answers, &self.history)
    }
}

/// SLAs on metrics that the benchmark does not report can't be met or broken: told after the first run that is made.
fn check_metrics(slas: &[Sla], made: &[Made]) -> Result<(), CourseError> {
    let Some(result) = made.iter().find_map(|made| made.metrics.as_ref()) else { return Ok(()) };
    let metrics = slas.iter().flat_map(|sla| &sla.constraints).map(|constraint| &constraint.metric);
    let missing = metrics.into_iter().find(|metric| !result.contains_key(*metric));
    missing.map_or(Ok(()), |metric| Err(CourseError::not_reported(metric, result)))
}
