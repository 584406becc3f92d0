//! What runs at several values of a variable say about an SLA, as rows of tables.

use super::ledger::Made;
use super::runs::Runs;
use crate::metric::label;
use crate::params::ParamSet;
use crate::plan::Combination;
use crate::record::{self, Cell, Row};
use crate::sla::{Answer, Sla, Standing, Status};
use serde_json::Value;

/// What names a combination of a sweep in a table.
pub fn identity_of(sweep: &str, of: &Combination) -> Row {
    let params = |set: &ParamSet| Cell::Text(Value::Object(set.to_record()).to_string());
    vec![
        ("sweep".into(), sweep.into()),
        ("combination".into(), of.id.as_str().into()),
        ("serve_params".into(), params(&of.serve)),
        ("bench_params".into(), params(&of.bench)),
    ]
}

/// What was found for one SLA of one combination.
pub struct Finding<'a> {
    sweep: &'a str,
    combination: &'a Combination,
    sla: &'a Sla,
    runs: &'a Runs<'a>,
    answer: Answer,
    /// How likely each measured value passes.
    passing: Vec<(f64, f64)>,
    /// The greatest load that meets the other constraints, where it is too low for one.
    starved_at: Option<f64>,
}

impl<'a> Finding<'a> {
    /// Puts an answer together. Where the load may go no higher, constraints that want a high load must hold, too.
    pub fn new(sweep: &'a str, combination: &'a Combination, sla: &'a Sla, runs: &'a Runs<'a>, answer: Answer) -> Self {
        let finding = Self { sweep, combination, sla, runs, answer, passing: runs.passing(sla), starved_at: None };
        let is_starved = finding.nearest_level().is_some_and(|value| {
            let distance = runs.distance(value, sla);
            distance.margin > 0.0 && !runs.breakable(sla).constraints.contains(&sla.constraints[distance.binding])
        });
        let answer = match is_starved {
            true => Answer { status: Status::FailsEverywhere, value: None, lower: None, upper: None, ..answer },
            false => answer,
        };
        Self { answer, starved_at: is_starved.then(|| finding.nearest_level()).flatten(), ..finding }
    }

    /// The row of table `sla`.
    pub fn row(&self) -> Row {
        let answer = &self.answer;
        let nearest = self.nearest_level();
        let at_level = |key: &str| Cell::from(nearest.and_then(|value| self.runs.mean(value, key)));
        let mut row = self.identity();
        row.extend([
            ("sla_name".into(), self.sla.name.as_deref().into()),
            ("variable".into(), self.runs.variable.key().into()),
            ("value".into(), answer.value.into()),
            ("lower".into(), answer.lower.into()),
            ("upper".into(), answer.upper.into()),
            ("status".into(), answer.status.as_str().into()),
            ("confidence".into(), answer.confidence.into()),
            ("boundary_low".into(), answer.interval.map(|interval| interval.0).into()),
            ("boundary_high".into(), answer.interval.map(|interval| interval.1).into()),
            ("is_monotone".into(), Cell::Bool(answer.is_monotone)),
            ("binding".into(), self.binding().map(|(index, _)| self.sla.constraints[index].metric.as_str()).into()),
            ("reason".into(), self.reason().as_str().into()),
            ("runs".into(), (self.runs.runs.len() as i64).into()),
            ("levels".into(), (self.runs.values().len() as i64).into()),
            ("gpu_count".into(), self.runs.runs.iter().find_map(|run| run.1.gpu_count).into()),
            ("measured_value".into(), nearest.into()),
            ("output_throughput".into(), at_level("output_throughput")),
            ("request_throughput".into(), at_level("request_throughput")),
        ]);
        row
    }

    /// The rows of table `sla_history`: one for each measured value.
    pub fn history(&self) -> Vec<Row> {
        let rows = self.runs.values().into_iter().map(|value| {
            let distance = self.runs.distance(value, self.sla);
            let with_status =
                |status: record::Status| self.runs.at(value).filter(|made| made.status == status).count() as i64;
            let mut row = self.identity();
            row.extend([
                ("variable".into(), self.runs.variable.key().into()),
                ("value".into(), value.into()),
                ("runs".into(), (self.runs.at(value).count() as i64).into()),
                ("failed_runs".into(), with_status(record::Status::Failed).into()),
                ("degraded_runs".into(), with_status(record::Status::Degraded).into()),
                ("margin".into(), distance.margin.into()),
                ("pass_probability".into(), self.passes(value).into()),
                ("passes".into(), self.passes(value).map_or(Cell::Null, |passes| Cell::Bool(passes > 0.5))),
                ("binding".into(), self.sla.constraints[distance.binding].metric.as_str().into()),
            ]);
            let metrics = self.sla.constraints.iter().map(|constraint| &constraint.metric);
            row.extend(metrics.map(|metric| (metric.clone().into(), self.runs.mean(value, metric).into())));
            row
        });
        rows.collect()
    }

