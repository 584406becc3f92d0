//! Progress of a sweep. On a terminal one line a combination, which changes in place until the combination has all its runs, and a bar with
//! the time left; elsewhere one plain line a run, with the time.

use super::estimate::Usual;
use super::places::Places;
use super::runner::Starts;
use crate::cli::board::{Board, Live, Ran, counts, in_words};
use crate::cli::color::{Style, ink_of_stderr};
use crate::cli::say::say;
use crate::cli::table::cut;
use crate::cli::terminal::terminal_width;
use crate::plan::Plan;
use crate::record::{RunRecord, Status};
use crate::sweep::{Event, Ledger, Observer, SearchState};
use crate::words::{describe_set, printable, short_time};
use chrono::Local;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

/// More lines than these don't change in place.
const MOST_LINES: usize = 8;

pub struct Progress<'a> {
    plan: &'a Plan,
    starts: Starts,
    live: Option<Live>,
    board: Board,
    is_search: bool,
    is_headed: bool,
    /// Lines that were not kept since they changed, the latest last.
    under_way: Vec<usize>,
    /// What the searches that are under way know, by lane.
    searched: BTreeMap<usize, Searched>,
    /// What each lane does, and the line of its last run.
    now: BTreeMap<usize, String>,
    last: BTreeMap<usize, usize>,
    /// Runs to make, where that is known.
    total: Option<usize>,
    done: usize,
    failed: usize,
    started: Instant,
    usual: Option<Usual>,
    places: &'a Places,
}

/// What is known of an SLA for a combination.
struct Searched {
    label: String,
    sla: String,
    known: String,
    to_come: String,
}

/// What a sweep will do, as far as it is known before.
pub struct Outlook<'a> {
    pub plan: &'a Plan,
    pub starts: Starts,
    /// The parameter of the load that it chooses itself.
    pub turned: Option<&'static str>,
    /// Runs that each combination is to have, where that is known.
    pub runs_of_each: Option<usize>,
    pub usual: Option<Usual>,
    pub places: &'a Places,
}

impl<'a> Progress<'a> {
    pub fn new(outlook: Outlook<'a>) -> Self {
        Self {
            plan: outlook.plan,
            starts: outlook.starts,
            live: std::io::stderr().is_terminal().then(Live::new),
            board: Board::new(&outlook.plan.combinations(), outlook.turned, outlook.runs_of_each),
            is_search: outlook.turned.is_some(),
            is_headed: false,
            under_way: Vec::new(),
            searched: BTreeMap::new(),
            now: BTreeMap::new(),
            last: BTreeMap::new(),
            total: None,
            done: 0,
            failed: 0,
            started: Instant::now(),
            usual: outlook.usual,
            places: outlook.places,
        }
    }

    pub fn finish(mut self) {
        if let Some(live) = &mut self.live {
            live.show(&[]);
        }
        for line in std::mem::take(&mut self.under_way) {
            self.keep_line(line, None);
        }
        let lanes: Vec<usize> = self.searched.keys().copied().collect();
        lanes.into_iter().for_each(|lane| self.keep_searched(lane));
        if let Some(live) = self.live {
            live.finish();
        }
    }

    /// What is under way on a lane now; only on a terminal.
    fn now(&mut self, lane: usize, text: String) {
        self.now.insert(lane, printable(&text).into_owned());
        self.draw();
    }

    /// What is under way: beside the bar where it is one thing, else in lines.
    fn lanes(&self, width: usize) -> (Option<&String>, Vec<String>) {
        if self.now.len() < 2 {
            return (self.now.values().next(), Vec::new());
        }
        let lines = self.now.values().take(MOST_LINES).map(|text| cut(&format!("▸ {text}"), width));
        let more = self.now.len().saturating_sub(MOST_LINES);
        let rest = (more > 0).then(|| format!("▸ … and {more} more"));
        (None, lines.chain(rest).collect())
    }

    fn draw(&mut self) {
        let (width, ink) = (terminal_width(), ink_of_stderr());
        let latest = self.under_way.iter().skip(self.under_way.len().saturating_sub(MOST_LINES));
        let lines = latest.map(|line| self.board.line(*line, width, ink));
        let searched = self.searched.values().map(|searched| cut(&printable(&searched.whole()), width));
        let (now, lanes) = self.lanes(width);
        let lines: Vec<String> = lines.chain(searched).chain(lanes).collect();
        let counts = counts(self.done, self.total, self.failed, self.time_left());
        let message = now.map_or_else(|| counts.clone(), |now| format!("{counts} · {now}"));
        let done = self.done;
        if let Some(live) = &mut self.live {
            live.show(&lines);
            live.set(done, message);
        }
    }

