//! `sweeplake sla`: what stored runs say about an SLA, without running anything.

use super::lake::Opening;
use super::picture::{plot_failure, write_usual};
use super::sla_params::{read_slas, variable};
use super::sla_requests::{RunAsked, StoredRequests};
use super::table::Output;
use super::{Ended, Failure, block_on, positive_number, query_failure};
use crate::cli::say::say;
use crate::id::column_name;
use crate::metric::adjusted;
use crate::params::ParamSet;
use crate::plan::Combination;
use crate::plot::{ladders, sla_charts};
use crate::query::{Answer, Columns, Lake, labels_of, number_of, shipped};
use crate::record::{Row, Status, too_few_sent};
use crate::sla::{Sla, is_of_requests};
use crate::store::{SLA_FIGURES, figure_name};
use crate::sweep::{Finding, Made, Runs, Search, Variable, too_few_succeeded};
use rayon::prelude::*;
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    /// Sweeps (or lakes) of `serve_sla`, or of any kind with more than one load.
    #[arg(required = true, value_name = "SWEEP")]
    sweeps: Vec<PathBuf>,
    /// JSON file with the SLAs, as for `serve_sla`.
    #[arg(long, value_name = "FILE")]
    sla_params: PathBuf,
    /// The load variable to maximize: request_rate or max_concurrency; default: the one that varies.
    #[arg(long, value_name = "VAR", value_parser = variable)]
    sla_variable: Option<Variable>,
    /// How close the lowest failing value must be to the highest passing one for the answer to count as found.
    #[arg(long, value_name = "SHARE", value_parser = positive_number)]
    sla_tolerance: Option<f64>,
    #[command(flatten)]
    opening: Opening,
    #[command(flatten)]
    output: Output,
}

pub fn exec(arguments: Arguments) -> Ended {
    let slas = read_slas(&arguments.sla_params)?;
    let variables = match arguments.sla_variable {
        Some(variable) => vec![variable],
        None => vec![Variable::MaxConcurrency, Variable::RequestRate],
    };
    arguments.opening.with(&arguments.sweeps, |lake| {
        let mut rows = Vec::new();
        for variable in variables {
            let tolerance = arguments.sla_tolerance.unwrap_or(variable.default_tolerance());
            rows.extend(block_on(answers(lake, &slas, variable, tolerance, arguments.sla_variable.is_some()))??);
        }
        if rows.is_empty() {
            return Err(Failure::input("no combination was run at more than one max_concurrency or request_rate"));
        }
        let sql = shipped::slas(&lake.gpu_hour_price_sql());
        let answer = block_on(Answer::of_rows(&rows).sql("sla", &sql))?.map_err(query_failure)?;
        arguments.output.write(&answer)?;
        super::show::remarks(lake)?.iter().for_each(|remark| say!("{remark}"));
        Ok(())
    })
}

/// Draws the chart of each answer of a sweep into its folder `sla`.
pub fn draw(folder: &Path) -> Result<(), Failure> {
    let lake = Lake::open(&[folder.to_owned()]).map_err(query_failure)?;
    let of_answers = block_on(sla_charts(&lake))?.map_err(plot_failure)?;
    let ladders = block_on(ladders(&lake))?.map_err(plot_failure)?;
    let named = |name| move |chart| (name, chart);
    let charts: Vec<_> = of_answers.iter().map(named("SLA")).chain(ladders.iter().map(named("LADDER"))).collect();
    charts.par_iter().try_for_each(|(name, chart)| {
        write_usual(&folder.join(SLA_FIGURES).join(figure_name(name, &chart.group)), &chart.figure)
    })?;
    say!("charts: {}", folder.join(SLA_FIGURES).display());
    Ok(())
}

crate::query::typed_row! {
    struct StoredRun {
        sweep: String,
        run_id: String,
        serve_name: Option<String>,
        serve_params: Option<String>,
        bench_name: Option<String>,
        bench_params: Option<String>,
        level: Option<f64>,
        status: String,
        success_rate: Option<f64>,
        concurrency: Option<f64>,
        gpu_count: Option<f64>,
        is_stopped_early: bool,
        asked_rate: Option<f64>,
        achieved_rate: Option<f64>,
    }
}

/// A run with the parameters of its sides.
struct Measured {
    serve: ParamSet,
    bench: ParamSet,
    level: f64,
    made: Made,
}

/// A curve: runs of one sweep that differ in their load alone.
type Curves = BTreeMap<(String, String), (Combination, Vec<Made>)>;

