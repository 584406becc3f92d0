//! `sweeplake watch`: a sweep as it goes, in another terminal. Only files are read.

mod logs;
mod snapshot;

use super::board::{Live, in_words};
use super::color::{Ink, Style, ink};
use super::say::{out, styled};
use super::table::cut;
use super::terminal::terminal_size;
use super::{Ended, Failure, positive_number, query_failure};
use crate::query::{Lake, QueryError};
use crate::store::{MANIFEST, StoreError, SweepState};
use crate::words::printable_line;
use chrono::Local;
use logs::LogEnd;
use snapshot::{Snapshot, Standing};
use std::collections::HashSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Watch a sweep from another terminal: what is planned and done, the time left, the last results, failures, and the end of
/// the log. Reads files only; of a lake it follows the newest sweep, and the next one after that.
#[derive(clap::Args)]
pub struct Arguments {
    /// A sweep, or a lake whose newest sweep is watched.
    #[arg(default_value = "results", value_name = "LAKE|SWEEP", value_parser = super::lake::local_path)]
    path: PathBuf,
    /// Time between updates.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = positive_number)]
    interval: f64,
    /// Print the current state and exit.
    #[arg(long)]
    once: bool,
}

/// Lines of the log.
const LOG_LINES: usize = 5;
/// Failures that are shown, the last ones.
const FAILURES: usize = 3;

impl Arguments {
    fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.interval)
    }
}

pub fn exec(arguments: Arguments) -> Ended {
    if arguments.path.join(MANIFEST).exists() {
        return follow(&arguments.path, &arguments);
    }
    let mut seen: Option<PathBuf> = None;
    loop {
        match newest(&arguments.path)? {
            Some((sweep, standing)) if seen.as_ref() != Some(&sweep) || standing == Standing::Running => {
                follow(&sweep, &arguments)?;
                seen = Some(sweep);
            }
            None if arguments.once => return Err(Failure::input(nothing_there(&arguments.path))),
            None if seen.is_none() => {
                out!("{}; waiting for a sweep to start", nothing_there(&arguments.path));
                seen = Some(PathBuf::new());
            }
            _ => {}
        }
        if arguments.once {
            return Ok(());
        }
        std::thread::sleep(arguments.interval().max(Duration::from_secs(1)));
    }
}

/// Why there is nothing to see.
fn nothing_there(lake: &Path) -> String {
    let path = lake.display();
    if !lake.exists() {
        return format!("{path} does not exist yet");
    }
    match Lake::open(&[lake.to_owned()]) {
        Ok(found) if !found.sweeps().is_empty() => format!(
            "{path}: only sweeps that sweeplake runs can be watched; the {} here were made by another tool or imported",
            found.sweeps().len()
        ),
        _ => format!("{path}: no sweep yet"),
    }
}

/// The sweep of a lake that started last; one that runs goes before those that ended.
fn newest(lake: &Path) -> Result<Option<(PathBuf, Standing)>, Failure> {
    if !lake.exists() {
        return Ok(None);
    }
    let lake = match Lake::open(&[lake.to_owned()]) {
        Err(QueryError::Store(StoreError::NoSweeps { .. })) => return Ok(None),
        opened => opened.map_err(query_failure)?,
    };
    let own = lake.sweeps().iter().filter(|sweep| sweep.is_own());
    let started = own.filter_map(|sweep| {
        let manifest = sweep.manifest().ok()??;
        let standing = Standing::of(&sweep.folder, &manifest);
        Some(((!sweep.is_ended(), manifest.started_at), (sweep.folder.clone(), standing)))
    });
    Ok(started.max_by(|left, right| left.0.cmp(&right.0)).map(|(_, newest)| newest))
}

