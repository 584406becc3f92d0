//! Charts of values, as asked for: over runs, over single requests, or over the rows of a query.

use super::shared::{serve_variables, texts_of};
use super::since::Since;
use super::variable::{Variable, name_of};
use crate::plot::kinds::{ChartKind, Datum, KindSpec, kind_figure};
use crate::plot::{Dress, Figure, PlotError, Role, Scale};
use crate::query::{Answer, Columns, Filter, Kind, Lake, QueryError, Value};

/// Which rows are drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Rows {
    Runs,
    /// Single requests, with the parameters of their runs.
    Requests,
    /// Of a query: its columns are named by the variables; where none is, the first is x, the second y, and the others tell groups apart.
    Query(String),
}

/// A chart of values, as asked for.
#[derive(Clone, Debug)]
pub struct KindRequest {
    pub kind: ChartKind,
    pub rows: Rows,
    pub var_x: Option<String>,
    pub var_y: Option<String>,
    pub group_by: Vec<String>,
    pub filter_by: String,
    pub scale_x: Scale,
    pub scale_y: Scale,
    pub dress: Dress,
}

/// Of more rows than these a sample is drawn.
const MOST_ROWS: usize = 400_000;

impl KindRequest {
    pub async fn draw(&self, lake: &Lake) -> Result<Figure, PlotError> {
        let mut caption = Vec::new();
        if !self.filter_by.is_empty() {
            caption.push(format!("Only runs with {}.", self.filter_by));
        }
        let (data, [x, y, group]) = match &self.rows {
            Rows::Query(sql) => self.of_query(&lake.sql(sql).await?)?,
            Rows::Runs | Rows::Requests => self.of_table(lake, &mut caption).await?,
        };
        if data.iter().all(|one| !one.y.is_finite()) {
            return Err(PlotError::NoRuns);
        }
        let mut figure = kind_figure(
            &data,
            &KindSpec {
                kind: self.kind,
                caption,
                x_label: x,
                y_label: y,
                group_label: group,
                scale_x: self.scale_x,
                scale_y: self.scale_y,
            },
        );
        self.dress.put_on(&mut figure);
        Ok(figure)
    }

    /// Rows of a query, and what x, y and what groups are called.
    fn of_query(&self, answer: &Answer) -> Result<(Vec<Datum>, [String; 3]), PlotError> {
        let columns = answer.columns();
        if answer.num_rows() == 0 {
            return Err(PlotError::NoRows);
        }
        let asked = [&self.var_x, &self.var_y].into_iter().flatten().chain(&self.group_by);
        if let Some(var) = asked.into_iter().find(|var| !columns.contains(var)) {
            return Err(PlotError::NotReturned { var: var.clone(), known: columns });
        }
        self.dress.check(|var| columns.iter().any(|name| name == var))?;
        let named = |var: &Option<String>, place: usize| {
            var.clone().or_else(|| columns.get(place).cloned()).ok_or(PlotError::TooFewColumns { found: columns.len() })
        };
        // Of a distribution a single column is enough.
        let is_single = columns.len() == 1 && self.var_y.is_none();
        let y = named(&self.var_y, usize::from(!is_single))?;
        let x = if is_single { String::new() } else { named(&self.var_x, 0)? };
        let is_other = |name: &&String| **name != x && **name != y;
        let groups: Vec<String> = match self.group_by.is_empty() {
            true => columns.iter().filter(is_other).cloned().collect(),
            false => self.group_by.clone(),
        };
        let numbers = answer.numbers(&y)?;
        if numbers.iter().all(Option::is_none) {
            let is_null = answer.column(&y)?.iter().all(|value| *value == Value::Null);
            return Err(match is_null {
                true => PlotError::OnlyNull { var: y, rows: numbers.len() },
                false => PlotError::NotANumber { role: Role::Y, var: y },
            });
        }
        let xs = if is_single { vec![String::new(); numbers.len()] } else { texts_of(answer, &x)? };
        let (xs, x_label) = match Since::first_of(&xs) {
            Some(since) if !is_single => (since.elapsed, format!("{} ({})", self.dress.name(&x), since.unit)),
            _ => (xs, self.dress.name(&x)),
        };
        let told = groups.iter().map(|name| texts_of(answer, name)).collect::<Result<Vec<_>, _>>()?;
        Ok((data_of(xs, numbers, &told), [x_label, self.dress.name(&y), groups.join(", ")]))
    }

