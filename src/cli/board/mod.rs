//! A sweep under way, one line a combination: how many runs it has, and the mean of what they measured. Who is told of runs as they
//! end and who reads them from files draws the same lines.

mod columns;
mod live;

pub use live::Live;

use crate::cli::color::{Ink, Style};
use crate::cli::table::{cut, short_number};
use crate::metric;
use crate::plan::Combination;
use crate::record::Status;
use crate::stats::{Summary, to_four_digits, with_interval};
use crate::words::short_time;
use columns::{Column, Columns};
use std::collections::HashMap;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// What is shown of runs: of each list the first that the benchmark reports.
pub const METRICS: [&[&str]; 3] = [
    &["output_throughput", "total_token_throughput", "request_throughput", "avg_cold_startup_time"],
    &["median_ttft_ms", "mean_ttft_ms", "avg_warm_startup_time"],
    &["p99_e2el_ms", "p99_ttft_ms", "median_e2el_ms", "mean_e2el_ms"],
];

/// Blanks between columns.
const GAP: usize = 2;
/// Room for a mean with its interval.
const METRIC_WIDTH: usize = 15;
const RUNS_WIDTH: usize = 6;
/// A value that is longer is cut before a metric goes.
const WIDEST_PARAMETER: usize = 16;
/// A heading is cut to no less.
const LEAST_HEADING: usize = 6;

/// A run that ended.
pub struct Ran<'a> {
    pub status: Status,
    pub metric: &'a dyn Fn(&str) -> Option<f64>,
}

struct Line {
    cells: Vec<String>,
    runs: usize,
    failed: usize,
    degraded: usize,
    is_ended: bool,
    /// Of each metric that is shown.
    values: Vec<Vec<f64>>,
}

pub struct Board {
    columns: Columns,
    /// Runs that each combination is to have, where that is known.
    runs_of_each: Option<usize>,
    /// Known once a run has ended well.
    metrics: Option<Vec<&'static str>>,
    lines: Vec<Line>,
    known: HashMap<String, usize>,
}

impl Board {
    /// `turned`: a parameter of the load that the sweep itself sets.
    pub fn new(combinations: &[Combination], turned: Option<&str>, runs_of_each: Option<usize>) -> Self {
        Self {
            columns: Columns::of(combinations, turned),
            runs_of_each,
            metrics: None,
            lines: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// Parameters that all combinations have in common.
    pub fn shared(&self) -> Option<String> {
        let shared = &self.columns.shared;
        (!shared.is_empty() && !self.columns.columns.is_empty())
            .then(|| format!("shared parameters: {}", shared.join(" ")))
    }

    pub fn label(&self, combination: &Combination) -> String {
        self.columns.label(combination)
    }

    /// Counts a run, and says which line it is on.
    pub fn add(&mut self, combination: &Combination, ran: &Ran<'_>) -> usize {
        let is_well = matches!(ran.status, Status::Completed | Status::Degraded);
        if is_well && self.metrics.is_none() {
            let reported = |names: &&[&'static str]| names.iter().copied().find(|name| (ran.metric)(name).is_some());
            self.metrics = Some(METRICS.iter().filter_map(reported).collect());
        }
        let index = self.line_of(combination);
        let line = &mut self.lines[index];
        line.runs += 1;
        line.failed += usize::from(ran.status == Status::Failed);
        line.degraded += usize::from(ran.status == Status::Degraded);
        if let Some(metrics) = self.metrics.as_ref().filter(|_| is_well) {
            line.values.resize(metrics.len(), Vec::new());
            for (name, values) in metrics.iter().zip(&mut line.values) {
                values.extend((ran.metric)(name));
            }
        }
        index
    }

    fn line_of(&mut self, combination: &Combination) -> usize {
        if let Some(index) = self.known.get(combination.id.as_str()) {
            return *index;
        }
        let cells: Vec<String> = self.columns.columns.iter().map(|column| column.cell(combination)).collect();
        for (column, cell) in self.columns.columns.iter_mut().zip(&cells) {
            column.width = column.width.max(cell.width());
        }
        self.lines.push(Line { cells, runs: 0, failed: 0, degraded: 0, is_ended: false, values: Vec::new() });
        self.known.insert(combination.id.to_string(), self.lines.len() - 1);
        self.lines.len() - 1
    }

    /// The combinations that have runs.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn find(&self, combination: &Combination) -> Option<usize> {
        self.known.get(combination.id.as_str()).copied()
    }

    /// Whether a combination has all its runs; of how many that is unknown, never.
    pub fn is_complete(&self, line: usize) -> bool {
        self.lines[line].is_ended || self.runs_of_each.is_some_and(|all| self.lines[line].runs >= all)
    }

    /// No more runs of a combination will come.
    pub fn end(&mut self, line: usize) {
        self.lines[line].is_ended = true;
    }

    /// What a mean is of.
    pub fn statistic(&self) -> &'static str {
        match self.runs_of_each {
            Some(1) => "one line per combination",
            _ => "one line per combination: mean of its runs ± half the width of its 95 % confidence interval",
        }
    }

    /// The names of the columns, once it is known what is measured.
    pub fn heading(&self, width: usize, ink: Ink) -> Option<String> {
        let metrics = self.metrics.as_ref()?;
        let (kept, widths) = self.fitted(width);
        let params = self.columns.columns.iter().zip(&widths).map(|(column, width)| padded(&column.heading, *width));
        let metrics = metrics.iter().take(kept).map(|name| format!("{:>METRIC_WIDTH$}", metric::short(name)));
        let runs = [format!("{:>RUNS_WIDTH$}", "runs")];
        Some(ink.painted(&cut(&format!("  {}", joined(params.chain(runs).chain(metrics))), width), Style::Strong))
    }

    pub fn line(&self, line: usize, width: usize, ink: Ink) -> String {
        let (kept, widths) = self.fitted(width);
        let (is_complete, line) = (self.is_complete(line), &self.lines[line]);
        let mark = match line {
            Line { failed, .. } if *failed > 0 => '✗',
            Line { degraded, .. } if *degraded > 0 => '!',
            _ if is_complete => '✓',
            _ => '·',
        };
        let params = line.cells.iter().zip(&widths).map(|(cell, width)| padded(cell, *width));
        let runs = match self.runs_of_each {
            Some(all) if !is_complete || all > 1 => format!("{}/{all}", line.runs),
            _ => line.runs.to_string(),
        };
        let metrics = line.values.iter().take(kept).map(|values| format!("{:>METRIC_WIDTH$}", mean_of(values)));
        let text = format!("{mark} {}", joined(params.chain([format!("{runs:>RUNS_WIDTH$}")]).chain(metrics)));
        let bad = [(line.failed, "failed"), (line.degraded, "degraded")];
        let bad = bad.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("  {count} {what}"));
        let text = cut(&(text + &bad.collect::<String>()), width);
        match mark {
            '✗' => ink.painted(&text, Style::Bad),
            '!' => ink.painted(&text, Style::Doubtful),
            '·' => ink.painted(&text, Style::Quiet),
            _ => text,
        }
    }

