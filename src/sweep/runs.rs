//! The runs of one combination at values of a variable, and how far each is from an SLA.

use super::ledger::Made;
use super::variable::Variable;
use crate::metric::adjusted;
use crate::record::Cell;
use crate::sla::{Answer, Constraint, Distance, Measured, Operator, Sla, Standing, Status, passing, standing};
use serde_json::{Map, Value};

/// Beyond so many times the rate that a saturated server completes, a higher rate changes little.
const SATURATED: f64 = 2.0;

/// All runs of one combination at values of the variable.
#[derive(Clone)]
pub struct Runs<'a> {
    pub variable: Variable,
    unlimited: Unlimited,
    pub(super) runs: Vec<(f64, &'a Made)>,
}

/// What a run at an unlimited rate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unlimited {
    /// A load like others, the highest.
    Load,
    /// A look at what the server completes: all at once is no rate that goes on.
    Probe,
}

/// Whether more runs may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    GoesOn,
    IsOver,
}

/// The runs that count for an SLA.
pub struct Counted<'a> {
    pub runs: Runs<'a>,
    /// Of these, those that were there before the search.
    pub given: usize,
    /// Runs of the search that tell too little: a longer one is asked for, or was made.
    pub left_out: usize,
}

/// How near to its limit a margin is where a short run may take a load for bearable that is not.
const NEAR: f64 = 0.4;
/// Runs whose backlog nobody can judge are made again, twice as long, so many times; then they are taken as they are.
pub const EXTENSIONS: usize = 2;
/// A run that was stopped misses its SLA by at least about as much: three times as many requests as may be were beyond the limit. Without
/// that, loads far beyond what a server can bear look as if they nearly met it, and the search looks there again and again.
const MISSED: f64 = 0.12;
/// Loads so many times as large are about the same.
const ALIKE: f64 = 1.3;

impl<'a> Runs<'a> {
    pub fn of(variable: Variable, made: &'a [Made]) -> Self {
        let at = |made: &'a Made| Some((variable.value_of(made.level.as_ref()?)?, made));
        Self { variable, unlimited: Unlimited::Load, runs: made.iter().filter_map(at).collect() }
    }

    /// The same, where only a rate that goes on can meet an SLA.
    pub fn sustained(mut self) -> Self {
        self.unlimited = Unlimited::Probe;
        self
    }

    /// The runs at a limited rate.
    pub fn limited(mut self) -> Self {
        self.runs.retain(|run| run.0.is_finite());
        self
    }

    pub fn values(&self) -> Vec<f64> {
        let mut values: Vec<f64> = self.runs.iter().map(|run| run.0).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        values
    }