    fn identity(&self) -> Row {
        let mut row = identity_of(self.sweep, self.combination);
        row.push(("sla".into(), self.sla.to_string().as_str().into()));
        row
    }

    /// The measured value next to the answer.
    fn nearest_level(&self) -> Option<f64> {
        let wanted = self.answer.value?;
        let distance = |value: &f64| if *value == wanted { 0.0 } else { (value / wanted).ln().abs() };
        self.runs.values().into_iter().min_by(|left, right| distance(left).total_cmp(&distance(right)))
    }

    /// How likely it is that a value passes; nothing of runs that tell nothing of the SLA.
    fn passes(&self, value: f64) -> Option<f64> {
        self.passing.iter().find(|(other, _)| *other == value).map(|(_, passes)| *passes)
    }

    /// The constraint that breaks first above the answer, and the value at which it was seen broken.
    fn binding(&self) -> Option<(usize, f64)> {
        if let Some(value) = self.starved_at {
            return Some((self.runs.distance(value, self.sla).binding, value));
        }
        let mut above =
            self.runs.values().into_iter().filter(|value| self.answer.value.is_none_or(|found| *value > found));
        let fails = |value: &f64| self.passes(*value).is_some_and(|passes| passes <= 0.5);
        above.find(fails).map(|value| (self.runs.distance(value, self.sla).binding, value))
    }

    /// The answer in words.
    fn reason(&self) -> String {
        let name = label(self.runs.variable.key());
        let breach = self.binding().map(|(index, value)| {
            let constraint = &self.sla.constraints[index];
            let breach = match (self.runs.obstacle(value), self.runs.mean(value, &constraint.metric)) {
                (Some(obstacle), _) => obstacle,
                (None, Some(seen)) if constraint.margin(seen) <= 0.0 => {
                    format!("its own runs meet {constraint}, but runs at neighboring loads suggest that this was luck")
                }
                (None, Some(seen)) => constraint.breach(seen),
                (None, None) if self.runs.count_at(value).1 == 0 => "the run failed".to_owned(),
                (None, None) => format!("{} is unknown: {UNBOUNDED}", constraint.metric),
            };
            (value, breach)
        });
        match (self.answer.status, breach) {
            (Status::PassesEverywhere, _) => "even the highest value meets the SLA".into(),
            (Status::FailsEverywhere, Some((value, breach))) if self.starved_at.is_some() => {
                format!("{name} {value} is the highest that meets the other constraints, but {breach}")
            }
            (Status::FailsEverywhere, Some((value, breach))) => format!("even {value} fails: {breach}"),
            (_, Some((value, breach))) => format!("{name} {value} fails: {breach}{}", self.doubt()),
            (_, None) => self.doubt().trim_start_matches("; ").into(),
        }
    }

    /// That nobody knows whether the answer can be borne for long.
    fn doubt(&self) -> String {
        let is_unclear = |made: &Made| made.backlog() == Some(Standing::Unclear);
        match self.answer.value.filter(|value| self.runs.at(*value).count() > 0 && self.runs.at(*value).all(is_unclear))
        {
            Some(value) => format!("; the runs at {value} are too short to say whether the server keeps up"),
            None => String::new(),
        }
    }

    /// What vLLM keeps beside the levels: a list of them with their metrics.
    pub fn to_json(&self) -> Value {
        let levels = self.history().into_iter().map(|row| {
            let columns = row.into_iter().skip(5).map(|(name, cell)| (name.into_owned(), cell.to_json()));
            Value::Object(columns.collect())
        });
        levels.collect()
    }
}

/// Why a metric that a run reports can be none for an SLA.
const UNBOUNDED: &str = "requests that failed or waited in the client make it unbounded, or per-request data is missing (see save_detailed)";