/// Shows a sweep until it has ended.
fn follow(folder: &Path, arguments: &Arguments) -> Ended {
    let is_terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
    if arguments.once {
        let (width, _) = terminal_size();
        let width = if std::io::stdout().is_terminal() { width } else { usize::MAX };
        view(folder, &Snapshot::read(folder)?, (width, usize::MAX), ink()).iter().for_each(|line| styled(line));
        return Ok(());
    }
    let mut live = is_terminal.then(Live::without_bar);
    let (mut told, mut known) = (HashSet::new(), None);
    loop {
        match Snapshot::after(known.take(), folder) {
            // Between two looks a file may be replaced: the next look has it.
            Err(_) if folder.exists() => {}
            Err(_) => return Err(Failure::work(format!("{}: the sweep no longer exists", folder.display()))),
            Ok(snapshot) => {
                match &mut live {
                    Some(live) => live.show(&view(folder, &snapshot, terminal_size(), ink())),
                    None => tell_new(folder, &snapshot, &mut told),
                }
                if snapshot.standing != Standing::Running {
                    if let Some(mut live) = live {
                        live.show(&[]);
                        view(folder, &snapshot, terminal_size(), ink()).iter().for_each(|line| live.keep(line));
                    }
                    return Ok(());
                }
                known = Some(snapshot);
            }
        }
        std::thread::sleep(arguments.interval());
    }
}

/// One plain line for each run that was not told yet, and how the sweep stands once it has ended.
fn tell_new(folder: &Path, snapshot: &Snapshot, told: &mut HashSet<String>) {
    if told.insert(String::new()) && snapshot.standing == Standing::Running {
        out!("{}", heading(folder, snapshot));
    }
    for run in &snapshot.runs {
        if told.insert(run.id.clone()) {
            let metric = |name: &str| run.metrics.get(name).copied();
            let how = run.failure.as_ref().map_or_else(|| in_words(&metric), |failure| format!("FAILED ({failure})"));
            let at = Local::now().format("%H:%M:%S");
            out!("{at} [{}] {}, run {}: {how}", snapshot.counts(), run.label, run.number);
        }
    }
    if snapshot.standing != Standing::Running {
        out!("{}", heading(folder, snapshot));
    }
}

/// `results/first · serve · running; started 2026-11-27 10:41:03`.
fn heading(folder: &Path, snapshot: &Snapshot) -> String {
    let manifest = &snapshot.manifest;
    let time = |time: chrono::DateTime<chrono::Utc>| time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S");
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let how = match snapshot.standing {
        Standing::Running => format!("running; started {}", time(manifest.started_at)),
        Standing::Killed => {
            let since = snapshot.latest().map(|at| format!("; its last run ended at {}", time(at)));
            format!("was killed{}: add --resume -e {name} to its command to continue it", since.unwrap_or_default())
        }
        Standing::Ended(state) => {
            let at = manifest.finished_at.map(|at| format!(" at {}", time(at))).unwrap_or_default();
            match state {
                SweepState::Completed | SweepState::Running => format!("completed{at}"),
                SweepState::Failed => format!("ended with failures{at}"),
                SweepState::Interrupted => {
                    format!("interrupted{at}: add --resume -e {name} to its command to continue it")
                }
            }
        }
    };
    format!("{} · {} · {how}", folder.display(), manifest.kind.as_str())
}

/// All of it, no wider and no higher than the terminal.
fn view(folder: &Path, snapshot: &Snapshot, (width, height): (usize, usize), ink: Ink) -> Vec<String> {
    let mut head =
        vec![ink.painted(&cut(&heading(folder, snapshot), width), Style::Strong), cut(&snapshot.counts(), width)];
    head.extend(snapshot.board.shared().map(|shared| cut(&shared, width)));
    head.extend(snapshot.board.heading(width, ink));
    let mut tail = Vec::new();
    let failures: Vec<_> = snapshot.runs.iter().filter(|run| run.failure.is_some()).collect();
    for run in failures.iter().skip(failures.len().saturating_sub(FAILURES)) {
        let why = run.failure.as_deref().unwrap_or_default();
        let text = format!("✗ {}, run {}: {}", run.label, run.number, printable_line(why));
        tail.push(ink.painted(&cut(&text, width), Style::Bad));
    }
    if snapshot.standing == Standing::Running
        && let Some(end) = LogEnd::of(folder, LOG_LINES)
    {
        tail.push(cut(&format!("── {}", printable_line(&end.name)), width));
        tail.extend(end.lines.iter().map(|line| ink.painted(&cut(line, width), Style::Quiet)));
    }
    let room = height.saturating_sub(head.len() + tail.len() + 2);
    let earlier = snapshot.board.len().saturating_sub(room);
    head.extend((earlier > 0).then(|| format!("  … {earlier} earlier combinations")));
    let lines = (earlier..snapshot.board.len()).map(|line| snapshot.board.line(line, width, ink));
    head.into_iter().chain(lines).chain(tail).collect()
}
