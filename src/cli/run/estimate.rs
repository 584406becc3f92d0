//! How long a sweep will take, as runs that the lake has took.

use crate::cli::block_on;
use crate::plan::Plan;
use crate::query::Lake;
use crate::stats::mean;
use crate::words::short_time;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

/// What a run and the start of a server usually take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    run_s: f64,
    start_s: f64,
    is_of_same: bool,
}

crate::query::typed_row! {
    struct Known {
        combination: String,
        run_s: Option<f64>,
        start_s: Option<f64>,
    }
}

const SQL: &str = "SELECT split_part(combination, '@', 1) AS combination, median(wall_time_s) AS run_s, \
    median(startup_time_s) AS start_s FROM runs WHERE status = 'completed' GROUP BY 1";

impl Usual {
    /// Of the plan's own combinations where they were measured before, else of all; nothing where there is nothing.
    pub fn of(lake: &Path, plan: &Plan) -> Option<Self> {
        let lake = Lake::open(&[lake.to_owned()]).ok()?;
        let known: Vec<Known> = block_on(lake.sql(SQL)).ok()?.ok()?.typed("estimate").ok()?;
        let planned: HashSet<String> =
            plan.combinations().iter().map(|combination| combination.id.to_string()).collect();
        let (same, others): (Vec<_>, Vec<_>) = known.iter().partition(|known| planned.contains(&known.combination));
        let is_of_same = !same.is_empty();
        let rows = if is_of_same { same } else { others };
        let run_s: Vec<f64> = rows.iter().filter_map(|row| row.run_s).collect();
        let start_s: Vec<f64> = rows.iter().filter_map(|row| row.start_s).collect();
        let start_s = if start_s.is_empty() { 0.0 } else { mean(&start_s) };
        (!run_s.is_empty()).then(|| Self { run_s: mean(&run_s), start_s, is_of_same })
    }

    /// About how long so many starts and runs take, and on what that rests.
    pub fn text(&self, starts: usize, runs: usize) -> String {
        let seconds = self.run_s * runs as f64 + self.start_s * starts as f64;
        let rests_on = if self.is_of_same { "these runs took before" } else { "other runs of this lake took" };
        let starts =
            if self.start_s > 0.0 { format!("{starts} starts × {:.1} s, ", self.start_s) } else { String::new() };
        let whole = short_time(Duration::from_secs_f64(seconds));
        format!("about {whole}: {starts}{runs} runs × {:.1} s, as {rests_on}", self.run_s)
    }
}
