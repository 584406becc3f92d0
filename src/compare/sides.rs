//! Two sweeps side by side: their runs matched by combination, and what else differs between them.

use crate::metric::{Better, Metric, adjusted, percentile_of};
use crate::params::Command;
use crate::query::{Columns, Filter, Lake, QueryError, Value, literal, number_of, quoted};
use std::collections::{BTreeMap, BTreeSet};

use super::{Ordered, Pair, Pooled, pooled as pooled_change};

/// What to compare.
#[derive(Clone, Debug)]
pub struct Question {
    pub metrics: Vec<String>,
    /// Columns whose values make a combination; empty: all of its parameters.
    pub match_on: Vec<String>,
    pub filter_by: String,
}

/// A sweep's runs, by what they are matched on.
#[derive(Clone, Debug)]
pub struct Side {
    /// The query that its combinations came from.
    pub sql: String,
    pub sweep: String,
    combinations: BTreeMap<String, Combination>,
    /// Combinations with a failed run.
    failed: BTreeSet<String>,
    /// Combinations whose runs may be of two things, and why.
    pub apart: Vec<String>,
    /// Reasons not to trust its numbers as they stand.
    pub cautions: Vec<String>,
    facts: Vec<(String, String)>,
    /// For each metric which percentile of requests it is, if any.
    percents: Vec<Option<f64>>,
    /// In the order in which they were measured: for each metric the runs with their combination.
    orders: Vec<Vec<Ordered>>,
}

#[derive(Clone, Debug)]
struct Combination {
    label: String,
    /// For each metric the values of the runs that have it.
    values: Vec<Vec<f64>>,
    users: Vec<(f64, f64)>,
    /// For each metric its requests' values in ascending order, where it is a percentile of them.
    requests: Vec<Vec<f64>>,
    success: Success,
}

/// A combination that both sweeps have.
#[derive(Clone, Debug)]
pub struct Matched {
    pub label: String,
    /// For each metric.
    pub pairs: Vec<Pair>,
    /// For each metric that is a percentile of requests, where those are stored.
    pub pooled: Vec<Option<Pooled>>,
    /// Of base and candidate.
    pub success: [Success; 2],
}

/// What two sweeps have in common, and what not.
#[derive(Clone, Debug)]
pub struct Sides {
    pub matched: Vec<Matched>,
    pub only_base: Vec<String>,
    pub only_candidate: Vec<String>,
    /// Combinations of the base of which every run of the candidate failed.
    pub lost: Vec<String>,
    /// Facts that differ: name, base, candidate.
    pub differences: Vec<(String, String, String)>,
}

/// Facts of a sweep that a reader of a comparison wants to know when they differ.
const FACTS: [&str; 11] = [
    "serve_cmd",
    "bench_cmd",
    "engine",
    "engine_version",
    "host",
    "cpu",
    "gpu",
    "gpus",
    "gpu_driver",
    "git_commit",
    "kind",
];
/// Facts of its runs; with other GPUs, or other requests, a metric is another one.
const RUN_FACTS: [&str; 3] = ["gpu_count", "num_prompts", "model_id"];
/// Where they differ, numbers make no sense side by side.
const UNLIKE: [&str; 2] = ["gpu_count", DATASET];
const DATASET: &str = "dataset";

crate::query::typed_row! {
    struct RunOfSide {
        key: String,
        label: Option<String>,
        status: String,
        completed: Option<f64>,
        failed_requests: Option<f64>,
        tokens_per_user: Option<f64>,
        tokens_per_gpu: Option<f64>,
    }
}

fn metric_column(index: usize) -> String {
    format!("metric_{index}")
}

/// A metric of a run in which a failed request counts as unbounded, where that is told apart.
pub(super) fn value_of(name: &str, columns: &Columns) -> String {
    match adjusted(name).filter(|adjusted| columns.has(adjusted)) {
        Some(adjusted) => format!("CASE WHEN failed_requests > 0 THEN {} ELSE {} END", quoted(&adjusted), quoted(name)),
        None => number_of(name),
    }
}

