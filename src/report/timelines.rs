//! What happened during the best run, the slowest one, and those that are unlike their repeats.

use super::ReportError;
use super::charts::{Chart, timeline_of};
use crate::plot::{PlotError, TimelineRequest};
use crate::query::{Lake, literal};
use crate::stats::robust::{is_odd, level, spread};
use std::collections::BTreeMap;

crate::query::typed_row! {
    struct Run {
        run_id: String,
        sweep: String,
        combination: String,
        label: Option<String>,
        run_number: i64,
        throughput: Option<f64>,
        latency: Option<f64>,
        clock_mhz: Option<f64>,
        preemptions: Option<f64>,
        throttled_s: Option<f64>,
        kv_cache: Option<f64>,
        others: Option<f64>,
        client_cores: Option<f64>,
    }
}

const SQL: &str = "SELECT run_id, sweep, combination, label, run_number, CAST(output_throughput AS DOUBLE) AS throughput, \
    CAST(p99_e2el_ms AS DOUBLE) AS latency, gpu_clock_mhz_min AS clock_mhz, CAST(preemptions AS DOUBLE) AS preemptions, \
    gpu_throttled_s AS throttled_s, kv_cache_usage_max AS kv_cache, greatest(server_requests - completed, 0) AS others, client_cores \
    FROM runs WHERE status = 'completed' ORDER BY sweep, started_at, run_number";

/// More odd runs than these are in the table of runs.
const MOST_ODD: usize = 3;
/// What differs by less from the repeats explains nothing.
const DIFFERS: f64 = 0.05;

/// A run that is worth a look, and why.
struct Chosen<'a> {
    run: &'a Run,
    why: String,
}

pub async fn timelines(lake: &Lake) -> Result<Vec<Chart>, ReportError> {
    let runs: Vec<Run> = lake.sql(SQL).await?.typed("timelines")?;
    let mut charts = Vec::new();
    for Chosen { run, why } in chosen(&runs) {
        let request = TimelineRequest {
            runs: vec![run.run_id.clone()],
            sweep: Some(run.sweep.clone()),
            filter_by: String::new(),
            most: 1,
        };
        let drawn = match request.draw(lake).await {
            Ok(drawn) => drawn,
            Err(PlotError::NothingSampled | PlotError::TooManyRuns { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let label = run.label.as_deref().unwrap_or_default();
        let sql = format!(
            "SELECT at_s, source, device, metric, value FROM telemetry WHERE sweep = {} AND run_id = {} ORDER BY at_s",
            literal(&run.sweep),
            literal(&run.run_id)
        );
        for timeline in drawn {
            charts.push(timeline_of(format!("{why}: {label}, run {}", run.run_number), timeline.figure, sql.clone())?);
        }
    }
    Ok(charts)
}

fn chosen(runs: &[Run]) -> Vec<Chosen<'_>> {
    let (best, slowest) = (highest(runs, |run| run.throughput), highest(runs, |run| run.latency));
    let mut chosen: Vec<Chosen<'_>> = Vec::new();
    chosen.extend(best.map(|run| Chosen { run, why: "Highest throughput".into() }));
    let is_new = |run: &&Run| best.is_none_or(|best| best.run_id != run.run_id);
    chosen.extend(slowest.filter(is_new).map(|run| Chosen { run, why: "Highest P99 latency".into() }));
    let known: Vec<&str> = chosen.iter().map(|chosen| chosen.run.run_id.as_str()).collect();
    let odd = odd(runs).into_iter().filter(|odd| !known.contains(&odd.run.run_id.as_str())).take(MOST_ODD);
    let odd: Vec<Chosen<'_>> = odd.collect();
    chosen.extend(odd);
    chosen
}

/// The run with the highest value.
fn highest(runs: &[Run], value: fn(&Run) -> Option<f64>) -> Option<&Run> {
    let known = runs.iter().filter_map(|run| Some((value(run)?, run)));
    known.max_by(|left, right| left.0.total_cmp(&right.0)).map(|(_, run)| run)
}

/// Runs whose throughput is further from that of their repeats than noise explains.
fn odd(runs: &[Run]) -> Vec<Chosen<'_>> {
    let mut cells: BTreeMap<(&str, &str), Vec<&Run>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.throughput.is_some_and(|throughput| throughput > 0.0)) {
        cells.entry((&run.sweep, &run.combination)).or_default().push(run);
    }
    let logs = |cell: &Vec<&Run>| cell.iter().filter_map(|run| Some(run.throughput?.ln())).collect::<Vec<f64>>();
    let all: Vec<Vec<f64>> = cells.values().map(logs).collect();
    let noise = spread(all.iter().map(Vec::as_slice));
    let mut odd = Vec::new();
    for cell in cells.values().filter(|cell| cell.len() > 2) {
        let logs = logs(cell);
        let usual = level(&logs, noise);
        for (run, log) in cell.iter().zip(&logs).filter(|(_, log)| is_odd(**log, usual, noise)) {
            let change = (log - usual).exp_m1() * 100.0;
            let differs = what_differs(run, cell);
            let differs = if differs.is_empty() { String::new() } else { format!(" ({})", differs.join(", ")) };
            odd.push(Chosen { run, why: format!("Unlike its repeats, {change:+.0} % throughput{differs}") });
        }
    }
    odd
}

