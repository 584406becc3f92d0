//! The SLA auto-tuner: for each combination and SLA the greatest load that meets it.

use super::commands::is_known_client;
use super::course::{Course, CourseError, Next};
use super::finding::{Finding, Runs, Variable, with_unlimited};
use super::ledger::Made;
use crate::id::text_hash;
use crate::plan::BenchPlan;
use crate::record::Row;
use crate::sla::{Answer, Domain, Sla, Status, Step, next_step, rounded};
use crate::store::{StoreError, SweepWriter};
use crate::words::nearest_name;
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

/// The course of `serve_sla`.
pub struct Tuner {
    options: TunerOptions,
    /// Runs that a combination had when the search for an SLA began.
    given: HashMap<(String, usize), usize>,
    /// Runs that a combination had when this sweep came to it.
    stored: HashMap<String, usize>,
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
            answers: Vec::new(),
            history: Vec::new(),
        }
    }

    /// The runs that count: those at an unlimited rate only where the search goes up to it.
    fn runs<'a>(&self, made: &'a [Made]) -> Runs<'a> {
        let runs = Runs::of(self.options.variable, made);
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

    /// The answer to an SLA, whether the search has ended or not.
    fn answer(&self, domain: &Domain, bench: &BenchPlan, index: usize, runs: &Runs<'_>) -> Option<Answer> {
        let sla = &self.options.slas[index];
        match next_step(domain, &runs.measured(sla, domain.max), self.given(bench, index)) {
            Step::Done(answer) if self.is_max_infinite() => Some(with_unlimited(answer, domain.max)),
            Step::Done(answer) => Some(answer),
            Step::Run(_) => runs.standing(sla, domain.tolerance).map(|answer| unfinished(answer, domain)),
        }
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
    fn runs_of_each(&self) -> Option<usize> {
        None
    }

    fn seed(&self, bench: &BenchPlan, number: i64) -> Option<u32> {
        let given = bench.command.flag(&["seed"]).unwrap_or_default();
        let takes_seeds = !given.is_empty() || is_known_client(&bench.command);
        let of = || seed_of(&format!("{given}\0{}\0{number}", bench.combination.id));
        (self.options.seeds == Seeds::Own && takes_seeds).then(of)
    }

    fn next(&mut self, bench: &BenchPlan, made: &[Made], _: u32) -> Result<Next, CourseError> {
        let stored = *self.stored.entry(bench.combination.id.to_string()).or_insert(made.len());
        check_metrics(&self.options.slas, &made[stored..])?;
        let variable = self.options.variable;
        let runs = self.runs(made);
        if let Some(value) = runs.value_with_fewer_than(self.options.num_runs) {
            return Ok(Next::Run(Some(variable.level(value))));
        }
        let Some(domain) = self.domain(bench, &runs) else {
            return match runs.count_at(f64::INFINITY) {
                (0, _) => Ok(Next::Run(Some(variable.level(f64::INFINITY)))),
                // Nothing can be tuned on a server that fails under load.
                (_, 0) => Ok(Next::Enough),
                _ => Err(CourseError::NoHighestRate),
            };
        };
        if let Some(min) = self.options.min.filter(|min| *min > domain.max) {
            return Err(CourseError::NothingBetween { min, max: domain.max });
        }
        for (index, sla) in self.options.slas.iter().enumerate() {
            let measured = runs.measured(sla, domain.max);
            // An answered search goes on where it was, and does not get its runs anew.
            let is_answered = self.answered.contains(&(bench.combination.id.to_string(), sla.to_string()));
            let given = if is_answered { 0 } else { measured.len() };
            let given = *self.given.entry((bench.combination.id.to_string(), index)).or_insert(given);
            if let Step::Run(value) = next_step(&domain, &measured, given) {
                let is_unlimited = self.is_max_infinite() && value == domain.max;
                return Ok(Next::Run(Some(variable.level(if is_unlimited { f64::INFINITY } else { value }))));
            }
        }
        Ok(Next::Enough)
    }

    fn conclude(&mut self, bench: &BenchPlan, made: &[Made], writer: &SweepWriter) -> Result<(), StoreError> {
        let runs = self.runs(made);
        let stored = self.stored.get(bench.combination.id.as_str()).copied().unwrap_or(made.len());
        let can_tell = check_metrics(&self.options.slas, &made[stored..]).is_ok();
        let Some(domain) = self.domain(bench, &runs).filter(|_| can_tell) else { return Ok(()) };
        for (index, sla) in self.options.slas.clone().iter().enumerate() {
            let Some(answer) = self.answer(&domain, bench, index, &runs) else { continue };
            let finding = Finding::new(writer.name(), &bench.combination, sla, &runs, answer);
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
    match metrics.into_iter().find(|metric| !result.contains_key(*metric)) {
        None => Ok(()),
        Some(metric) => {
            let nearest = nearest_name(metric, result.keys().map(String::as_str));
            Err(CourseError::NotReported { metric: metric.clone(), nearest })
        }
    }
}