/// How the requests of a combination's runs ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Success {
    pub completed: f64,
    pub failed: f64,
    pub degraded_runs: usize,
}

impl Success {
    fn add(&mut self, completed: Option<f64>, failed: Option<f64>, status: &str) {
        if let Some((completed, failed)) = completed.zip(failed) {
            self.completed += completed;
            self.failed += failed;
        }
        self.degraded_runs += usize::from(status == "degraded");
    }

    /// The share of requests that succeeded; nothing where failures are not told.
    pub fn rate(&self) -> Option<f64> {
        let all = self.completed + self.failed;
        (all > 0.0).then(|| self.completed / all)
    }
}

impl Question {
    /// Whether a higher value of a metric is better; by its name, else lower.
    pub fn better(&self, metric: &str) -> Better {
        Metric::of(metric).map_or(Better::Lower, |metric| metric.better)
    }
}

impl Side {
    pub async fn of(lake: &Lake, question: &Question) -> Result<Self, QueryError> {
        let columns = lake.columns("runs").await?;
        let filter = Filter::parse(&question.filter_by, &columns)?;
        let key = match_key(&columns, &question.match_on)?;
        let metrics = question.metrics.iter().enumerate().map(|(index, metric)| {
            Ok(format!("{} AS {}", value_of(columns.find(metric)?.0, &columns), metric_column(index)))
        });
        let metrics = metrics.collect::<Result<Vec<_>, QueryError>>()?;
        let sql = format!(
            "SELECT {key} AS key, label, status, completed, failed_requests, tokens_per_user, tokens_per_gpu, {} \
             FROM runs WHERE status <> 'failed' AND {} ORDER BY started_at, run_number",
            metrics.join(", "),
            filter.to_sql()
        );
        let answer = lake.sql(&sql).await?;
        let rows: Vec<RunOfSide> = answer.typed("compare: runs of a side")?;
        let values = (0..metrics.len()).map(|index| answer.numbers(&metric_column(index)));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let mut combinations: BTreeMap<String, Combination> = BTreeMap::new();
        let mut orders = vec![Vec::new(); metrics.len()];
        let mut cells: Vec<String> = Vec::new();
        for (row_index, run) in rows.into_iter().enumerate() {
            let cell = cells.iter().position(|known| *known == run.key).unwrap_or_else(|| {
                cells.push(run.key.clone());
                cells.len() - 1
            });
            let label = if question.match_on.is_empty() { run.label.unwrap_or_default() } else { run.key.clone() };
            let combination = combinations.entry(run.key).or_insert_with(|| Combination {
                label,
                values: vec![Vec::new(); metrics.len()],
                users: Vec::new(),
                requests: vec![Vec::new(); metrics.len()],
                success: Success::default(),
            });
            combination.success.add(run.completed, run.failed_requests, &run.status);
            let is_sound = run.status == "completed";
            combination.users.extend(run.tokens_per_user.zip(run.tokens_per_gpu).filter(|_| is_sound));
            for (index, values) in values.iter().enumerate() {
                if let Some(value) = values[row_index] {
                    combination.values[index].push(value);
                    orders[index].push(Ordered { cell, value });
                }
            }
        }
        read_requests(lake, question, &key, &filter, &mut combinations).await?;
        Ok(Self {
            sql,
            sweep: name_of(lake),
            combinations,
            failed: failed(lake, &key, &filter).await?,
            cautions: lake
                .cautions()
                .await?
                .iter()
                .map(|one| format!("{} run(s): {}", one.runs, one.caution))
                .collect(),
            apart: lake.pooled_apart().await?.iter().map(ToString::to_string).collect(),
            facts: facts(lake, &columns, &filter).await?,
            percents: percents(question),
            orders,
        })
    }

    /// The runs of a metric in the order in which they were measured.
    pub fn order(&self, metric: usize) -> &[Ordered] {
        &self.orders[metric]
    }

