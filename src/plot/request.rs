//! From what was asked for to what a chart needs: SQL over runs, and its rows.

use super::chart::Estimate;
use super::curves::{CurveSpec, Observation, curves, natural_order};
use super::pareto::{Configuration, ParetoSpec, pareto_figure};
use super::{Figure, PlotError, Scale};
use crate::metric::{Better, Metric, caution, is_measured, label};
use crate::query::{Answer, Columns, Filter, Kind, LOADS, Lake, QueryError, Value, fill, quoted};
use crate::stats::t_critical;
use std::collections::{BTreeMap, HashSet};

const FRONTIER: &str = include_str!("../../queries/frontier_of_series.sql");

/// Text for a value that a run does not have.
const MISSING: &str = "(none)";

/// A chart of curves, as asked for.
#[derive(Clone, Debug)]
pub struct CurveRequest {
    pub var_x: String,
    pub var_y: String,
    pub fig_by: Vec<String>,
    pub row_by: Vec<String>,
    pub col_by: Vec<String>,
    pub curve_by: Vec<String>,
    /// `--filter-by`.
    pub filter_by: String,
    /// `--bin-by`: the value is rounded down to a multiple of the size.
    pub bin_by: Vec<(String, f64)>,
    pub scale_x: Scale,
    pub scale_y: Scale,
    pub has_error_bars: bool,
}

/// One figure of a request.
#[derive(Clone, Debug)]
pub struct DrawnCurves {
    /// The variables of `fig_by` with their values.
    pub group: Vec<(String, String)>,
    pub figure: Figure,
    /// Runs without a place on its axes.
    pub left_out: usize,
}

/// Answers a request: a figure for each group. `sql` is the query that the rows came from.
pub struct Curves {
    pub figures: Vec<DrawnCurves>,
    pub sql: String,
}