/// A row for each SLA of each combination; unless the variable was asked for, only of those that it tells apart.
async fn answers(
    lake: &Lake,
    slas: &[Sla],
    variable: Variable,
    tolerance: f64,
    is_asked_for: bool,
) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    let mut answered: Vec<(String, Combination)> = Vec::new();
    for ((sweep, _), (combination, made)) in curves(lake, slas, variable).await? {
        let is_varied = made.iter().any(|other| other.level != made[0].level);
        if !is_varied && !is_asked_for {
            continue;
        }
        let runs = Runs::of(variable, &made);
        for sla in slas {
            let counted = runs.counted(sla, 0, Search::IsOver).runs;
            if let Some(answer) = counted.standing(sla, tolerance) {
                rows.push(Finding::new(&sweep, &combination, sla, &counted, answer).row());
                answered.push((sweep.clone(), combination.clone()));
            }
        }
    }
    let sides: Vec<(&str, [&ParamSet; 2])> = answered
        .iter()
        .map(|(sweep, combination)| (sweep.as_str(), [&combination.serve, &combination.bench]))
        .collect();
    for (row, label) in rows.iter_mut().zip(labels_of(&sides)) {
        row.push(("label".into(), label.as_str().into()));
    }
    Ok(rows)
}

/// The stored runs as curves over the variable.
async fn curves(lake: &Lake, slas: &[Sla], variable: Variable) -> Result<Curves, Failure> {
    let columns = lake.columns("runs").await.map_err(query_failure)?;
    let metrics = metrics(slas, &columns);
    let selected = metrics.iter().enumerate().map(|(index, metric)| format!("{} AS m{index}", number_of(metric)));
    let level = number_of(variable.key());
    let sql = format!(
        "SELECT sweep, run_id, serve_name, serve_params, bench_name, bench_params, {level} AS level, status, success_rate, gpu_count, stopped_early IS NOT NULL AS is_stopped_early, {} AS \
         concurrency, {} AS asked_rate, achieved_request_rate AS achieved_rate, {} FROM runs WHERE {level} IS NOT NULL ORDER BY \
         started_at, run_number",
        number_of("max_concurrency"),
        number_of("request_rate"),
        selected.collect::<Vec<_>>().join(", "),
    );
    let answer = lake.sql(&sql).await.map_err(query_failure)?;
    let runs: Vec<StoredRun> = answer.typed("sla: stored runs").map_err(query_failure)?;
    let values = (0..metrics.len()).map(|index| answer.numbers(&format!("m{index}")));
    let values = values.collect::<Result<Vec<_>, _>>().map_err(query_failure)?;
    let asked: Vec<String> =
        slas.iter().flat_map(|sla| &sla.constraints).map(|each| column_name(&each.metric)).collect();
    let wanted: Vec<RunAsked<'_>> = runs
        .iter()
        .map(|run| RunAsked { sweep: &run.sweep, run_id: &run.run_id, request_rate: run.asked_rate })
        .collect();
    let mut requests = StoredRequests::of(lake, &wanted, variable, &asked).await.map_err(query_failure)?;
    let mut of_server: BTreeMap<(String, String), Vec<Measured>> = BTreeMap::new();
    for (row, run) in runs.into_iter().enumerate() {
        let numbers = metrics.iter().zip(&values);
        let numbers = numbers.filter_map(|(metric, values)| Some((metric.clone(), json!(values[row]?)))).collect();
        let serve = set_of(run.serve_name.as_deref(), run.serve_params.as_deref());
        let key = (run.sweep.clone(), format!("{serve:?}"));
        let run_id = run.run_id.clone();
        if let Some(mut measured) = measured(run, numbers, serve, variable) {
            // Of a run that was stopped early, requests that were cut off have no times.
            if !measured.made.is_stopped_early {
                requests.add_to(&run_id, &mut measured.made);
            }
            of_server.entry(key).or_default().push(measured);
        }
    }
    let mut curves = Curves::new();
    for ((sweep, _), runs) in of_server {
        for run in without_dependents(runs, variable) {
            let combination = Combination::new(run.serve, run.bench);
            let key = (sweep.clone(), combination.id.to_string());
            curves.entry(key).or_insert_with(|| (combination, Vec::new())).1.push(run.made);
        }
    }
    Ok(curves)
}

/// The columns that decide about the SLAs, as far as there are some.
fn metrics(slas: &[Sla], columns: &Columns) -> Vec<String> {
    let mut metrics: BTreeSet<String> =
        ["output_throughput", "request_throughput", "failed_requests"].map(String::from).into();
    for metric in slas.iter().flat_map(|sla| &sla.constraints).map(|each| &each.metric) {
        metrics.insert(column_name(metric));
        metrics.extend(adjusted(metric));
        metrics.extend(
            metric.strip_suffix("_e2el_ms").map(|statistic| format!("{statistic}_e2el_including_client_queue_ms")),
        );
    }
    let is_asked =
        |name: &String| slas.iter().flat_map(|sla| &sla.constraints).any(|each| column_name(&each.metric) == *name);
    // A metric that is asked for, that nobody has and that single requests don't tell is an error of its own.
    metrics.into_iter().filter(|name| columns.has(name) || (is_asked(name) && !is_of_requests(name))).collect()
}