    pub fn at(&self, value: f64) -> impl Iterator<Item = &'a Made> {
        self.runs.iter().filter(move |run| run.0 == value).map(|run| run.1)
    }

    /// The runs at a value, and how many of them have numbers.
    pub fn count_at(&self, value: f64) -> (usize, usize) {
        (self.at(value).count(), self.at(value).filter(|made| made.metrics.is_some()).count())
    }

    pub fn value_with_fewer_than(&self, count: usize) -> Option<f64> {
        self.values().into_iter().find(|value| self.at(*value).count() < count)
    }

    /// A metric at the measured value next to another.
    pub fn near(&self, value: f64, key: &str) -> Option<f64> {
        let known = self.values().into_iter().filter(|value| value.is_finite()).rev();
        let known = known.filter_map(|other| Some(((other / value).ln().abs(), self.mean(other, key)?)));
        known.min_by(|left, right| left.0.total_cmp(&right.0)).map(|(_, number)| number)
    }

    /// Runs that meet an SLA as far as they go, of which nobody can say whether the server keeps up.
    pub fn unclear(&self, sla: &Sla) -> usize {
        let is_met = |made: &Made| sla.distance(|key| self.number(made, key)).margin <= 0.0;
        self.runs.iter().filter(|(_, made)| made.backlog() == Some(Standing::Unclear) && is_met(made)).count()
    }

    /// The mean of a metric over the runs at a value that have it.
    pub fn mean(&self, value: f64, key: &str) -> Option<f64> {
        let numbers: Vec<f64> = self.at(value).filter_map(|made| self.number(made, key)).collect();
        (!numbers.is_empty()).then(|| crate::stats::mean(&numbers))
    }

    /// A metric of a run as an SLA sees it: a failed request is unbounded, and at a rate the time that a request waited in the
    /// client is part of its latency.
    fn number(&self, made: &Made, key: &str) -> Option<f64> {
        let metrics = made.metrics.as_ref()?;
        if let Some(told) = made.steady.as_ref().and_then(|steady| steady.metrics.get(key)) {
            return told.as_f64();
        }
        let get = |key: &str| number(metrics, key);
        let with_queue = key.strip_suffix("_e2el_ms").filter(|_| self.variable == Variable::RequestRate);
        if let Some(statistic) = with_queue {
            let waited = get(&format!("{statistic}_e2el_including_client_queue_ms"));
            // Where all came at once and only some were let in, how long the others waited is not known.
            let is_unknown = made.max_concurrency.is_some_and(f64::is_finite)
                && made.level.as_ref().and_then(|level| self.variable.value_of(level)).is_some_and(f64::is_infinite);
            if waited.is_some() || is_unknown {
                return waited;
            }
        }
        match adjusted(key).filter(|_| get("failed_requests").is_some_and(|failed| failed > 0.0)) {
            Some(adjusted) => get(&adjusted),
            None => get(key),
        }
    }

    /// Why a value meets no SLA, whatever the numbers of its runs say.
    pub fn obstacle(&self, value: f64) -> Option<String> {
        self.at(value).find_map(|made| made.obstacle.clone()).or_else(|| self.unsustained(value))
    }

    /// Why a value can't be borne for long: most of its runs say so.
    fn unsustained(&self, value: f64) -> Option<String> {
        if self.is_no_rate(value) {
            return Some("sending all requests at once is not a rate that a server can sustain".into());
        }
        let growing: Vec<String> = self.at(value).filter_map(piles_up).collect();
        growing.first().filter(|_| 2 * growing.len() > self.at(value).count()).cloned()
    }

    /// The constraints that a higher load can break. One that the least load breaks and a higher one meets (a throughput,
    /// mostly) bounds the load from below: it has no say in how high the load may go. Where no higher load was completed,
    /// a constraint that asks for much is taken to be one.
    pub fn breakable(&self, sla: &Sla) -> Sla {
        let values = self.values();
        let Some((least, higher)) = values.split_first() else { return sla.clone() };
        let is_met = |constraint: &Constraint, value: &f64| {
            Some(constraint.margin(self.mean(*value, &constraint.metric)?) <= 0.0)
        };
        let wants_load = |constraint: &Constraint| {
            let mut seen = higher.iter().filter_map(|value| is_met(constraint, value)).peekable();
            let asks_for_much = matches!(constraint.operator, Operator::AtLeast | Operator::Above);
            let is_met_higher = if seen.peek().is_some() { seen.any(|is_met| is_met) } else { asks_for_much };
            is_met(constraint, least) == Some(false) && is_met_higher
        };
        let kept: Vec<Constraint> = sla.constraints.iter().filter(|each| !wants_load(each)).cloned().collect();
        if kept.is_empty() { sla.clone() } else { Sla { constraints: kept, ..sla.clone() } }
    }

    /// The runs' margins, in the order in which they were measured; an infinite value stands at `unlimited`. A run that
    /// failed meets no SLA; where others of its level completed, it says nothing but that it was made. Results that were
    /// made without a metric of the SLA are none.
    pub fn measured(&self, sla: &Sla, unlimited: f64) -> Vec<Measured> {
        self.margins(sla, unlimited).into_iter().flatten().collect()
    }

    /// Without those that tell too little: near the limit, a run much shorter than another of about its load; and, while longer ones may
    /// still be made, one that meets the SLA and is too short to say whether the server keeps up. `given`: so many were there before.
    pub fn counted(&self, sla: &Sla, given: usize, search: Search) -> Counted<'a> {
        let margins = self.margins(sla, f64::INFINITY);
        let seconds = |made: &Made| made.steady.as_ref().map(|steady| steady.seconds);
        let is_near = |run: &&Measured| run.margin.abs() < NEAR;
        let near: Vec<(f64, f64)> = self
            .runs
            .iter()
            .zip(&margins)
            .filter_map(|((value, made), run)| run.as_ref().filter(is_near).and(seconds(made)).map(|s| (*value, s)))
            .collect();
        let is_outlasted = |value: f64, seconds: f64| {
            near.iter().any(|(other, longer)| *longer > 2.0 * seconds && (other / value).ln().abs() < ALIKE.ln())
        };
        let is_extended = search == Search::GoesOn && self.unclear(sla) <= EXTENSIONS;
        let tells_little = |made: &Made, run: &Measured| {
            let is_whole = is_near(&run) && !made.is_stopped_early;
            let is_short = is_whole && seconds(made).is_some_and(|seconds| is_outlasted(run.value, seconds));
            let is_unclear = run.margin <= 0.0 && made.backlog() == Some(Standing::Unclear);
            is_short || (is_unclear && is_extended)
        };
        let mut counted = Counted { runs: Self { runs: Vec::new(), ..*self }, given: 0, left_out: 0 };
        for (index, (run, margin)) in self.runs.iter().zip(&margins).enumerate() {
            if margin.as_ref().is_none_or(|margin| !tells_little(run.1, margin)) {
                counted.runs.runs.push(*run);
                counted.given += usize::from(margin.is_some() && index < given);
            } else {
                counted.left_out += usize::from(index >= given);
            }
        }
        counted
    }

    /// The margin of each run; nothing of those that say nothing of the SLA.
    fn margins(&self, sla: &Sla, unlimited: f64) -> Vec<Option<Measured>> {
        let sla = self.breakable(sla);
        let reports = |made: &Made| {
            let metrics = made.metrics.as_ref();
            metrics.is_some_and(|metrics| sla.constraints.iter().all(|each| metrics.contains_key(&each.metric)))
        };
        let of = |&(value, made): &(f64, &Made)| {
            let margin = match &made.metrics {
                Some(_) if made.obstacle.is_some() => Distance::hopeless().margin,
                Some(_) if reports(made) => match sla.distance(|key| self.number(made, key)).margin {
                    margin if margin <= 0.0 && self.is_no_rate(value) => Distance::hopeless().margin,
                    margin if margin <= 0.0 && piles_up(made).is_some() => Distance::hopeless().margin,
                    // Its latencies are lower bounds: that they are small says nothing.
                    margin if margin <= 0.0 && made.is_stopped_early => return None,
                    // It was stopped because it misses clearly, and its numbers are of the part that was made.
                    // Two such runs that miss by less are not the same to the last digit.
                    margin if made.is_stopped_early => margin.max(MISSED + 1e-3 * margin),
                    margin => margin,
                },
                Some(_) => return None,
                None if self.at(value).any(reports) => self.distance(value, &sla).margin,
                None => Distance::hopeless().margin,
            };
            let seconds = made.metrics.as_ref().and_then(|metrics| number(metrics, "duration"));
            let value = if value.is_infinite() { unlimited } else { value };
            Some(Measured { value, margin, seconds })
        };
        self.runs.iter().map(of).collect()
    }

    fn is_no_rate(&self, value: f64) -> bool {
        value.is_infinite() && self.unlimited == Unlimited::Probe
    }

    pub fn count(&self) -> usize {
        self.runs.len()
    }

    /// The first so many of them.
    pub fn first(&self, count: usize) -> Self {
        Self { runs: self.runs.iter().take(count).copied().collect(), ..*self }
    }

    /// Where a run at an unlimited request rate stands among the others.
    pub fn unlimited(&self) -> Option<f64> {
        // Of the first such run only: the place must not move when it is repeated.
        let first = self.at(f64::INFINITY).find_map(|made| number(made.metrics.as_ref()?, "request_throughput"))?;
        Some(SATURATED * first)
    }

    /// What these runs say, without any further one.
    pub fn standing(&self, sla: &Sla, tolerance: f64) -> Option<Answer> {
        let unlimited = self.beyond(tolerance);
        let answer = standing(self.variable.is_integer(), tolerance, &self.measured(sla, unlimited))?;
        Some(if self.has_unlimited() { with_unlimited(answer, unlimited) } else { answer })
    }

    /// Where an unlimited value stands: above all others.
    fn beyond(&self, tolerance: f64) -> f64 {
        let greatest = self.values().into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max);
        self.unlimited().unwrap_or(greatest).max(greatest * (1.0 + tolerance))
    }

    /// How likely it is that each value passes, by the rule that the answer follows from.
    pub fn passing(&self, sla: &Sla) -> Vec<(f64, f64)> {
        let unlimited = self.beyond(self.variable.default_tolerance());
        let has_unlimited = self.has_unlimited();
        let back = |value: f64| if has_unlimited && value == unlimited { f64::INFINITY } else { value };
        passing(&self.measured(sla, unlimited)).into_iter().map(|(value, passes)| (back(value), passes)).collect()
    }

    fn has_unlimited(&self) -> bool {
        self.values().last().is_some_and(|value| value.is_infinite())
    }

    /// The distance of the mean of all runs at a value.
    pub fn distance(&self, value: f64, sla: &Sla) -> Distance {
        if self.at(value).any(|made| made.obstacle.is_some()) {
            return Distance::hopeless();
        }
        // What misses the SLA anyway is as far from it as its numbers say.
        let distance = sla.distance(|key| self.mean(value, key));
        let is_unsustained = distance.margin <= 0.0 && self.unsustained(value).is_some();
        if is_unsustained { Distance::hopeless() } else { distance }
    }
}

/// That the requests in a server grow in number: at that rate no latency stays what it is.
fn piles_up(made: &Made) -> Option<String> {
    let Some(Standing::Growing(share)) = made.backlog() else { return None };
    Some(format!("the backlog grows by {:.0} % of the load: the server does not keep up", 100.0 * share))
}

/// The answer with what stood for an unlimited rate written as such. Between the rates that were measured and no limit
/// at all nothing is known.
pub fn with_unlimited(mut answer: Answer, unlimited: f64) -> Answer {
    let is_unlimited = |value: f64| (value / unlimited - 1.0).abs() < 1e-9;
    if answer.upper.is_some_and(is_unlimited) && answer.status == Status::Found {
        answer.status = Status::Wide;
    }
    for end in [&mut answer.value, &mut answer.lower, &mut answer.upper] {
        *end = end.map(|value| if is_unlimited(value) { f64::INFINITY } else { value });
    }
    answer
}

fn number(metrics: &Map<String, Value>, key: &str) -> Option<f64> {
    match Cell::of_result(metrics.get(key)?) {
        Cell::Int(value) => Some(value as f64),
        Cell::Float(value) => Some(value),
        _ => None,
    }
}
