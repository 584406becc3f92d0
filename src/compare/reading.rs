//! Sweeps as a comparison reads them: the runs of each cell, and the facts of each sweep.

use super::noise::{Run, ServerOf, SweepRuns};
use crate::metric::adjusted;
use crate::query::{Columns, Filter, Lake, QueryError, literal, number_of, quoted};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    pub metrics: Vec<String>,
    /// Columns whose values make a cell; empty: all parameters.
    pub match_on: Vec<String>,
    pub filter_by: String,
    /// Only sweeps of these names.
    pub only: Option<Vec<String>>,
}

/// The cells of all that is read: each combination has one number in all sweeps.
#[derive(Clone, Debug, Default)]
pub struct Cells {
    numbers: HashMap<String, usize>,
    pub labels: Vec<String>,
    servers: HashMap<String, usize>,
    pub server_of: ServerOf,
}

/// A sweep that was read.
#[derive(Clone, Debug, Default)]
pub struct SweepRead {
    pub name: String,
    /// For each metric.
    pub metrics: Vec<SweepRuns>,
    /// Output throughput per user and per GPU of each sound run.
    pub users: BTreeMap<usize, Vec<(f64, f64)>>,
    pub success: BTreeMap<usize, Success>,
    /// What is to be said of each run, by cell and its place in the order of the cell's runs.
    pub told: BTreeMap<(usize, usize), RunTold>,
    /// Cells with a failed run.
    pub failed: BTreeSet<usize>,
    /// Starts of servers and days on which it was measured; 0 starts: not known.
    pub starts: usize,
    pub days: BTreeSet<String>,
    pub facts: BTreeMap<String, String>,
    /// Runs that don't count, because their combinations were measured again under changed conditions.
    pub earlier: usize,
}

/// By what a run may be told from its repeats.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunTold {
    pub run_number: i64,
    pub server_start: Option<i64>,
    pub startup_time_s: Option<f64>,
    pub caution: Option<String>,
}

/// How the requests of a combination's runs ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Success {
    pub completed: f64,
    pub failed: f64,
    pub degraded_runs: usize,
}

impl Success {
    pub fn add(&mut self, completed: Option<f64>, failed: Option<f64>, status: &str) {
        if let Some((completed, failed)) = completed.zip(failed) {
            self.completed += completed;
            self.failed += failed;
        }
        self.degraded_runs += usize::from(status == "degraded");
    }

    pub fn and(self, other: Self) -> Self {
        Self {
            completed: self.completed + other.completed,
            failed: self.failed + other.failed,
            degraded_runs: self.degraded_runs + other.degraded_runs,
        }
    }

    /// The share of requests that succeeded; nothing where failures are not reported.
    pub fn rate(&self) -> Option<f64> {
        let all = self.completed + self.failed;
        (all > 0.0).then(|| self.completed / all)
    }
}

crate::query::typed_row! {
    struct RunRow {
        sweep: String,
        key: String,
        label: Option<String>,
        server: Option<String>,
        status: String,
        completed: Option<f64>,
        failed_requests: Option<f64>,
        tokens_per_user: Option<f64>,
        tokens_per_gpu: Option<f64>,
        run_number: Option<i64>,
        round: Option<i64>,
        server_start: Option<i64>,
        startup_time_s: Option<f64>,
        day: Option<String>,
        cautions: Option<String>,
        fingerprint: Option<String>,
    }
}

/// The place of each run that counts: those under the latest conditions that its combination was measured under in its sweep.
fn latest(rows: &[RunRow]) -> Vec<usize> {
    let of = |row: &RunRow| (row.sweep.clone(), row.key.clone());
    let newest: HashMap<(String, String), Option<&str>> =
        rows.iter().map(|row| (of(row), row.fingerprint.as_deref())).collect();
    (0..rows.len()).filter(|index| newest[&of(&rows[*index])] == rows[*index].fingerprint.as_deref()).collect()
}

/// What a row of a run needs besides its metrics.
const RUN_COLUMNS: &str = "label, coalesce(serve_name, serve_params) AS server, status, completed, failed_requests, \
    tokens_per_user, tokens_per_gpu, run_number, round, server_start, startup_time_s, \
    CAST(CAST(started_at AS DATE) AS VARCHAR) AS day, array_to_string(caution, '; ') AS cautions, fingerprint";

