//! `sweeplake compare`: what changed between sweeps, and whether it may.

use super::lake::{Opening, tell};
use super::plot::Picture;
use super::table::{Output, OutputFormat, short_number};
use super::trend::Trend;
use super::{Ended, Failure, block_on, query_failure};
use crate::compare::{
    Change, Drift, FrontierChange, Gate, Judge, LEAST_RUNS, Matched, Overall, Passage, Pooled, Question, Side, Sides,
    Verdict, compare_frontiers, drift, frontier, judge, runs_needed,
};
use crate::metric::{Better, label};
use crate::plot::{self, Estimate, Figure, ParetoSpec, pareto_figure};
use crate::query::{Answer, Format};
use crate::record::{Cell, Row};
use crate::report::{ComparisonView, TableView, render_comparison};
use crate::store::{SweepState, resolve, write_atomically, write_bytes_atomically};
use chrono::Local;
use comfy_table::{CellAlignment, Color, Table, presets};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    /// The sweep to compare with, then those to compare: paths, names in the lake, tags, latest, latest~1.
    #[arg(required_unless_present = "trend", num_args = 2.., value_name = "SWEEP")]
    sweeps: Vec<String>,
    /// The lake in which names, tags and `latest` are looked up.
    #[arg(long, default_value = "results", value_name = "DIR")]
    lake: PathBuf,
    #[arg(long, value_delimiter = ',', default_value = "output_throughput,median_ttft_ms,median_tpot_ms,p99_e2el_ms")]
    metrics: Vec<String>,
    /// Instead: follow a metric of each combination over all sweeps of a lake, with its change points.
    #[arg(long, value_name = "LAKE", requires = "metric", conflicts_with_all = ["sweeps", "fail_on", "html", "match_on"])]
    trend: Option<PathBuf>,
    /// The metric that --trend follows.
    #[arg(long, requires = "trend")]
    metric: Option<String>,
    /// Match on these variables instead of on all parameters.
    #[arg(long, value_delimiter = ',', value_name = "VAR,…")]
    match_on: Vec<String>,
    /// Keep only these runs, as in `plot`.
    #[arg(long, default_value = "")]
    filter_by: String,
    /// A change smaller than this is none that matters.
    #[arg(long, default_value = "2%", value_parser = percent)]
    threshold: f64,
    /// Compare even what is not alike: other numbers of GPUs, other datasets.
    #[arg(long)]
    force: bool,
    /// End with exit code 1 on such a change: 'p99_e2el_ms>5%', 'output_throughput<-3%'. May be given again.
    #[arg(long, value_name = "GATE", value_parser = Gate::parse)]
    fail_on: Vec<Gate>,
    /// What a gate says where the runs can't tell.
    #[arg(long, value_enum, default_value = "pass")]
    unclear: Unclear,
    /// Default: text, or what the name of FILE says.
    #[arg(long, value_enum)]
    format: Option<CompareFormat>,
    /// Write to a file.
    #[arg(long, short, value_name = "FILE", value_parser = super::lake::local_path)]
    output: Option<PathBuf>,
    /// Write a page with the charts in it, too.
    #[arg(long, value_name = "FILE", value_parser = super::lake::local_path)]
    html: Option<PathBuf>,
    /// Draw both Pareto frontiers (or the trend) into a PNG file, too.
    #[arg(long, value_name = "FILE", value_parser = super::lake::local_path)]
    fig: Option<PathBuf>,
    #[command(flatten)]
    opening: Opening,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Unclear {
    Pass,
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum CompareFormat {
    Text,
    Csv,
    Json,
    Markdown,
    Parquet,
}

/// At most this share of the changes that are called real is false.
const FALSE_DISCOVERY_RATE: f64 = 0.05;
/// A drift is told when it is this unlikely to be chance.
const DRIFT_P: f64 = 0.01;

/// One candidate against the base.
struct Comparison {
    base: Side,
    candidate: Side,
    sides: Sides,
    metrics: Vec<String>,
    /// For each metric its changes, in the order of the matched combinations.
    judged: Vec<(Vec<Change>, Overall)>,
    frontier: FrontierChange,
    /// For each metric the drift of base and candidate.
    drifts: Vec<[Option<Drift>; 2]>,
    gates: Vec<GateResult>,
    threshold: f64,
}

struct GateResult {
    text: String,
    passage: Passage,
    reasons: Vec<String>,
}

pub fn exec(arguments: Arguments) -> Ended {
    if let (Some(lake), Some(metric)) = (&arguments.trend, &arguments.metric) {
        return follow(lake, metric, &arguments);
    }
    let comparisons = compared(&arguments)?;
    write(&comparisons, &arguments)?;
    write_pages(&comparisons, &arguments)?;
    close(&comparisons, arguments.unclear)
}

/// What a report says of several sweeps: the later ones against the first, as `compare` does it without flags.
pub fn views_of(sweeps: &[PathBuf]) -> Result<Vec<ComparisonView>, Failure> {
    #[derive(clap::Parser)]
    struct Plain {
        #[command(flatten)]
        arguments: Arguments,
    }
    let words = std::iter::once("compare".as_ref()).chain(sweeps.iter().map(|sweep| sweep.as_os_str()));
    let plain = <Plain as clap::Parser>::try_parse_from(words).map_err(Failure::input)?;
    Ok(compared(&plain.arguments)?.iter().map(Comparison::view).collect())
}

fn compared(arguments: &Arguments) -> Result<Vec<Comparison>, Failure> {
    let question = Question {
        metrics: with_gated(&arguments.metrics, &arguments.fail_on),
        match_on: arguments.match_on.clone(),
        filter_by: arguments.filter_by.clone(),
    };
    let mut sides = Vec::new();
    for reference in &arguments.sweeps {
        let path = resolve(reference, &arguments.lake).map_err(Failure::input)?;
        let lake = arguments.opening.open(&[path], None)?;
        tell(&lake);
        let [sweep] = lake.sweeps() else {
            return Err(Failure::input(format!("{reference}: holds {} sweeps; name one of them", lake.sweeps().len())));
        };
        if sweep.state().map_err(Failure::input)? == SweepState::Running {
            return Err(Failure::input(format!("{reference}: is still running; compare it when it has ended")));
        }
        sides.push(block_on(Side::of(&lake, &question))?.map_err(query_failure)?);
    }
    let (base, candidates) = sides.split_first().ok_or_else(|| Failure::input("compare needs two sweeps"))?;
    let comparisons = candidates.iter().map(|candidate| Comparison::new(base, candidate, &question, arguments));
    comparisons.collect()
}

fn follow(lake: &Path, metric: &str, arguments: &Arguments) -> Ended {
    let trend = Trend {
        lake: lake.to_owned(),
        metric: metric.to_owned(),
        filter_by: arguments.filter_by.clone(),
        judge: Judge { threshold: arguments.threshold, false_discovery_rate: FALSE_DISCOVERY_RATE },
        fig: arguments.fig.clone(),
    };
    let opened = arguments.opening.open(&[lake.to_owned()], None)?;
    tell(&opened);
    let format = match arguments.format {
        None | Some(CompareFormat::Text) => arguments.output.is_none().then_some(OutputFormat::Table),
        Some(CompareFormat::Csv) => Some(OutputFormat::Csv),
        Some(CompareFormat::Json) => Some(OutputFormat::Json),
        Some(CompareFormat::Markdown) => Some(OutputFormat::Markdown),
        Some(CompareFormat::Parquet) => Some(OutputFormat::Parquet),
    };
    Output { format, output: arguments.output.clone() }.write(&trend.follow(&opened)?)
}

/// The exit code: a gate that fails is work that failed.
fn close(comparisons: &[Comparison], unclear: Unclear) -> Ended {
    let fails = |gate: &&GateResult| match gate.passage {
        Passage::Fails => true,
        Passage::Unclear => unclear == Unclear::Fail,
        Passage::Passes => false,
    };
    let failed: Vec<&GateResult> = comparisons.iter().flat_map(|comparison| &comparison.gates).filter(fails).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let reasons = failed.iter().map(|gate| {
        let what = if gate.passage == Passage::Unclear { " can't be told apart from it" } else { "" };
        format!("{}{what}: {}", gate.text, gate.reasons.join("; "))
    });
    Err(Failure::work(format!("--fail-on {}", reasons.collect::<Vec<_>>().join("\n       --fail-on "))))
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

impl Comparison {
    fn new(base: &Side, candidate: &Side, question: &Question, arguments: &Arguments) -> Result<Self, Failure> {
        let sides = Sides::of(base, candidate);
        if let Some((name, was, is)) = sides.unlike().filter(|_| !arguments.force) {
            return Err(Failure::input(format!(
                "{} and {} are not alike: {name} is {was:?} in the one and {is:?} in the other; --force compares them all the same",
                base.sweep, candidate.sweep
            )));
        }
        if sides.matched.is_empty() {
            return Err(Failure::input(no_common(base, candidate, &sides)));
        }
        let cells = question.metrics.iter().enumerate().map(|(index, metric)| {
            let pairs = sides.matched.iter().map(|matched| matched.pairs[index].clone()).collect();
            (question.better(metric), pairs)
        });
        let cells: Vec<_> = cells.collect();
        let judge_by = Judge { threshold: arguments.threshold, false_discovery_rate: FALSE_DISCOVERY_RATE };
        let judged = judge(&cells, &judge_by);
        let drifts = (0..question.metrics.len()).map(|index| [base, candidate].map(|side| drift(side.order(index))));
        let mut comparison = Self {
            frontier: compare_frontiers(&base.configurations(), &candidate.configurations()),
            drifts: drifts.collect(),
            base: base.clone(),
            candidate: candidate.clone(),
            sides,
            metrics: question.metrics.clone(),
            judged,
            gates: Vec::new(),
            threshold: arguments.threshold,
        };
        comparison.gates = arguments.fail_on.iter().map(|gate| comparison.gate(gate)).collect();
        Ok(comparison)
    }

    fn gate(&self, gate: &Gate) -> GateResult {
        let metric = self.metrics.iter().position(|metric| *metric == gate.metric).unwrap_or(0);
        let sign = if gate.is_growth { '>' } else { '<' };
        let text = format!("{}{sign}{}", gate.metric, percent_text(gate.limit));
        let judged = self.judged[metric].0.iter().zip(&self.sides.matched);
        let mut reasons: Vec<(Passage, String)> = judged
            .map(|(change, matched)| {
                (gate.judge(change, FALSE_DISCOVERY_RATE), format!("{} {}", matched.label, change_text(change)))
            })
            .filter(|(passage, _)| *passage != Passage::Passes)
            .collect();
        // What can't be run any more is no better than what became slower, and neither is what answers fewer requests.
        reasons.extend(self.sides.lost.iter().map(|label| (Passage::Fails, format!("{label} failed"))));
        reasons.extend(self.broken().into_iter().map(|text| (Passage::Fails, text)));
        let passage = match &reasons {
            reasons if reasons.iter().any(|(passage, _)| *passage == Passage::Fails) => Passage::Fails,
            reasons if reasons.is_empty() => Passage::Passes,
            _ => Passage::Unclear,
        };
        reasons.retain(|(of, _)| *of == passage);
        GateResult { text, passage, reasons: reasons.into_iter().map(|(_, reason)| reason).collect() }
    }

    /// Combinations of which the candidate answers fewer requests than the base, or too few: before any latency this is what
    /// changed.
    fn broken(&self) -> Vec<String> {
        let text = |matched: &Matched| {
            let [base, candidate] = matched.success;
            let rate = candidate.rate().filter(|_| candidate.degraded_runs > 0)?;
            let was = base.rate().map_or(String::new(), |rate| format!(", {} in the base", percent_text(rate)));
            Some(format!("{}: only {} of the requests succeeded{was}", matched.label, percent_text(rate)))
        };
        self.sides.matched.iter().filter_map(text).collect()
    }

    /// Whether the candidate answers fewer requests than the base somewhere.
    fn answers_less(&self) -> bool {
        self.sides.matched.iter().any(|matched| {
            let [base, candidate] = matched.success;
            candidate.degraded_runs > 0
                && candidate.rate().zip(base.rate()).is_none_or(|(candidate, base)| candidate < base)
        })
    }

    /// All changes, those that matter first.
    fn changes(&self) -> Vec<(&str, &Matched, &Change)> {
        let of_metric = self.metrics.iter().zip(&self.judged).flat_map(|(metric, (changes, _))| {
            changes.iter().zip(&self.sides.matched).map(move |(change, matched)| (metric.as_str(), matched, change))
        });
        let mut all: Vec<(&str, &Matched, &Change)> = of_metric.collect();
        all.sort_by(|left, right| {
            left.2.verdict.cmp(&right.2.verdict).then(right.2.ratio.abs().total_cmp(&left.2.ratio.abs()))
        });
        all
    }

    /// The change of the percentile of all requests, where they are stored.
    fn pooled(&self, metric: &str, matched: &Matched) -> Option<Pooled> {
        let index = self.metrics.iter().position(|known| known == metric)?;
        matched.pooled[index]
    }

    fn counts(&self) -> String {
        let verdicts = [Verdict::Worse, Verdict::Better, Verdict::Same, Verdict::Unclear, Verdict::TooFew];
        let count = |verdict: Verdict| {
            self.judged.iter().flat_map(|(changes, _)| changes).filter(|change| change.verdict == verdict).count()
        };
        let texts =
            verdicts.into_iter().map(|verdict| (count(verdict), verdict.as_str())).filter(|(count, _)| *count > 0);
        texts.map(|(count, name)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    }

    /// One line for all: what a reader wants to know first.
    fn verdict(&self) -> String {
        let overall = || self.judged.iter().map(|(_, overall)| overall.verdict);
        let worst = overall().min().unwrap_or(Verdict::TooFew);
        let any = |verdict: Verdict| {
            self.judged.iter().any(|(changes, _)| changes.iter().any(|change| change.verdict == verdict))
        };
        let word = match worst {
            _ if self.answers_less() => "worse: requests fail",
            Verdict::Worse => "worse",
            _ if any(Verdict::Worse) => "worse in some combinations",
            Verdict::Better => "better",
            _ if any(Verdict::Better) => "better in some combinations",
            Verdict::Same if overall().all(|verdict| verdict == Verdict::Same) => "the same",
            Verdict::Same | Verdict::Unclear => "no change that these runs could tell",
            Verdict::TooFew => "nothing can be concluded: three runs of each combination are the least",
        };
        format!("{} against {}: {word} ({})", self.candidate.sweep, self.base.sweep, self.counts())
    }

    /// What else differs, and what has no partner.
    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> =
            self.sides.differences.iter().map(|(name, was, is)| format!("differs: {name}: {was:?} → {is:?}")).collect();
        notes.push(format!("{} combination(s) in common", self.sides.matched.len()));
        for side in [&self.base, &self.candidate] {
            notes.extend(side.apart.iter().map(|apart| format!("in {}: {apart}", side.sweep)));
            if !side.cautions.is_empty() {
                notes.push(format!("caution, in {}: {}", side.sweep, shortened(&side.cautions)));
            }
        }
        let broken = self.broken();
        if !broken.is_empty() {
            notes.push(format!("requests failed in the candidate: {}", shortened(&broken)));
        }
        if !self.sides.lost.is_empty() {
            notes.push(format!("failed in the candidate: {}", shortened(&self.sides.lost)));
        }
        for (side, labels) in [("base", &self.sides.only_base), ("candidate", &self.sides.only_candidate)] {
            if !labels.is_empty() {
                notes.push(format!("only in the {side}: {}", shortened(labels)));
            }
        }
        notes
    }

    /// What the runs could have shown, drift, and the frontier.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for (metric, (changes, overall)) in self.metrics.iter().zip(&self.judged) {
            let mut detectable: Vec<f64> = changes.iter().filter_map(|change| change.detectable).collect();
            detectable.sort_by(f64::total_cmp);
            if let (Some(noise), Some(usual)) = (overall.noise, detectable.get(detectable.len() / 2)) {
                let wanted = if self.threshold > 0.0 { self.threshold } else { 0.02 };
                remarks.push(format!(
                    "{metric}: noise {} a run; a change of {} in a usual combination would have been seen; {} runs of each would show {}",
                    percent_text(noise),
                    percent_text(*usual),
                    runs_needed(noise, wanted),
                    percent_text(wanted)
                ));
            }
        }
        for (metric, drifts) in self.metrics.iter().zip(&self.drifts) {
            for (side, drift) in [&self.base, &self.candidate].into_iter().zip(drifts) {
                if let Some(drift) = drift.filter(|drift| drift.p_value < DRIFT_P) {
                    remarks.push(format!(
                        "warning: {} drifted while {} ran: {} from its first run to its last (p {})",
                        metric,
                        side.sweep,
                        signed_percent(drift.change),
                        short_number(drift.p_value)
                    ));
                }
            }
        }
        let frontier = &self.frontier;
        if frontier.base_hypervolume > 0.0 {
            let ratio = frontier.candidate_hypervolume / frontier.base_hypervolume - 1.0;
            let mut text = format!("frontier of tokens/s/user and tokens/s/GPU: hypervolume {}", signed_percent(ratio));
            for (name, keys) in [("entered", &frontier.entered), ("left", &frontier.left)] {
                if !keys.is_empty() {
                    let _ = write!(text, "; {name}: {}", shortened(keys));
                }
            }
            remarks.push(text);
        }
        remarks
    }

    fn gate_lines(&self) -> Vec<String> {
        let word = |passage| match passage {
            Passage::Passes => "passes",
            Passage::Fails => "fails",
            Passage::Unclear => "can't be told",
        };
        let line = |gate: &GateResult| match gate.reasons.is_empty() {
            true => format!("gate {}: {}", gate.text, word(gate.passage)),
            false => format!("gate {}: {}: {}", gate.text, word(gate.passage), shortened(&gate.reasons)),
        };
        self.gates.iter().map(line).collect()
    }

    fn text(&self, has_color: bool) -> String {
        let mut lines = vec![self.verdict()];
        lines.extend(self.notes().into_iter().map(|note| format!("  {note}")));
        for table in [self.overall(), self.by_combination()] {
            lines.push(format!("\n{}:", table.heading));
            lines.push(drawn(&table, has_color).load_preset(presets::UTF8_FULL_CONDENSED).to_string());
        }
        lines.extend(self.remarks());
        lines.extend(self.gate_lines());
        lines.join("\n")
    }

    fn markdown(&self) -> String {
        let mut lines = vec![format!("### {}\n", self.verdict())];
        lines.extend(self.gate_lines().into_iter().map(|line| format!("- {line}")));
        lines.extend(self.notes().into_iter().map(|note| format!("- {note}")));
        lines.push(String::new());
        lines.push(drawn(&self.overall(), false).load_preset(presets::ASCII_MARKDOWN).to_string());
        lines.push("\n<details><summary>By combination</summary>\n".into());
        lines.push(drawn(&self.by_combination(), false).load_preset(presets::ASCII_MARKDOWN).to_string());
        lines.push(String::new());
        lines.extend(self.remarks().into_iter().map(|remark| format!("- {remark}")));
        lines.push("\n</details>".into());
        lines.join("\n")
    }

    fn overall(&self) -> TableView {
        let rows = self.metrics.iter().zip(&self.judged).map(|(metric, (_, overall))| {
            vec![
                overall.verdict.as_str().to_owned(),
                label(metric),
                signed_percent(overall.ratio),
                interval_text(overall.interval),
                overall.cells.to_string(),
            ]
        });
        TableView {
            heading: "Over all combinations (geometric mean)",
            columns: vec!["verdict", "metric", "change", "95 % interval", "combinations"],
            rows: rows.collect(),
        }
    }

    fn by_combination(&self) -> TableView {
        let has_pooled = self.sides.matched.iter().any(|matched| matched.pooled.iter().any(Option::is_some));
        let rows = self.changes().into_iter().map(|(metric, matched, change)| {
            let mut row = vec![
                change.verdict.as_str().to_owned(),
                metric.to_owned(),
                matched.label.clone(),
                short_number(change.base_mean),
                short_number(change.candidate_mean),
                signed_percent(change.ratio),
                interval_text(change.interval),
                change.q_value.map(|q| format!("{q:.3}")).unwrap_or_default(),
                format!("{} / {}", change.base_runs, change.candidate_runs),
            ];
            if has_pooled {
                row.push(self.pooled(metric, matched).map(pooled_text).unwrap_or_default());
            }
            row
        });
        let mut columns =
            vec!["verdict", "metric", "combination", "base", "candidate", "change", "95 % interval", "q", "runs"];
        if has_pooled {
            columns.push("of all requests");
        }
        TableView {
            heading: "By combination, the changes that matter first (q: p-value corrected for their number)",
            columns,
            rows: rows.collect(),
        }
    }

    fn view(&self) -> ComparisonView {
        ComparisonView {
            verdict: self.verdict(),
            gates: self.gate_lines(),
            notes: self.notes(),
            tables: vec![self.overall(), self.by_combination()],
            remarks: self.remarks(),
            frontiers: self.frontiers(),
            sql: self.base.sql.clone(),
        }
    }

    /// Both frontiers in one chart, where users and GPUs are known.
    fn frontiers(&self) -> Option<Figure> {
        let of = |side: &Side| {
            let configurations = side.configurations();
            let on: Vec<String> = frontier(&configurations).into_iter().map(|one| one.key.clone()).collect();
            let shown = configurations.into_iter().map(|one| plot::Configuration {
                x: Estimate::exact(one.x),
                y: Estimate::exact(one.y),
                group: side.sweep.clone(),
                is_frontier: on.contains(&one.key),
                label: String::new(),
            });
            shown.collect::<Vec<_>>()
        };
        let all: Vec<plot::Configuration> = of(&self.base).into_iter().chain(of(&self.candidate)).collect();
        let spec = ParetoSpec {
            title: String::new(),
            caption: self.remarks().into_iter().filter(|remark| remark.starts_with("frontier")).collect(),
            x_label: label("tokens_per_user"),
            y_label: label("tokens_per_gpu"),
            better_x: Better::Higher,
            group_heading: "Sweep".into(),
        };
        (!all.is_empty()).then(|| pareto_figure(&all, &spec))
    }

    /// The changes as rows of a table.
    fn rows(&self) -> Vec<Row> {
        let row = |(metric, matched, change): (&str, &Matched, &Change)| {
            let pooled = self.pooled(metric, matched);
            let interval = pooled.and_then(|pooled| pooled.interval);
            vec![
                ("base".into(), self.base.sweep.as_str().into()),
                ("candidate".into(), self.candidate.sweep.as_str().into()),
                ("metric".into(), metric.into()),
                ("combination".into(), matched.label.as_str().into()),
                ("base_mean".into(), change.base_mean.into()),
                ("candidate_mean".into(), change.candidate_mean.into()),
                ("base_runs".into(), (change.base_runs as i64).into()),
                ("candidate_runs".into(), (change.candidate_runs as i64).into()),
                ("change".into(), change.ratio.into()),
                ("change_low".into(), change.interval.map(|interval| interval.0).into()),
                ("change_high".into(), change.interval.map(|interval| interval.1).into()),
                ("p_value".into(), change.p_value.into()),
                ("q_value".into(), change.q_value.into()),
                ("detectable".into(), change.detectable.into()),
                ("pooled_base".into(), pooled.map(|pooled| pooled.base).into()),
                ("pooled_candidate".into(), pooled.map(|pooled| pooled.candidate).into()),
                ("pooled_change".into(), pooled.map(|pooled| pooled.change).into()),
                ("pooled_low".into(), interval.map(|interval| interval.0).into()),
                ("pooled_high".into(), interval.map(|interval| interval.1).into()),
                ("verdict".into(), Cell::from(change.verdict.as_str())),
            ]
        };
        self.changes().into_iter().map(row).collect()
    }

    fn json(&self) -> Value {
        let object =
            |row: Row| Value::Object(row.into_iter().map(|(name, cell)| (name.into_owned(), cell.to_json())).collect());
        let overall = self.metrics.iter().zip(&self.judged).map(|(metric, (_, overall))| {
            json!({
                "metric": metric, "change": overall.ratio, "change_low": overall.interval.map(|interval| interval.0),
                "change_high": overall.interval.map(|interval| interval.1), "combinations": overall.cells,
                "noise": overall.noise, "verdict": overall.verdict.as_str(),
            })
        });
        let gates = self.gates.iter().map(|gate| {
            let passage = match gate.passage {
                Passage::Passes => "passes",
                Passage::Fails => "fails",
                Passage::Unclear => "unclear",
            };
            json!({"gate": gate.text, "result": passage, "reasons": gate.reasons})
        });
        let differences = self
            .sides
            .differences
            .iter()
            .map(|(name, base, candidate)| json!({"fact": name, "base": base, "candidate": candidate}));
        json!({
            "base": self.base.sweep, "candidate": self.candidate.sweep, "verdict": self.verdict(),
            "differences": differences.collect::<Vec<_>>(),
            "only_base": self.sides.only_base, "only_candidate": self.sides.only_candidate,
            "overall": overall.collect::<Vec<_>>(),
            "changes": self.rows().into_iter().map(object).collect::<Vec<_>>(),
            "frontier": {
                "base_hypervolume": self.frontier.base_hypervolume, "candidate_hypervolume": self.frontier.candidate_hypervolume,
                "entered": self.frontier.entered, "left": self.frontier.left,
            },
            "remarks": self.remarks(), "gates": gates.collect::<Vec<_>>(),
        })
    }
}

