//! A sweep that was checked: it can be printed or run.

use super::checks::{Checked, refuse_too_few_files};
use super::ending::{close, how_to_go_on, tell_results};
use super::estimate::Usual;
use super::job::Job;
use super::places::Places;
use super::progress::{Outlook, Progress};
use super::runner::Runner;
use super::share::Share;
use super::{Common, interrupt_on_signals};
use crate::cli::advice::{of_course, of_store};
use crate::cli::say::say;
use crate::cli::{Failure, block_on};
use crate::compare::SIDES;
use crate::exec::{Logs, ProcessOptions, Processes, Remote, Standalone, end_leftovers};
use crate::node::{Presence, enter};
use crate::os;
use crate::params::{Command, ParamSet};
use crate::plan::Plan;
use crate::record::Environment;
use crate::redact::Redactor;
use crate::space::Points;
use crate::store::{Manifest, MeasuredUnder, SweepFolder, SweepWriter};
use crate::sweep::{
    self, Accompanied, Company, Crew, Options, Order, Sending, Setting, SweepError, check_program, run,
};
use chrono::{Local, Utc};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

fn of_sweep(error: SweepError, name: &str) -> Failure {
    match error {
        SweepError::Course(error) => Failure::work(of_course(&error)),
        SweepError::Store(error) => {
            Failure::work(format!("{error}\nfinished runs are kept; fix this and {}", how_to_go_on(name)))
        }
    }
}

/// A sweep that was checked and can start.
pub struct Sweep {
    pub common: Common,
    pub job: Job,
    pub plan: Plan,
    pub order: Order,
    pub runner: Runner,
    pub places: Places,
    /// With other machines.
    pub share: Option<Share>,
    pub bench_timeout: Option<f64>,
    pub after_bench_cmd: Option<Command>,
    /// What scores each server after its loads.
    pub evaluation: Option<Command>,
    /// The command whose engine is named.
    pub engine_cmd: Command,
    /// All commands, by their names in the manifest.
    pub commands: Vec<(&'static str, Command)>,
    /// All sets of parameters.
    pub sets: Vec<ParamSet>,
    /// What they were taken from, where they were laid out.
    pub space: Option<Points>,
    /// What is kept of the flags, without the machine.
    pub manifest: Manifest,
    pub redactor: Redactor,
}

impl Sweep {
    /// Prints or runs it.
    pub fn exec(self) -> crate::cli::Ended {
        self.warn();
        match self.common.dry_run {
            Some(shown) => self.print(shown),
            None => self.run().map(|_| ()),
        }
    }

    /// Says what would spoil the numbers.
    pub fn warn(&self) {
        self.warn_of_plan();
        self.remarks().iter().for_each(|remark| say!("warning: {remark}"));
    }

    /// What would spoil the numbers.
    pub fn remarks(&self) -> Vec<String> {
        let checked = Checked {
            plan: &self.plan,
            lake: &self.common.output_dir,
            serve_cmd: Some(&self.engine_cmd).filter(|_| matches!(self.runner, Runner::Servers { .. })),
            after_bench_cmd: self.after_bench_cmd.as_ref(),
            at_a_time: self.places.seats.most(),
            loads: self.job.loads(),
        };
        self.places.remark.iter().cloned().chain(checked.remarks()).collect()
    }

    /// Programs that are not on this machine.
    pub fn missing_programs(&self) -> impl Iterator<Item = String> + '_ {
        // The address of somebody else's server is among the commands, and no program.
        self.commands.iter().filter(|(name, _)| *name != "base_url").filter_map(|(name, command)| {
            let missing = check_program(command).err()?;
            Some(format!("--{}: {missing}; install it, or give its path", name.replace('_', "-")))
        })
    }

    pub fn warn_of_plan(&self) {
        self.plan.warnings.iter().for_each(|warning| say!("warning: {warning}"));
    }

    /// The folder that it would get.
    pub fn planned_folder(&self) -> PathBuf {
        let lake = &self.common.output_dir;
        match self.common.name() {
            Some(name) => lake.join(name),
            None => lake.join(Local::now().format("%Y%m%d_%H%M%S").to_string()),
        }
    }

