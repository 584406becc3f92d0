//! `sweeplake submit`: a sweep as a job of a scheduler, whose tasks join it.

mod kubernetes;
mod slurm;

use super::advice::of_store;
use super::{Ended, Failure};
use crate::params::Command;
use crate::store::{check_name, is_remote};
use std::path::PathBuf;
use std::process::Stdio;

#[derive(clap::Args)]
#[command(
    after_help = "The sweep is checked first, as with --dry-run. Each task runs it with --join=leave: together they make one sweep, and a task \
                  that is killed loses only the runs that it was making."
)]
pub struct Arguments {
    #[command(subcommand)]
    to: Scheduler,
}

#[derive(clap::Subcommand)]
enum Scheduler {
    /// Write a job array for Slurm, and submit it with sbatch.
    Slurm(slurm::Arguments),
    /// Print an indexed job for Kubernetes, to be applied with kubectl.
    Kubernetes(kubernetes::Arguments),
}

/// The sweep to submit.
#[derive(clap::Args)]
struct Submitted {
    /// The sweep: `serve`, `serve_sla` or `serve_workload` with its flags, named with -e.
    #[arg(last = true, required = true, value_name = "SWEEP")]
    sweep: Vec<String>,
}

pub fn exec(arguments: Arguments) -> Ended {
    match arguments.to {
        Scheduler::Slurm(arguments) => slurm::exec(arguments),
        Scheduler::Kubernetes(arguments) => kubernetes::exec(&arguments),
    }
}

/// A sweep that was checked, as each task runs it.
struct Checked {
    name: String,
    lake: PathBuf,
    /// The sub-command and its flags.
    words: Vec<String>,
}

impl Checked {
    /// As a task runs it that joins the others; where nobody said how.
    fn joined(&self) -> Vec<String> {
        let is_joined = self.words.iter().any(|word| word == "--join" || word.starts_with("--join="));
        self.words.iter().cloned().chain((!is_joined).then(|| "--join=leave".to_owned())).collect()
    }
}

const SWEEPS: [&str; 5] = ["serve", "serve_sla", "serve-sla", "serve_workload", "serve-workload"];

impl Submitted {
    /// Runs nothing; what is wrong is said as the sweep says it.
    fn checked(&self) -> Result<Checked, Failure> {
        let first = self.sweep.first().map_or("", String::as_str);
        if !SWEEPS.contains(&first) {
            return Err(Failure::input(format!(
                "{first:?} can't be submitted; after -- write serve, serve_sla or serve_workload with its flags"
            )));
        }
        let command = Command::new(self.sweep.iter());
        let flag = |names: &[&str]| command.flag(names).map(str::to_owned);
        let name = flag(&["experiment-name", "-e"]);
        let name = name.ok_or_else(|| Failure::input("all tasks must name the same sweep; name it with -e"))?;
        check_name(&name).map_err(|error| Failure::Input(of_store(&error)))?;
        if self.sweep.iter().any(|word| word == "--dry-run" || word.starts_with("--dry-run=")) {
            return Err(Failure::input("--dry-run: the tasks would run nothing; leave it out"));
        }
        let lake = PathBuf::from(flag(&["output-dir", "-o"]).unwrap_or_else(|| "results".into()));
        let checked = Checked { name, lake, words: self.sweep.clone() };
        let words = if is_remote(&checked.lake) { checked.words.clone() } else { checked.joined() };
        let program = std::env::current_exe().map_err(Failure::work)?;
        let mut looked = std::process::Command::new(program);
        looked.args(&words).arg("--dry-run").stdin(Stdio::null()).stdout(Stdio::null());
        let looked = looked.output().map_err(Failure::work)?;
        match looked.status.success() {
            true => Ok(checked),
            false => {
                let told = String::from_utf8_lossy(&looked.stderr);
                // Warnings stand before it.
                let why = told.find("error: ").and_then(|at| told.get(at + "error: ".len()..)).unwrap_or(&told);
                Err(Failure::input(why.trim()))
            }
        }
    }
}

/// A name that schedulers take: letters, digits and hyphens.
fn job_name(sweep: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let name: String = format!("sweeplake-{sweep}").chars().map(plain).take(52).collect();
    name.trim_end_matches('-').to_owned()
}
