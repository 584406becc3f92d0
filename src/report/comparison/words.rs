//! A comparison in words: the verdict first, what it rests on, what else differs, and what to do next.

use crate::compare::{
    Change, Comparison, DRIFT_P, Design, Difference, DifferenceKind, GateReason, GateResult, JudgedMetric, Needed,
    OddRunTold, Passage, Reason, Side, SideOf, Verdict, Why, Word,
};

/// One line for all: what a reader wants to know first.
pub fn verdict(comparison: &Comparison) -> String {
    let (candidate, base) = (names(&comparison.candidate), names(&comparison.base));
    let what = match comparison.word() {
        _ if !comparison.lost.is_empty() => {
            format!("worse: {} failed in the candidate", counted(comparison.lost.len(), "combination"))
        }
        _ if comparison.answers_less() => "worse: fewer requests succeed".to_owned(),
        Word::Same => format!("the same, within {}", percent(comparison.judge.threshold)),
        Word::Unclear => format!("unclear: {}", why_unclear(comparison)),
        word => format!("{}: {}", word.as_str(), changed(comparison)),
    };
    format!("{candidate} vs. {base}: {what}")
}

fn why_unclear(comparison: &Comparison) -> String {
    let missing = comparison.metrics.iter().zip(&comparison.judged);
    let missing: Vec<&str> = missing
        .filter(|(_, judged)| judged.overall.reason == Reason::NoValue)
        .map(|(metric, _)| metric.as_str())
        .collect();
    let is_unknown = |reason: Reason| matches!(reason, Reason::NoiseUnknown { .. });
    match comparison.design {
        _ if !missing.is_empty() => format!("no combination has {} on both sides", missing.join(", ")),
        Design::Pairs(0) => "no complete pair".into(),
        Design::Pairs(_) => "too few pairs to decide".into(),
        Design::Sweeps if comparison.judged.iter().any(|judged| is_unknown(judged.overall.reason)) => {
            "with one sweep per side, a change cannot be distinguished from day-to-day variation".into()
        }
        Design::Sweeps if comparison.is_noise_known() => {
            "no change can be distinguished from the variation between identical sweeps".into()
        }
        Design::Sweeps => "values of 0 allow no ratio".into(),
    }
}

/// The changes that a reader looks at first: those over all combinations, else how many single ones.
fn changed(comparison: &Comparison) -> String {
    let is_real = |verdict: Verdict| matches!(verdict, Verdict::Worse | Verdict::Better | Verdict::Changed);
    let overall =
        comparison.metrics.iter().zip(&comparison.judged).filter(|(_, judged)| is_real(judged.overall.verdict));
    let overall: Vec<String> = overall.map(|(metric, judged)| overall_text(metric, judged)).collect();
    if !overall.is_empty() {
        return overall.join(", ");
    }
    let all = comparison.judged.iter().flat_map(|judged| &judged.changes);
    let count = |verdict: Verdict| all.clone().filter(|change| change.verdict == verdict).count();
    let texts =
        [Verdict::Worse, Verdict::Better, Verdict::Changed].into_iter().map(|verdict| (count(verdict), verdict));
    let texts = texts.filter(|(count, _)| *count > 0).map(|(count, verdict)| format!("{count} {}", verdict.as_str()));
    format!("{} of {} changes", texts.collect::<Vec<_>>().join(", "), all.clone().count())
}

/// A change over all combinations; of what collapsed somewhere, where.
fn overall_text(metric: &str, judged: &JudgedMetric) -> String {
    if judged.overall.reason != Reason::Collapsed {
        return format!("{metric} {}", signed_percent(judged.overall.ratio));
    }
    let collapsed: Vec<&Change> = judged.changes.iter().filter(|change| change.reason == Reason::Collapsed).collect();
    let first = collapsed.first().map(|change| change_text(change)).unwrap_or_default();
    format!("{metric} {first} in {}", counted(collapsed.len(), "combination"))
}