impl CurveRequest {
    pub async fn draw(&self, lake: &Lake) -> Result<Curves, PlotError> {
        let columns = lake.columns("runs").await?;
        let filter = Filter::parse(&self.filter_by, &columns)?;
        let mut curve_by = self.curve_by.clone();
        let names_sweeps = [&self.fig_by, &self.row_by, &self.col_by, &curve_by]
            .iter()
            .any(|vars| vars.iter().any(|var| var == "sweep"));
        if lake.sweeps().len() > 1 && !names_sweeps {
            curve_by.insert(0, "sweep".into());
        }
        let x = self.axis_column("--var-x", &self.var_x, &columns)?;
        let y = self.axis_column("--var-y", &self.var_y, &columns)?;
        let vars = [&self.fig_by, &self.row_by, &self.col_by, &curve_by];
        let mut selected =
            vec![format!("combination AS k, {x} AS x, {y} AS y, CAST(completed AS DOUBLE) AS completed")];
        selected.extend(
            LOADS.map(|var| format!("{} AS {}", load_expression(var, &columns), quoted(&format!("load {var}")))),
        );
        for (index, var) in vars.iter().copied().flatten().enumerate() {
            selected.push(format!("{} AS v{index}", self.value_column(var, &columns)?));
        }
        let sql = format!(
            "SELECT {} FROM runs WHERE status = 'completed' AND {} ORDER BY started_at, run_number",
            selected.join(", "),
            filter.to_sql()
        );
        let answer = lake.sql(&sql).await?;
        if answer.num_rows() == 0 {
            return Err(nothing_left(lake, &filter).await?);
        }
        let mut groups: BTreeMap<Vec<String>, Vec<Observation>> = BTreeMap::new();
        let rows = answer.rows();
        let load = varying_load(&rows);
        for row in &rows {
            let (group, observation) = observation(row, load, vars);
            groups.entry(group).or_default().push(observation);
        }
        let mut spec = self.spec(&curve_by);
        spec.caption.extend(cautions([&self.var_x, &self.var_y], &answer));
        let mut figures: Vec<DrawnCurves> = groups
            .into_iter()
            .map(|(values, runs)| {
                let group: Vec<(String, String)> = self.fig_by.iter().cloned().zip(values).collect();
                let title =
                    group.iter().map(|(var, value)| format!("{} = {value}", label(var))).collect::<Vec<_>>().join(", ");
                let figure = curves(&runs, &CurveSpec { title, ..spec.clone() });
                DrawnCurves { left_out: runs.len() - figure.num_runs(), figure, group }
            })
            .collect();
        if figures.iter().all(|drawn| drawn.figure.num_points() == 0) {
            return Err(PlotError::NoRuns);
        }
        figures.sort_by(|left, right| {
            let pairs = left.group.iter().zip(&right.group);
            pairs
                .map(|((_, left), (_, right))| natural_order(left, right))
                .find(|order| order.is_ne())
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        Ok(Curves { figures, sql })
    }

    fn spec(&self, curve_by: &[String]) -> CurveSpec {
        let mut caption = vec![format!("x: {}, y: {}.", self.var_x, self.var_y)];
        if !self.filter_by.is_empty() {
            caption[0] += &format!(" Only runs with {}.", self.filter_by);
        }
        CurveSpec {
            title: String::new(),
            caption,
            x_label: label(&self.var_x),
            y_label: label(&self.var_y),
            scale_x: self.scale_x,
            scale_y: self.scale_y,
            is_x_measured: is_measured(&self.var_x) && !self.bin_by.iter().any(|(var, _)| *var == self.var_x),
            has_error_bars: self.has_error_bars,
            curve_vars: curve_by.iter().map(|var| label(var)).collect(),
        }
    }

    fn axis_column(&self, flag: &'static str, var: &str, columns: &Columns) -> Result<String, PlotError> {
        match columns.find(var)? {
            (_, Kind::Number) => Ok(format!("CAST({} AS DOUBLE)", self.value_column(var, columns)?)),
            (name, _) => Err(PlotError::NotANumber { flag, var: name.into() }),
        }
    }

    /// A column, binned if so asked.
    fn value_column(&self, var: &str, columns: &Columns) -> Result<String, PlotError> {
        let (name, kind) = columns.find(var)?;
        let column = quoted(name);
        match self.bin_by.iter().find(|(binned, _)| columns.find(binned).is_ok_and(|(binned, _)| binned == name)) {
            Some((_, size)) if kind == Kind::Number => Ok(format!("floor({column} / {size:?}) * {size:?}")),
            Some(_) => Err(PlotError::NotANumber { flag: "--bin-by", var: name.into() }),
            None => Ok(column),
        }
    }
}

/// A Pareto chart, as asked for.
#[derive(Clone, Debug)]
pub struct ParetoRequest {
    pub x: Objective,
    pub y: Objective,
    pub label_by: Vec<String>,
    pub group_by: Vec<String>,
    pub filter_by: String,
}

/// What is to be gained on one axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Objective {
    Metric {
        name: String,
        better: Better,
    },
    /// Output tokens per second of each user; the variable holds the number of users.
    PerUser {
        count_var: Option<String>,
    },
    /// Output tokens per second of each GPU; the variable holds the number of GPUs.
    PerGpu {
        count_var: Option<String>,
    },
}

/// The answer to a request.
pub struct Frontier {
    pub figure: Figure,
    /// What is on the frontier.
    pub table: Answer,
    pub configurations: usize,
    /// The query that the chart's rows came from.
    pub sql: String,
    /// Runs without both values.
    pub skipped: usize,
}

impl Objective {
    /// `KEY`, `KEY:min`, `KEY:max`; without a direction it must be a metric whose better side is known.
    pub fn parse(text: &str) -> Result<Self, PlotError> {
        let (name, direction) = text.rsplit_once(':').map_or((text, None), |(name, direction)| (name, Some(direction)));
        let better = match direction {
            Some("min") => Better::Lower,
            Some("max") => Better::Higher,
            Some(_) => return Err(PlotError::BadObjective { text: text.into() }),
            None => Metric::of(name)
                .map(|metric| metric.better)
                .ok_or_else(|| PlotError::BadObjective { text: text.into() })?,
        };
        Ok(Self::Metric { name: name.into(), better })
    }

    fn better(&self) -> Better {
        match self {
            Self::Metric { better, .. } => *better,
            Self::PerUser { .. } | Self::PerGpu { .. } => Better::Higher,
        }
    }