    /// The mean throughput per user and per GPU of each combination.
    pub fn configurations(&self) -> Vec<super::Configuration> {
        let mean = |users: &[(f64, f64)], side: fn(&(f64, f64)) -> f64| {
            crate::stats::mean(&users.iter().map(side).collect::<Vec<_>>())
        };
        let placed = self.combinations.values().filter(|combination| !combination.users.is_empty());
        placed
            .map(|combination| super::Configuration {
                key: combination.label.clone(),
                x: mean(&combination.users, |user| user.0),
                y: mean(&combination.users, |user| user.1),
            })
            .collect()
    }
}

impl Sides {
    pub fn of(base: &Side, candidate: &Side) -> Self {
        let matched = base.combinations.iter().filter_map(|(key, was)| {
            let is = candidate.combinations.get(key)?;
            let pairs = was.values.iter().zip(&is.values);
            let pairs = pairs.map(|(base, candidate)| Pair { base: base.clone(), candidate: candidate.clone() });
            let pooled = was.requests.iter().zip(&is.requests).zip(&base.percents);
            let pooled = pooled.map(|((base, candidate), percent)| pooled_change(base, candidate, (*percent)?));
            Some(Matched {
                label: was.label.clone(),
                pairs: pairs.collect(),
                pooled: pooled.collect(),
                success: [was.success, is.success],
            })
        });
        let only = |of: &Side, other: &Side| {
            let alone = of.combinations.iter().filter(|(key, _)| !other.combinations.contains_key(*key));
            alone.map(|(_, combination)| combination.label.clone()).collect()
        };
        let lost = base
            .combinations
            .iter()
            .filter(|(key, _)| !candidate.combinations.contains_key(*key) && candidate.failed.contains(*key));
        let lost = lost.map(|(_, combination)| combination.label.clone());
        let differences = base.facts.iter().filter_map(|(name, was)| {
            let is = candidate.facts.iter().find(|fact| fact.0 == *name).map(|fact| &fact.1)?;
            (was != is).then(|| (name.clone(), was.clone(), is.clone()))
        });
        Self {
            matched: matched.collect(),
            only_base: only(base, candidate),
            only_candidate: only(candidate, base),
            lost: lost.collect(),
            differences: differences.collect(),
        }
    }

    /// A difference that makes the numbers ones of different things.
    pub fn unlike(&self) -> Option<&(String, String, String)> {
        self.differences.iter().find(|(name, ..)| UNLIKE.contains(&name.as_str()))
    }
}

/// Requests beyond this number are not read: their percentiles are asked for in SQL.
const MOST_REQUESTS: usize = 20_000_000;

/// Reads the requests' values of the metrics that are percentiles of them.
async fn read_requests(
    lake: &Lake,
    question: &Question,
    key: &str,
    filter: &Filter,
    combinations: &mut BTreeMap<String, Combination>,
) -> Result<(), QueryError> {
    let asked: Vec<(usize, &str)> = question
        .metrics
        .iter()
        .enumerate()
        .filter_map(|(index, metric)| Some((index, request_column(metric)?)))
        .collect();
    let stored = lake.sql("SELECT count(*) AS n FROM requests").await?.numbers("n")?;
    let stored = stored.first().copied().flatten().unwrap_or(0.0);
    if asked.is_empty() || stored == 0.0 || stored > MOST_REQUESTS as f64 {
        return Ok(());
    }
    let columns: Vec<String> =
        asked.iter().map(|(index, column)| format!("requests.{column} AS {}", metric_column(*index))).collect();
    let sql = format!(
        "WITH wanted AS (SELECT run_id, {key} AS key FROM runs WHERE status <> 'failed' AND {}) SELECT wanted.key, {} FROM \
         requests JOIN wanted USING (run_id)",
        filter.to_sql(),
        columns.join(", ")
    );
    let answer = lake.sql(&sql).await?;
    let keys = answer.column("key")?;
    for (index, _) in &asked {
        let values = answer.numbers(&metric_column(*index))?;
        for (key, value) in keys.iter().zip(values) {
            if let Some(combination) = combinations.get_mut(&key.to_text()) {
                combination.requests[*index].extend(value);
            }
        }
    }
    let lists = combinations.values_mut().flat_map(|combination| &mut combination.requests);
    lists.for_each(|values| values.sort_by(f64::total_cmp));
    Ok(())
}

