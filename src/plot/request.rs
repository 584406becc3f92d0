//! From what was asked for to what a chart needs: SQL over runs, and its rows.

use super::Role;
use super::chart::Estimate;
use super::curves::{CurveSpec, Observation, curves, natural_order};
use super::pareto::{Configuration, ParetoSpec, pareto_figure};
use super::{Figure, PlotError, Scale};
use crate::metric::{Better, Metric, caution, label};
use crate::query::{
    Answer, Columns, Filter, Kind, LOADS, Lake, QueryError, Value, literal, number_of, quoted, shipped,
};
use crate::record::USERS;
use crate::stats::t_critical;
use std::collections::{BTreeMap, HashSet};

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
        let x = self.axis_column(Role::X, &self.var_x, &columns)?;
        let y = self.axis_column(Role::Y, &self.var_y, &columns)?;
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
        let degraded = degraded_runs(lake, &filter).await?;
        if answer.num_rows() == 0 {
            return Err(nothing_left(lake, &filter, degraded).await?);
        }
        let mut spec = self.spec(&curve_by);
        spec.is_x_measured = columns.is_measured(&self.var_x) && !self.bin_by.iter().any(|(var, _)| *var == self.var_x);
        spec.caption.extend(cautions([&self.var_x, &self.var_y], &answer)?);
        spec.caption.extend(left_out_caption(degraded));
        let groups = observations(&answer, vars)?;
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
            is_x_measured: false,
            has_error_bars: self.has_error_bars,
            curve_vars: curve_by.iter().map(|var| label(var)).collect(),
        }
    }

    fn axis_column(&self, role: Role, var: &str, columns: &Columns) -> Result<String, PlotError> {
        match columns.find(var)? {
            (_, Kind::Number) => Ok(format!("CAST({} AS DOUBLE)", self.value_column(var, columns)?)),
            (name, Kind::Mixed) if self.is_binned(name, columns) => self.value_column(var, columns),
            (name, Kind::Mixed) => Ok(number_of(name)),
            (name, _) => Err(PlotError::NotANumber { role, var: name.into() }),
        }
    }

    /// A column, binned if so asked.
    fn value_column(&self, var: &str, columns: &Columns) -> Result<String, PlotError> {
        let (name, kind) = columns.find(var)?;
        match self.bin_by.iter().find(|(binned, _)| columns.find(binned).is_ok_and(|(binned, _)| binned == name)) {
            Some((_, size)) if matches!(kind, Kind::Number | Kind::Mixed) => {
                Ok(format!("floor({} / {size:?}) * {size:?}", number_of(name)))
            }
            Some(_) => Err(PlotError::NotANumber { role: Role::Binned, var: name.into() }),
            None => Ok(quoted(name)),
        }
    }

    fn is_binned(&self, name: &str, columns: &Columns) -> bool {
        self.bin_by.iter().any(|(binned, _)| columns.find(binned).is_ok_and(|(binned, _)| binned == name))
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

    /// What no run has of it, and what would give it.
    fn missing(&self) -> String {
        match self {
            Self::Metric { name, .. } => format!("`{name}` has no value"),
            Self::PerUser { .. } => {
                format!(
                    "the number of users is unknown (no value in {}); name another column that has it",
                    USERS.join(", ")
                )
            }
            Self::PerGpu { .. } => {
                "the number of GPUs is unknown; name another column that has it, or set gpu_count when importing".into()
            }
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
            Self::PerUser { count_var } => match count_var {
                Some(var) => format!("output_throughput ÷ {var}"),
                None => {
                    format!("output_throughput ÷ {} (if missing: {})", USERS[0], USERS[1..].join(", "))
                }
            },
            Self::PerGpu { count_var } => {
                format!("output_throughput ÷ {}", count_var.as_deref().unwrap_or("gpu_count"))
            }
        }
    }

    fn expression(&self, columns: &Columns) -> Result<String, PlotError> {
        let number = |role: Role, var: &str| match columns.find(var)? {
            (name, Kind::Number | Kind::Mixed) => Ok(number_of(name)),
            (name, _) => Err(PlotError::NotANumber { role, var: name.into() }),
        };
        // Of zero or infinitely many nothing can be divided.
        let usable =
            |count: String| format!("CASE WHEN {count} > 0 AND {count} < CAST('inf' AS DOUBLE) THEN {count} END");
        let throughput = number(Role::Objective, "output_throughput");
        match self {
            Self::Metric { name, .. } => number(Role::Objective, name),
            Self::PerUser { count_var: Some(var) } => {
                let asked = usable(number(Role::UserCount, var)?);
                Ok(format!("coalesce({} / {asked}, tokens_per_user)", throughput?))
            }
            Self::PerGpu { count_var: Some(var) } => {
                Ok(format!("{} / {}", throughput?, usable(number(Role::GpuCount, var)?)))
            }
            // What each run knows of its users and its GPUs was found out when it was stored.
            Self::PerUser { count_var: None } => number(Role::Objective, "tokens_per_user"),
            Self::PerGpu { count_var: None } => number(Role::Objective, "tokens_per_gpu"),
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
        // Frontiers of several models, loads or kinds of hardware are no one frontier.
        let kinds = if groups.is_empty() { lake.kinds().await? } else { BTreeMap::new() };
        let series = match groups.is_empty() {
            true if kinds.is_empty() => "''".to_owned(),
            true => {
                let cases =
                    kinds.iter().map(|(sweep, kind)| format!(" WHEN {} THEN {}", literal(sweep), literal(kind)));
                format!("CASE sweep{} ELSE '' END", cases.collect::<String>())
            }
            false => {
                let parts = groups.iter().map(|name| format!("coalesce(spelled({}), '{MISSING}')", quoted(name)));
                parts.collect::<Vec<_>>().join(" || ', ' || ")
            }
        };
        let variables: Vec<String> = labels.iter().chain(&groups).cloned().collect();
        // A parameter may have any name, `x` too: here they go by their places.
        let shown = variables.iter().enumerate().map(|(index, name)| {
            format!(", first_value({} ORDER BY run_number) AS {}", quoted(name), variable_column(index))
        });
        let by_series = if series == "''" { String::new() } else { format!(", {series}") };
        let configurations = format!(
            "SELECT sweep, combination, {series} AS series{}, avg({x}) AS x, stddev({x}) AS x_std, avg({y}) AS y, \
             stddev({y}) AS y_std, count({x}) AS n, CAST(min(completed) AS DOUBLE) AS completed FROM runs WHERE status = 'completed' AND {} \
             GROUP BY sweep, combination{by_series}",
            shown.collect::<String>(),
            filter.to_sql()
        );
        let sql = shipped::FRONTIER_OF_SERIES.fill(&[
            ("configurations", configurations.as_str()),
            ("x", direction(self.x.better())),
            ("y", direction(self.y.better())),
        ]);
        let answer = lake.sql(&sql).await?;
        let degraded = degraded_runs(lake, &filter).await?;
        let counted = lake
            .sql(&format!("SELECT count(*) AS n FROM runs WHERE status = 'completed' AND {}", filter.to_sql()))
            .await?;
        let all: f64 = counted.numbers("n")?.into_iter().flatten().sum();
        if answer.num_rows() == 0 && all > 0.0 {
            return Err(self.without_values(lake, [&x, &y], &filter).await?);
        }
        if answer.num_rows() == 0 {
            return Err(nothing_left(lake, &filter, degraded).await?);
        }
        let placed: f64 = answer.numbers("n")?.into_iter().flatten().sum();
        let skipped = all - placed;
        let mut spec = self.spec(skipped as usize);
        spec.caption.extend(cautions([&self.x.column(), &self.y.column()], &answer)?);
        spec.caption.extend(left_out_caption(degraded));
        let figure = pareto_figure(&configurations_of(&answer, labels.len())?, &spec);
        let table = self.table(&answer, &variables).await?;
        Ok(Frontier { figure, table, configurations: answer.num_rows(), sql, skipped: skipped as usize })
    }

    /// There are runs, and none has a value on both axes: says which is missing, and what would give it.
    async fn without_values(&self, lake: &Lake, values: [&String; 2], filter: &Filter) -> Result<PlotError, PlotError> {
        let mut missing = Vec::new();
        for (objective, value) in [&self.x, &self.y].into_iter().zip(values) {
            let sql =
                format!("SELECT count({value}) AS n FROM runs WHERE status = 'completed' AND {}", filter.to_sql());
            let known: f64 = lake.sql(&sql).await?.numbers("n")?.into_iter().flatten().sum();
            if known == 0.0 {
                missing.push(objective.missing());
            }
        }
        Ok(PlotError::NoValues { missing: missing.join("; ") })
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
            caption += &format!(" {skipped} run(s) without both values omitted.");
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

crate::query::typed_row! {
    struct Placed {
        series: String,
        x: f64,
        x_std: Option<f64>,
        y: f64,
        y_std: Option<f64>,
        n: f64,
        is_frontier: bool,
    }
}

fn configurations_of(answer: &Answer, num_labels: usize) -> Result<Vec<Configuration>, QueryError> {
    let texts = |index: usize| Ok(answer.column(&variable_column(index))?.iter().map(text_of).collect());
    let labels = (0..num_labels).map(texts).collect::<Result<Vec<Vec<String>>, QueryError>>()?;
    let placed: Vec<Placed> = answer.typed(shipped::FRONTIER_OF_SERIES.name)?;
    let configurations = placed.into_iter().enumerate().map(|(row, placed)| {
        let parts: Vec<&str> = labels.iter().map(|column| column[row].as_str()).collect();
        Configuration {
            x: estimate_of(placed.x, placed.x_std, placed.n),
            y: estimate_of(placed.y, placed.y_std, placed.n),
            label: parts.join(" / "),
            group: placed.series,
            is_frontier: placed.is_frontier,
        }
    });
    Ok(configurations.collect())
}

fn direction(better: Better) -> &'static str {
    if better == Better::Higher { "max" } else { "min" }
}

fn estimate_of(mean: f64, std: Option<f64>, n: f64) -> Estimate {
    let half_width =
        std.filter(|std| n > 1.0 && std.is_finite()).map(|std| t_critical(0.95, n as usize - 1) * std / n.sqrt());
    Estimate { mean, half_width, n: n as usize }
}

/// What to know of metrics that stand on as few requests as the answer's column `completed` says.
fn cautions(keys: [&str; 2], answer: &Answer) -> Result<Vec<String>, QueryError> {
    let completed = answer.numbers("completed")?.into_iter().flatten();
    let Some(fewest) = completed.reduce(f64::min) else { return Ok(Vec::new()) };
    let mut cautions: Vec<String> = keys.iter().filter_map(|key| caution(key, fewest)).collect();
    cautions.dedup();
    Ok(cautions)
}

/// Runs in which too many requests failed: they are on no chart.
async fn degraded_runs(lake: &Lake, filter: &Filter) -> Result<usize, QueryError> {
    let sql = format!("SELECT count(*) AS n FROM runs WHERE status = 'degraded' AND {}", filter.to_sql());
    Ok(lake.sql(&sql).await?.numbers("n")?.into_iter().flatten().sum::<f64>() as usize)
}

fn left_out_caption(degraded: usize) -> Option<String> {
    (degraded > 0).then(|| format!("{degraded} run(s) omitted because too many requests failed."))
}

crate::query::typed_row! {
    struct Drawn {
        k: String,
        x: Option<f64>,
        y: Option<f64>,
    }
}

/// The runs of each figure; `vars` are those of figures, rows, columns and curves, in the order of their columns.
fn observations(
    answer: &Answer,
    vars: [&Vec<String>; 4],
) -> Result<BTreeMap<Vec<String>, Vec<Observation>>, QueryError> {
    let drawn: Vec<Drawn> = answer.typed("points of curves")?;
    let load = varying_load(answer)?;
    let count = vars.iter().map(|vars| vars.len()).sum::<usize>();
    let values = (0..count).map(|index| answer.column(&format!("v{index}"))).collect::<Result<Vec<_>, _>>()?;
    let titled = |vars: &[String], values: &[String]| {
        let pairs = vars.iter().zip(values).map(|(var, value)| format!("{} = {value}", label(var)));
        pairs.collect::<Vec<_>>().join(", ")
    };
    let mut groups: BTreeMap<Vec<String>, Vec<Observation>> = BTreeMap::new();
    for (row, run) in drawn.into_iter().enumerate() {
        let mut own = values.iter().map(|column| text_of(&column[row]));
        let [group, rows, cols, curve] = vars.map(|vars| own.by_ref().take(vars.len()).collect::<Vec<_>>());
        groups.entry(group).or_default().push(Observation {
            combination: run.k,
            x: run.x.unwrap_or(f64::NAN),
            y: run.y.unwrap_or(f64::NAN),
            load: load[row].unwrap_or(0.0),
            curve,
            row: titled(vars[1], &rows),
            col: titled(vars[2], &cols),
        });
    }
    Ok(groups)
}

/// The load that varies: the one that orders the combinations of a curve.
fn varying_load(answer: &Answer) -> Result<Vec<Option<f64>>, QueryError> {
    let loads = LOADS.map(|var| answer.numbers(&format!("load {var}")));
    let loads: Vec<Vec<Option<f64>>> = loads.into_iter().collect::<Result<_, _>>()?;
    let varies = |load: &&Vec<Option<f64>>| load.iter().any(|value| *value != load[0]);
    Ok(loads.iter().find(varies).unwrap_or(&loads[0]).clone())
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => MISSING.into(),
        other => other.to_text(),
    }
}

fn load_expression(var: &str, columns: &Columns) -> String {
    match columns.find(var) {
        Ok((name, Kind::Number | Kind::Mixed)) => number_of(name),
        _ => "0.0".into(),
    }
}

/// Says which condition took the last rows.
async fn nothing_left(lake: &Lake, filter: &Filter, degraded: usize) -> Result<PlotError, QueryError> {
    if degraded > 0 {
        return Ok(PlotError::AllDegraded { runs: degraded });
    }
    let mut kept = "status = 'completed'".to_owned();
    for condition in &filter.conditions {
        let before = kept.clone();
        kept = format!("{kept} AND ({condition})");
        let count = |condition: &str| format!("SELECT count(*) AS n FROM runs WHERE {condition}");
        let number =
            |answer: Answer| Ok::<_, QueryError>(answer.numbers("n")?.into_iter().flatten().sum::<f64>() as usize);
        if number(lake.sql(&count(&kept)).await?)? == 0 {
            let left = number(lake.sql(&count(&before)).await?)?;
            return Ok(PlotError::FilteredAway { condition: condition.clone(), left });
        }
    }
    Ok(PlotError::NoRuns)
}