    /// How many metrics fit, and how wide the parameters' columns are then. A heading is cut before a metric goes.
    fn fitted(&self, width: usize) -> (usize, Vec<usize>) {
        let (columns, metrics) = (&self.columns.columns, self.metrics.as_ref().map_or(0, Vec::len));
        let least = |column: &Column| column.width.min(WIDEST_PARAMETER).max(column.heading.width().min(LEAST_HEADING));
        let natural = |column: &Column| column.width.max(column.heading.width());
        let room = |kept: usize| width.saturating_sub(2 + RUNS_WIDTH + kept * (GAP + METRIC_WIDTH));
        let total = |of: &dyn Fn(&Column) -> usize| columns.iter().map(|column| of(column) + GAP).sum::<usize>();
        let shown = (1..=metrics).rev();
        let kept = shown.clone().find(|kept| total(&least) <= room(*kept) && *kept > 1);
        let kept = kept.or_else(|| shown.min()).unwrap_or(0);
        let mut widths: Vec<usize> = columns.iter().map(least).collect();
        let mut free = room(kept).saturating_sub(total(&least));
        while free > 0 {
            let wants = |index: &usize| natural(&columns[*index]) > widths[*index];
            let Some(index) = (0..columns.len()).filter(wants).min_by_key(|index| widths[*index]) else { break };
            widths[index] += 1;
            free -= 1;
        }
        (kept, widths)
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(&" ".repeat(GAP))
}

fn mean_of(values: &[f64]) -> String {
    match Summary::of(values) {
        None => "–".into(),
        Some(summary) => match summary.ci95() {
            Some(half) if half > 0.0 => with_interval(summary.mean, half),
            _ => short_number(to_four_digits(summary.mean)),
        },
    }
}

/// A text in a column, to the left.
fn padded(text: &str, width: usize) -> String {
    let text = cut(text, width);
    let blanks = width.saturating_sub(text.width());
    text + &" ".repeat(blanks)
}

/// `14/36 runs · 1 failed · about 1 min left`.
pub fn counts(done: usize, planned: Option<usize>, failed: usize, left: Option<Duration>) -> String {
    let of = planned.map(|planned| format!("/{planned}")).unwrap_or_default();
    let failed = (failed > 0).then(|| format!("{failed} failed"));
    let left = left.map(|left| format!("about {} left", short_time(left)));
    [Some(format!("{done}{of} runs")), failed, left].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// The numbers of a run in words: `output 1234 tok/s, TTFT med 45.3 ms`.
pub fn in_words(metric: &dyn Fn(&str) -> Option<f64>) -> String {
    let first = |names: &&[&'static str]| names.iter().copied().find_map(|name| Some((name, metric(name)?)));
    let text = |(name, value): (&str, f64)| match metric::short(name).rsplit_once(", ") {
        Some((what, unit)) => format!("{what} {} {unit}", short_number(to_four_digits(value))),
        None => format!("{} {}", short_number(to_four_digits(value)), metric::short(name)),
    };
    METRICS.iter().filter_map(first).map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::ParamSet;
    use proptest::prelude::*;

    fn combination(serve: &[(String, i64)], load: i64) -> Combination {
        let serve = serve.iter().fold(ParamSet::unchanged(), |set, (key, value)| set.with(key, (*value).into()));
        Combination::new(serve, ParamSet::unchanged().with("max_concurrency", load.into()))
    }

    fn ran(board: &mut Board, combination: &Combination, status: Status, tokens: f64) -> usize {
        let metric = |name: &str| {
            [("output_throughput", tokens), ("p99_e2el_ms", 12.0)]
                .iter()
                .find(|known| known.0 == name)
                .map(|known| known.1)
        };
        board.add(combination, &Ran { status, metric: &metric })
    }

    #[test]
    fn a_line_has_the_mean_of_the_runs_that_did_not_fail() {
        let all = [combination(&[("seqs".into(), 1)], 4), combination(&[("seqs".into(), 1)], 8)];
        let mut board = Board::new(&all, None, Some(3));
        assert_eq!(
            (board.shared().as_deref(), board.label(&all[0]).as_str()),
            (Some("shared parameters: seqs=1"), "max_concurrency=4")
        );
        let line = ran(&mut board, &all[0], Status::Completed, 100.0);
        ran(&mut board, &all[0], Status::Failed, 1e9);
        assert!(!board.is_complete(line));
        ran(&mut board, &all[0], Status::Completed, 110.0);
        assert!(board.is_complete(line));
        // Student's t of one degree of freedom, 12.706, times 7.071 / √2.
        let text = board.line(line, 100, Ink::Plain);
        assert!(
            text.starts_with('✗') && text.contains("3/3") && text.contains("105 ± 64") && text.ends_with("1 failed"),
            "{text}"
        );
        assert!(board.heading(100, Ink::Plain).unwrap().contains("output, tok/s"));
    }

    #[test]
    fn what_follows_from_the_rest_tells_nothing_apart() {
        let of = |load: i64, prompts: i64| {
            Combination::new(
                ParamSet::unchanged(),
                ParamSet::unchanged().with("max_concurrency", load.into()).with("num_prompts", prompts.into()),
            )
        };
        let following = [of(1, 10), of(2, 20)];
        assert_eq!(Board::new(&following, None, None).label(&following[1]), "max_concurrency=2");
        let free = [of(1, 10), of(1, 20)];
        assert_eq!(Board::new(&free, None, None).label(&free[1]), "num_prompts=20");
    }

    proptest! {
        #[test]
        fn every_line_fits(keys in prop::collection::btree_map("[a-z_漢]{1,30}", (-9i64..100_000, -9i64..100_000), 0..6), width in 20usize..220) {
            let sides: Vec<Combination> = [0, 1]
                .map(|side| keys.iter().map(|(key, pair)| (key.clone(), if side == 0 { pair.0 } else { pair.1 })).collect::<Vec<_>>())
                .iter()
                .flat_map(|serve| [combination(serve, 1), combination(serve, 512)])
                .collect();
            let mut board = Board::new(&sides, None, Some(2));
            for (index, side) in sides.iter().enumerate() {
                ran(&mut board, side, Status::Completed, 1234.5);
                let line = ran(&mut board, side, Status::Degraded, 1234.0 + index as f64);
                let text = board.line(line, width, Ink::Plain);
                prop_assert!(text.width() <= width, "{} of {}: {text}", text.width(), width);
                prop_assert!(!text.contains('\n'));
            }
            prop_assert!(board.heading(width, Ink::Plain).is_some_and(|heading| heading.width() <= width));
        }
    }
}