/// What was otherwise in a run than in its repeats.
fn what_differs(run: &Run, cell: &[&Run]) -> Vec<String> {
    type Of = fn(&Run) -> Option<f64>;
    let facts: [(&str, Of); 6] = [
        ("SM clock (MHz)", |run| run.clock_mhz),
        ("seconds with clocks held down", |run| run.throttled_s),
        ("preemptions", |run| run.preemptions),
        ("peak KV cache usage", |run| run.kv_cache),
        ("requests of others", |run| run.others),
        ("cores of the client", |run| run.client_cores),
    ];
    let told = facts.into_iter().filter_map(|(name, of)| {
        let mut repeats: Vec<f64> =
            cell.iter().filter(|other| other.run_id != run.run_id).filter_map(|other| of(other)).collect();
        repeats.sort_by(f64::total_cmp);
        let (own, usual) = (of(run)?, *repeats.get(repeats.len() / 2)?);
        let is_other = (own - usual).abs() > DIFFERS * own.abs().max(usual.abs());
        is_other.then(|| format!("{name}: {own:.4} instead of {usual:.4}").replace(".0000", ""))
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, combination: &str, throughput: f64) -> Run {
        Run {
            run_id: id.into(),
            sweep: "s".into(),
            combination: combination.into(),
            label: None,
            run_number: 0,
            throughput: Some(throughput),
            latency: Some(1e6 / throughput),
            clock_mhz: Some(1980.0),
            preemptions: Some(0.0),
            throttled_s: None,
            kv_cache: Some(0.5),
            others: Some(0.0),
            client_cores: None,
        }
    }

    #[test]
    fn the_best_the_slowest_and_the_odd_are_looked_at() {
        let mut runs: Vec<Run> =
            (0..8).map(|index| run(&format!("a{index}"), "a", 100.0 + f64::from(index % 3))).collect();
        runs.extend((0..8).map(|index| run(&format!("b{index}"), "b", 50.0 + f64::from(index % 3) / 2.0)));
        runs[3].throughput = Some(80.0);
        runs[3].clock_mhz = Some(1200.0);
        let told: Vec<(String, &str)> =
            chosen(&runs).into_iter().map(|chosen| (chosen.why, chosen.run.run_id.as_str())).collect();
        assert_eq!(told[0], ("Highest throughput".into(), "a5"));
        assert_eq!(told[1].0, "Highest P99 latency");
        let odd = "Unlike its repeats, -21 % throughput (SM clock (MHz): 1200 instead of 1980)";
        assert_eq!((told[2].0.as_str(), told[2].1, told.len()), (odd, "a3", 3));
    }
}
