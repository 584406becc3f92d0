//! What GPUs hold: a server that is gone may leave its memory taken for a while, and the next one would start with less.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// Drivers keep a little, and it differs from time to time.
const TOLERATED_MIB: u64 = 256;
const LIMIT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(500);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// MiB that GPUs hold while no server of ours is running on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// By index, of all that were ever ours.
    known: BTreeMap<usize, u64>,
    /// Those of the server that is running.
    own: Vec<usize>,
}

impl Baseline {
    /// Looks at the GPUs of a server that is about to be started: those with these names, or all where none are given out. Those that
    /// were looked at before are not asked again.
    pub async fn look(&mut self, names: &[String]) {
        let own = indices(names);
        let is_known = match names.is_empty() {
            true => !self.known.is_empty(),
            false => own.iter().all(|index| self.known.contains_key(index)),
        };
        if is_known {
            self.own = if names.is_empty() { self.known.keys().copied().collect() } else { own };
        } else {
            self.add(names, used().await.unwrap_or_default());
        }
    }

    /// Of a GPU that is known the least counts: what a server leaves is not the machine's.
    fn add(&mut self, names: &[String], now: Vec<u64>) {
        self.own = if names.is_empty() { (0..now.len()).collect() } else { indices(names) };
        for index in &self.own {
            if let Some(now) = now.get(*index) {
                self.known.entry(*index).and_modify(|known| *known = (*known).min(*now)).or_insert(*now);
            }
        }
    }

    /// Waits until they hold no more than before; what they hold beyond that, where it does not come to that.
    pub async fn wait_until_free(&self) -> Result<(), String> {
        let deadline = Instant::now() + LIMIT;
        while !self.known.is_empty() {
            let Some(now) = used().await else { return Ok(()) };
            let Some((gpu, more)) = self.most_above(&now) else { return Ok(()) };
            if Instant::now() > deadline {
                let seconds = LIMIT.as_secs();
                return Err(format!(
                    "GPU {gpu} still held {more} MiB more than initially, {seconds} s after a server was stopped: the next server started with less"
                ));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// The GPU that holds most beyond its baseline, where that is too much.
    fn most_above(&self, now: &[u64]) -> Option<(usize, u64)> {
        let above = self
            .own
            .iter()
            .filter_map(|index| Some((*index, now.get(*index)?.saturating_sub(*self.known.get(index)?))));
        above.max_by_key(|(_, more)| *more).filter(|(_, more)| *more > TOLERATED_MIB)
    }
}

/// A GPU that is called by something else than its index is not known by it.
fn indices(names: &[String]) -> Vec<usize> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// MiB that each GPU holds; nothing where no tool tells.
async fn used() -> Option<Vec<u64>> {
    let mut command = Command::new("nvidia-smi");
    command.args(["--query-gpu=memory.used", "--format=csv,noheader,nounits"]).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(ANSWER_LIMIT, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    text.lines().map(|line| line.trim().parse().ok()).collect::<Option<Vec<u64>>>().filter(|gpus| !gpus.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(before: &[u64], names: &[&str], now: &[u64]) -> Option<(usize, u64)> {
        let mut baseline = Baseline::default();
        baseline.add(&names.iter().map(ToString::to_string).collect::<Vec<_>>(), before.to_vec());
        baseline.most_above(now)
    }

    #[test]
    fn the_gpu_that_holds_most_is_named() {
        assert_eq!(over(&[10, 500], &[], &[200, 700]), None);
        assert_eq!(over(&[10, 500, 0], &[], &[400, 1500, 0]), Some((1, 1000)));
        assert_eq!(over(&[900], &[], &[10]), None);
    }

    #[test]
    fn what_neighbours_hold_is_theirs() {
        assert_eq!(over(&[10, 10], &["1"], &[9000, 10]), None);
        assert_eq!(over(&[10, 10], &["1"], &[9000, 2010]), Some((1, 2000)));
        assert_eq!(over(&[10, 10], &["GPU-ab"], &[9000, 2010]), None);
    }

    #[test]
    fn a_gpu_that_was_full_of_another_server_is_seen_to_leak_later() {
        let mut baseline = Baseline::default();
        let names = |name: &str| vec![name.to_owned()];
        baseline.add(&names("0"), vec![10, 9000]);
        baseline.add(&names("1"), vec![10, 20]);
        baseline.add(&names("1"), vec![10, 1000]);
        assert_eq!(baseline.most_above(&[9000, 1500]), Some((1, 1480)));
    }
}
