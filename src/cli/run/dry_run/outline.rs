//! The plan as a person wants it: how much, how long, which servers with which loads, what was left out.

use super::super::estimate::Usual;
use super::super::job::Job;
use super::super::runner::Runner;
use super::super::sweep::Sweep;
use super::{Listener, Planned};
use crate::cli::say::out;
use crate::cli::table::new_table;
use crate::cli::terminal::terminal_width;
use crate::params::{ParamSet, value_text};
use crate::plan::{BenchPlan, ServerPlan};
use crate::space::Points;
use crate::sweep::Order;
use crate::sweep::tune::Coordinates;
use crate::words::{describe_set, pair, telling};
use comfy_table::CellAlignment;
use comfy_table::presets::NOTHING;
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::IsTerminal;
use unicode_width::UnicodeWidthStr;

/// A wider table is not read, wherever it goes.
const WIDEST: usize = 200;
/// More servers than these are counted and not listed.
const MOST_ROWS: usize = 40;

pub struct Outline<'a> {
    sweep: &'a Sweep,
    starts: usize,
    runs: usize,
    /// Runs of each server (by its place in the plan) and combination.
    of: BTreeMap<usize, BTreeMap<String, usize>>,
}

impl Listener for Outline<'_> {
    fn server(&mut self, _: usize, _: &ServerPlan) {
        self.starts += 1;
    }

    fn run(&mut self, server: usize, planned: &Planned<'_>) {
        self.runs += 1;
        let combinations = self.of.entry(server).or_default();
        *combinations.entry(planned.job.of.combination.id.to_string()).or_default() += 1;
    }
}

/// The loads of a plan, as columns.
struct Loads {
    /// What tells them apart.
    heading: String,
    /// Each load, with what it is called.
    each: Vec<(ParamSet, String)>,
}

impl<'a> Outline<'a> {
    pub fn new(sweep: &'a Sweep) -> Self {
        Self { sweep, starts: 0, runs: 0, of: BTreeMap::new() }
    }

    pub fn print(&self) {
        if self.sweep.job.chooses() {
            return self.print_space();
        }
        let mut lines = vec![self.totals()];
        lines.extend(self.sweep.space.iter().flat_map(left_out));
        let usual = || Usual::of(&self.sweep.common.output_dir, &self.sweep.plan, &self.sweep.manifest);
        match (self.runs > 0).then(usual).flatten() {
            _ if self.runs == 0 => lines.push("Nothing is left to run".into()),
            Some(usual) if self.sweep.is_counted() => {
                let sweep = self.sweep;
                lines.push(format!("Takes {}", usual.text((&sweep.plan, &sweep.places), self.starts, self.runs)))
            }
            Some(_) => {}
            None => {
                let at_a_time = self.sweep.places.text(self.sweep.plan.servers.len());
                lines.extend(at_a_time.map(|text| format!("Runs {text}")));
                lines.push("Time unknown: the lake has no earlier run of these commands".into());
            }
        }
        lines.extend(self.sweep.job.worst_case(&self.sweep.plan));
        if let Order::Random(seed) = self.sweep.job.order(self.sweep.order) {
            lines.push(format!("Random order, reproducible with --order-seed {seed}"));
        }
        lines.extend(self.table().map(|table| format!("\n{table}")));
        lines.push("\n--dry-run=commands prints every command".into());
        out!("{}", lines.join("\n"));
    }

    /// What there is to choose from, where that is all that is known.
    fn print_space(&self) {
        let plan = &self.sweep.plan;
        let mut lines =
            vec![format!("{} servers, {} combinations to choose from", plan.servers.len(), plan.num_combinations())];
        lines.extend(self.sweep.space.iter().flat_map(left_out));
        lines.extend(self.sweep.job.worst_case(plan));
        lines.push(String::new());
        lines.extend(Coordinates::of_plan(plan).axes.iter().map(|axis| format!("  {axis}")));
        lines.push("\nWhich of them are measured shows while they are".into());
        out!("{}", lines.join("\n"));
    }