/// What the verdict rests on.
pub fn rests_on(comparison: &Comparison) -> Vec<String> {
    if let Design::Pairs(pairs) = comparison.design {
        let sd = comparison
            .metrics
            .iter()
            .zip(&comparison.judged)
            .filter_map(|(metric, judged)| Some(format!("{metric} {}", percent(judged.sweep_sd?.0))));
        let sd: Vec<String> = sd.collect();
        let spread = format!("variation between starts of the same server (standard deviation): {}", sd.join(", "));
        let pairs_of = vec![format!(
            "{} of server starts, alternating base and candidate; intervals and verdicts are valid after every pair",
            counted(pairs, "complete pair")
        )];
        return pairs_of.into_iter().chain((!sd.is_empty()).then_some(spread)).collect();
    }
    let side = |name: &str, side: &Side| {
        let starts = side.starts.map(|starts| format!(", {}", counted(starts, "server start"))).unwrap_or_default();
        format!("{name}: {}{starts}, {}", counted(side.sweeps.len(), "sweep"), counted(side.days, "day"))
    };
    let mut lines = vec![format!("{}; {}", side("base", &comparison.base), side("candidate", &comparison.candidate))];
    let known = comparison.judged.iter().zip(&comparison.metrics);
    let known = known.filter_map(|(judged, metric)| Some((metric, judged.sweep_sd?)));
    let texts: Vec<String> = known.clone().map(|(metric, (sd, _))| format!("{metric} {}", percent(sd))).collect();
    let sweeps = known.map(|(_, (_, sweeps))| sweeps).max();
    lines.push(match (sweeps, comparison.judge.assumed_sweep_sd) {
        (_, Some(sd)) => format!("assumed variation between identical sweeps (standard deviation): {}", percent(sd)),
        (Some(sweeps), None) => {
            format!(
                "variation between identical sweeps (standard deviation, from {sweeps} sweeps): {}",
                texts.join(", ")
            )
        }
        (None, None) if comparison.base.sweeps.len() > 1 => {
            "no metric allows estimating the variation between identical sweeps".into()
        }
        (None, None) => "the variation between identical sweeps is unknown".into(),
    });
    lines.extend(doubt(comparison));
    lines
}

/// Less than what anything differs by.
const LEAST_DOUBT: f64 = 0.001;

/// How noisy sweeps would have to be for the largest change to be none.
fn doubt(comparison: &Comparison) -> Option<String> {
    let of_metric = comparison.metrics.iter().zip(&comparison.judged).filter_map(|(metric, judged)| {
        let Reason::NoiseUnknown { doubt } = judged.overall.reason else { return None };
        Some((metric, judged.overall.ratio, doubt))
    });
    let largest = of_metric.max_by(|left, right| left.2.total_cmp(&right.2));
    let (metric, ratio, doubt) = largest.filter(|(_, _, doubt)| *doubt >= LEAST_DOUBT)?;
    Some(format!(
        "{metric} {} would not count as a change if identical sweeps varied by {} (standard deviation) or more",
        signed_percent(ratio),
        percent(doubt)
    ))
}

/// What else differs, and what has no partner.
pub fn notes(comparison: &Comparison) -> Vec<String> {
    let mut notes: Vec<String> = comparison.differences.iter().map(difference).collect();
    notes.push(format!("{} in common", counted(comparison.labels.len(), "combination")));
    for side in [&comparison.base, &comparison.candidate] {
        notes.extend(side.unfinished.iter().cloned());
        if !side.cautions.is_empty() {
            notes.push(format!("caution, in {}: {}", names(side), shortened(&side.cautions)));
        }
    }
    let broken: Vec<String> = comparison.broken().into_iter().map(|cell| broken(comparison, cell)).collect();
    let lists = [
        ("requests failed in the candidate", &broken),
        ("failed in the candidate", &comparison.lost),
        ("only in the base", &comparison.only_base),
        ("only in the candidate", &comparison.only_candidate),
    ];
    let lists = lists.into_iter().filter(|(_, labels)| !labels.is_empty());
    notes.extend(lists.map(|(what, labels)| format!("{what}: {}", shortened(labels))));
    notes
}

fn difference(one: &Difference) -> String {
    let what = if one.kind == DifferenceKind::Unlike { "NOT COMPARABLE" } else { "differs" };
    format!("{what}: {}: {} → {}", one.fact, one.base, one.candidate)
}

fn broken(comparison: &Comparison, cell: usize) -> String {
    let rate = |side: &Side| side.success[cell].rate().map(percent);
    let was = rate(&comparison.base).map(|rate| format!(", {rate} in the base")).unwrap_or_default();
    let is = rate(&comparison.candidate).unwrap_or_default();
    format!("{}: only {is} of the requests succeeded{was}", comparison.labels[cell])
}

/// Drift, odd runs, and the frontier.
pub fn remarks(comparison: &Comparison) -> Vec<String> {
    let mut remarks = Vec::new();
    for (metric, drifts) in comparison.metrics.iter().zip(&comparison.drifts) {
        for (side, drift) in [&comparison.base, &comparison.candidate].into_iter().zip(drifts) {
            if let Some(drift) = drift.filter(|drift| drift.p_value < DRIFT_P) {
                remarks.push(format!(
                    "{metric} drifted while {} ran: {} from its first run to its last (p {:.1e})",
                    side.sweeps.first().map(String::as_str).unwrap_or_default(),
                    signed_percent(drift.change),
                    drift.p_value
                ));
            }
        }
    }
    let odd: Vec<String> = comparison.odd.iter().map(|one| odd_run(comparison, one)).collect();
    if !odd.is_empty() {
        remarks.push(format!("outlier runs, given less weight: {}", shortened(&odd)));
    }
    remarks.extend(frontier(comparison));
    remarks
}