    pub fn label(&self) -> String {
        match self {
            Self::Metric { name, .. } => label(name),
            Self::PerUser { .. } => label("tokens_per_user"),
            Self::PerGpu { .. } => label("tokens_per_gpu"),
        }
    }

    /// The name of its column in a table.
    fn column(&self) -> String {
        match self {
            Self::Metric { name, .. } => name.clone(),
            Self::PerUser { .. } => "tokens_per_user".into(),
            Self::PerGpu { .. } => "tokens_per_gpu".into(),
        }
    }

    fn key(&self) -> String {
        match self {
            Self::Metric { name, .. } => name.clone(),
            Self::PerUser { count_var } => {
                format!(
                    "output_throughput ÷ {}",
                    count_var.as_deref().unwrap_or("max_concurrency (where it has no value: max_concurrent_requests)")
                )
            }
            Self::PerGpu { count_var } => {
                format!("output_throughput ÷ {}", count_var.as_deref().unwrap_or("gpu_count"))
            }
        }
    }

    fn expression(&self, columns: &Columns) -> Result<String, PlotError> {
        let number = |flag: &'static str, var: &str| match columns.find(var)? {
            (name, Kind::Number) => Ok(format!("CAST({} AS DOUBLE)", quoted(name))),
            (name, _) => Err(PlotError::NotANumber { flag, var: name.into() }),
        };
        // Of zero or infinitely many nothing can be divided.
        let usable =
            |count: String| format!("CASE WHEN {count} > 0 AND {count} < CAST('inf' AS DOUBLE) THEN {count} END");
        let throughput = number("output_throughput", "output_throughput");
        match self {
            Self::Metric { name, .. } => number("--x, --y", name),
            Self::PerUser { count_var } => {
                let asked = count_var.as_ref().map(|var| number("--user-count-var", var)).transpose()?;
                let known = ["max_concurrency", "max_concurrent_requests"].into_iter().filter(|var| columns.has(var));
                let known = known.filter_map(|var| number("--user-count-var", var).ok());
                let counts: Vec<String> = asked.into_iter().chain(known).map(usable).collect();
                match counts.is_empty() {
                    true => Err(PlotError::NoUserCount),
                    false => Ok(format!("{} / coalesce({})", throughput?, counts.join(", "))),
                }
            }
            Self::PerGpu { count_var } => {
                let count = number("--gpu-count-var", count_var.as_deref().unwrap_or("gpu_count"))?;
                Ok(format!("{} / {}", throughput?, usable(count)))
            }
        }
    }
}

impl ParetoRequest {
    pub async fn draw(&self, lake: &Lake) -> Result<Frontier, PlotError> {
        let columns = lake.columns("runs").await?;
        let filter = Filter::parse(&self.filter_by, &columns)?;
        let (x, y) = (self.x.expression(&columns)?, self.y.expression(&columns)?);
        let names = |vars: &[String]| {
            vars.iter().map(|var| Ok(columns.find(var)?.0.to_owned())).collect::<Result<Vec<_>, QueryError>>()
        };
        let mut labels = names(&self.label_by)?;
        // The objectives are in the table anyway.
        labels.retain(|label| *label != self.x.column() && *label != self.y.column());
        let groups = names(&self.group_by)?;
        let series = match groups.is_empty() {
            true => "''".to_owned(),
            false => {
                let parts =
                    groups.iter().map(|name| format!("coalesce(CAST({} AS VARCHAR), '{MISSING}')", quoted(name)));
                parts.collect::<Vec<_>>().join(" || ', ' || ")
            }
        };
        let variables: Vec<String> = labels.iter().chain(&groups).cloned().collect();
        // A parameter may have any name, `x` too: here they go by their places.
        let shown = variables.iter().enumerate().map(|(index, name)| {
            format!(", first_value({} ORDER BY run_number) AS {}", quoted(name), variable_column(index))
        });
        let by_series = if groups.is_empty() { String::new() } else { format!(", {series}") };
        let configurations = format!(
            "SELECT sweep, combination, {series} AS series{}, avg({x}) AS x, stddev({x}) AS x_std, avg({y}) AS y, \
             stddev({y}) AS y_std, count({x}) AS n, CAST(min(completed) AS DOUBLE) AS completed FROM runs WHERE status = 'completed' AND {} \
             GROUP BY sweep, combination{by_series}",
            shown.collect::<String>(),
            filter.to_sql()
        );
        let sign = |better| if better == Better::Higher { "1" } else { "-1" };
        let parameters = [
            ("configurations", configurations.as_str()),
            ("x_sign", sign(self.x.better())),
            ("y_sign", sign(self.y.better())),
        ];
        let sql = fill(FRONTIER, &parameters);
        let answer = lake.sql(&sql).await?;
        if answer.num_rows() == 0 {
            return Err(nothing_left(lake, &filter).await?);
        }
        let counted = lake
            .sql(&format!("SELECT count(*) AS n FROM runs WHERE status = 'completed' AND {}", filter.to_sql()))
            .await?;
        let placed: f64 = answer.numbers("n").into_iter().flatten().sum();
        let skipped = counted.numbers("n").into_iter().flatten().sum::<f64>() - placed;
        let mut spec = self.spec(skipped as usize);
        spec.caption.extend(cautions([&self.x.column(), &self.y.column()], &answer));
        let figure = pareto_figure(&configurations_of(&answer, labels.len()), &spec);
        let table = self.table(&answer, &variables).await?;
        Ok(Frontier { figure, table, configurations: answer.num_rows(), sql, skipped: skipped as usize })
    }

