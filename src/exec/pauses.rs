//! Whether a program, or we ourselves, were stopped while something was measured.

use crate::os::{slept, was_stopped};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// How often is looked.
const LOOK: Duration = Duration::from_millis(50);
/// What does not run for less is only slow.
const SHORTEST: Duration = Duration::from_secs(1);

/// What was stopped.
#[derive(Debug, Default)]
pub struct Pauses {
    /// The programs by what they are called.
    pub programs: Vec<&'static str>,
    /// The longest time for which we did not run ourselves.
    pub own: Duration,
    /// How long the machine slept.
    pub slept: Duration,
}

impl Pauses {
    /// Whether times that were measured are not those of the programs.
    pub fn spoil(&self) -> Option<String> {
        if let Some(program) = self.programs.first() {
            return Some(format!(
                "{program} was suspended (SIGSTOP) during the measurement, so the measured times are not valid"
            ));
        }
        let slept = (self.slept >= SHORTEST).then_some(self.slept.as_secs());
        slept.map(|seconds| format!("the machine was suspended for {seconds} s during the measurement"))
    }

    /// What may have held the programs up: while we don't run, nobody takes what they write.
    pub fn caution(&self) -> Option<String> {
        let own = (self.own >= SHORTEST).then_some(self.own.as_secs_f64());
        own.map(|seconds| {
            format!("sweeplake itself was suspended or starved of CPU for {seconds:.1} s during the run, and did not read the programs' output")
        })
    }
}

/// A watch over programs. It begins before they are started: what holds us up between their start and the first look
/// holds them up as well.
#[derive(Debug)]
pub struct Watch {
    looked: Instant,
    offset: Duration,
}

impl Watch {
    /// Begins now.
    pub fn start() -> Watch {
        Watch { looked: Instant::now(), offset: slept() }
    }

    /// Looks after programs for as long as `work` takes.
    pub async fn over<T>(self, programs: &[(&'static str, Pid)], work: impl Future<Output = T>) -> (T, Pauses) {
        let Watch { mut looked, offset } = self;
        let mut pauses = Pauses::default();
        tokio::pin!(work);
        let value = loop {
            let ended = tokio::select! {
                biased;
                value = &mut work => Some(value),
                () = tokio::time::sleep(LOOK) => None,
            };
            pauses.own = pauses.own.max(looked.elapsed());
            looked = Instant::now();
            for (name, pid) in programs {
                if was_stopped(*pid) && !pauses.programs.contains(name) {
                    pauses.programs.push(name);
                }
            }
            if let Some(value) = ended {
                break value;
            }
        };
        pauses.slept = slept().saturating_sub(offset);
        (value, pauses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_held_us_up_before_the_first_look_is_told() {
        let watch = Watch::start();
        std::thread::sleep(SHORTEST + LOOK);
        let ((), pauses) = watch.over(&[], std::future::ready(())).await;
        assert!(pauses.own >= SHORTEST, "{pauses:?}");
        assert!(
            pauses.caution().unwrap().contains("sweeplake itself was suspended or starved of CPU for 1."),
            "{pauses:?}"
        );
    }
}