fn metric_column(index: usize) -> String {
    format!("metric_{index}")
}

/// A metric of a run in which a failed request counts as unbounded, where that is told apart.
pub fn value_of(name: &str, columns: &Columns) -> String {
    match adjusted(name).filter(|adjusted| columns.has(adjusted)) {
        Some(adjusted) => format!("CASE WHEN failed_requests > 0 THEN {} ELSE {} END", quoted(&adjusted), quoted(name)),
        None => number_of(name),
    }
}

impl Cells {
    pub fn number(&mut self, key: &str, label: &str, server: Option<&str>) -> usize {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        let number = self.labels.len();
        self.numbers.insert(key.to_owned(), number);
        self.labels.push(label.to_owned());
        let servers = self.servers.len();
        let server = *self.servers.entry(server.unwrap_or_default().to_owned()).or_insert(servers);
        self.server_of.insert(number, server);
        number
    }

    /// The number of a cell that was read.
    pub fn known(&self, key: &str) -> Option<usize> {
        self.numbers.get(key).copied()
    }
}

impl Reading {
    /// The SQL of the runs.
    pub async fn sql(&self, lake: &Lake) -> Result<String, QueryError> {
        let columns = lake.columns("runs").await?;
        let filter = Filter::parse(&self.filter_by, &columns)?;
        let key = self.key(&columns)?;
        let metrics = self.metrics.iter().enumerate().map(|(index, metric)| {
            Ok(format!(", {} AS {}", value_of(columns.find(metric)?.0, &columns), metric_column(index)))
        });
        let metrics = metrics.collect::<Result<Vec<_>, QueryError>>()?.concat();
        Ok(format!(
            "SELECT sweep, {key} AS key, {RUN_COLUMNS}{metrics} FROM runs WHERE status <> 'retried' AND {} AND {} ORDER BY sweep, started_at, run_number",
            filter.to_sql(),
            self.of_names()
        ))
    }

    fn names<'a>(&'a self, lake: &'a Lake) -> impl Iterator<Item = &'a str> {
        let names = lake.sweeps().iter().map(|sweep| sweep.name.as_str());
        names.filter(|name| self.only.as_ref().is_none_or(|only| only.iter().any(|wanted| wanted == name)))
    }

