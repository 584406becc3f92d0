//! A program in a process group of its own: started, watched, and ended with everything it started.

use super::family::{Cradle, Family, VARIABLE};
use super::keeper::Keeper;
use super::log;
use crate::os::{adopt_orphans, with_cores};
use crate::params::Command;
use crate::redact::{Redactor, Stream};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{PipeReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::process::Child;
use tokio::task::JoinHandle;

/// How long after SIGKILL the kernel may take to remove a group.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// How long what left the group may take to end after SIGTERM.
const ESCAPED_GRACE: Duration = Duration::from_secs(3);
const COPY_LIMIT: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(10);

/// Where a program's output goes.
#[derive(Clone, Debug)]
pub struct Output {
    pub log: PathBuf,
    /// Also to the terminal (`--show-stdout`).
    pub show: bool,
    /// Takes out of the log what must not be kept.
    pub redactor: Redactor,
    pub logs: Logs,
}

/// What log files keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Logs {
    /// Everything but secrets.
    #[default]
    Redacted,
    /// What the program wrote, byte by byte.
    Raw,
}

/// What a program stands on besides its command.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ground<'a> {
    /// Variables that its environment has unless its command sets them.
    pub env: &'a [(&'a str, &'a str)],
    /// The cores that it is kept to; none: it may run anywhere.
    pub cores: &'a [usize],
}

/// A running program and all its descendants.
pub struct Group {
    child: Child,
    family: Family,
    /// Writes what the program says to its log; ends when nobody can say anything any more.
    copier: Option<JoinHandle<()>>,
    id: Pid,
    keeper: Keeper,
    log: PathBuf,
    log_start: u64,
    is_ended: bool,
}

impl Group {
    /// Starts the command with its output into the log.
    ///
    /// Nothing is done between fork and exec, so that the system needs no copy of our memory: that takes longer the more a
    /// sweep remembers.
    pub fn spawn(command: &Command, ground: Ground<'_>, output: &Output, keeper: &Keeper) -> std::io::Result<Self> {
        adopt_orphans();
        let (file, log_start) = log::open(&output.log, &command.redacted(&output.redactor).quoted())?;
        let is_copied = output.show || output.logs == Logs::Redacted;
        let (pipe, stdout, stderr): (_, Stdio, Stdio) = match is_copied {
            true => {
                // One pipe for both: what was said first stands first.
                let (reader, writer) = std::io::pipe()?;
                (Some(reader), writer.try_clone()?.into(), writer.into())
            }
            false => (None, file.try_clone()?.into(), file.try_clone()?.into()),
        };
        let cradle = Cradle::new()?;
        let mut process = tokio::process::Command::new(command.program());
        process
            .args(command.arguments())
            .env(VARIABLE, cradle.mark.value())
            .envs(ground.env.iter().copied())
            .envs(command.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0);
        // The keeper knows of the program before it is there: killed at any instant, the sweep leaves nobody.
        keeper.expect(cradle.mark);
        let child = with_cores(ground.cores, || process.spawn()).inspect_err(|_| {
            cradle.give_up();
            keeper.forget(cradle.mark, Vec::new());
        })?;
        // It holds the pipe's other end, which must be the program's alone.
        drop(process);
        let id = child.id().ok_or_else(|| std::io::Error::other("a program that was just started has no id"))?;
        let id = Pid::from_raw(id as i32);
        let family = cradle.born(id.as_raw());
        keeper.watch(family.mark(), id);
        let copier = pipe.map(|pipe| {
            let output = output.clone();
            tokio::task::spawn_blocking(move || copy(pipe, file, &output))
        });
        Ok(Self {
            child,
            family,
            copier,
            id,
            keeper: keeper.clone(),
            log: output.log.clone(),
            log_start,
            is_ended: false,
        })
    }

    /// Waits for the program itself; descendants may still run.
    pub async fn exited(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await;
        // What it said last is on its way to the log; a descendant may hold the pipe open for longer.
        if let Some(copier) = &mut self.copier
            && tokio::time::timeout(COPY_LIMIT, copier).await.is_ok()
        {
            self.copier = None;
        }
        status
    }

    /// How the program ended, if it has.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The program itself, which leads the group.
    pub fn id(&self) -> Pid {
        self.id
    }

    pub fn log_tail(&self) -> Vec<String> {
        log::tail(&self.log, self.log_start)
    }

    /// SIGTERM to the group, the grace, then SIGKILL; then the same for whoever left the group. Returns when nobody is left, or
    /// nothing more can be done.
    pub async fn stop(mut self, grace: Duration) {
        let _ = killpg(self.id, Signal::SIGTERM);
        let ended = tokio::time::timeout(grace, self.child.wait()).await.is_ok();
        if !ended || !self.wait_until_gone(grace).await {
            let _ = killpg(self.id, Signal::SIGKILL);
            let _ = self.child.wait().await;
            self.wait_until_gone(KILL_LIMIT).await;
        }
        let (family, strays) = (self.family.clone(), self.keeper.strays(self.family.mark()));
        let left = tokio::task::spawn_blocking(move || family.end(&strays, ESCAPED_GRACE)).await;
        self.keeper.forget(self.family.mark(), left.unwrap_or_default());
        self.is_ended = true;
    }

    async fn wait_until_gone(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while !is_gone(self.id) {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_ended {
            let _ = killpg(self.id, Signal::SIGKILL);
            let left = self.family.end(&self.keeper.strays(self.family.mark()), Duration::ZERO);
            self.keeper.forget(self.family.mark(), left);
        }
    }
}

/// The program that a command would start: a path, or found on `PATH`.
pub fn find_program(command: &Command) -> Option<PathBuf> {
    let program = Path::new(command.program());
    if program.components().count() > 1 {
        return is_executable(program).then(|| program.to_owned());
    }
    let own_path = command.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.into());
    let path = own_path.or_else(|| std::env::var_os("PATH"))?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| is_executable(file))
}

/// A text for how a program ended.
pub fn describe_exit(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal().and_then(|number| Signal::try_from(number).ok())) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".into(),
    }
}

/// Copies a program's output to its log, and to our stderr if it is to be seen: stdout is kept for results.
fn copy(mut pipe: PipeReader, log: File, output: &Output) {
    let both = Copies { log, shown: output.show.then(std::io::stderr) };
    let mut log: Box<dyn Write> = match output.logs {
        Logs::Raw => Box::new(both),
        Logs::Redacted => Box::new(Redacted(Stream::new(output.redactor.clone(), both))),
    };
    let mut bytes = vec![0; COPY_BYTES];
    while let Ok(count) = pipe.read(&mut bytes)
        && count > 0
    {
        // A log that can't be written must not block the program.
        let _ = log.write_all(bytes.get(..count).unwrap_or_default());
    }
}

const COPY_BYTES: usize = 64 * 1024;

/// A log file and the terminal.
struct Copies {
    log: File,
    shown: Option<std::io::Stderr>,
}

impl Write for Copies {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(terminal) = &mut self.shown {
            let _ = terminal.write_all(bytes);
        }
        self.log.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.log.flush()
    }
}

/// What a program says, without secrets.
struct Redacted(Stream<Copies>);

impl Write for Redacted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.push(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.finish()
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Reaps what has ended of a group and tells whether anything is left.
fn is_gone(group: Pid) -> bool {
    while let Ok(status) = waitpid(Pid::from_raw(-group.as_raw()), Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
    }
    killpg(group, None) == Err(Errno::ESRCH)
}