fn measured(run: StoredRun, metrics: Map<String, Json>, serve: ParamSet, variable: Variable) -> Option<Measured> {
    let level = run.level?;
    let status = Status::parse(&run.status).unwrap_or(Status::Failed);
    // Of stored runs the start times of requests are not read: half of the asked rate is another load for sure.
    let shortfall =
        run.asked_rate.zip(run.achieved_rate).filter(|(asked, achieved)| asked.is_finite() && *achieved < 0.5 * asked);
    let shortfall = shortfall.map(|(asked, achieved)| too_few_sent(achieved, asked));
    let degraded = run.success_rate.filter(|_| status == Status::Degraded).map(too_few_succeeded);
    Some(Measured {
        serve,
        bench: set_of(run.bench_name.as_deref(), run.bench_params.as_deref()),
        level,
        made: Made {
            status,
            metrics: (status != Status::Failed).then_some(metrics),
            obstacle: degraded.or(shortfall),
            max_concurrency: run.concurrency,
            gpu_count: run.gpu_count,
            is_stopped_early: run.is_stopped_early,
            ..Made::planned(Some(variable.level(level)), 0, 0)
        },
    })
}

fn set_of(name: Option<&str>, params: Option<&str>) -> ParamSet {
    ParamSet {
        name: name.map(str::to_owned),
        params: params.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
    }
}

/// Parameters that count what a run does: more load needs more of them.
const COUNTS: [&str; 3] = ["num_prompts", "num_warmups", "num_warmup_requests"];

/// The runs of a server without the variable and what changes with it: `num_prompts = 10 × max_concurrency` is no reason to part
/// a curve. What changes with it is what has one value at each level, and another one at every other level.
fn without_dependents(mut runs: Vec<Measured>, variable: Variable) -> Vec<Measured> {
    for run in &mut runs {
        run.bench.params.retain(|key, _| column_name(key) != variable.key());
    }
    let keys: BTreeSet<String> =
        runs.iter().flat_map(|run| run.bench.params.keys()).map(|key| column_name(key)).collect();
    let is_count = |key: &&String| COUNTS.contains(&key.as_str());
    let all: Vec<&Measured> = runs.iter().collect();
    // What has several values at one level parts the curves; within each of those the counts are looked at.
    let parting: Vec<&String> = keys.iter().filter(|key| !is_count(key) && !follows(&all, key)).collect();
    let mut curves: BTreeMap<Vec<String>, Vec<&Measured>> = BTreeMap::new();
    for run in &runs {
        curves.entry(parting.iter().map(|key| text(run, key)).collect()).or_default().push(run);
    }
    let is_dependent = |key: &&String| {
        curves.values().all(|curve| {
            let levels: BTreeSet<u64> = curve.iter().map(|run| run.level.to_bits()).collect();
            let values: BTreeSet<String> = curve.iter().map(|run| text(run, key)).collect();
            levels.len() == 1 || (follows(curve, key) && (values.len() == levels.len() || is_count(key)))
        }) && curves.values().any(|curve| curve.iter().any(|run| text(run, key) != text(curve[0], key)))
    };
    let dependent: BTreeSet<String> = keys.iter().filter(is_dependent).cloned().collect();
    for run in &mut runs {
        run.bench.params.retain(|key, _| !dependent.contains(&column_name(key)));
    }
    runs
}

/// Whether a parameter has one value at each level.
fn follows(runs: &[&Measured], key: &str) -> bool {
    let mut of_level: BTreeMap<u64, String> = BTreeMap::new();
    runs.iter().all(|run| {
        let value = text(run, key);
        *of_level.entry(run.level.to_bits()).or_insert_with(|| value.clone()) == value
    })
}

fn text(run: &Measured, key: &str) -> String {
    run.bench.get(key).map_or(String::new(), Json::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves_of(runs: &[(f64, Json)]) -> Vec<String> {
        let runs = runs.iter().map(|(level, bench)| Measured {
            serve: ParamSet::unchanged(),
            bench: ParamSet { name: None, params: bench.as_object().unwrap().clone() },
            level: *level,
            made: Made::planned(None, 0, 0),
        });
        let rest = without_dependents(runs.collect(), Variable::MaxConcurrency);
        let rest: BTreeSet<String> = rest.into_iter().map(|run| Json::Object(run.bench.params).to_string()).collect();
        rest.into_iter().collect()
    }

    #[test]
    fn what_grows_with_the_load_does_not_part_a_curve() {
        let ladder = |factor: f64| {
            [1.0, 2.0, 8.0].map(|level| (level, json!({"max_concurrency": level, "num_prompts": factor * level})))
        };
        assert_eq!(curves_of(&ladder(10.0)), ["{}"]);
        // A count that stays the same for the lowest loads.
        let floor = [1.0, 2.0, 64.0].map(|level: f64| (level, json!({"num_prompts": (10.0 * level).max(100.0)})));
        assert_eq!(curves_of(&floor), ["{}"]);
        // Two lengths, each with its own ladder.
        let of = |length: u32, factor: f64| {
            [1.0, 2.0].map(|level| (level, json!({"len": length, "num_prompts": factor * level})))
        };
        assert_eq!(curves_of(&[of(1, 10.0), of(2, 5.0)].concat()), [r#"{"len":1}"#, r#"{"len":2}"#]);
        // A workload that differs without order is no load.
        let mixed = [(1.0, json!({"len": 1})), (2.0, json!({"len": 1})), (4.0, json!({"len": 2}))];
        assert_eq!(curves_of(&mixed).len(), 2);
    }
}
