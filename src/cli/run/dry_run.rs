//! The dry run: every command that would be run, quoted for a shell. It asks the same agenda as the sweep itself.

use super::estimate::Usual;
use super::sweep::{Runner, Sweep};
use crate::cli::advice::{of_course, of_store};
use crate::cli::say::out;
use crate::cli::{Ended, Failure};
use crate::params::Command;
use crate::plan::Start;
use crate::store::{Manifest, SweepFolder, conditions_after};
use crate::sweep::{Agenda, Course, Detail, Job, Ledger, Made, Order, Step};
use crate::words::describe;
use std::collections::HashSet;

/// What was printed so far.
#[derive(Default)]
struct Printed {
    lines: Vec<String>,
    servers: usize,
    runs: usize,
    /// The combination of the line before.
    label: String,
}

impl Sweep {
    pub fn print(&self) -> Ended {
        let mut folder = self.folder()?;
        let mut ledger = match self.common.is_resumed() {
            true => Ledger::read(
                &self.plan,
                &folder,
                self.common.keeping.demands(),
                &self.redactor,
                Detail::Row,
                |_| Ok(()),
            )
            .map_err(Failure::input)?,
            false => Ledger::default(),
        };
        let mut course = self.job.course(self.plan.num_runs as usize, HashSet::new());
        let mut printed = Printed::default();
        for start in self.plan.starts() {
            self.print_start(start, &mut folder, &mut ledger, course.as_mut(), &mut printed)?;
        }
        let runs = course.runs_of_each().map(|_| format!("{} run(s)", printed.runs));
        let servers = matches!(self.runner, Runner::Servers { .. }).then(|| format!("{} server(s)", printed.servers));
        let end = format!("# {}", servers.into_iter().chain(runs).collect::<Vec<_>>().join(", "));
        if let Some(usual) =
            (printed.runs > 0).then(|| Usual::of(&self.common.output_dir, &self.plan, &self.manifest)).flatten()
        {
            printed.lines.push(format!("# {}", usual.text(printed.servers, printed.runs)));
        }
        printed.lines.push(end);
        if let Order::Random(seed) = self.job.order(self.order) {
            printed.lines.push(format!("# random order, reproducible with --order-seed {seed}"));
        }
        out!("{}", printed.lines.join("\n"));
        Ok(())
    }

    /// What is there of the sweep; nothing of a new one.
    fn folder(&self) -> Result<SweepFolder, Failure> {
        let folder = self.planned_folder();
        if self.common.is_resumed() {
            let wanted = |error| Failure::Input(of_store(&error));
            let found = SweepFolder::open(&folder).map_err(wanted)?;
            conditions_after(&folder, found.manifest(), &self.manifest_now(), self.common.on_change())
                .map_err(wanted)?;
            return Ok(found);
        }
        let manifest = Manifest { kind: self.job.kind(), ..self.manifest.clone() };
        let mut planned = SweepFolder::of(folder, manifest);
        self.plan.combinations().iter().for_each(|combination| planned.add(combination));
        Ok(planned)
    }

    fn print_start(
        &self,
        start: Start,
        folder: &mut SweepFolder,
        ledger: &mut Ledger,
        course: &mut dyn Course,
        printed: &mut Printed,
    ) -> Result<(), Failure> {
        let server = &self.plan.servers[start.server];
        let mut agenda = Agenda::new(&self.plan, start, self.job.order(self.order));
        let mut warm = HashSet::new();
        let mut is_up = !matches!(self.runner, Runner::Servers { .. });
        while let Some(step) = agenda.next(ledger, course).map_err(|error| Failure::input(of_course(&error)))? {
            let Step::Run(job) = step else { continue };
            if !is_up {
                is_up = true;
                printed.servers += 1;
                printed.lines.push(format!("# server {}, at {}", printed.servers, server.address));
                printed.lines.push(self.shown(&server.command));
                printed.label.clear();
            }
            let is_cold = warm.insert(job.of.combination.id.to_string());
            self.print_job(&job, folder, is_cold, printed);
            if course.runs_of_each().is_none() {
                // Which levels follow only shows while they are measured.
                agenda.skip(job.of);
            }
            ledger.add(job.of, Made::planned(job.level.clone(), job.number, job.round));
        }
        Ok(())
    }

    fn print_job(&self, job: &Job<'_>, folder: &mut SweepFolder, is_cold: bool, printed: &mut Printed) {
        let combination = &job.of.combination;
        let label = format!("# {}", describe(&combination.serve, &combination.bench));
        if printed.label != label {
            printed.lines.push(label.clone());
            printed.label = label;
        }
        let bench = self.job.bench();
        let after: Vec<String> = self.after_bench_cmd.iter().map(|command| self.shown(command)).collect();
        if let Some(level) = &job.level {
            folder.add_level(combination, level, &job.bench.combination);
            printed.lines.push("# the first run; later runs depend on what is measured".into());
            printed.lines.extend(self.job.worst_case().map(|text| format!("# {text}")));
        }
        if is_cold && self.plan.warmup_num_prompts > 0 {
            let short = job.bench.warm_up(self.plan.warmup_num_prompts);
            let command = bench.complete(&short, &folder.warm_up_result(&job.bench.combination));
            printed.lines.push(format!("# warm-up, result discarded\n{}", self.shown(&command)));
            printed.lines.extend(after.iter().cloned());
        }
        let path = folder.partial_result(&job.bench.combination, job.number);
        printed.lines.push(self.shown(&bench.complete(&job.bench.command, &path)));
        printed.lines.extend(after);
        printed.runs += 1;
    }

    fn shown(&self, command: &Command) -> String {
        command.redacted(&self.redactor).quoted()
    }
}