    fn totals(&self) -> String {
        let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let combinations: usize = self.of.values().map(BTreeMap::len).sum();
        let mut parts = vec![counted(combinations, "combination")];
        if matches!(self.sweep.runner, Runner::Servers { .. }) {
            parts.insert(0, counted(self.starts, "server start"));
        }
        if self.sweep.is_counted() {
            parts.push(counted(self.runs, "run"));
        }
        parts.join(", ")
    }

    /// Servers × loads with the runs of each; where that is too wide, each server with its loads.
    fn table(&self) -> Option<String> {
        let servers = &self.sweep.plan.servers;
        let sets: Vec<&ParamSet> = servers.iter().map(|server| &server.serve).collect();
        let names = names_of(&sets);
        let loads = self.loads();
        if self.of.is_empty() || (servers.len() == 1 && loads.each.len() == 1) {
            return None;
        }
        let width = std::io::stdout().is_terminal().then(terminal_width);
        let crossed = self.crossed(&names, &loads);
        let fits = crossed.lines().all(|line| line.width() <= width.unwrap_or(WIDEST));
        // A table that is mostly empty says less than a list.
        let is_full = 2 * self.of.values().map(BTreeMap::len).sum::<usize>() >= self.of.len() * loads.each.len();
        let table = if fits && is_full { crossed } else { self.listed(&names, &loads) };
        let rest = self.of.len().saturating_sub(MOST_ROWS);
        Some(if rest > 0 { format!("{table}\n… and {rest} more servers") } else { table })
    }

    fn loads(&self) -> Loads {
        let mut seen = HashSet::new();
        let benches = self.sweep.plan.servers.iter().flat_map(|server| &server.benches);
        let benches = benches.map(|bench| &bench.combination.bench);
        let mut sets: Vec<&ParamSet> = benches.filter(|set| seen.insert(key_of(set))).collect();
        let keys = keys_of(&sets);
        let told = told_of(&keys, &sets);
        if let [only] = told.as_slice() {
            let number = |set: &&ParamSet| set.get(only).and_then(Value::as_f64);
            sets.sort_by(|left, right| number(left).partial_cmp(&number(right)).unwrap_or(Ordering::Equal));
        }
        match told.as_slice() {
            [only] if sets.iter().all(|set| set.name.is_none()) => Loads {
                heading: (*only).to_owned(),
                each: sets.iter().map(|set| ((*set).clone(), set.get(only).map_or("–".into(), value_text))).collect(),
            },
            _ => Loads {
                heading: "load".into(),
                each: sets.iter().map(|set| (*set).clone()).zip(names_of(&sets)).collect(),
            },
        }
    }

    /// So many runs of each load are made on each server.
    fn counts(&self) -> HashMap<(usize, String), usize> {
        let each = self.of.iter().flat_map(|(server, counts)| {
            let benches = &self.sweep.plan.servers[*server].benches;
            let count = |bench: &BenchPlan| {
                let count = *counts.get(bench.combination.id.as_str())?;
                Some(((*server, key_of(&bench.combination.bench)), count))
            };
            benches.iter().filter_map(count).collect::<Vec<_>>()
        });
        each.collect()
    }

    fn cell(&self, count: Option<usize>) -> String {
        match count {
            None => "–".into(),
            Some(_) if !self.sweep.is_counted() => self.sweep.job.open_ended(&self.sweep.plan),
            Some(count) => count.to_string(),
        }
    }