    /// The frontier's rows for a reader: labels, both values with half the width of their intervals, runs.
    async fn table(&self, answer: &Answer, variables: &[String]) -> Result<Answer, QueryError> {
        let mut columns: Vec<(String, String)> =
            variables.iter().enumerate().map(|(index, name)| (variable_column(index), name.clone())).collect();
        for (axis, objective) in [("x", &self.x), ("y", &self.y)] {
            let name = objective.column();
            let ci95 = format!("t_critical(0.95, n - 1) * {axis}_std / sqrt(n)");
            columns.extend([(axis.to_owned(), name.clone()), (ci95, format!("{name}_ci95"))]);
        }
        columns.extend(["n", "sweep", "combination"].map(|name| (name.to_owned(), name.to_owned())));
        // A label may be one of the others.
        let mut seen = HashSet::new();
        columns.retain(|(_, name)| seen.insert(name.clone()));
        let (values, names): (Vec<String>, Vec<String>) = columns.into_iter().unzip();
        let values = values.iter().enumerate().map(|(index, value)| format!("{value} AS c{index}"));
        let sql = format!(
            "SELECT {} FROM configurations WHERE is_frontier ORDER BY series, x, y",
            values.collect::<Vec<_>>().join(", ")
        );
        Ok(answer.sql("configurations", &sql).await?.with_names(&names))
    }

    fn spec(&self, skipped: usize) -> ParetoSpec {
        let mut caption = format!("x: {}, y: {}.", self.x.key(), self.y.key());
        if !self.label_by.is_empty() {
            caption += &format!(" Labels: {}.", self.label_by.join(" / "));
        }
        if !self.filter_by.is_empty() {
            caption += &format!(" Only runs with {}.", self.filter_by);
        }
        if skipped > 0 {
            caption += &format!(" {skipped} run(s) without both values left out.");
        }
        ParetoSpec {
            title: String::new(),
            caption: vec![caption],
            x_label: self.x.label(),
            y_label: self.y.label(),
            better_x: self.x.better(),
            group_heading: self.group_by.iter().map(|var| label(var)).collect::<Vec<_>>().join(", "),
        }
    }
}

/// The column of a label, or of what groups, by its place among them.
fn variable_column(index: usize) -> String {
    format!("v{index}")
}