fn write_pages(comparisons: &[Comparison], arguments: &Arguments) -> Result<(), Failure> {
    if let Some(path) = &arguments.html {
        let views: Vec<ComparisonView> = comparisons.iter().map(Comparison::view).collect();
        let html = render_comparison("Comparison of sweeps", &views, Local::now()).map_err(Failure::work)?;
        write_bytes_atomically(path, html.as_bytes()).map_err(Failure::input)?;
        eprintln!("{}", path.display());
    }
    if let Some(path) = &arguments.fig {
        let figure = comparisons.last().and_then(Comparison::frontiers);
        let figure = figure.ok_or_else(|| Failure::input("--fig: no run tells its users and its throughput"))?;
        Picture::default().write(path, &figure)?;
        eprintln!("{}", path.display());
    }
    Ok(())
}

fn no_common(base: &Side, candidate: &Side, sides: &Sides) -> String {
    format!(
        "{} and {} have no combination in common; --match-on VAR,… matches on some of their parameters only.\n  only in the base: {}\n  only in the candidate: {}",
        base.sweep,
        candidate.sweep,
        shortened(&sides.only_base),
        shortened(&sides.only_candidate)
    )
}

fn write(comparisons: &[Comparison], arguments: &Arguments) -> Result<(), Failure> {
    let by_name = arguments.output.as_ref().and_then(|path| path.extension()).and_then(|kind| kind.to_str());
    let format = arguments.format.unwrap_or(match by_name {
        Some("json") => CompareFormat::Json,
        Some("csv") => CompareFormat::Csv,
        Some("md") => CompareFormat::Markdown,
        Some("parquet") => CompareFormat::Parquet,
        _ => CompareFormat::Text,
    });
    let has_color = arguments.output.is_none() && std::io::stdout().is_terminal();
    let joined = |text: &dyn Fn(&Comparison) -> String| {
        comparisons.iter().map(text).collect::<Vec<_>>().join("\n\n").into_bytes()
    };
    let rows = || comparisons.iter().flat_map(Comparison::rows).collect::<Vec<Row>>();
    let table = |format: Format| {
        let mut bytes = Vec::new();
        Answer::of_rows(&rows()).write(format, &mut bytes).map_err(Failure::work).map(|()| bytes)
    };
    let mut bytes = match format {
        CompareFormat::Text => joined(&|comparison| comparison.text(has_color)),
        CompareFormat::Markdown => joined(&Comparison::markdown),
        CompareFormat::Json => {
            let all: Vec<Value> = comparisons.iter().map(Comparison::json).collect();
            serde_json::to_vec_pretty(&all).map_err(Failure::work)?
        }
        CompareFormat::Csv => table(Format::Csv)?,
        CompareFormat::Parquet => table(Format::Parquet)?,
    };
    if !matches!(format, CompareFormat::Parquet | CompareFormat::Csv) {
        bytes.push(b'\n');
    }
    match &arguments.output {
        Some(path) => write_atomically(path, |file| {
            file.write_all(&bytes).map_err(|source| crate::store::StoreError::Io { path: path.clone(), source })
        })
        .map_err(Failure::input),
        None => match std::io::stdout().write_all(&bytes) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::work(error)),
            _ => Ok(()),
        },
    }
}

