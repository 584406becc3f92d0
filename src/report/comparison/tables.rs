//! A comparison as tables: for reading, and for programs.

use super::words::{gate_reason, gate_text, interval_text, next, rests_on, short, signed_percent, verdict};
use crate::compare::{Change, Comparison, DifferenceKind, Overall, Reason};
use crate::metric::label;
use crate::record::{Cell, Row};
use serde_json::{Value, json};

/// A table of finished texts.
#[derive(Clone, Debug)]
pub struct TableView {
    pub heading: String,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// How many of the changes a table for reading has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    All,
    /// Those that changed most.
    Telling,
}

/// So many combinations are shown where not all are.
const MOST_ROWS: usize = 20;

/// A change with its place.
#[derive(Clone, Copy)]
pub struct Placed<'a> {
    pub metric: &'a str,
    pub label: &'a str,
    metric_index: usize,
    cell: usize,
    pub change: &'a Change,
}

/// All changes, those that matter first.
pub fn changes(comparison: &Comparison) -> Vec<Placed<'_>> {
    let of_metric = comparison.metrics.iter().zip(&comparison.judged).enumerate();
    let mut all: Vec<Placed<'_>> = of_metric
        .flat_map(|(metric_index, (metric, judged))| {
            let changes = judged.changes.iter().zip(&comparison.labels).enumerate();
            changes.map(move |(cell, (change, label))| Placed { metric, label, metric_index, cell, change })
        })
        .collect();
    let size = |placed: &Placed<'_>| placed.change.ratio.ln_1p().abs();
    all.sort_by(|left, right| left.change.verdict.cmp(&right.change.verdict).then(size(right).total_cmp(&size(left))));
    all
}

pub fn overall(comparison: &Comparison) -> TableView {
    let rows = comparison.metrics.iter().zip(&comparison.judged).map(|(metric, judged)| {
        let overall: &Overall = &judged.overall;
        vec![
            overall.verdict.as_str().to_owned(),
            label(metric),
            signed_percent(overall.ratio),
            overall.interval.map(interval_text).unwrap_or_else(|| no_interval(overall.reason)),
        ]
    });
    TableView {
        heading: format!("Over {} (geometric mean)", all_combinations(comparison.labels.len())),
        columns: ["verdict", "metric", "change", "95 % interval"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }
}

fn all_combinations(count: usize) -> String {
    if count == 1 { "one combination".into() } else { format!("all {count} combinations") }
}

fn no_interval(reason: Reason) -> String {
    match reason {
        Reason::Noise => "".into(),
        Reason::NoiseUnknown { .. } => "noise unknown".into(),
        Reason::BeyondNoise => "beyond any noise".into(),
        Reason::Collapsed => "collapsed".into(),
        Reason::NoRatio => "no ratio".into(),
        Reason::NoValue => "no value".into(),
    }
}

/// Every change with its interval.
pub fn by_combination(comparison: &Comparison) -> TableView {
    let all = changes(comparison);
    let has_pooled = comparison.pooled.iter().flatten().any(Option::is_some);
    let rows = all.iter().map(|placed| {
        let change = placed.change;
        let mut row = vec![
            change.verdict.as_str().to_owned(),
            placed.metric.to_owned(),
            placed.label.to_owned(),
            short(change.base),
            short(change.candidate),
            signed_percent(change.ratio),
            change.interval.map(interval_text).unwrap_or_else(|| no_interval(change.reason)),
        ];
        if has_pooled {
            let pooled = comparison.pooled[placed.metric_index][placed.cell];
            row.push(pooled.map(|pooled| signed_percent(pooled.change)).unwrap_or_default());
        }
        row
    });
    let mut columns = vec!["verdict", "metric", "combination", "base", "candidate", "change", "95 % interval"];
    if has_pooled {
        columns.push("all requests");
    }
    TableView {
        heading: "All changes, most important first".into(),
        rows: rows.collect(),
        columns: columns.into_iter().map(str::to_owned).collect(),
    }
}

/// A row for each combination, a column for each metric: the combinations that changed most first.
pub fn pivot(comparison: &Comparison, extent: Extent) -> TableView {
    let cell = |metric: usize, cell: usize| &comparison.judged[metric].changes[cell];
    let metrics = 0..comparison.metrics.len();
    let mut cells: Vec<usize> = (0..comparison.labels.len()).collect();
    let rank = |index: usize| metrics.clone().map(|metric| cell(metric, index).verdict).min();
    let size = |index: usize| {
        metrics
            .clone()
            .map(|metric| cell(metric, index).ratio.ln_1p().abs())
            .filter(|size| size.is_finite())
            .fold(0.0, f64::max)
    };
    cells.sort_by(|left, right| rank(*left).cmp(&rank(*right)).then(size(*right).total_cmp(&size(*left))));
    let shown = if extent == Extent::All { cells.len() } else { cells.len().min(MOST_ROWS) };
    let more = cells.len() - shown;
    let more = if more > 0 { format!("; {more} more") } else { String::new() };
    let rows = cells[..shown].iter().map(|index| {
        let changes = metrics.clone().map(|metric| {
            let change = cell(metric, *index);
            format!("{} {}", change.verdict.as_str(), change_in_short(change))
        });
        std::iter::once(comparison.labels[*index].clone()).chain(changes).collect()
    });
    let columns = std::iter::once("combination".to_owned()).chain(comparison.metrics.iter().cloned());
    TableView {
        heading: format!("By combination, largest changes first{more}"),
        columns: columns.collect(),
        rows: rows.collect(),
    }
}

fn change_in_short(change: &Change) -> String {
    match change.reason {
        Reason::Collapsed | Reason::NoRatio => format!("{} → {}", short(change.base), short(change.candidate)),
        Reason::NoValue => "(no value)".into(),
        _ => signed_percent(change.ratio),
    }
}

/// The changes as rows of a table for programs.
pub fn rows(comparison: &Comparison) -> Vec<Row> {
    let base = comparison.base.sweeps.join(", ");
    let candidate = comparison.candidate.sweeps.join(", ");
    let row = |placed: Placed<'_>| {
        let change = placed.change;
        let pooled = comparison.pooled[placed.metric_index][placed.cell];
        let interval = pooled.and_then(|pooled| pooled.interval);
        vec![
            ("base".into(), base.as_str().into()),
            ("candidate".into(), candidate.as_str().into()),
            ("metric".into(), placed.metric.into()),
            ("combination".into(), placed.label.into()),
            ("verdict".into(), Cell::from(change.verdict.as_str())),
            ("reason".into(), Cell::from(reason_word(change.reason))),
            ("base_level".into(), change.base.into()),
            ("candidate_level".into(), change.candidate.into()),
            ("base_runs".into(), (change.base_runs as i64).into()),
            ("candidate_runs".into(), (change.candidate_runs as i64).into()),
            ("change".into(), change.ratio.into()),
            ("change_low".into(), change.interval.map(|interval| interval.0).into()),
            ("change_high".into(), change.interval.map(|interval| interval.1).into()),
            ("p_value".into(), change.p_value.into()),
            ("q_value".into(), change.q_value.into()),
            ("detectable".into(), change.detectable.into()),
            ("sweep_sd".into(), change.sweep_sd.into()),
            ("pooled_base".into(), pooled.map(|pooled| pooled.base).into()),
            ("pooled_candidate".into(), pooled.map(|pooled| pooled.candidate).into()),
            ("pooled_change".into(), pooled.map(|pooled| pooled.change).into()),
            ("pooled_low".into(), interval.map(|interval| interval.0).into()),
            ("pooled_high".into(), interval.map(|interval| interval.1).into()),
        ]
    };
    changes(comparison).into_iter().map(row).collect()
}

fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Noise => "noise",
        Reason::NoiseUnknown { .. } => "noise_unknown",
        Reason::BeyondNoise => "beyond_noise",
        Reason::Collapsed => "collapsed",
        Reason::NoRatio => "no_ratio",
        Reason::NoValue => "no_value",
    }
}

pub fn to_json(comparison: &Comparison) -> Value {
    let object =
        |row: Row| Value::Object(row.into_iter().map(|(name, cell)| (name.into_owned(), cell.to_json())).collect());
    let overall = comparison.metrics.iter().zip(&comparison.judged).map(|(metric, judged)| {
        let overall = &judged.overall;
        json!({
            "metric": metric, "verdict": overall.verdict.as_str(), "reason": reason_word(overall.reason),
            "change": overall.ratio, "change_low": overall.interval.map(|interval| interval.0),
            "change_high": overall.interval.map(|interval| interval.1), "p_value": overall.p_value,
            "q_value": overall.q_value, "combinations": overall.cells, "run_sd": judged.run_sd,
            "sweep_sd": judged.sweep_sd.map(|(sd, _)| sd), "sweep_sd_from": judged.sweep_sd.map(|(_, sweeps)| sweeps),
        })
    });
    let gates = comparison.gates.iter().map(|gate| {
        let reasons = gate.reasons.iter().map(|reason| gate_reason(comparison, gate, reason)).collect::<Vec<_>>();
        json!({"gate": gate_text(gate), "result": gate.passage.as_str(), "reasons": reasons})
    });
    let differences = comparison.differences.iter().map(|one| {
        json!({"fact": one.fact, "base": one.base, "candidate": one.candidate,
               "is_unlike": one.kind == DifferenceKind::Unlike})
    });
    let side = |side: &crate::compare::Side| json!({"sweeps": side.sweeps, "server_starts": side.starts, "days": side.days, "unfinished": side.unfinished});
    let frontier = comparison.frontier.as_ref().map(|frontier| {
        json!({
            "base_hypervolume": frontier.base_hypervolume, "candidate_hypervolume": frontier.candidate_hypervolume,
            "verdict": frontier.change.verdict.as_str(), "change": frontier.change.ratio,
            "change_low": frontier.change.interval.map(|interval| interval.0),
            "change_high": frontier.change.interval.map(|interval| interval.1),
            "entered": frontier.moves.entered, "left": frontier.moves.left,
        })
    });
    json!({
        "base": side(&comparison.base), "candidate": side(&comparison.candidate),
        "verdict": comparison.word().as_str(), "reasons": [verdict(comparison)], "rests_on": rests_on(comparison),
        "differences": differences.collect::<Vec<_>>(),
        "only_base": comparison.only_base, "only_candidate": comparison.only_candidate, "failed": comparison.lost,
        "overall": overall.collect::<Vec<_>>(),
        "changes": rows(comparison).into_iter().map(object).collect::<Vec<_>>(),
        "frontier": frontier, "gates": gates.collect::<Vec<_>>(), "next": next(comparison),
        "odd_runs": comparison.odd.iter().map(|one| json!({
            "metric": comparison.metrics[one.metric], "sweep": one.sweep, "combination": one.label,
            "run_number": one.told.as_ref().map(|told| told.run_number), "value": one.run.value, "off": one.run.off,
        })).collect::<Vec<_>>(),
    })
}
