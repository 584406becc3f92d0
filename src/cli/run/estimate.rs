//! How long a sweep will take, as runs that the lake has took.

use super::places::Places;
use crate::cli::block_on;
use crate::node::{Waiting, arrange, makespan};
use crate::plan::{BenchPlan, Plan, ServerPlan};
use crate::query::{Lake, literal};
use crate::stats::mean;
use crate::store::Manifest;
use crate::words::short_time;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// What runs and the start of a server usually take.
#[derive(Clone, Debug, PartialEq)]
pub struct Usual {
    /// By combination, where the same was measured before.
    of: HashMap<String, f64>,
    run_s: f64,
    start_s: f64,
}

crate::query::typed_row! {
    struct Known {
        combination: String,
        run_s: Option<f64>,
        start_s: Option<f64>,
    }
}

impl Usual {
    /// Of runs of the same commands: of the plan's own combinations where they were measured before, else of others; nothing where
    /// there are none.
    pub fn of(lake: &Path, plan: &Plan, manifest: &Manifest) -> Option<Self> {
        let lake = Lake::open(&[lake.to_owned()]).ok()?;
        let sql = format!(
            "SELECT split_part(runs.combination, '@', 1) AS combination, median(runs.wall_time_s) AS run_s, \
             median(runs.startup_time_s) AS start_s FROM runs JOIN sweeps ON runs.sweep = sweeps.sweep WHERE runs.status = 'completed' \
             AND sweeps.bench_cmd = {} AND sweeps.serve_cmd = {} GROUP BY 1",
            literal(&manifest.bench_cmd),
            literal(&manifest.serve_cmd),
        );
        let known: Vec<Known> = block_on(lake.sql(&sql)).ok()?.ok()?.typed("estimate").ok()?;
        let all: HashMap<String, f64> =
            known.iter().filter_map(|known| Some((known.combination.clone(), known.run_s?))).collect();
        let start_s: Vec<f64> = known.iter().filter_map(|known| known.start_s).collect();
        let run_s: Vec<f64> = all.values().copied().collect();
        if run_s.is_empty() {
            return None;
        }
        let others = mean(&run_s);
        let planned: Vec<String> = plan.combinations().iter().map(|combination| combination.id.to_string()).collect();
        let each: Vec<f64> = planned.iter().map(|id| all.get(id).copied().unwrap_or(others)).collect();
        let of = planned.into_iter().filter_map(|id| Some((id.clone(), *all.get(&id)?))).collect();
        let start_s = if start_s.is_empty() { 0.0 } else { mean(&start_s) };
        Some(Self { of, run_s: mean(&each), start_s })
    }

    /// How long a run of a combination took before, by its identity.
    pub fn by_combination(&self) -> HashMap<String, Duration> {
        self.of.iter().map(|(id, seconds)| (id.clone(), Duration::from_secs_f64(*seconds))).collect()
    }

    /// About how long so many starts and runs take of a plan, and on what that rests.
    pub fn text(&self, (plan, places): (&Plan, &Places), starts: usize, runs: usize) -> String {
        let seconds = self.run_s * runs as f64 + self.start_s * starts as f64;
        let seconds = seconds * self.share_of_time(plan, places);
        let rests_on =
            if self.of.is_empty() { "other runs of these commands" } else { "earlier runs of these combinations" };
        let starts =
            if self.start_s > 0.0 { format!("{starts} starts × {:.1} s, ", self.start_s) } else { String::new() };
        let whole = short_time(Duration::from_secs_f64(seconds));
        let at_a_time = places.text(plan.servers.len()).map(|text| format!(", {text}")).unwrap_or_default();
        format!("about {whole}: {starts}{runs} runs × {:.1} s{at_a_time}, based on {rests_on}", self.run_s)
    }

    /// How much of the time that servers take one after the other they take side by side.
    fn share_of_time(&self, plan: &Plan, places: &Places) -> f64 {
        let waits = |(index, server): (usize, &ServerPlan)| {
            let run_s = |bench: &BenchPlan| self.of.get(bench.combination.id.as_str()).copied().unwrap_or(self.run_s);
            let runs: f64 = server.benches.iter().map(run_s).sum();
            let expected = Duration::from_secs_f64(self.start_s + runs * f64::from(plan.num_runs));
            Waiting { what: index, gpus: places.need.of(plan, index).unwrap_or(0), expected }
        };
        let mut waiting: Vec<Waiting<usize>> = plan.servers.iter().enumerate().map(waits).collect();
        let all: Duration = waiting.iter().map(|waiting| waiting.expected).sum();
        arrange(&mut waiting);
        let beside = makespan(&waiting, places.seats.most(), places.seats.gpu_count());
        if all.is_zero() { 1.0 } else { beside.as_secs_f64() / all.as_secs_f64() }
    }
}