/// A table for a terminal, or for markdown.
fn drawn(view: &TableView, has_color: bool) -> Table {
    let mut table = Table::new();
    table.set_header(&view.columns);
    for row in &view.rows {
        table.add_row(row.iter().map(|text| match text.as_str() {
            "worse" if has_color => comfy_table::Cell::new(text).fg(Color::Red),
            "better" if has_color => comfy_table::Cell::new(text).fg(Color::Green),
            _ => comfy_table::Cell::new(text.replace('|', "\\|")),
        }));
    }
    for (index, name) in view.columns.iter().enumerate() {
        let is_text = ["verdict", "metric", "combination"].contains(name);
        if let Some(column) = table.column_mut(index).filter(|_| !is_text) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn pooled_text(pooled: Pooled) -> String {
    let interval = pooled.interval.map(|interval| format!(" ({})", interval_text(Some(interval)))).unwrap_or_default();
    format!("{}{interval}", signed_percent(pooled.change))
}

fn change_text(change: &Change) -> String {
    let interval = change.interval.map(|interval| format!(" [{}]", interval_text(Some(interval)))).unwrap_or_default();
    let few = if change.interval.is_none() { format!(" (fewer than {LEAST_RUNS} runs)") } else { String::new() };
    format!("{}{interval}{few}", signed_percent(change.ratio))
}

fn interval_text(interval: Option<(f64, f64)>) -> String {
    interval.map(|(low, high)| format!("{} to {}", signed_percent(low), signed_percent(high))).unwrap_or_default()
}

fn signed_percent(ratio: f64) -> String {
    if ratio.is_nan() { "not known".into() } else { format!("{:+.1} %", ratio * 100.0) }
}

fn percent_text(ratio: f64) -> String {
    let text = format!("{:.1}", ratio * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// The first few of a list.
fn shortened(texts: &[String]) -> String {
    const MOST: usize = 5;
    let shown = texts.iter().take(MOST).cloned().collect::<Vec<_>>().join("; ");
    if texts.len() > MOST { format!("{shown}; and {} more", texts.len() - MOST) } else { shown }
}

/// `2%` or `0.02` as 0.02.
fn percent(text: &str) -> Result<f64, String> {
    let number = match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|number| number / 100.0),
        None => text.trim().parse(),
    };
    match number {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a share such as 2%".into()),
    }
}