/// The column of `requests` that a percentile is taken of: `e2el_ms` of `p99_e2el_ms`.
fn request_column(metric: &str) -> Option<&'static str> {
    let percentile = percentile_of(metric)?;
    let column = metric.strip_prefix('p')?.strip_prefix(percentile)?.strip_prefix('_')?;
    ["ttft_ms", "tpot_ms", "e2el_ms"].into_iter().find(|known| *known == column)
}

fn percents(question: &Question) -> Vec<Option<f64>> {
    let percent = |metric: &String| percentile_of(metric).filter(|_| request_column(metric).is_some())?.parse().ok();
    question.metrics.iter().map(percent).collect()
}

fn match_key(columns: &Columns, match_on: &[String]) -> Result<String, QueryError> {
    if match_on.is_empty() {
        return Ok("combination".into());
    }
    let parts = match_on.iter().map(|name| {
        let column = columns.find(name)?.0;
        Ok(format!("{} || coalesce(spelled({}), '(none)')", literal(&format!("{column}=")), quoted(column)))
    });
    Ok(parts.collect::<Result<Vec<_>, QueryError>>()?.join(" || ' ' || "))
}

fn name_of(lake: &Lake) -> String {
    lake.sweeps().iter().map(|sweep| sweep.name.as_str()).collect::<Vec<_>>().join(", ")
}

async fn failed(lake: &Lake, key: &str, filter: &Filter) -> Result<BTreeSet<String>, QueryError> {
    let sql = format!("SELECT DISTINCT {key} AS key FROM runs WHERE status = 'failed' AND {}", filter.to_sql());
    let keys = lake.sql(&sql).await?.column("key")?;
    Ok(keys.iter().map(Value::to_text).collect())
}

async fn facts(lake: &Lake, columns: &Columns, filter: &Filter) -> Result<Vec<(String, String)>, QueryError> {
    let of_sweeps = lake.columns("sweeps").await?;
    let names: Vec<&str> = FACTS.into_iter().filter(|name| of_sweeps.has(name)).collect();
    let answer = lake.sql(&format!("SELECT {} FROM sweeps", names.join(", "))).await?;
    let mut facts: Vec<(String, String)> = Vec::new();
    for name in names {
        facts.extend(answer.column(name)?.first().map(|value| (name.to_owned(), value.to_text())));
    }
    if let Some((_, bench)) = facts.iter().find(|(name, _)| name == "bench_cmd") {
        facts.push((DATASET.into(), dataset_of(bench)));
    }
    for name in RUN_FACTS.into_iter().filter(|name| columns.has(name)) {
        let sql = format!(
            "SELECT DISTINCT spelled({0}) AS v FROM runs WHERE {0} IS NOT NULL AND {1} ORDER BY v",
            quoted(name),
            filter.to_sql()
        );
        let values = lake.sql(&sql).await?.column("v")?;
        facts.push((name.to_owned(), values.iter().map(Value::to_text).collect::<Vec<_>>().join(", ")));
    }
    Ok(facts)
}

/// What a benchmark command sends: the flags that name its data.
fn dataset_of(bench_cmd: &str) -> String {
    let Ok(command) = Command::parse("bench_cmd", bench_cmd) else { return bench_cmd.to_owned() };
    let flags = command.words().iter().filter_map(|word| word.strip_prefix("--"));
    let names = flags.map(|flag| flag.split('=').next().unwrap_or(flag)).filter(|flag| flag.starts_with("dataset"));
    let pairs = names.filter_map(|name| Some(format!("--{} {}", name.replace('_', "-"), command.flag(&[name])?)));
    pairs.collect::<Vec<_>>().join(" ")
}
