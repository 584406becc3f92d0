//! The SLA auto-tuner: for each combination and SLA the greatest load that meets it.

use super::course::{Course, Made, Next};
use crate::metric::label;
use crate::plan::{BenchPlan, Combination, Level, nearest_name};
use crate::record::{Cell, Row};
use crate::sla::{Answer, Distance, Domain, Measured, Sla, Status, Step, next_step, standing};
use crate::store::{StoreError, SweepWriter};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// What the tuner turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    RequestRate,
    MaxConcurrency,
}

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

const RATE_TOLERANCE: f64 = 0.01;
/// Beyond so many times the rate that a saturated server completes, a higher rate changes little.
const SATURATED: f64 = 2.0;
/// The least rate that is tried, as a share of the highest.
const LEAST_RATE: f64 = 0.005;

impl Variable {
    pub fn key(self) -> &'static str {
        match self {
            Self::RequestRate => "request_rate",
            Self::MaxConcurrency => "max_concurrency",
        }
    }

    pub fn is_integer(self) -> bool {
        self == Self::MaxConcurrency
    }

    /// The level of a value; an infinite rate is written as vLLM writes it.
    fn level(self, value: f64) -> Level {
        let value = match self {
            _ if value.is_infinite() => json!("inf"),
            Self::MaxConcurrency => json!(value as i64),
            Self::RequestRate => json!(value),
        };
        Level { variable: self.key().into(), value }
    }

    /// The value of a level of this variable.
    fn value_of(self, level: &Level) -> Option<f64> {
        let is_own = level.variable == self.key();
        let value = level.value.as_f64().or_else(|| (level.value == json!("inf")).then_some(f64::INFINITY));
        value.filter(|_| is_own)
    }
}

/// The course of `serve_sla`.
pub struct Tuner {
    options: TunerOptions,
    /// Runs that a combination had when the search for an SLA began.
    given: HashMap<(String, usize), usize>,
    answers: Vec<Row>,
    history: Vec<Row>,
}

/// All runs of one combination at values of the variable.
struct Runs<'a> {
    variable: Variable,
    runs: Vec<(f64, Option<&'a Map<String, Value>>)>,
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
            (None, Variable::RequestRate) => SATURATED * runs.mean(f64::INFINITY, "request_throughput")?,
        };
        let least = match options.variable {
            Variable::MaxConcurrency => 1.0,
            Variable::RequestRate => max * LEAST_RATE,
        };
        Some(Domain {
            min: options.min.unwrap_or(least).min(max),
            max,
            is_integer: options.variable.is_integer(),
            tolerance: options.tolerance.unwrap_or(match options.variable {
                Variable::MaxConcurrency => 0.0,
                Variable::RequestRate => RATE_TOLERANCE,
            }),
            max_runs: options.max_iters,
        })
    }

    /// Whether a run at the domain's greatest value is one at an infinite rate.
    fn is_max_infinite(&self) -> bool {
        self.options.max.is_none() && self.options.variable == Variable::RequestRate
    }

    fn measured(&self, domain: &Domain, runs: &Runs<'_>, sla: &Sla) -> Vec<Measured> {
        let of = |&(value, result): &(f64, Option<&Map<String, Value>>)| {
            let distance = result.map_or(Distance::hopeless(), |result| sla.distance(|key| number(result, key)));
            Measured { value: if value.is_infinite() { domain.max } else { value }, margin: distance.margin }
        };
        runs.runs.iter().map(of).collect()
    }

    fn given(&self, bench: &BenchPlan, sla: usize) -> usize {
        self.given.get(&(bench.combination.id.to_string(), sla)).copied().unwrap_or(0)
    }

    /// The answer to an SLA, whether the search has ended or not.
    fn answer(&self, domain: &Domain, bench: &BenchPlan, index: usize, measured: &[Measured]) -> Option<Answer> {
        let step = next_step(domain, measured, self.given(bench, index));
        let mut answer = match step {
            Step::Done(answer) => answer,
            Step::Run(_) => standing(domain.is_integer, domain.tolerance, measured)?,
        };
        if self.is_max_infinite() {
            let reaches_max = |value: &Option<f64>| *value == Some(domain.max);
            if reaches_max(&answer.upper) && answer.status == Status::Found {
                // Between twice the saturated rate and no limit at all nothing was measured.
                answer.status = Status::Wide;
            }
            for end in [&mut answer.value, &mut answer.lower, &mut answer.upper] {
                if reaches_max(end) {
                    *end = Some(f64::INFINITY);
                }
            }
        }
        Some(answer)
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
            return match runs.runs.is_empty() {
                true => Ok(Next::Run(Some(variable.level(f64::INFINITY)))),
                false => Err("the run at an unlimited request rate has no request_throughput; give --sla-max".into()),
            };
        };
        for (index, sla) in self.options.slas.iter().enumerate() {
            let measured = self.measured(&domain, &runs, sla);
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
        let Some(domain) = self.domain(bench, &runs) else { return Ok(()) };
        for (index, sla) in self.options.slas.clone().iter().enumerate() {
            let measured = self.measured(&domain, &runs, sla);
            let Some(answer) = self.answer(&domain, bench, index, &measured) else { continue };
            let finding = Finding { sweep: writer.name(), combination: &bench.combination, sla, runs: &runs, answer };
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
            let hint = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            Err(format!("--sla-params: the benchmark reports no `{metric}`{hint} The run is kept: correct the file and --resume"))
        }
    }
}