fn odd_run(comparison: &Comparison, one: &OddRunTold) -> String {
    let told = one.told.clone().unwrap_or_default();
    let start = told.server_start.map(|start| format!(", server start {start}")).unwrap_or_default();
    let caution = told.caution.map(|caution| format!(", {caution}")).unwrap_or_default();
    let side = if one.run.side == SideOf::Base { "base" } else { "candidate" };
    format!(
        "{} {} ({side} {}, run {}{start}{caution}): {}",
        one.label,
        comparison.metrics[one.metric],
        one.sweep,
        told.run_number,
        signed_percent(one.run.off)
    )
}

/// What became of the frontier.
pub fn frontier(comparison: &Comparison) -> Option<String> {
    let frontier = comparison.frontier.as_ref()?;
    let change = &frontier.change;
    let interval = change.interval.map(|interval| format!(" ({})", interval_text(interval))).unwrap_or_default();
    let mut text = format!(
        "frontier of tokens/s/user and tokens/s/GPU: dominated area {}{interval}, {}",
        signed_percent(change.ratio),
        change.verdict.as_str()
    );
    for (name, keys) in [("entered", &frontier.moves.entered), ("left", &frontier.moves.left)] {
        if !keys.is_empty() {
            text += &format!("; {name}: {}", shortened(keys));
        }
    }
    Some(text)
}

/// What would decide what could not be told, and what that costs.
pub fn next(comparison: &Comparison) -> Vec<String> {
    let is_gate_open = comparison.gates.iter().any(|gate| gate.passage == Passage::Unclear);
    if comparison.labels.is_empty() || !(is_gate_open || comparison.word() == Word::Unclear) {
        return Vec::new();
    }
    let is_unknown = |judged: &JudgedMetric| matches!(judged.overall.reason, Reason::NoiseUnknown { .. });
    if comparison.design == Design::Sweeps && comparison.judged.iter().any(is_unknown) {
        return vec![
            "to decide: use `sweeplake ab`, which alternates between base and candidate; or run the base again on other days and pass \
             --base 'NAME*'; or, if you know how much identical sweeps vary, pass --assume-sweep-sd 2%"
                .into(),
        ];
    }
    let is_open = |metric: usize| {
        let gates = comparison.gates.iter().filter(|gate| gate.gate.metric == comparison.metrics[metric]);
        comparison.judged[metric].overall.verdict == Verdict::Unclear
            || gates.clone().any(|gate| gate.passage == Passage::Unclear)
    };
    let needed = comparison.metrics.iter().zip(&comparison.needed).enumerate().filter(|(metric, _)| is_open(*metric));
    let text = |metric: &String, needed: Needed| match comparison.design {
        Design::Sweeps => sweeps_needed(metric, needed),
        Design::Pairs(measured) => pairs_needed(metric, needed, measured),
    };
    needed.filter_map(|(_, (metric, needed))| Some(text(metric, (*needed)?))).collect()
}

/// What would let a gate that can't tell decide.
pub fn next_of_gate(comparison: &Comparison, gate: &GateResult) -> Option<String> {
    let is_whole = |reason: &GateReason| matches!(reason, GateReason::Change { .. });
    if !gate.reasons.iter().all(is_whole) {
        return Some("run what is missing: resume the sweep of the candidate".into());
    }
    let all = next(comparison);
    let own = all.iter().find(|line| line.starts_with(&format!("{}:", gate.gate.metric)));
    own.or_else(|| all.first().filter(|line| line.starts_with("to decide"))).cloned()
}

/// Beyond this nobody measures.
const MOST_NEEDED: usize = 1000;

fn pairs_needed(metric: &str, needed: Needed, measured: usize) -> String {
    if needed.sweeps > MOST_NEEDED {
        return format!(
            "{metric}: more than {MOST_NEEDED} pairs would be needed to decide on {}",
            percent(needed.change)
        );
    }
    let time = needed.seconds.map(|seconds| format!(" (about {} in all)", duration(seconds))).unwrap_or_default();
    let pairs = needed.sweeps.max(measured + 1);
    format!(
        "{metric}: about {pairs} pairs{time} would decide on a change of {}; resume with that many",
        percent(needed.change)
    )
}

fn sweeps_needed(metric: &str, needed: Needed) -> String {
    if needed.sweeps > MOST_NEEDED {
        return format!(
            "{metric}: more than {MOST_NEEDED} sweeps per side would be needed to detect a change of {}",
            percent(needed.change)
        );
    }
    let time = needed.seconds.map(|seconds| format!(", about {} per side", duration(seconds))).unwrap_or_default();
    format!(
        "{metric}: with {} each of base and candidate, a change of {} in one combination would be detected in 4 of 5 cases{time}",
        counted(needed.sweeps, "sweep"),
        percent(needed.change)
    )
}

fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

/// What each gate says, one line each.
pub fn gates(comparison: &Comparison) -> Vec<String> {
    comparison.gates.iter().map(|gate| gate_line(comparison, gate)).collect()
}

/// What a gate says, in one line: the worst reason, and how many more there are.
pub fn gate_line(comparison: &Comparison, gate: &GateResult) -> String {
    let text = gate_text(gate);
    let Some(worst) = gate
        .reasons
        .iter()
        .max_by(|left, right| size(comparison, gate, left).total_cmp(&size(comparison, gate, right)))
    else {
        return format!("{text}: passes");
    };
    let what = if gate.passage == Passage::Fails { "fails" } else { "unclear" };
    let more = gate.reasons.len() - 1;
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{text}: {what}: {}{more}", gate_reason(comparison, gate, worst))
}

/// How much a reason weighs: what is missing more than any change.
fn size(comparison: &Comparison, gate: &GateResult, reason: &GateReason) -> f64 {
    match reason {
        GateReason::Change { cell, .. } => {
            let metric = comparison.metrics.iter().position(|metric| *metric == gate.gate.metric).unwrap_or(0);
            let size = comparison.judged[metric].changes[*cell].ratio.ln_1p().abs();
            if size.is_nan() { 1e6 } else { size.min(1e6) }
        }
        _ => 1e9,
    }
}

pub fn gate_text(gate: &GateResult) -> String {
    let sign = if gate.gate.is_growth { '>' } else { '<' };
    format!("{}{sign}{}", gate.gate.metric, percent(gate.gate.limit).replace(' ', ""))
}

pub fn gate_reason(comparison: &Comparison, gate: &GateResult, reason: &GateReason) -> String {
    match reason {
        GateReason::Change { cell, why } => {
            let metric = comparison.metrics.iter().position(|metric| *metric == gate.gate.metric).unwrap_or(0);
            let change = change_text(&comparison.judged[metric].changes[*cell]);
            let why = match why {
                Why::Change if gate.passage == Passage::Unclear => ", indistinguishable from noise",
                Why::Change => "",
                Why::TooWide => ", an interval wider than the limit",
                Why::NoiseUnknown if matches!(comparison.design, Design::Pairs(_)) => ", too few pairs",
                Why::NoiseUnknown => ", one sweep per side is not enough to rule out day-to-day variation",
                Why::NoRatio => ", values without a ratio",
                Why::NoValue => ", no value",
            };
            let change = if change.is_empty() { change } else { format!(" {change}") };
            format!("{}{change}{why}", comparison.labels[*cell])
        }
        GateReason::Missing(labels) => format!("the candidate lacks {}", shortened(labels)),
        GateReason::Failed(labels) => format!("failed in the candidate: {}", shortened(labels)),
        GateReason::Requests { cell } => broken(comparison, *cell),
        GateReason::Unfinished(text) => text.clone(),
    }
}

/// The change of a cell in short.
pub fn change_text(change: &Change) -> String {
    match (change.reason, change.interval) {
        (Reason::NoValue, _) => String::new(),
        (Reason::Collapsed | Reason::NoRatio, _) => format!("{} → {}", short(change.base), short(change.candidate)),
        (_, Some(interval)) => format!("{} ({})", signed_percent(change.ratio), interval_text(interval)),
        (_, None) => signed_percent(change.ratio),
    }
}

pub fn short(value: f64) -> String {
    match value {
        value if !value.is_finite() => format!("{value}"),
        value if value.abs() >= 1000.0 => format!("{value:.0}"),
        value if value.abs() >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.3}"),
    }
}

/// The names of a side's sweeps.
pub fn names(side: &Side) -> String {
    match side.sweeps.as_slice() {
        [first, .., last] => format!("{} sweeps ({first} … {last})", side.sweeps.len()),
        _ => side.sweeps.join(", "),
    }
}

pub fn interval_text((low, high): (f64, f64)) -> String {
    format!("{} to {}", signed_percent(low), signed_percent(high))
}

pub fn signed_percent(ratio: f64) -> String {
    match ratio {
        ratio if ratio.is_nan() => "unknown".into(),
        // Beyond a doubling, percents are hard to read.
        ratio if ratio >= 9.995 => format!("×{:.1}", ratio + 1.0),
        ratio => format!("{:+.1} %", ratio * 100.0),
    }
}

pub fn percent(ratio: f64) -> String {
    let text = format!("{:.1}", ratio * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The first few of a list.
pub fn shortened(texts: &[String]) -> String {
    const MOST: usize = 3;
    let shown = texts.iter().take(MOST).cloned().collect::<Vec<_>>().join("; ");
    if texts.len() > MOST { format!("{shown}; and {} more", texts.len() - MOST) } else { shown }
}
