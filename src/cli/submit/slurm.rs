//! A job array of Slurm.

use super::{Checked, Submitted, job_name};
use crate::cli::say::out;
use crate::cli::{Ended, Failure};
use crate::params::Command;
use crate::store::is_remote;
use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

#[derive(clap::Args)]
pub struct Arguments {
    /// Number of nodes that work at the sweep: the tasks of the array.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    nodes: u32,
    /// Partition to run in.
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// Account to charge.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// GPUs of each node.
    #[arg(long, value_name = "N")]
    gpus_per_node: Option<u32>,
    /// CPU cores of each node; default: what Slurm gives.
    #[arg(long, value_name = "N")]
    cpus_per_node: Option<u32>,
    /// Time limit of each task, as sbatch takes it: 8:00:00.
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// Another option of sbatch: --sbatch='--qos=high'. May be repeated.
    #[arg(long, value_name = "OPTION")]
    sbatch: Vec<String>,
    /// Print the script and submit nothing.
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    submitted: Submitted,
}

/// A task is told so many seconds before its time is up, and ends in order.
const WARNING_S: u32 = 120;

pub fn exec(arguments: Arguments) -> Ended {
    let sweep = arguments.submitted.checked()?;
    if is_remote(&sweep.lake) {
        return Err(Failure::input(format!(
            "-o {}: the tasks of Slurm share a folder; name one that all nodes see",
            sweep.lake.display()
        )));
    }
    let folder = std::path::absolute(&sweep.lake).map_err(Failure::work)?.join(".slurm");
    let script = script(&arguments, &sweep, &folder)?;
    if arguments.print {
        out!("{}", script.trim_end());
        return Ok(());
    }
    let unwritable = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| Failure::work(format!("{path}: {error}"))
    };
    std::fs::create_dir_all(&folder).map_err(unwritable(&folder))?;
    let path = folder.join(format!("{}.sh", sweep.name));
    write_for_owner(&path, &script).map_err(unwritable(&path))?;
    let submitted = std::process::Command::new("sbatch").arg(&path).output();
    let submitted = submitted.map_err(|error| {
        Failure::work(format!("sbatch: {error}; the script is {}: submit it where Slurm is", path.display()))
    })?;
    if !submitted.status.success() {
        return Err(Failure::work(format!("sbatch: {}", String::from_utf8_lossy(&submitted.stderr).trim())));
    }
    out!("{}", String::from_utf8_lossy(&submitted.stdout).trim());
    out!("script: {}", path.display());
    out!("watch:  sweeplake watch {}", sweep.lake.join(&sweep.name).display());
    Ok(())
}

/// What was typed may hold a secret.
fn write_for_owner(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o700).open(path)?;
    file.set_permissions(Permissions::from_mode(0o700))?;
    file.write_all(text.as_bytes())
}

fn script(arguments: &Arguments, sweep: &Checked, folder: &Path) -> Result<String, Failure> {
    let program = std::env::current_exe().map_err(Failure::work)?;
    let here = std::env::current_dir().map_err(Failure::work)?;
    let option = |name: &str, value: Option<String>| value.map(|value| format!("--{name}={value}"));
    let options = [
        option("job-name", Some(job_name(&sweep.name))),
        option("array", Some(format!("1-{}", arguments.nodes))),
        Some("--nodes=1 --ntasks=1".to_owned()),
        option("partition", arguments.partition.clone()),
        option("account", arguments.account.clone()),
        option("gpus-per-node", arguments.gpus_per_node.map(|count| count.to_string())),
        option("cpus-per-task", arguments.cpus_per_node.map(|count| count.to_string())),
        option("time", arguments.time.clone()),
        option("chdir", Some(here.display().to_string())),
        option("output", Some(format!("{}/{}-%A-%a.log", folder.display(), sweep.name))),
        // A node that fails gives its task to another; what was finished stays.
        Some("--requeue --open-mode=append".to_owned()),
        Some(format!("--signal=B:TERM@{WARNING_S}")),
    ];
    let options = options.into_iter().flatten().chain(arguments.sbatch.iter().cloned());
    let lines: String = options.map(|option| format!("#SBATCH {option}\n")).collect();
    let words = std::iter::once(program.display().to_string()).chain(sweep.joined());
    let command = Command::new(words).quoted();
    Ok(format!("#!/bin/sh\n{lines}\n# A signal must reach the sweep itself.\nexec {command}\n"))
}