impl<'a> Runs<'a> {
    fn of(variable: Variable, made: &'a [Made]) -> Self {
        let at = |made: &'a Made| Some((variable.value_of(made.level.as_ref()?)?, made.result.as_ref()));
        Self { variable, runs: made.iter().filter_map(at).collect() }
    }

    fn values(&self) -> Vec<f64> {
        let mut values: Vec<f64> = self.runs.iter().map(|run| run.0).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        values
    }

    fn at(&self, value: f64) -> impl Iterator<Item = Option<&'a Map<String, Value>>> {
        self.runs.iter().filter(move |run| run.0 == value).map(|run| run.1)
    }

    fn value_with_fewer_than(&self, count: usize) -> Option<f64> {
        self.values().into_iter().find(|value| self.at(*value).count() < count)
    }

    /// The mean of a metric over the runs at a value that have it.
    fn mean(&self, value: f64, key: &str) -> Option<f64> {
        let numbers: Vec<f64> = self.at(value).flatten().filter_map(|result| number(result, key)).collect();
        (!numbers.is_empty()).then(|| crate::stats::mean(&numbers))
    }

    /// The distance of the mean of all runs at a value.
    fn distance(&self, value: f64, sla: &Sla) -> Distance {
        sla.distance(|key| self.mean(value, key))
    }
}

/// What was found for one SLA of one combination.
struct Finding<'a> {
    sweep: &'a str,
    combination: &'a Combination,
    sla: &'a Sla,
    runs: &'a Runs<'a>,
    answer: Answer,
}

