//! The dry run: what would be run, as a plan or as commands. It asks the same agenda as the sweep itself.

mod commands;
mod outline;

use super::DryRun;
use super::runner::Runner;
use super::sweep::Sweep;
use crate::cli::advice::{of_course, of_store};
use crate::cli::{Ended, Failure};
use crate::plan::{ServerPlan, Start};
use crate::store::{Manifest, SweepFolder, conditions_after};
use crate::sweep::{Agenda, Course, Detail, Job, Ledger, Made, Step};
use commands::Commands;
use outline::Outline;
use std::collections::HashSet;

/// What is told of a dry run while it is walked through.
trait Listener {
    fn server(&mut self, index: usize, server: &ServerPlan);
    fn run(&mut self, server: usize, planned: &Planned<'_>);
}

/// A run that would be made.
struct Planned<'a> {
    job: &'a Job<'a>,
    /// The first of its combination on its server.
    is_cold: bool,
}

impl Sweep {
    pub fn print(&self, shown: DryRun) -> Ended {
        let folder = self.folder()?;
        let mut ledger = self.made(&folder)?;
        match shown {
            DryRun::Plan => {
                let mut outline = Outline::new(self);
                self.walk(&mut ledger, &mut outline)?;
                outline.print();
            }
            DryRun::Commands => {
                let mut commands = Commands::new(self, folder);
                self.walk(&mut ledger, &mut commands)?;
                commands.print();
            }
        }
        Ok(())
    }

    /// The runs that are there.
    fn made(&self, folder: &SweepFolder) -> Result<Ledger, Failure> {
        if !self.common.is_resumed() {
            return Ok(Ledger::default());
        }
        let demands = self.common.keeping.demands();
        Ledger::read(&self.plan, folder, demands, &self.redactor, Detail::Row, |_| Ok(())).map_err(Failure::input)
    }

    fn walk(&self, ledger: &mut Ledger, listener: &mut dyn Listener) -> Result<(), Failure> {
        // What is measured first follows from the seed, what comes then from what was measured.
        if self.job.chooses() {
            return Ok(());
        }
        let mut course = self.job.course(&self.plan, HashSet::new());
        self.plan.starts().try_for_each(|start| self.walk_start(start, ledger, course.as_mut(), listener))
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

    fn walk_start(
        &self,
        start: Start,
        ledger: &mut Ledger,
        course: &mut dyn Course,
        listener: &mut dyn Listener,
    ) -> Result<(), Failure> {
        let server = &self.plan.servers[start.server];
        let mut agenda = Agenda::new(&self.plan, start, self.job.order(self.order));
        let mut warm = HashSet::new();
        let mut is_up = !matches!(self.runner, Runner::Servers { .. });
        while let Some(step) = agenda.next(ledger, course).map_err(|error| Failure::input(of_course(&error)))? {
            let Step::Run(job) = step else { continue };
            if !is_up {
                is_up = true;
                listener.server(start.server, server);
            }
            let is_cold = warm.insert(job.of.combination.id.to_string());
            listener.run(start.server, &Planned { job: &job, is_cold });
            if course.runs_of_each().is_none() {
                // Which levels follow only shows while they are measured.
                agenda.skip(job.of);
            }
            ledger.add(job.of, Made::planned(job.level.clone(), job.number, job.round));
        }
        Ok(())
    }

    /// Whether it is known beforehand how many runs there will be.
    fn is_counted(&self) -> bool {
        self.job.course(&self.plan, HashSet::new()).runs_of_each().is_some()
    }
}