    /// Runs the sweep and returns its folder.
    pub fn run(&self) -> Result<PathBuf, Failure> {
        os::check().map_err(Failure::work)?;
        refuse_too_few_files(&self.plan)?;
        let left: Vec<String> = end_leftovers().iter().map(ToString::to_string).collect();
        if !left.is_empty() {
            say!("stopped processes that a killed sweep had left running: {}", left.join(", "));
        }
        let _presence = self.enter()?;
        let mut writer = self.open_writer()?;
        let usual = Usual::of(&self.common.output_dir, &self.plan, &self.manifest);
        let known = usual.as_ref().map(Usual::by_combination).unwrap_or_default();
        let mut progress = Progress::new(Outlook {
            plan: &self.plan,
            starts: self.runner.starts(),
            turned: self.job.turned().map(|(_, variable)| variable.key()),
            runs_of_each: self.job.runs_of_each(&self.plan),
            usual,
            places: &self.places,
        });
        let ended = block_on(self.drive(&mut writer, known, &mut progress))??;
        let folder = writer.folder().to_owned();
        drop(writer);
        progress.finish();
        tell_results(&self.job, &folder, ended, &self.plan)?;
        let closed = close(&folder, ended);
        match (closed, self.common.send_rest(&folder)) {
            (Err(failure), Err(unsent)) => {
                say!("{}", unsent.message());
                Err(failure)
            }
            (closed, sent) => closed.and_then(|folder| sent.map(|()| folder)),
        }
    }

    /// Waits until the machine is free for this sweep.
    fn enter(&self) -> Result<impl Sized, Failure> {
        let why = match self.places.presence {
            Presence::Alone => "waiting until the other sweeps on this machine have ended (--exclusive)",
            Presence::Shared => {
                "waiting until a sweep on this machine has ended that wants it for itself (--exclusive)"
            }
        };
        enter(self.places.presence, || say!("{why}"))
            .map_err(|error| Failure::work(format!("--exclusive: other sweeps can't be told to wait: {error}")))
    }

    async fn drive(
        &self,
        writer: &mut SweepWriter,
        usual: HashMap<String, Duration>,
        progress: &mut Progress<'_>,
    ) -> Result<sweep::Ended, Failure> {
        let options = Options {
            bench: self.job.bench(),
            order: self.job.order(self.order),
            on_failure: self.job.on_failure(self.common.on_failure()),
            retries: self.common.retries,
            limit: self.job.budget(self.common.budget()),
            usual,
            evaluation: self.evaluation.clone(),
            demands: self.common.keeping.demands(),
            redactor: self.redactor.clone(),
        };
        let processes = ProcessOptions {
            show_stdout: self.common.show_stdout,
            redactor: self.redactor.clone(),
            logs: if self.common.raw_logs { Logs::Raw } else { Logs::Redacted },
            bench_timeout: self.bench_timeout.map(Duration::from_secs_f64),
            sampling: self.common.sampling.sampling(),
        };
        let answered = writer.answered_slas().clone();
        let mut course = self.job.course(&self.plan, answered);
        let keeper = std::env::current_exe().map_err(Failure::work)?;
        let no_keeper = |error| Failure::work(format!("the keeper process could not be started: {error}"));
        let interrupt = interrupt_on_signals()?;
        let outbox = self.common.outbox(writer.folder())?;
        let ended = match &self.runner {
            Runner::Servers { waiting, reset } if self.places.copies > 0 => {
                let own = Processes::new(processes, waiting.clone(), reset.clone(), &keeper, interrupt);
                let crew = self.in_company(own.map_err(no_keeper)?, writer)?;
                run(&self.plan, course.as_mut(), &options, crew, writer, progress).await
            }
            Runner::Servers { waiting, reset } => {
                let servers = Processes::new(processes, waiting.clone(), reset.clone(), &keeper, interrupt);
                let first = servers.map_err(no_keeper)?;
                let others = (1..self.places.seats.most()).map(|_| first.another()).collect::<Vec<_>>();
                let executors = std::iter::once(first).chain(others);
                let executors = executors.map(|inner| Sending { inner, outbox: outbox.clone() }).collect();
                let sharing = self.share.map(|share| share.sharing(writer.folder(), &writer.manifest().environment));
                let sharing = sharing.transpose()?;
                let crew = Crew { executors, seats: self.places.seats.clone(), need: self.places.need, sharing };
                run(&self.plan, course.as_mut(), &options, crew, writer, progress).await
            }
            Runner::Remote { waiting, reset, address } => {
                let (waiting, reset, address) = (waiting.clone(), reset.clone(), address.clone());
                let remote = Remote::new(processes, waiting, reset, address, &keeper, interrupt);
                let crew = Crew::one(Sending { inner: remote.map_err(no_keeper)?, outbox });
                run(&self.plan, course.as_mut(), &options, crew, writer, progress).await
            }
            Runner::Standalone => {
                let alone = Standalone::new(processes, &keeper, interrupt).map_err(no_keeper)?;
                let crew = Crew::one(Sending { inner: alone, outbox });
                run(&self.plan, course.as_mut(), &options, crew, writer, progress).await
            }
        };
        ended.map_err(|error| of_sweep(error, writer.name()))
    }