    fn crossed(&self, names: &[String], loads: &Loads) -> String {
        let counts = self.counts();
        let mut table = new_table();
        table.load_preset(NOTHING);
        let heading = loads.each.iter().enumerate().map(|(index, (_, name))| match index {
            0 if loads.heading != "load" => format!("{} = {name}", loads.heading),
            _ => name.clone(),
        });
        table.set_header(std::iter::once("server".to_owned()).chain(heading));
        for server in self.of.keys().take(MOST_ROWS) {
            let cells = loads.each.iter().map(|(load, _)| self.cell(counts.get(&(*server, key_of(load))).copied()));
            table.add_row(std::iter::once(names[*server].clone()).chain(cells));
        }
        let numbers = table.column_iter_mut().skip(1);
        numbers.for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        let lines = table.to_string();
        lines.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    fn listed(&self, names: &[String], loads: &Loads) -> String {
        let of_loads = self.counts();
        let mut lines = Vec::new();
        for (server, counts) in self.of.iter().take(MOST_ROWS) {
            let own = loads.each.iter().filter(|(load, _)| of_loads.contains_key(&(*server, key_of(load))));
            let own: Vec<&str> = own.map(|(_, name)| name.as_str()).collect();
            let own = match own.as_slice() {
                [first, .., last] if own.len() > MOST_NAMED => format!("{first} … {last} ({} loads)", own.len()),
                _ => own.join(", "),
            };
            let runs: usize = counts.values().sum();
            let runs = match (self.sweep.is_counted(), &self.sweep.job) {
                (true, _) => format!(" ({runs} {})", if runs == 1 { "run" } else { "runs" }),
                (false, Job::Race(_)) => format!(" ({} runs each)", self.sweep.job.open_ended(&self.sweep.plan)),
                (false, _) => String::new(),
            };
            lines.push(format!("{}: {} {own}{runs}", names[*server], loads.heading));
        }
        lines.join("\n")
    }
}

/// More loads than these are told by the first and the last.
const MOST_NAMED: usize = 12;

/// A set as a key.
fn key_of(set: &ParamSet) -> String {
    Value::Object(set.to_record()).to_string()
}

fn keys_of(sets: &[&ParamSet]) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for key in sets.iter().flat_map(|set| set.params.keys()) {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    keys
}

/// The keys whose values differ.
fn told_of<'a>(keys: &'a [String], sets: &[&ParamSet]) -> Vec<&'a str> {
    let value = |row: usize, key: &str| sets[row].get(key).map_or(String::new(), value_text);
    let varied = keys.iter().map(String::as_str);
    let varied: Vec<&str> =
        varied.filter(|key| (0..sets.len()).map(|row| value(row, key)).collect::<BTreeSet<_>>().len() > 1).collect();
    telling(&varied, sets.len(), value)
}

/// What tells sets apart, in words.
fn names_of(sets: &[&ParamSet]) -> Vec<String> {
    let keys = keys_of(sets);
    let told = told_of(&keys, sets);
    let name = |set: &&ParamSet| {
        let pairs = told.iter().filter_map(|key| Some(pair(key, set.get(key)?)));
        let text = pairs.collect::<Vec<_>>().join(" ");
        match (set.name.is_some() || text.is_empty(), set.is_unchanged()) {
            (true, false) => describe_set(set),
            (true, true) => "unmodified".into(),
            (false, _) => text,
        }
    };
    let names: Vec<String> = sets.iter().map(name).collect();
    let is_unique = names.iter().collect::<HashSet<_>>().len() == names.len();
    let pairs = |set: &&ParamSet| set.params.iter().map(|(key, value)| pair(key, value)).collect::<Vec<_>>().join(" ");
    // Names that do not tell sets apart say less than their parameters.
    let of_params =
        || sets.iter().map(|set| [set.name.clone().unwrap_or_default(), pairs(set)].join(" ").trim().to_owned());
    if is_unique { names } else { of_params().collect() }
}

/// What was said that keeps combinations out.
fn left_out(points: &Points) -> Vec<String> {
    let kept: usize = points.servers.iter().map(|(_, benches)| benches.len()).sum();
    let mut lines = Vec::new();
    match points.drawn {
        Some(drawn) => lines
            .push(format!("A sample of {kept} from {} combinations, of which {} were drawn", points.size, drawn.tried)),
        None if points.size > kept as u128 => lines.push(format!("{kept} of {} combinations are left:", points.size)),
        None => {}
    }
    lines.extend(points.removed.iter().filter(|removed| removed.count > 0).map(|removed| format!("  {removed}")));
    lines
}
