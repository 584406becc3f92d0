//! Every command that would be run, quoted for a shell.

use super::super::estimate::Usual;
use super::super::runner::Runner;
use super::super::sweep::Sweep;
use super::{Listener, Planned};
use crate::cli::say::out;
use crate::params::Command;
use crate::plan::ServerPlan;
use crate::store::SweepFolder;
use crate::sweep::Order;
use crate::words::describe;

/// What was printed so far.
pub struct Commands<'a> {
    sweep: &'a Sweep,
    folder: SweepFolder,
    lines: Vec<String>,
    servers: usize,
    runs: usize,
    /// The combination of the line before.
    label: String,
}

impl Listener for Commands<'_> {
    fn server(&mut self, _: usize, server: &ServerPlan) {
        self.servers += 1;
        self.lines.push(format!("# server {}, at {}", self.servers, server.address));
        self.lines.push(self.shown(&server.address.fill(&server.command)));
        self.label.clear();
    }

    fn run(&mut self, server: usize, planned: &Planned<'_>) {
        let job = planned.job;
        let address = &self.sweep.plan.servers[server].address;
        let combination = &job.of.combination;
        let label = format!("# {}", describe(&combination.serve, &combination.bench));
        if self.label != label {
            self.lines.push(label.clone());
            self.label = label;
        }
        let sweep = self.sweep;
        let bench = sweep.job.bench();
        let after: Vec<String> =
            sweep.after_bench_cmd.iter().map(|command| self.shown(&address.fill(command))).collect();
        if let Some(level) = &job.level {
            self.folder.add_level(combination, level, &job.bench.combination);
            self.lines.push("# the first run; later runs depend on what is measured".into());
            self.lines.extend(sweep.job.worst_case(&sweep.plan).map(|text| format!("# {text}")));
        }
        if planned.is_cold && sweep.plan.warmup_num_prompts > 0 {
            let short = job.bench.warm_up(sweep.plan.warmup_num_prompts);
            let command = bench.complete(&short, &self.folder.warm_up_result(&job.bench.combination));
            self.lines.push(format!("# warm-up, result discarded\n{}", self.shown(&address.fill(&command))));
            self.lines.extend(after.iter().cloned());
        }
        let path = self.folder.partial_result(&job.bench.combination, job.number);
        self.lines.push(self.shown(&address.fill(&bench.complete(&job.bench.command, &path))));
        self.lines.extend(after);
        self.runs += 1;
    }
}

impl<'a> Commands<'a> {
    pub fn new(sweep: &'a Sweep, folder: SweepFolder) -> Self {
        Self { sweep, folder, lines: Vec::new(), servers: 0, runs: 0, label: String::new() }
    }

    fn shown(&self, command: &Command) -> String {
        command.redacted(&self.sweep.redactor).quoted()
    }

    pub fn print(mut self) {
        let sweep = self.sweep;
        let runs = sweep.is_counted().then(|| format!("{} run(s)", self.runs));
        let servers = matches!(sweep.runner, Runner::Servers { .. }).then(|| format!("{} server(s)", self.servers));
        let usual = || Usual::of(&sweep.common.output_dir, &sweep.plan, &sweep.manifest);
        if let Some(usual) = (self.runs > 0).then(usual).flatten() {
            self.lines.push(format!("# {}", usual.text((&sweep.plan, &sweep.places), self.servers, self.runs)));
        }
        self.lines.push(format!("# {}", servers.into_iter().chain(runs).collect::<Vec<_>>().join(", ")));
        if let Some(text) = sweep.places.text(sweep.plan.servers.len()) {
            self.lines.push(format!("# {text}, each at a port of its own"));
        }
        if let Order::Random(seed) = sweep.job.order(sweep.order) {
            self.lines.push(format!("# random order, reproducible with --order-seed {seed}"));
        }
        out!("{}", self.lines.join("\n"));
    }
}
