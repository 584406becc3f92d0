//! Progress of a sweep: a bar with the time left on a terminal, plain lines elsewhere.

use super::estimate::Usual;
use crate::cli::say::say;
use crate::record::RunRecord;
use crate::sweep::{Event, Observer, SearchState};
use crate::words::{describe, describe_set, printable, short_time};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// What a sweep starts besides benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starts {
    Servers,
    Nothing,
}

pub struct Progress {
    starts: Starts,
    bar: Option<ProgressBar>,
    /// Runs to make, where that is known.
    total: Option<usize>,
    done: usize,
    started: Instant,
    usual: Option<Usual>,
}

impl Progress {
    pub fn new(starts: Starts, usual: Option<Usual>) -> Self {
        Self {
            starts,
            usual,
            bar: std::io::stderr().is_terminal().then(|| ProgressBar::new(0)),
            total: None,
            done: 0,
            started: Instant::now(),
        }
    }

    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    /// A line that stays.
    fn line(&self, text: String) {
        match &self.bar {
            Some(bar) => bar.println(printable(&text)),
            None => say!("{text}"),
        }
    }

    /// What is under way now; only on a terminal.
    fn now(&self, text: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(printable(&text).into_owned());
        }
    }

    /// From the time that the runs so far took, servers included.
    fn time_left(&self) -> Option<Duration> {
        let per_run = self.started.elapsed().checked_div(self.done as u32)?;
        Some(per_run * self.total?.saturating_sub(self.done) as u32)
    }

    fn run_ended(&mut self, record: &RunRecord) {
        self.done += 1;
        let left = self.time_left().map(|left| format!(", about {} left", short_time(left))).unwrap_or_default();
        let what = describe(&record.combination.serve, &record.combination.bench);
        let how = match record.failure() {
            Some(failure) => format!("FAILED ({}): {failure}", failure.kind.as_str()),
            None => main_metrics(record),
        };
        let of = self.total.map(|total| format!("/{total}")).unwrap_or_default();
        self.line(format!("[{}{of}{left}] {what} · run {}: {how}", self.done, record.run_number));
        if let Some(failure) = record.failure() {
            failure.log_tail.iter().for_each(|line| self.line(format!("    | {line}")));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.done as u64);
        }
    }
}

impl Observer for Progress {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::SweepStarted { folder, servers, runs, skipped } => {
                self.total = runs;
                let already = if skipped > 0 { format!(", {skipped} run(s) already there") } else { String::new() };
                if let Some(bar) = &self.bar {
                    let template = match runs {
                        Some(runs) => {
                            bar.set_length(runs as u64);
                            "{spinner} {pos}/{len} {bar:24} {elapsed_precise} {wide_msg}"
                        }
                        None => "{spinner} {pos} {elapsed_precise} {wide_msg}",
                    };
                    if let Ok(style) = ProgressStyle::with_template(template) {
                        bar.set_style(style);
                    }
                    bar.enable_steady_tick(Duration::from_millis(200));
                }
                let to_start = servers;
                let runs = runs.map_or("as many runs as it takes".to_owned(), |runs| format!("{runs} run(s) to make"));
                let servers = match self.starts {
                    Starts::Servers => format!("{servers} server(s), "),
                    Starts::Nothing => String::new(),
                };
                self.line(format!("sweep {}: {servers}{runs}{already}", folder.display()));
                if let Some((usual, runs)) = self.usual.as_ref().zip(self.total.filter(|runs| *runs > 0)) {
                    self.line(usual.text(to_start, runs));
                }
            }
            Event::ServerStarting { .. } | Event::ServerStopping if self.starts == Starts::Nothing => {}
            Event::ServerStarting { serve } => {
                let what = if serve.is_unchanged() { "the command unchanged".into() } else { describe_set(serve) };
                self.now(format!("starting server: {what}"));
                if self.bar.is_none() {
                    self.line(format!("starting server: {what}"));
                }
            }
            Event::ServerReady { after } => self.now(format!("server ready after {:.1} s", after.as_secs_f64())),
            Event::WarmingUp { num_prompts } => self.now(format!("warming up with {num_prompts} prompts")),
            Event::RunStarted { combination, run_number } => {
                self.now(format!("{} · run {run_number}", describe(&combination.serve, &combination.bench)));
            }
            Event::RunEnded { record } => self.run_ended(record),
            Event::Searched { state } => self.line(searched(state)),
            Event::RunRetried { record } => {
                let what = describe(&record.combination.serve, &record.combination.bench);
                let why = record.failure().map(|failure| format!("{} ({failure})", failure.kind.as_str()));
                self.line(format!("{what} · run {}: {}; trying again", record.run_number, why.unwrap_or_default()));
            }
            Event::Warning { message } => self.line(format!("warning: {message}")),
            Event::ServerStopping => self.now("stopping server".into()),
        }
    }
}

/// `  p99_e2el_ms<=500: passes by 12 %; between 60 and 72; at most 14 more runs, about 4 min`.
fn searched(state: &SearchState) -> String {
    let share = |margin: f64| 100.0 * margin.exp_m1().abs();
    let text = |share: f64| if share < 10.0 { format!("{share:.1} %") } else { format!("{share:.0} %") };
    let verdict = match state.last_margin {
        Some(margin) if margin <= 0.0 => format!("passes by {}; ", text(share(margin))),
        Some(margin) if share(margin) < 1000.0 => format!("misses by {}; ", text(share(margin))),
        Some(_) => "misses by far; ".into(),
        None => String::new(),
    };
    let bracket = match (state.passed, state.failed) {
        (Some(passed), Some(failed)) => format!("between {passed} and {failed}"),
        (Some(passed), None) => format!("above {passed}"),
        (None, Some(failed)) => format!("below {failed}"),
        (None, None) => "nothing is known yet".into(),
    };
    let seconds = state.run_seconds.map(|seconds| Duration::from_secs_f64(seconds * state.most_runs as f64));
    let time = seconds.map(|time| format!(", about {}", short_time(time))).unwrap_or_default();
    format!("    {}: {verdict}{} {bracket}; at most {} more runs{time}", state.sla, state.variable, state.most_runs)
}

fn main_metrics(record: &RunRecord) -> String {
    let get = |key: &str| record.result().and_then(|result| result.get(key)).and_then(|value| value.as_f64());
    let parts = [
        ("output_throughput", "tok/s"),
        ("median_ttft_ms", "ms TTFT"),
        ("p99_e2el_ms", "ms P99 E2E"),
        ("avg_cold_startup_time", "s cold start"),
        ("avg_warm_startup_time", "s warm start"),
    ];
    let texts = parts.iter().filter_map(|(key, unit)| Some(format!("{:.1} {unit}", get(key)?)));
    texts.collect::<Vec<_>>().join(", ")
}
