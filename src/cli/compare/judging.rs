//! What is compared, and which changes may not be: flags that `compare` and `ab` share.

use super::Compared;
use crate::cli::{Ended, Failure};
use crate::compare::{
    CompareRequest, Comparison, DEFAULT_METRICS, Gate, GateResult, Judge, Likeness, Passage, Reading,
};
use crate::metric::{Better, Metric};
use crate::report::comparison::{gate_line, next_of_gate};

/// What is compared, and what may not be.
#[derive(clap::Args, Clone)]
pub struct Judging {
    /// Metrics to compare.
    #[arg(long, value_delimiter = ',', value_name = "METRIC,…", default_values_t = DEFAULT_METRICS.map(str::to_owned))]
    metrics: Vec<String>,
    /// Which direction is better for a metric that sweeplake does not know: acceptance_score:max. May be repeated.
    #[arg(long, value_delimiter = ',', value_name = "METRIC:max|min", value_parser = direction)]
    direction: Vec<(String, Better)>,
    /// Treat changes smaller than this as no change.
    #[arg(long, default_value = "2%", value_name = "SHARE", value_parser = percent)]
    threshold: f64,
    /// Exit with 1 on a change such as 'p99_e2el_ms>5%' or 'output_throughput<-3%'. May be repeated.
    #[arg(long, value_name = "GATE", value_parser = Gate::parse)]
    fail_on: Vec<Gate>,
    /// Whether a gate with an unclear result passes.
    #[arg(long, value_name = "RESULT", value_enum, default_value = "fail")]
    unclear: Unclear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Unclear {
    Pass,
    Fail,
}

impl Judging {
    /// What is asked for, of all combinations.
    pub fn request(&self) -> CompareRequest {
        CompareRequest {
            reading: Reading { metrics: with_gated(&self.metrics, &self.fail_on), ..Reading::default() },
            directions: self.direction.iter().cloned().collect(),
            judge: Judge { threshold: self.threshold, ..Judge::default() },
            gates: self.fail_on.clone(),
            likeness: Likeness::Required,
        }
    }

    /// A direction of what is not compared is a slip of the pen.
    pub fn check(&self) -> Result<(), Failure> {
        let compared = with_gated(&self.metrics, &self.fail_on);
        match self.direction.iter().find(|(metric, _)| !compared.contains(metric)) {
            Some((metric, _)) => Err(Failure::input(format!("--direction {metric}: not among --metrics"))),
            None => Ok(()),
        }
    }

    /// Metrics that nobody knows, before anything is measured of them.
    pub fn check_known(&self) -> Result<(), Failure> {
        self.check()?;
        let compared = with_gated(&self.metrics, &self.fail_on);
        let is_known = |metric: &String| {
            Metric::of(metric).is_some() || self.direction.iter().any(|(directed, _)| directed == metric)
        };
        match compared.iter().find(|metric| !is_known(metric)) {
            Some(metric) => Err(Failure::input(format!(
                "--metrics: unknown metric {metric:?}; if the benchmark reports it, specify which direction is better: \
                 --direction {metric}:max"
            ))),
            None => Ok(()),
        }
    }

    /// What a gate's result comes to.
    pub fn outcome(&self, gate: &GateResult) -> Outcome {
        match (gate.passage, self.unclear) {
            (Passage::Passes, _) => Outcome::Passed,
            (Passage::Unclear, Unclear::Pass) => Outcome::Unclear,
            (Passage::Unclear, Unclear::Fail) | (Passage::Fails, _) => Outcome::Failed,
        }
    }

    /// The exit code: a gate that fails is work that failed, and one that could not tell as well.
    pub fn close(&self, compared: &Compared) -> Ended {
        let mut lines: Vec<String> = compared.dead.iter().map(|dead| dead.reason.clone()).collect();
        for comparison in &compared.comparisons {
            let of = match compared.comparisons.len() + compared.dead.len() {
                1 => String::new(),
                _ => format!("{}: ", comparison.candidate.sweeps.join(", ")),
            };
            let failed = comparison.gates.iter().filter(|gate| self.outcome(gate) == Outcome::Failed);
            lines.extend(failed.map(|gate| format!("{of}--fail-on {}", line_with_advice(comparison, gate))));
        }
        if lines.is_empty() { Ok(()) } else { Err(Failure::work(lines.join("\n       "))) }
    }
}

/// What a gate's result comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// It can't be told, and need not be.
    Unclear,
    Failed,
}

/// What a gate says; where it can't be told, with what to do.
pub fn line_with_advice(comparison: &Comparison, gate: &GateResult) -> String {
    let is_open = gate.passage == Passage::Unclear;
    let advice = if is_open { next_of_gate(comparison, gate) } else { None };
    let advice = advice.map(|advice| format!(" ({advice})")).unwrap_or_default();
    format!("{}{advice}", gate_line(comparison, gate))
}

/// The metrics that are shown, and those that a gate asks about.
fn with_gated(metrics: &[String], gates: &[Gate]) -> Vec<String> {
    let mut all: Vec<String> = metrics.iter().map(|metric| metric.trim().to_owned()).collect();
    for gate in gates {
        if !all.contains(&gate.metric) {
            all.push(gate.metric.clone());
        }
    }
    all
}

/// `2%` or `0.02` as 0.02.
pub fn percent(text: &str) -> Result<f64, String> {
    let number = match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|number| number / 100.0),
        None => text.trim().parse(),
    };
    match number {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a share such as 2%".into()),
    }
}

/// `acceptance_score:max`.
fn direction(text: &str) -> Result<(String, Better), String> {
    match text.rsplit_once(':') {
        Some((metric, "max")) => Ok((metric.to_owned(), Better::Higher)),
        Some((metric, "min")) => Ok((metric.to_owned(), Better::Lower)),
        _ => Err("expected METRIC:max or METRIC:min".into()),
    }
}