    async fn of_table(&self, lake: &Lake, caption: &mut Vec<String>) -> Result<(Vec<Datum>, [String; 3]), PlotError> {
        let runs = lake.columns("runs").await?;
        let filter = Filter::parse(&self.filter_by, &runs)?.to_sql();
        let named: Vec<&str> = [&self.var_x, &self.var_y].into_iter().flatten().map(|var| name_of(var)).collect();
        let kept = format!("status = 'completed' AND {filter}");
        let requests = if self.rows == Rows::Requests { Some(lake.columns("requests").await?) } else { None };
        let from = match &requests {
            None => format!("FROM runs WHERE {kept}"),
            Some(_) => format!(
                "FROM requests JOIN runs ON requests.sweep = runs.sweep AND requests.run_id = runs.run_id \
                 WHERE requests.ok AND runs.run_id IN (SELECT run_id FROM runs WHERE {kept})"
            ),
        };
        let is_column =
            |var: &str| runs.find(var).is_ok() || requests.as_ref().is_some_and(|own| own.find(var).is_ok());
        self.dress.check(|var| is_column(var) || named.contains(&var))?;
        let usual_y = if requests.is_some() { "e2el_ms" } else { "output_throughput" };
        // A distribution has one variable, under whichever name it was given.
        let only = self.var_x.clone().filter(|_| self.kind == ChartKind::Ecdf && self.var_y.is_none());
        let y_name = self.var_y.clone().or(only.clone()).unwrap_or_else(|| usual_y.to_owned());
        let y = column_of(&y_name, requests.as_ref(), &runs)?;
        if !matches!(y.holds, Kind::Number | Kind::Mixed) {
            return Err(PlotError::NotANumber { role: Role::Y, var: y_name });
        }
        let x_name = self.var_x.clone().filter(|_| only.is_none()).unwrap_or_else(|| "label".to_owned());
        let x = column_of(&x_name, requests.as_ref(), &runs)?;
        let mut group_by = self.group_by.clone();
        if group_by.is_empty() && self.kind == ChartKind::Ecdf && self.var_x.is_some() && only.is_none() {
            // A distribution has no x axis of its own: what was to be there tells its curves apart.
            group_by.push(x_name.clone());
        } else if group_by.is_empty() && self.kind != ChartKind::Box && self.kind != ChartKind::Violin {
            group_by = serve_variables(lake).await?;
            group_by.retain(|var| *var != x_name);
        }
        let groups = group_by.iter().map(|var| column_of(var, requests.as_ref(), &runs));
        let groups = groups.collect::<Result<Vec<_>, _>>()?;
        let all = lake.sql(&format!("SELECT count(*) AS n {from}")).await?.numbers("n")?;
        let all = all.first().copied().flatten().unwrap_or(0.0);
        let mut sample = String::new();
        if all > MOST_ROWS as f64 {
            sample = format!(" AND random() < {}", MOST_ROWS as f64 / all);
            caption.push(format!("A random sample of about {MOST_ROWS} of {all} rows."));
        }
        let selected = groups.iter().enumerate().map(|(index, group)| format!(", {} AS g{index}", group.sql));
        let sql = format!("SELECT {} AS x, {} AS y{} {from}{sample}", x.sql, y.number(), selected.collect::<String>());
        let answer = lake.sql(&sql).await?;
        let groups = (0..groups.len()).map(|index| texts_of(&answer, &format!("g{index}")));
        let data = data_of(texts_of(&answer, "x")?, answer.numbers("y")?, &groups.collect::<Result<Vec<_>, _>>()?);
        let group_name = group_by.iter().map(|var| self.dress.name(var)).collect::<Vec<_>>().join(", ");
        Ok((data, [self.dress.name(&x.name), self.dress.name(&y.name), group_name]))
    }
}

/// A column of the requests, or else of their runs; an expression may name columns of either.
fn column_of(var: &str, requests: Option<&Columns>, runs: &Columns) -> Result<Variable, QueryError> {
    let Some(requests) = requests else { return Variable::of(var, runs) };
    match requests.find(var) {
        Ok(_) => Ok(Variable::of(var, requests)?.of_table("requests")),
        Err(_) => Ok(Variable::of(var, runs)?.of_table("runs")),
    }
}

/// Rows of a chart; `told`: the columns that tell groups apart.
fn data_of(xs: Vec<String>, ys: Vec<Option<f64>>, told: &[Vec<String>]) -> Vec<Datum> {
    let group = |row: usize| told.iter().map(|column| column[row].as_str()).collect::<Vec<_>>().join(", ");
    let rows = ys.into_iter().zip(xs).enumerate();
    rows.map(|(row, (y, x))| Datum { x, y: y.unwrap_or(f64::NAN), group: group(row) }).collect()
}
