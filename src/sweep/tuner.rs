//! The SLA auto-tuner: for each combination and SLA the greatest load that meets it.

use super::course::{Course, Made, Next};
use super::finding::{Finding, Runs, Variable, with_unlimited};
use crate::plan::{BenchPlan, nearest_name};
use crate::record::Row;
use crate::sla::{Answer, Domain, Sla, Step, next_step, rounded};
use crate::store::{StoreError, SweepWriter};
use std::collections::HashMap;

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
}

/// The least rate that is tried, as a share of the highest.
const LEAST_RATE: f64 = 0.005;

/// The course of `serve_sla`.
pub struct Tuner {
    options: TunerOptions,
    /// Runs that a combination had when the search for an SLA began.
    given: HashMap<(String, usize), usize>,
    answers: Vec<Row>,
    history: Vec<Row>,
}

impl Tuner {
    pub fn new(options: TunerOptions) -> Self {
        Self { options, given: HashMap::new(), answers: Vec::new(), history: Vec::new() }
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
            Step::Run(_) => runs.standing(sla, domain.tolerance),
        }
    }
}

impl Course for Tuner {
    fn runs_of_each(&self) -> Option<usize> {
        None
    }

    fn next(&mut self, bench: &BenchPlan, made: &[Made]) -> Result<Next, String> {
        check_metrics(&self.options.slas, made)?;
        let variable = self.options.variable;
        let runs = Runs::of(variable, made);
        if let Some(value) = runs.value_with_fewer_than(self.options.num_runs) {
            return Ok(Next::Run(Some(variable.level(value))));
        }
        let Some(domain) = self.domain(bench, &runs) else {
            return match runs.is_empty() {
                true => Ok(Next::Run(Some(variable.level(f64::INFINITY)))),
                false => Err("the run at an unlimited request rate has no request_throughput; give --sla-max".into()),
            };
        };
        for (index, sla) in self.options.slas.iter().enumerate() {
            let measured = runs.measured(sla, domain.max);
            let key = (bench.combination.id.to_string(), index);
            let given = *self.given.entry(key).or_insert(measured.len());
            if let Step::Run(value) = next_step(&domain, &measured, given) {
                let is_unlimited = self.is_max_infinite() && value == domain.max;
                return Ok(Next::Run(Some(variable.level(if is_unlimited { f64::INFINITY } else { value }))));
            }
        }
        Ok(Next::Enough)
    }

    fn conclude(&mut self, bench: &BenchPlan, made: &[Made], writer: &SweepWriter) -> Result<(), StoreError> {
        let runs = Runs::of(self.options.variable, made);
        let can_tell = check_metrics(&self.options.slas, made).is_ok();
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

/// SLAs on metrics that the benchmark does not report can't be met or broken: told after the first run.
fn check_metrics(slas: &[Sla], made: &[Made]) -> Result<(), String> {
    let Some(result) = made.iter().find_map(|made| made.result.as_ref()) else { return Ok(()) };
    let metrics = slas.iter().flat_map(|sla| &sla.constraints).map(|constraint| &constraint.metric);
    match metrics.into_iter().find(|metric| !result.contains_key(*metric)) {
        None => Ok(()),
        Some(metric) => {
            let nearest = nearest_name(metric, result.keys().map(String::as_str));
            let hint = nearest.map_or(".".to_owned(), |name| format!("; did you mean `{name}`?"));
            Err(format!(
                "--sla-params: the benchmark reports no `{metric}`{hint} The run is kept: correct the file and --resume"
            ))
        }
    }
}
