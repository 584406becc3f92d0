//! A chart of curves, as asked for.

use super::shared::{cautions, degraded_runs, left_out_caption, nothing_left, serve_variables, text_of, texts_of};
use super::variable::Variable;
use crate::plot::curves::{CurveSpec, Observation, curves, distinct, natural_order};
use crate::plot::{Dress, Figure, PlotError, Role, Scale};
use crate::query::{Answer, Columns, Filter, Kind, LOADS, Lake, QueryError, number_of, quoted};
use std::collections::BTreeMap;

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
    pub dress: Dress,
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
        let curve_by = self.curves_of(lake).await?;
        let x = self.axis(Role::X, &self.var_x, &columns)?;
        let y = self.axis(Role::Y, &self.var_y, &columns)?;
        self.dress.check(|var| columns.find(var).is_ok() || [&x.name, &y.name].contains(&&var.to_owned()))?;
        let vars = [&self.fig_by, &self.row_by, &self.col_by, &curve_by];
        let mut selected =
            vec![format!("combination AS k, {} AS x, {} AS y, CAST(completed AS DOUBLE) AS completed", x.sql, y.sql)];
        selected.extend(x.text.iter().map(|text| format!("{text} AS x_text")));
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
        let mut spec = self.spec(&curve_by, [&x, &y]);
        let is_binned = self.bin_by.iter().any(|(var, _)| *var == self.var_x);
        spec.is_x_measured = x.is_expression || (columns.is_measured(&self.var_x) && !is_binned);
        spec.caption.extend(cautions([&self.var_x, &self.var_y], &answer)?);
        spec.caption.extend(left_out_caption(degraded));
        if x.text.is_some() {
            spec.x_names = distinct(texts_of(&answer, "x_text")?.iter().map(String::as_str));
        }
        let groups = observations(&answer, vars, &spec.x_names, &self.dress)?;
        let mut figures: Vec<DrawnCurves> = groups
            .into_iter()
            .map(|(values, runs)| {
                let group: Vec<(String, String)> = self.fig_by.iter().cloned().zip(values).collect();
                let title = group
                    .iter()
                    .map(|(var, value)| format!("{} = {value}", self.dress.name(var)))
                    .collect::<Vec<_>>()
                    .join(", ");
                let mut figure = curves(&runs, &CurveSpec { title, ..spec.clone() });
                self.dress.put_on(&mut figure);
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

    /// What tells curves apart: what was asked for; where nothing was, the settings of the server that vary, and the sweep of
    /// several.
    async fn curves_of(&self, lake: &Lake) -> Result<Vec<String>, QueryError> {
        let asked = || [&self.fig_by, &self.row_by, &self.col_by, &self.curve_by].into_iter().flatten();
        let mut curve_by = self.curve_by.clone();
        if asked().next().is_none() {
            curve_by = serve_variables(lake).await?;
            curve_by.retain(|var| *var != self.var_x && *var != self.var_y);
        }
        if lake.sweeps().len() > 1 && !asked().any(|var| var == "sweep") {
            curve_by.insert(0, "sweep".into());
        }
        Ok(curve_by)
    }

    fn spec(&self, curve_by: &[String], [x, y]: [&AxisColumn; 2]) -> CurveSpec {
        let mut caption = vec![format!("x: {}, y: {}.", self.var_x, self.var_y)];
        if !self.filter_by.is_empty() {
            caption.push(format!("Only runs with {}.", self.filter_by));
        }
        CurveSpec {
            title: String::new(),
            caption,
            x_label: self.dress.name(&x.name),
            y_label: self.dress.name(&y.name),
            scale_x: self.scale_x,
            scale_y: self.scale_y,
            is_x_measured: false,
            x_names: Vec::new(),
            has_error_bars: self.has_error_bars,
            curve_vars: curve_by.iter().map(|var| self.dress.name(var)).collect(),
        }
    }

    /// The x axis may be one of texts: then it is asked for as a text, and gets its places later.
    fn axis(&self, role: Role, var: &str, columns: &Columns) -> Result<AxisColumn, PlotError> {
        let variable = Variable::of(var, columns)?;
        let mut text = None;
        let sql = match variable.holds {
            _ if variable.is_expression => variable.number(),
            Kind::Number => format!("CAST({} AS DOUBLE)", self.value_column(var, columns)?),
            Kind::Mixed if self.is_binned(&variable.name, columns) => self.value_column(var, columns)?,
            Kind::Mixed => variable.number(),
            Kind::Text | Kind::Bool if role == Role::X => {
                text = Some(format!("CAST({} AS VARCHAR)", variable.sql));
                "CAST(NULL AS DOUBLE)".to_owned()
            }
            _ => return Err(PlotError::NotANumber { role, var: variable.name }),
        };
        Ok(AxisColumn { sql, text, is_expression: variable.is_expression, name: variable.name })
    }

    /// A column, binned if so asked.
    fn value_column(&self, var: &str, columns: &Columns) -> Result<String, PlotError> {
        let variable = Variable::of(var, columns)?;
        let (name, kind) = (variable.name.as_str(), variable.holds);
        match self.bin_by.iter().find(|(binned, _)| columns.find(binned).is_ok_and(|(binned, _)| binned == name)) {
            Some((_, size)) if matches!(kind, Kind::Number | Kind::Mixed) => {
                Ok(format!("floor({} / {size:?}) * {size:?}", number_of(name)))
            }
            Some(_) => Err(PlotError::NotANumber { role: Role::Binned, var: name.into() }),
            None => Ok(variable.sql),
        }
    }

    fn is_binned(&self, name: &str, columns: &Columns) -> bool {
        self.bin_by.iter().any(|(binned, _)| columns.find(binned).is_ok_and(|(binned, _)| binned == name))
    }
}

/// A column of an axis.
struct AxisColumn {
    name: String,
    sql: String,
    /// Of an axis of texts.
    text: Option<String>,
    is_expression: bool,
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
    x_names: &[String],
    dress: &Dress,
) -> Result<BTreeMap<Vec<String>, Vec<Observation>>, QueryError> {
    let drawn: Vec<Drawn> = answer.typed("points of curves")?;
    let load = varying_load(answer)?;
    let texts = if x_names.is_empty() { Vec::new() } else { texts_of(answer, "x_text")? };
    let place = |row: usize| {
        let text = texts.get(row)?;
        x_names.iter().position(|name| name == text).map(|index| (index + 1) as f64)
    };
    let count = vars.iter().map(|vars| vars.len()).sum::<usize>();
    let values = (0..count).map(|index| answer.column(&format!("v{index}"))).collect::<Result<Vec<_>, _>>()?;
    let titled = |vars: &[String], values: &[String]| {
        let pairs = vars.iter().zip(values).map(|(var, value)| format!("{} = {value}", dress.name(var)));
        pairs.collect::<Vec<_>>().join(", ")
    };
    let mut groups: BTreeMap<Vec<String>, Vec<Observation>> = BTreeMap::new();
    for (row, run) in drawn.into_iter().enumerate() {
        let mut own = values.iter().map(|column| text_of(&column[row]));
        let [group, rows, cols, curve] = vars.map(|vars| own.by_ref().take(vars.len()).collect::<Vec<_>>());
        groups.entry(group).or_default().push(Observation {
            combination: run.k,
            x: place(row).or(run.x).unwrap_or(f64::NAN),
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

fn load_expression(var: &str, columns: &Columns) -> String {
    match columns.find(var) {
        Ok((name, Kind::Number | Kind::Mixed)) => number_of(name),
        _ => "0.0".into(),
    }
}
