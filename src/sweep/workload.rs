//! Workload exploration: each combination alone, at full load, and at levels in between.

use super::course::{Course, CourseError, Next, Wanted};
use super::ledger::{Ledger, Made};
use super::variable::Variable;
use crate::plan::{BenchPlan, Level};
use crate::sla::rounded;
use serde_json::{Map, Value, json};

/// How the levels between the two ends lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    Linear,
    Geometric,
}

/// Rates are told to a hundredth of a part.
const RATE_PRECISION: f64 = 0.01;

/// The course of `serve_workload`.
#[derive(Clone, Debug)]
pub struct Workload {
    pub variable: Variable,
    /// Levels, the two ends included.
    pub iters: usize,
    pub spacing: Spacing,
    pub num_runs: usize,
}

impl Workload {
    /// One request at a time.
    fn serial(&self) -> Level {
        Level { variable: Variable::MaxConcurrency.key().into(), value: json!(1) }
    }

    /// Everything at once.
    fn batch(&self, bench: &BenchPlan) -> Level {
        let value = match self.variable {
            Variable::MaxConcurrency => json!(bench.num_prompts()),
            Variable::RequestRate => json!("inf"),
        };
        Level { variable: self.variable.key().into(), value }
    }

    /// The levels between what was reached serially and at full load.
    fn between(&self, serial: f64, batch: f64) -> Vec<Level> {
        let steps = self.iters.saturating_sub(1);
        let part = |index: usize| index as f64 / steps as f64;
        let values = (1..steps).map(|index| match self.spacing {
            Spacing::Linear => serial + (batch - serial) * part(index),
            Spacing::Geometric => serial * (batch / serial).powf(part(index)),
        });
        let mut levels: Vec<Level> = values
            .map(|value| match self.variable {
                Variable::MaxConcurrency => json!((value.round() as i64).max(1)),
                Variable::RequestRate => json!(rounded(value, RATE_PRECISION)),
            })
            .map(|value| Level { variable: self.variable.key().into(), value })
            .collect();
        levels.dedup();
        levels
    }

    /// What the variable was in effect at a level: in its first run, so that the levels stay where they are when others
    /// are added.
    fn reached(&self, level: &Level, made: &[Made]) -> Option<f64> {
        let own = made.iter().filter(|made| made.level.as_ref() == Some(level) && made.metrics.is_some());
        let first = own.min_by_key(|made| made.number)?.metrics.as_ref()?;
        self.value_in(first).filter(|value| value.is_finite() && *value > 0.0)
    }

    /// The rate of completed requests; the number of requests in the system by Little's law: rate × time in it.
    fn value_in(&self, result: &Map<String, Value>) -> Option<f64> {
        let number = |key: &str| result.get(key).and_then(Value::as_f64);
        let rate = number("request_throughput")?;
        match self.variable {
            Variable::RequestRate => Some(rate),
            Variable::MaxConcurrency => Some(rate * number("mean_e2el_ms")? / 1000.0),
        }
    }
}

impl Course for Workload {
    fn runs_of_each(&self) -> Option<usize> {
        None
    }

    fn next(&mut self, bench: &BenchPlan, ledger: &Ledger, _: u32) -> Result<Next, CourseError> {
        let made = ledger.of(bench);
        let is_wanted =
            |level: &Level| made.iter().filter(|made| made.level.as_ref() == Some(level)).count() < self.num_runs;
        let ends = [self.serial(), self.batch(bench)];
        if let Some(level) = ends.iter().find(|level| is_wanted(level)) {
            return Ok(Next::Run(Wanted::at(level.clone())));
        }
        let reached = ends.each_ref().map(|level| self.reached(level, made));
        let has_completed =
            |level: &Level| made.iter().any(|made| made.level.as_ref() == Some(level) && made.metrics.is_some());
        if !ends.iter().all(has_completed) {
            // An end that failed leaves nothing to lie between.
            return Ok(Next::Enough);
        }
        let [Some(serial), Some(batch)] = reached else {
            return Err(CourseError::NoLevels);
        };
        let levels = self.between(serial, batch).into_iter().filter(|level| !ends.contains(level));
        let next = levels.into_iter().find(|level| is_wanted(level));
        Ok(next.map_or(Next::Enough, |level| Next::Run(Wanted::at(level))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Command, ParamSet};
    use crate::plan::Combination;

    fn bench() -> BenchPlan {
        BenchPlan {
            combination: Combination::new(ParamSet::unchanged(), ParamSet::unchanged()),
            command: Command::parse("--bench-cmd", "bench --num-prompts 64").unwrap(),
        }
    }

    /// The levels that are asked for, on a server whose throughput saturates at 8 requests at a time.
    fn levels(workload: &mut Workload) -> Vec<Value> {
        let (bench, mut ledger) = (bench(), Ledger::default());
        while let Next::Run(Wanted { level: Some(level), .. }) = workload.next(&bench, &ledger, 0).unwrap() {
            let users = level.value.as_f64().filter(|_| level.variable == "max_concurrency").unwrap_or(64.0);
            let latency_ms = 100.0 * (users / 8.0).max(1.0);
            let result = json!({"request_throughput": users / latency_ms * 1000.0, "mean_e2el_ms": latency_ms});
            let number = ledger.of(&bench).iter().filter(|made| made.level.as_ref() == Some(&level)).count() as i64;
            let made = Made { metrics: result.as_object().cloned(), ..Made::planned(Some(level), number, 0) };
            ledger.add(&bench, made);
        }
        let made = ledger.of(&bench).iter().filter(|made| made.number == 0);
        made.map(|made| made.level.clone().unwrap().value).collect()
    }

    #[test]
    fn levels_lie_between_the_serial_run_and_the_batch() {
        let mut workload =
            Workload { variable: Variable::MaxConcurrency, iters: 4, spacing: Spacing::Linear, num_runs: 2 };
        assert_eq!(levels(&mut workload), [json!(1), json!(64), json!(22), json!(43)]);
        workload.spacing = Spacing::Geometric;
        assert_eq!(levels(&mut workload), [json!(1), json!(64), json!(4), json!(16)]);
        let mut rates = Workload { variable: Variable::RequestRate, ..workload };
        // 10 requests a second alone, 80 at full load.
        assert_eq!(levels(&mut rates), [json!(1), json!("inf"), json!(20.0), json!(40.0)]);
    }

    #[test]
    fn two_iterations_are_the_ends() {
        let mut workload =
            Workload { variable: Variable::MaxConcurrency, iters: 2, spacing: Spacing::Linear, num_runs: 1 };
        assert_eq!(levels(&mut workload), [json!(1), json!(64)]);
    }
}
