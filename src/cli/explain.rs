//! `sweeplake explain`: why runs were as they were.

use super::lake::Opening;
use super::table::Output;
use super::{Ended, Failure, block_on, query_failure};
use crate::cli::say::out;
use crate::explain::{Explained, Finding, Request, Rule, explain};
use crate::query::Answer;
use crate::record::{Cell, Row};
use crate::words::printable_line;
use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// Sweeps (or lakes).
    #[arg(required = true, value_name = "SWEEP")]
    sweeps: Vec<PathBuf>,
    /// Only this run, by its run_id or the beginning of it. May be repeated. Also says what could not be judged.
    #[arg(long, value_name = "ID")]
    run: Vec<String>,
    /// Keep only matching runs: `max_concurrency<=1024,tp==2`, or a boolean SQL expression.
    #[arg(long, value_name = "CONDITIONS", default_value = "")]
    filter_by: String,
    #[command(flatten)]
    opening: Opening,
    #[command(flatten)]
    output: Output,
}

pub fn exec(arguments: Arguments) -> Ended {
    arguments.output.kind()?;
    let request = Request { runs: arguments.run.clone(), filter_by: arguments.filter_by.clone() };
    arguments.opening.with(&arguments.sweeps, |lake| {
        let explained = block_on(explain(lake, &request))?.map_err(query_failure)?;
        if explained.is_empty() {
            return Err(Failure::input(match request.runs.is_empty() {
                true => "no completed run to explain".to_owned(),
                false => format!("no completed run has an ID that begins with {}", request.runs.join(" or ")),
            }));
        }
        let groups = grouped(&explained);
        if arguments.output.format.is_some() || arguments.output.output.is_some() {
            let rows: Vec<Row> = groups.iter().map(Group::row).collect();
            return arguments.output.write(&Answer::of_rows(&rows));
        }
        print(&explained, &groups, !request.runs.is_empty());
        Ok(())
    })
}

/// Runs of a combination to which one rule applies.
struct Group<'a> {
    of: &'a Explained,
    rule: &'static Rule,
    finding: &'a Finding,
    runs: Vec<String>,
}

impl Group<'_> {
    /// What to do, with the flags for it.
    fn advice(&self) -> String {
        match flags_of(self.rule.name) {
            Some(flags) => format!("{} ({flags})", self.finding.advice),
            None => self.finding.advice.to_owned(),
        }
    }

    fn row(&self) -> Row {
        let text = |name: &'static str, text: String| (name.into(), Cell::Text(text));
        vec![
            text("sweep", self.of.facts.text("sweep").unwrap_or_default()),
            text("label", self.of.facts.text("label").unwrap_or_default()),
            text("runs", self.runs.join(", ")),
            text("finding", self.rule.name.to_owned()),
            text("evidence", self.finding.evidence.clone()),
            text("advice", self.advice()),
        ]
    }
}

/// The flags that the advice of a rule is followed with.
fn flags_of(rule: &str) -> Option<&'static str> {
    match rule {
        "client-bound" => Some("sweeplake bench --workers N"),
        "clock-limited" => Some("nvidia-smi -q -d POWER,TEMPERATURE"),
        "cold cache" => Some("the default, which --after-bench-cmd replaces; --warmup-num-prompts N"),
        "warm-up inside the measurement" => Some("--warmup-num-prompts N"),
        _ => None,
    }
}

/// Findings by combination and rule, each with the evidence of its first run.
fn grouped(explained: &[Explained]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for of in explained {
        let run = of.facts.text("run_number").unwrap_or_default();
        for (rule, finding) in &of.findings {
            let known =
                groups.iter_mut().find(|group| group.rule.name == rule.name && group.of.facts.key() == of.facts.key());
            match known {
                Some(group) => group.runs.push(run.clone()),
                None => groups.push(Group { of, rule, finding, runs: vec![run.clone()] }),
            }
        }
    }
    groups
}

/// Combinations with their findings; what is unknown is told of single runs.
fn print(explained: &[Explained], groups: &[Group<'_>], is_of_single_runs: bool) {
    let mut told = HashSet::new();
    for of in explained.iter().filter(|of| told.insert(of.facts.key())) {
        let key = of.facts.key();
        let own: Vec<&Group<'_>> = groups.iter().filter(|group| group.of.facts.key() == key).collect();
        if !own.is_empty() || is_of_single_runs {
            out!("{}", printable_line(&of.facts.text("label").unwrap_or_default()));
        }
        for group in own {
            let runs = if group.runs.len() == 1 { "run" } else { "runs" };
            let evidence = printable_line(&group.finding.evidence);
            out!("  {} ({runs} {}): {evidence}", group.rule.name, group.runs.join(", "));
            out!("    {}", group.advice());
        }
        if is_of_single_runs {
            let runs = explained.iter().filter(|of| of.facts.key() == key).flat_map(|of| &of.unknown);
            let unknown: BTreeSet<String> = runs.map(|(rule, what)| format!("{} ({what})", rule.name)).collect();
            if !unknown.is_empty() {
                out!("  Not judged, for lack of: {}", unknown.into_iter().collect::<Vec<_>>().join("; "));
            }
        }
    }
    let quiet = explained.iter().filter(|of| of.findings.is_empty()).count();
    if quiet > 0 {
        out!("{quiet} of {} run(s): no rule applies.", explained.len());
    }
}
