//! A Pareto chart, as asked for.

use super::objective::{Objective, direction};
use super::shared::{cautions, degraded_runs, left_out_caption, nothing_left, texts_of};
use crate::plot::chart::{Estimate, MISSING};
use crate::plot::pareto::{Configuration, ParetoSpec, pareto_figure};
use crate::plot::{Dress, Figure, PlotError};
use crate::query::{
    Answer, Filter, Lake, QueryError, Varied, curve_variables, literal, load_variable, quoted, shipped,
};
use crate::stats::t_critical;
use std::collections::{BTreeMap, HashSet};

/// A Pareto chart, as asked for.
#[derive(Clone, Debug)]
pub struct ParetoRequest {
    pub x: Objective,
    pub y: Objective,
    pub label_by: Vec<String>,
    pub group_by: Vec<String>,
    pub filter_by: String,
    pub dress: Dress,
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

/// Which frontier a run belongs to, as SQL.
async fn series_of(lake: &Lake, groups: &[String]) -> Result<String, QueryError> {
    // Frontiers of several models, loads or kinds of hardware are no one frontier.
    let kinds = if groups.is_empty() { lake.kinds().await? } else { BTreeMap::new() };
    Ok(match groups.is_empty() {
        true if kinds.is_empty() => "''".to_owned(),
        true => {
            let cases = kinds.iter().map(|(sweep, kind)| format!(" WHEN {} THEN {}", literal(sweep), literal(kind)));
            format!("CASE sweep{} ELSE '' END", cases.collect::<String>())
        }
        false => {
            let parts = groups.iter().map(|name| format!("coalesce(spelled({}), '{MISSING}')", quoted(name)));
            parts.collect::<Vec<_>>().join(" || ', ' || ")
        }
    })
}

impl ParetoRequest {
    pub async fn draw(&self, lake: &Lake) -> Result<Frontier, PlotError> {
        let columns = lake.columns("runs").await?;
        let filter = Filter::parse(&self.filter_by, &columns)?;
        let (x, y) = (self.x.expression(&columns)?, self.y.expression(&columns)?);
        let names = |vars: &[String]| {
            vars.iter().map(|var| Ok(columns.find(var)?.0.to_owned())).collect::<Result<Vec<_>, QueryError>>()
        };
        let own = [self.x.column(), self.y.column()];
        self.dress.check(|var| columns.find(var).is_ok() || own.iter().any(|name| name == var))?;
        let varied = lake.varied().await?;
        let asked = if self.label_by.is_empty() { usual_labels(&varied) } else { names(&self.label_by)? };
        // The objectives are in the table anyway.
        let is_free = |label: &String| *label != self.x.column() && *label != self.y.column();
        let mut labels: Vec<String> = asked.into_iter().filter(|label| is_free(label)).collect();
        let num_asked = labels.len();
        // Two points that are called alike are told apart by what else varies.
        let more = load_variable(&varied).map(str::to_owned).into_iter().chain(curve_variables(&varied));
        for name in more.chain(["sweep".to_owned()]) {
            if !labels.contains(&name) && is_free(&name) {
                labels.push(name);
            }
        }
        let groups = names(&self.group_by)?;
        let series = series_of(lake, &groups).await?;
        let variables: Vec<String> = labels.iter().chain(&groups).cloned().collect();
        let num_variable_labels = labels.len();
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
        let (configurations, num_labels) = configurations_of(&answer, num_asked, labels.len())?;
        labels.truncate(num_labels);
        let mut spec = self.spec(&labels, skipped as usize);
        spec.caption.extend(cautions([&self.x.column(), &self.y.column()], &answer)?);
        spec.caption.extend(left_out_caption(degraded));
        let mut figure = pareto_figure(&configurations, &spec);
        self.dress.put_on(&mut figure);
        let shown = (0..variables.len()).filter(|index| *index < num_labels || *index >= num_variable_labels);
        let shown: Vec<(String, String)> =
            shown.map(|index| (variable_column(index), variables[index].clone())).collect();
        let table = self.table(&answer, shown).await?;
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
    async fn table(&self, answer: &Answer, variables: Vec<(String, String)>) -> Result<Answer, QueryError> {
        let mut columns = variables;
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

    fn spec(&self, labels: &[String], skipped: usize) -> ParetoSpec {
        let mut caption = vec![format!("x: {}, y: {}.", self.x.key(), self.y.key())];
        if !self.filter_by.is_empty() {
            caption.push(format!("Only runs with {}.", self.filter_by));
        }
        if skipped > 0 {
            caption.push(format!("{skipped} run(s) without both values omitted."));
        }
        ParetoSpec {
            title: String::new(),
            caption,
            x_label: self.x.label(&self.dress),
            y_label: self.y.label(&self.dress),
            better_x: self.x.better(),
            label_names: labels.iter().map(|name| self.dress.name(name)).collect(),
            group_heading: self.group_by.iter().map(|var| self.dress.name(var)).collect::<Vec<_>>().join(", "),
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

/// The points, and by how many of the variables they are called: those that were asked for, and as many more as tell them apart.
fn configurations_of(answer: &Answer, asked: usize, all: usize) -> Result<(Vec<Configuration>, usize), QueryError> {
    let texts = |index: usize| texts_of(answer, &variable_column(index));
    let columns = (0..all).map(texts).collect::<Result<Vec<_>, _>>()?;
    let placed: Vec<Placed> = answer.typed(shipped::FRONTIER_OF_SERIES.name)?;
    let sweeps = texts_of(answer, "sweep")?;
    let label = |row: usize, count: usize| {
        let parts: Vec<&str> = columns[..count].iter().map(|column| column[row].as_str()).collect();
        match !parts.is_empty() && parts.iter().all(|part| *part == MISSING) {
            // Of a sweep that has none of these parameters.
            true => sweeps[row].clone(),
            false => parts.iter().map(|part| if *part == MISSING { "–" } else { part }).collect::<Vec<_>>().join(" / "),
        }
    };
    let told = |count: usize| {
        placed.iter().enumerate().map(|(row, one)| (&one.series, label(row, count))).collect::<HashSet<_>>().len()
    };
    let most = told(all);
    let count = if asked == 0 { 0 } else { (asked..=all).find(|count| told(*count) == most).unwrap_or(all) };
    let labels: Vec<String> = (0..placed.len()).map(|row| label(row, count)).collect();
    let configurations = placed.into_iter().zip(labels).map(|(placed, label)| Configuration {
        x: estimate_of(placed.x, placed.x_std, placed.n),
        y: estimate_of(placed.y, placed.y_std, placed.n),
        label,
        group: placed.series,
        is_frontier: placed.is_frontier,
    });
    Ok((configurations.collect(), count))
}

/// The load, and the settings that vary, as far as three values are read at a glance.
fn usual_labels(varied: &[Varied]) -> Vec<String> {
    let load = load_variable(varied).map(str::to_owned);
    load.into_iter().chain(curve_variables(varied)).take(3).collect()
}

fn estimate_of(mean: f64, std: Option<f64>, n: f64) -> Estimate {
    let half_width =
        std.filter(|std| n > 1.0 && std.is_finite()).map(|std| t_critical(0.95, n as usize - 1) * std / n.sqrt());
    Estimate::around(mean, half_width, n as usize)
}
