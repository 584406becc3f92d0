//! A control group of its own for a program, where one may be made: nothing leaves it by forking.

use super::mark::Mark;
use std::path::{Path, PathBuf};

const PREFIX: &str = "sweeplake-";

/// A folder of the second hierarchy of control groups.
#[derive(Clone, Debug)]
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes a group below the one that this process is in; nothing where that is not allowed.
    pub fn make(mark: &Mark) -> Option<Self> {
        let folder = home()?.join(format!("{PREFIX}{mark}"));
        std::fs::create_dir(&folder).ok()?;
        Some(Self(folder))
    }

    /// The group that was made for a mark, if it is there.
    pub fn of(mark: &Mark) -> Option<Self> {
        Some(home()?.join(format!("{PREFIX}{mark}"))).filter(|folder| folder.is_dir()).map(Self)
    }

    /// The groups that are there, with their marks.
    pub fn all() -> Vec<Mark> {
        let entries = home().and_then(|home| std::fs::read_dir(home).ok()).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter_map(|name| name.strip_prefix(PREFIX)?.parse().ok()).collect()
    }

    /// Takes a process into the group. Where the group takes nobody, the other ways to find a family are left.
    pub fn take(&self, pid: i32) {
        let _ = std::fs::write(self.0.join("cgroup.procs"), pid.to_string());
    }

    pub fn members(&self) -> Vec<i32> {
        let text = std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.trim().parse().ok()).collect()
    }

    /// Kills all of them at once, so that none can fork away.
    pub fn kill(&self) {
        let _ = std::fs::write(self.0.join("cgroup.kill"), "1");
    }

    /// Takes the empty group away.
    pub fn remove(&self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// The folder of the group that this process is in.
fn home() -> Option<PathBuf> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mount = mount.filter(|fields| fields.get(2) == Some(&"cgroup2")).find_map(|fields| fields.get(1).copied())?;
    Some(Path::new(mount).join(own))
}