    /// One server at a time, its neighbours beside it.
    fn in_company(&self, own: Processes, writer: &SweepWriter) -> Result<Crew<Accompanied<Processes>>, Failure> {
        let (mut seats, need) = (self.places.seats.clone(), self.places.need);
        let gpus = need.of(&self.plan, 0).unwrap_or(0);
        let others = (0..self.places.copies).map_while(|_| Some((own.another(), seats.take(gpus)?))).collect();
        let folder = writer.folder().join("neighbours");
        std::fs::create_dir_all(&folder).map_err(|error| Failure::work(format!("{}: {error}", folder.display())))?;
        let server = self.plan.servers[0].clone();
        let bench = server.benches[0].clone();
        let company = Company { server, bench, kind: self.job.bench(), of: SIDES[1].to_owned(), folder };
        Ok(Crew { executors: vec![Accompanied::new(own, others, company)], seats, need, sharing: None })
    }

    fn open_writer(&self) -> Result<SweepWriter, Failure> {
        let combinations = if self.job.chooses() { Vec::new() } else { self.plan.combinations() };
        let (lake, name) = (&self.common.output_dir, self.common.name());
        let mut environment = Environment::capture(Some(&self.engine_cmd));
        if matches!(self.runner, Runner::Remote { .. }) {
            // The GPUs of this machine are not the server's.
            environment.gpus.clear();
        }
        let manifest = Manifest { environment, ..self.manifest_now() };
        self.check_same_goals()?;
        match self.common.is_resumed() {
            _ if self.share.is_some() => {
                SweepWriter::join(lake, name.unwrap_or_default(), manifest, &combinations, self.common.on_change())
            }
            true => SweepWriter::resume(lake, name, manifest, &combinations, self.common.on_change()),
            false => SweepWriter::create(lake, name, Local::now(), manifest, &combinations),
        }
        .map_err(|error| Failure::Input(of_store(&error)))
    }

    /// A race or a tune can't go on as another one: its answer rests on all of its runs.
    fn check_same_goals(&self) -> Result<(), Failure> {
        let Some(stored) = self.common.resumed_folder().and_then(|folder| SweepFolder::open(&folder).ok()) else {
            return Ok(());
        };
        // How much is spent may change.
        let goals = |words: &[String]| words.iter().take_while(|word| *word != "--budget").cloned().collect::<Vec<_>>();
        let stored = stored.manifest();
        let (before, now) = (goals(&stored.sought), goals(&self.manifest.sought));
        let is_other_sla = !now.is_empty() && stored.sla_params != self.manifest.sla_params;
        if before == now && !is_other_sla {
            return Ok(());
        }
        let was = if before.is_empty() { "without --race".to_owned() } else { format!("with {}", before.join(" ")) };
        let was = if is_other_sla && before == now { "with another SLA".to_owned() } else { was };
        Err(Failure::input(format!(
            "--resume: {} was started {was}; resume it in the same way, or choose another -e/--experiment-name",
            stored.sweep
        )))
    }

    /// The manifest with what the runs would be measured under now.
    pub fn manifest_now(&self) -> Manifest {
        let setting = Setting {
            kind: self.job.kind().as_str(),
            commands: self.commands.iter().map(|(name, command)| (*name, command)).collect(),
            sets: self.sets.iter().collect(),
            warmup_num_prompts: self.plan.warmup_num_prompts,
            redactor: &self.redactor,
        };
        let under = MeasuredUnder::new(setting.conditions(), Utc::now());
        let (order, order_seed) = match self.job.order(self.order) {
            Order::Sequential => ("sequential", None),
            Order::Interleaved => ("interleaved", None),
            Order::Random(seed) => ("random", Some(seed)),
        };
        Manifest {
            started_at: Utc::now(),
            order: Some(order.to_owned()),
            order_seed,
            measured_under: vec![under],
            ..self.manifest.clone()
        }
    }
}
