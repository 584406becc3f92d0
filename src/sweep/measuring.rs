//! One benchmark, and what is sampled meanwhile: a run of hours that is killed leaves what was sampled until then.

use super::commands::artifact_of;
use crate::exec::{BenchJob, Benched, Executor, Slot, Stop, seen_so_far};
use crate::params::Command;
use crate::plan::Combination;
use crate::store::SweepWriter;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How often what was sampled so far is stored.
pub const KEPT_EVERY: Duration = Duration::from_secs(600);

/// A benchmark that is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Measuring<'a> {
    pub command: &'a Command,
    pub result_path: &'a Path,
    pub log: &'a Path,
    /// The run that it makes; a warm-up makes none.
    pub run: Option<Making<'a>>,
}

/// A run that is made, and how often its samples are stored until it ends.
#[derive(Clone, Copy, Debug)]
pub struct Making<'a> {
    pub combination: &'a Combination,
    pub number: i64,
    pub id: &'a str,
    pub kept_every: Duration,
}

impl Measuring<'_> {
    /// Runs the benchmark. Where what was sampled so far can't be stored, it goes on: its end tries again.
    pub async fn bench(self, executor: &mut impl Executor, writer: &SweepWriter) -> Result<Benched, Stop> {
        let artifact = artifact_of(self.command, self.result_path);
        let samples = Slot::default();
        let (command, result_path, log) = (self.command, self.result_path, self.log);
        let job = BenchJob { command, result_path, artifact: artifact.as_ref(), log, samples: &samples };
        let Some(run) = self.run else { return executor.bench(job).await };
        let mut ticks = interval_at(Instant::now() + run.kept_every, run.kept_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let benched = executor.bench(job);
        tokio::pin!(benched);
        loop {
            tokio::select! {
                biased;
                ended = &mut benched => return ended,
                _ = ticks.tick() => {
                    let seen = seen_so_far(&samples);
                    if !seen.is_empty() {
                        let _ = writer.keep_samples(run.combination, (run.number, run.id), &seen);
                    }
                }
            }
        }
    }
}