fn configurations_of(answer: &Answer, num_labels: usize) -> Vec<Configuration> {
    let numbers = |name: &str| answer.numbers(name);
    let texts = |name: &str| answer.column(name).unwrap_or_default().iter().map(text_of).collect::<Vec<_>>();
    let (x, y, n) = (numbers("x"), numbers("y"), numbers("n"));
    let (x_std, y_std) = (numbers("x_std"), numbers("y_std"));
    let series = answer.column("series").unwrap_or_default();
    let is_frontier = answer.column("is_frontier").unwrap_or_default();
    let labels: Vec<Vec<String>> = (0..num_labels).map(|index| texts(&variable_column(index))).collect();
    (0..answer.num_rows())
        .filter_map(|row| {
            let estimate = |mean: Option<f64>, std: Option<f64>| Some(estimate_of(mean?, std, n[row]?));
            let parts: Vec<&str> = labels.iter().map(|column| column[row].as_str()).collect();
            Some(Configuration {
                x: estimate(x[row], x_std[row])?,
                y: estimate(y[row], y_std[row])?,
                label: parts.join(" / "),
                group: series[row].to_text(),
                is_frontier: is_frontier[row] == Value::Bool(true),
            })
        })
        .collect()
}

fn estimate_of(mean: f64, std: Option<f64>, n: f64) -> Estimate {
    let half_width =
        std.filter(|std| n > 1.0 && std.is_finite()).map(|std| t_critical(0.95, n as usize - 1) * std / n.sqrt());
    Estimate { mean, half_width, n: n as usize }
}

/// What to know of metrics that stand on as few requests as the answer's column `completed` says.
fn cautions(keys: [&str; 2], answer: &Answer) -> Vec<String> {
    let completed = answer.numbers("completed").into_iter().flatten();
    let Some(fewest) = completed.reduce(f64::min) else { return Vec::new() };
    let mut cautions: Vec<String> = keys.iter().filter_map(|key| caution(key, fewest)).collect();
    cautions.dedup();
    cautions
}

/// Columns in front of the variables: combination, x, y, completed requests, and a column for each load.
const FIRST_VAR: usize = FIRST_LOAD + LOADS.len();
const FIRST_LOAD: usize = 4;

/// The column of the load that varies: the one that orders the combinations of a curve.
fn varying_load(rows: &[Vec<Value>]) -> usize {
    let columns = FIRST_LOAD..FIRST_VAR;
    let varies = |column: &usize| rows.iter().any(|row| row[*column] != rows[0][*column]);
    columns.clone().find(varies).unwrap_or(columns.start)
}

fn observation(row: &[Value], load: usize, [fig, rows, cols, curves]: [&Vec<String>; 4]) -> (Vec<String>, Observation) {
    let number = |index: usize| row[index].as_f64().unwrap_or(f64::NAN);
    let mut values = row[FIRST_VAR..].iter().map(text_of);
    let mut take = |count: usize| values.by_ref().take(count).collect::<Vec<_>>();
    let group = take(fig.len());
    let row_values = take(rows.len());
    let col_values = take(cols.len());
    let curve = take(curves.len());
    let titled = |vars: &[String], values: &[String]| {
        let pairs = vars.iter().zip(values).map(|(var, value)| format!("{} = {value}", label(var)));
        pairs.collect::<Vec<_>>().join(", ")
    };
    let observation = Observation {
        combination: row[0].to_text(),
        x: number(1),
        y: number(2),
        load: row[load].as_f64().unwrap_or(0.0),
        curve,
        row: titled(rows, &row_values),
        col: titled(cols, &col_values),
    };
    (group, observation)
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => MISSING.into(),
        other => other.to_text(),
    }
}

fn load_expression(var: &str, columns: &Columns) -> String {
    match columns.find(var) {
        Ok((name, Kind::Number)) => format!("CAST({} AS DOUBLE)", quoted(name)),
        _ => "0.0".into(),
    }
}

/// Says which condition took the last rows.
async fn nothing_left(lake: &Lake, filter: &Filter) -> Result<PlotError, QueryError> {
    let mut kept = "status = 'completed'".to_owned();
    for condition in &filter.conditions {
        let before = kept.clone();
        kept = format!("{kept} AND ({condition})");
        let count = |condition: &str| format!("SELECT count(*) AS n FROM runs WHERE {condition}");
        let number = |answer: Answer| answer.numbers("n").into_iter().flatten().sum::<f64>() as usize;
        if number(lake.sql(&count(&kept)).await?) == 0 {
            let left = number(lake.sql(&count(&before)).await?);
            return Ok(PlotError::FilteredAway { condition: condition.clone(), left });
        }
    }
    Ok(PlotError::NoRuns)
}