    /// From the time that the runs so far took, servers included.
    fn time_left(&self) -> Option<Duration> {
        let per_run = self.started.elapsed().checked_div(self.done as u32)?;
        Some(per_run * self.total?.saturating_sub(self.done) as u32)
    }

    /// A line of the board with what is to be said of it, once nothing more is expected of it for now; nothing elsewhere than on a
    /// terminal.
    fn keep_line(&self, line: usize, verdict: Option<(String, Style)>) {
        let Some(live) = &self.live else { return };
        let ink = ink_of_stderr();
        let (text, style) = verdict.unwrap_or((String::new(), Style::Quiet));
        let room = terminal_width().saturating_sub(text.chars().count());
        let line = self.board.line(line, room, ink);
        live.keep(&if text.is_empty() { line } else { line + &ink.painted(&text, style) });
    }

    /// The names of the columns, once they are known.
    fn keep_heading(&mut self) {
        let heading = self.board.heading(terminal_width(), ink_of_stderr()).filter(|_| !self.is_headed);
        if let Some((live, heading)) = self.live.as_ref().zip(heading) {
            live.keep(&heading);
            self.is_headed = true;
        }
    }

    fn sweep_started(&mut self, folder: &Path, servers: usize, runs: Option<usize>, ledger: &Ledger) {
        let skipped = ledger.count();
        self.total = runs;
        if let Some(live) = &self.live {
            live.start(runs);
        }
        let already = if skipped > 0 { format!(", {skipped} already done") } else { String::new() };
        let to_make = runs.map_or("as many runs as needed".to_owned(), |runs| format!("{runs} run(s) to do"));
        let to_start = match self.starts {
            Starts::Servers => format!("{servers} server(s), "),
            Starts::Nothing => String::new(),
        };
        say!("sweep {}: {to_start}{to_make}{already}", folder.display());
        if let Some(shared) = self.board.shared() {
            say!("{}", shared);
        }
        match (&self.usual, runs) {
            (_, Some(0)) => {}
            (Some(usual), Some(runs)) => say!("{}", usual.text((self.plan, self.places), servers, runs)),
            _ => {
                if let Some(text) = self.places.text(self.plan.servers.len()) {
                    say!("{}", text);
                }
            }
        }
        if self.live.is_some() && !self.is_search && runs != Some(0) {
            say!("{}", self.board.statistic());
        }
        // The means are of all runs, those of earlier invocations too.
        for bench in self.plan.servers.iter().flat_map(|server| &server.benches) {
            for made in ledger.of(bench) {
                let at = bench.at_level(made.level.as_ref()).combination;
                let metric = |name: &str| made.metrics.as_ref()?.get(name)?.as_f64();
                self.board.add(&at, &Ran { status: made.status, metric: &metric });
            }
        }
    }

    fn run_ended(&mut self, lane: usize, record: &RunRecord) {
        self.done += 1;
        let metric = |name: &str| record.result()?.get(name).and_then(Value::as_f64);
        let line = self.board.add(&record.combination, &Ran { status: record.status(), metric: &metric });
        let what = format!("{}, run {}", self.board.label(&record.combination), record.run_number);
        if self.live.is_none() {
            let left = self.time_left().map(|left| format!(", about {} left", short_time(left))).unwrap_or_default();
            let of = self.total.map(|total| format!("/{total}")).unwrap_or_default();
            let how = match record.failure() {
                Some(failure) => format!("FAILED ({}): {failure}", failure.kind.as_str()),
                None => in_words(&metric),
            };
            let at = Local::now().format("%H:%M:%S");
            say!("{at} [{}{of}{left}] {what}: {how}", self.done);
        } else if let Some(failure) = record.failure() {
            say!("✗ {what} FAILED ({}): {failure}", failure.kind.as_str());
        }
        if let Some(failure) = record.failure() {
            failure.log_tail.iter().for_each(|text| say!("    | {text}"));
        }
        self.keep_heading();
        self.failed += usize::from(record.status() == Status::Failed);
        self.under_way.retain(|other| *other != line);
        self.under_way.push(line);
        self.last.insert(lane, line);
        if self.board.is_complete(line) {
            self.settle(line);
        }
        self.draw();
    }

    /// Nothing more will come of a line, as far as is known.
    fn settle(&mut self, line: usize) {
        if self.under_way.contains(&line) {
            self.under_way.retain(|other| *other != line);
            self.keep_line(line, None);
        }
    }

    /// A search is told of each run, when it knows what that says.
    fn searched(&mut self, lane: usize, label: &str, state: &SearchState) {
        let searched = Searched::of(label, state);
        if self.live.is_none() {
            say!("    {}", searched.whole());
            return;
        }
        if self.searched.get(&lane).is_some_and(|before| !before.is_of(&searched)) {
            self.keep_searched(lane);
        }
        if let Some(line) = self.last.remove(&lane).filter(|line| self.under_way.contains(line)) {
            self.under_way.retain(|other| *other != line);
            self.board.end(line);
            let style = if state.last_margin.is_some_and(|margin| margin <= 0.0) { Style::Good } else { Style::Bad };
            self.keep_line(line, verdict(state).map(|text| (format!("  {text}"), style)));
        }
        self.searched.insert(lane, searched);
        self.draw();
    }

