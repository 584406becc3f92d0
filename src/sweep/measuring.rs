//! One benchmark, and what is sampled meanwhile: a run of hours that is killed leaves what was sampled until then.

use super::commands::artifact_of;
use crate::exec::{BenchJob, Benched, Executor, Slot, Stop, seen_so_far};
use crate::params::Command;
use crate::plan::Combination;
use crate::store::StoreError;
use crate::telemetry::Samples;
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
    pub async fn bench(
        self,
        executor: &mut impl Executor,
        keep: impl Fn(Making<'_>, &Samples) -> Result<(), StoreError>,
    ) -> Result<Benched, Stop> {
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
                        let _ = keep(run, &seen);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{EvalJob, Ready, Scores, ServerJob};
    use crate::params::ParamSet;
    use crate::record::{Environment, ErrorKind, Failure};
    use crate::store::{Manifest, SweepWriter};
    use crate::telemetry::{Kept, from_engine};
    use chrono::{Local, Utc};
    use std::path::PathBuf;

    /// A benchmark that is sampled for a while, and ends badly; it sees what lies on the disk meanwhile.
    struct Long {
        folder: PathBuf,
        seen: Vec<String>,
    }

    impl Executor for Long {
        async fn bench(&mut self, job: BenchJob<'_>) -> Result<Benched, Stop> {
            for at in 0..20 {
                for reading in from_engine("vllm:num_requests_waiting 3\n", Kept::Known) {
                    job.samples.lock().unwrap().push(f64::from(at), reading);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let entries = std::fs::read_dir(&self.folder).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            self.seen = names.filter(|name| name.ends_with(".telemetry.parquet")).collect();
            Err(Failure::new(ErrorKind::BenchmarkFailed, "it ended").into())
        }

        async fn start(&mut self, _: ServerJob<'_>) -> Result<Ready, Stop> {
            unreachable!("only benchmarks are run")
        }

        async fn evaluate(&mut self, _: EvalJob<'_>) -> Result<Scores, Stop> {
            unreachable!("only benchmarks are run")
        }

        async fn clean(&mut self) {}

        async fn stop(&mut self) -> Vec<String> {
            Vec::new()
        }

        fn is_interrupted(&self) -> bool {
            false
        }
    }

    #[tokio::test]
    async fn what_is_sampled_of_a_long_run_is_stored_before_its_end() {
        let lake = tempfile::tempdir().unwrap();
        let combination = Combination::new(ParamSet::unchanged(), ParamSet::unchanged());
        let manifest = Manifest::without_commands(Utc::now(), Environment::default());
        let combinations = std::slice::from_ref(&combination);
        let writer = SweepWriter::create(lake.path(), Some("s"), Local::now(), manifest, combinations).unwrap();
        let mut executor = Long { folder: writer.at().combination_folder(&combination), seen: Vec::new() };
        let command = Command::parse("bench", "true").unwrap();
        let path = lake.path().join("result.json");
        let run = Making { combination: &combination, number: 0, id: "r", kept_every: Duration::from_millis(30) };
        let keep = |run: Making<'_>, seen: &Samples| writer.keep_samples(run.combination, (run.number, run.id), seen);
        let measuring = Measuring { command: &command, result_path: &path, log: &path, run: Some(run) };
        assert!(measuring.bench(&mut executor, keep).await.is_err());
        assert_eq!(executor.seen, ["run=0.attempt=1.telemetry.parquet"]);
        // A warm-up is no run.
        std::fs::remove_file(executor.folder.join("run=0.attempt=1.telemetry.parquet")).unwrap();
        let warm_up = Measuring { run: None, ..measuring };
        assert!(warm_up.bench(&mut executor, keep).await.is_err());
        assert_eq!(executor.seen, Vec::<String>::new());
    }
}