impl Finding<'_> {
    /// The row of table `sla`.
    fn row(&self) -> Row {
        let answer = &self.answer;
        let nearest = self.nearest_level();
        let at_level = |key: &str| Cell::from(nearest.and_then(|value| self.runs.mean(value, key)));
        let mut row = self.identity();
        row.extend([
            ("sla_name".to_owned(), self.sla.name.as_deref().into()),
            ("variable".to_owned(), self.runs.variable.key().into()),
            ("value".to_owned(), answer.value.into()),
            ("lower".to_owned(), answer.lower.into()),
            ("upper".to_owned(), answer.upper.into()),
            ("status".to_owned(), answer.status.as_str().into()),
            ("confidence".to_owned(), answer.confidence.into()),
            ("is_monotone".to_owned(), Cell::Bool(answer.is_monotone)),
            ("binding".to_owned(), self.binding().map(|(index, _)| self.sla.constraints[index].metric.as_str()).into()),
            ("reason".to_owned(), self.reason().as_str().into()),
            ("runs".to_owned(), (self.runs.runs.len() as i64).into()),
            ("levels".to_owned(), (self.runs.values().len() as i64).into()),
            ("measured_value".to_owned(), nearest.into()),
            ("output_throughput".to_owned(), at_level("output_throughput")),
            ("request_throughput".to_owned(), at_level("request_throughput")),
        ]);
        row
    }

    /// The rows of table `sla_history`: one for each measured value.
    fn history(&self) -> Vec<Row> {
        let rows = self.runs.values().into_iter().map(|value| {
            let distance = self.runs.distance(value, self.sla);
            let mut row = self.identity();
            row.extend([
                ("variable".to_owned(), self.runs.variable.key().into()),
                ("value".to_owned(), value.into()),
                ("runs".to_owned(), (self.runs.at(value).count() as i64).into()),
                ("failed_runs".to_owned(), (self.runs.at(value).filter(Option::is_none).count() as i64).into()),
                ("margin".to_owned(), distance.margin.into()),
                ("passes".to_owned(), Cell::Bool(distance.margin <= 0.0)),
                ("binding".to_owned(), self.sla.constraints[distance.binding].metric.as_str().into()),
            ]);
            let metrics = self.sla.constraints.iter().map(|constraint| &constraint.metric);
            row.extend(metrics.map(|metric| (metric.clone(), self.runs.mean(value, metric).into())));
            row
        });
        rows.collect()
    }

    fn identity(&self) -> Row {
        let params = |set: &crate::params::ParamSet| Cell::Text(Value::Object(set.to_record()).to_string());
        vec![
            ("sweep".to_owned(), self.sweep.into()),
            ("combination".to_owned(), self.combination.id.as_str().into()),
            ("serve_params".to_owned(), params(&self.combination.serve)),
            ("bench_params".to_owned(), params(&self.combination.bench)),
            ("sla".to_owned(), self.sla.to_string().as_str().into()),
        ]
    }

    /// The measured value next to the answer.
    fn nearest_level(&self) -> Option<f64> {
        let wanted = self.answer.value?;
        let distance = |value: &f64| if *value == wanted { 0.0 } else { (value / wanted).ln().abs() };
        self.runs.values().into_iter().min_by(|left, right| distance(left).total_cmp(&distance(right)))
    }

    /// The constraint that breaks first above the answer, and the value at which it was seen broken.
    fn binding(&self) -> Option<(usize, f64)> {
        let above = self.runs.values().into_iter().filter(|value| self.answer.value.is_none_or(|found| *value > found));
        let broken = above.map(|value| (value, self.runs.distance(value, self.sla)));
        broken.into_iter().find(|(_, distance)| distance.margin > 0.0).map(|(value, distance)| (distance.binding, value))
    }

    /// The answer in words.
    fn reason(&self) -> String {
        let name = label(self.runs.variable.key());
        let breach = self.binding().map(|(index, value)| {
            let constraint = &self.sla.constraints[index];
            let seen = self.runs.mean(value, &constraint.metric);
            (value, seen.map_or("the run failed".to_owned(), |seen| constraint.breach(seen)))
        });
        match (self.answer.status, breach) {
            (Status::PassesEverywhere, _) => "even the greatest value meets the SLA".into(),
            (Status::FailsEverywhere, Some((value, breach))) => format!("even {value} fails: {breach}"),
            (_, Some((value, breach))) => format!("{name} {value} fails: {breach}"),
            (_, None) => String::new(),
        }
    }

    /// What vLLM keeps beside the levels: a list of them with their metrics.
    fn to_json(&self) -> Value {
        let levels = self.history().into_iter().map(|row| {
            let columns = row.into_iter().skip(5).map(|(name, cell)| (name, cell.to_json()));
            Value::Object(columns.collect())
        });
        levels.collect()
    }
}

fn number(result: &Map<String, Value>, key: &str) -> Option<f64> {
    match Cell::of_json(result.get(key)?) {
        Cell::Int(value) => Some(value as f64),
        Cell::Float(value) => Some(value),
        _ => None,
    }
}