    fn keep_searched(&mut self, lane: usize) {
        if let Some(searched) = self.searched.remove(&lane) {
            say!("{}", searched.known);
        }
    }

    /// Of several lanes one whose server has ended does nothing.
    fn server_stopping(&mut self, lane: usize) {
        if self.now.len() > 1 {
            self.now.remove(&lane);
            self.draw();
        } else {
            self.now(lane, "stopping server".into());
        }
    }

    fn server_starting(&mut self, lane: usize, text: String) {
        if self.live.is_none() {
            say!("{}", text);
        }
        self.now(lane, text);
    }
}

impl Observer for Progress<'_> {
    fn event(&mut self, lane: usize, event: Event<'_>) {
        match event {
            Event::SweepStarted { folder, servers, runs, ledger } => {
                self.sweep_started(folder, servers, runs, ledger);
            }
            Event::ServerStarting { .. } | Event::ServerStopping if self.starts == Starts::Nothing => {}
            Event::ServerStarting { serve } => {
                let what = if serve.is_unchanged() { "unmodified command".into() } else { describe_set(serve) };
                self.server_starting(lane, format!("starting server: {what}"));
            }
            Event::ServerReady { after } => self.now(lane, format!("server ready after {:.1} s", after.as_secs_f64())),
            Event::WarmingUp { num_prompts } => self.now(lane, format!("warming up with {num_prompts} prompts")),
            Event::RunStarted { combination, run_number } => {
                self.now(lane, format!("{}, run {run_number}", self.board.label(combination)));
            }
            Event::RunEnded { record } => self.run_ended(lane, record),
            Event::Searched { combination, state } => self.searched(lane, &self.board.label(combination), state),
            Event::CombinationEnded { combination } if self.plan.rounds.count() == 1 => {
                if let Some(line) = self.board.find(combination) {
                    self.board.end(line);
                    self.settle(line);
                }
                self.keep_searched(lane);
                self.draw();
            }
            Event::CombinationEnded { .. } => {}
            Event::RunRetried { record } => {
                let what = self.board.label(&record.combination);
                let why = record.failure().map(|failure| format!("{} ({failure})", failure.kind.as_str()));
                say!("{what}, run {}: {}; retrying", record.run_number, why.unwrap_or_default());
            }
            Event::Warning { message } => say!("warning: {message}"),
            Event::Evaluating => self.now(lane, "evaluating the server".into()),
            Event::ServerStopping => self.server_stopping(lane),
        }
    }
}

/// `passes by 12 %`.
fn verdict(state: &SearchState) -> Option<String> {
    let share = |margin: f64| 100.0 * margin.exp_m1().abs();
    let text = |share: f64| if share < 10.0 { format!("{share:.1} %") } else { format!("{share:.0} %") };
    Some(match state.last_margin? {
        margin if margin <= 0.0 => format!("last run passes by {}", text(share(margin))),
        margin if share(margin) < 1000.0 => format!("last run misses by {}", text(share(margin))),
        _ => "last run misses by a wide margin".into(),
    })
}

impl Searched {
    fn of(label: &str, state: &SearchState) -> Self {
        let seconds = state.run_seconds.map(|seconds| Duration::from_secs_f64(seconds * state.most_runs as f64));
        let time = seconds.map(|time| format!(", about {}", short_time(time))).unwrap_or_default();
        Self {
            label: label.to_owned(),
            sla: state.sla.clone(),
            known: format!("{label}: {}", state_text(state)),
            to_come: format!("at most {} more runs{time}", state.most_runs),
        }
    }

    fn is_of(&self, other: &Self) -> bool {
        (&self.label, &self.sla) == (&other.label, &other.sla)
    }

    fn whole(&self) -> String {
        format!("{}; {}", self.known, self.to_come)
    }
}

/// `p99_e2el_ms<=500: passes by 12 %; max_concurrency between 60 and 72`.
fn state_text(state: &SearchState) -> String {
    let bracket = match (state.passed, state.failed) {
        (Some(passed), Some(failed)) => format!("between {passed} and {failed}"),
        (Some(passed), None) => format!("above {passed}"),
        (None, Some(failed)) => format!("below {failed}"),
        (None, None) => "not known yet".into(),
    };
    let verdict = verdict(state).map(|verdict| format!("{verdict}; ")).unwrap_or_default();
    format!("{}: {verdict}{} {bracket}", state.sla, state.variable)
}