    fn of_names(&self) -> String {
        match &self.only {
            None => "TRUE".into(),
            Some(names) if names.is_empty() => "FALSE".into(),
            Some(names) => {
                format!("sweep IN ({})", names.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// Reads the sweeps of a lake, in the order in which it has them.
    pub async fn read(&self, lake: &Lake, cells: &mut Cells) -> Result<Vec<SweepRead>, QueryError> {
        let answer = lake.sql(&self.sql(lake).await?).await?;
        let rows: Vec<RunRow> = answer.typed("compare: runs")?;
        let values = (0..self.metrics.len()).map(|index| answer.numbers(&metric_column(index)));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let empty = || SweepRead { metrics: vec![SweepRuns::default(); self.metrics.len()], ..SweepRead::default() };
        let mut sweeps: BTreeMap<String, SweepRead> =
            self.names(lake).map(|name| (name.to_owned(), SweepRead { name: name.to_owned(), ..empty() })).collect();
        let mut orders: HashMap<String, u32> = HashMap::new();
        let mut starts: BTreeSet<(String, i64)> = BTreeSet::new();
        let counted: HashSet<usize> = latest(&rows).into_iter().collect();
        for (index, row) in rows.into_iter().enumerate() {
            let label = if self.match_on.is_empty() { row.label.as_deref().unwrap_or_default() } else { &row.key };
            let cell = cells.number(&row.key, label, row.server.as_deref());
            let sweep =
                sweeps.entry(row.sweep.clone()).or_insert_with(|| SweepRead { name: row.sweep.clone(), ..empty() });
            if !counted.contains(&index) {
                sweep.earlier += 1;
                continue;
            }
            if row.status == "failed" {
                sweep.failed.insert(cell);
                continue;
            }
            let order = orders.entry(row.sweep.clone()).or_insert(0);
            *order += 1;
            if let Some(start) = row.server_start {
                sweep.starts += usize::from(starts.insert((row.sweep.clone(), start)));
            }
            let run = |value: f64| Run { value, round: row.round.unwrap_or(0) as u32, order: *order };
            for (runs, values) in sweep.metrics.iter_mut().zip(&values) {
                if let Some(value) = values[index] {
                    runs.cells.entry(cell).or_default().push(run(value));
                }
            }
            sweep.add(cell, &row);
        }
        self.add_facts(lake, &mut sweeps).await?;
        Ok(self.names(lake).filter_map(|name| sweeps.remove(name)).collect())
    }

    /// What the sweeps say of themselves.
    async fn add_facts(&self, lake: &Lake, sweeps: &mut BTreeMap<String, SweepRead>) -> Result<(), QueryError> {
        let sql = format!("SELECT *, {TOOK} AS {SECONDS} FROM sweeps WHERE {}", self.of_names());
        let answer = lake.sql(&sql).await?;
        let names = answer.column("sweep")?;
        for column in answer.columns() {
            for (name, value) in names.iter().zip(answer.column(&column)?) {
                let text = value.to_text();
                if let Some(sweep) = sweeps.get_mut(&name.to_text()).filter(|_| !text.is_empty()) {
                    sweep.facts.insert(column.clone(), text);
                }
            }
        }
        let columns = lake.columns("runs").await?;
        for name in RUN_FACTS.into_iter().filter(|name| columns.has(name)) {
            let sql = format!(
                "SELECT DISTINCT sweep, spelled({0}) AS v FROM runs WHERE {0} IS NOT NULL AND {1} ORDER BY sweep, v",
                quoted(name),
                self.of_names()
            );
            let answer = lake.sql(&sql).await?;
            for (sweep, value) in answer.column("sweep")?.iter().zip(answer.column("v")?) {
                if let Some(sweep) = sweeps.get_mut(&sweep.to_text()) {
                    let fact = sweep.facts.entry(name.to_owned()).or_default();
                    *fact = if fact.is_empty() { value.to_text() } else { format!("{fact}, {}", value.to_text()) };
                }
            }
        }
        Ok(())
    }

    /// The SQL of what a run is matched on.
    pub fn key(&self, columns: &Columns) -> Result<String, QueryError> {
        if self.match_on.is_empty() {
            // What was measured after a change is matched with what others measured under that name.
            return Ok("split_part(combination, '@', 1)".into());
        }
        let parts = self.match_on.iter().map(|name| {
            let column = columns.find(name)?.0;
            Ok(format!("{} || coalesce(spelled({}), '(none)')", literal(&format!("{column}=")), quoted(column)))
        });
        Ok(parts.collect::<Result<Vec<_>, QueryError>>()?.join(" || ' ' || "))
    }
}

/// The fact that says how long a sweep took.
pub const SECONDS: &str = "seconds";
/// How long a sweep took, in SQL; NULL where the clock was set back meanwhile.
pub const TOOK: &str = "CASE WHEN finished_at >= started_at \
    THEN date_part('epoch', finished_at) - date_part('epoch', started_at) END";

/// Facts of runs: with other GPUs, requests or models a metric is another one.
const RUN_FACTS: [&str; 3] = ["gpu_count", "num_prompts", "model_id"];

impl SweepRead {
    fn add(&mut self, cell: usize, row: &RunRow) {
        let index = self.told.range((cell, 0)..=(cell, usize::MAX)).count();
        let told = RunTold {
            run_number: row.run_number.unwrap_or(index as i64),
            server_start: row.server_start,
            startup_time_s: row.startup_time_s,
            caution: row.cautions.clone().filter(|text| !text.is_empty()),
        };
        self.told.insert((cell, index), told);
        self.success.entry(cell).or_default().add(row.completed, row.failed_requests, &row.status);
        self.days.extend(row.day.clone());
        if row.status == "completed" {
            self.users.entry(cell).or_default().extend(row.tokens_per_user.zip(row.tokens_per_gpu));
        }
    }

    /// The cells with a run that did not fail.
    pub fn cells(&self) -> BTreeSet<usize> {
        self.success.keys().copied().collect()
    }

    /// Throughput per GPU as a metric.
    pub fn throughput_per_gpu(&self) -> SweepRuns {
        let runs = |users: &Vec<(f64, f64)>| {
            users.iter().map(|user| Run { value: user.1, round: 0, order: 0 }).collect::<Vec<_>>()
        };
        SweepRuns { cells: self.users.iter().map(|(cell, users)| (*cell, runs(users))).collect() }
    }

    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts.get(name).map(String::as_str)
    }
}
