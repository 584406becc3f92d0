//! `sweeplake show`: a sweep's facts and its combinations.

use super::lake::Opening;
use super::shape::Shape;
use super::table::{Headings, Output, headed_table, plain_table};
use super::{Ended, Failure, block_on, query_failure, report};
use crate::cli::say::{out, say};
use crate::id::column_name;
use crate::query::{Answer, Lake, Value, quoted, shipped};
use crate::report::answer::answers;
use crate::table::{parameter_column, usual};
use crate::words::{self, pair, printable_line};
use serde_json::{Map, Value as Json};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    /// Sweeps (or lakes).
    #[arg(required = true, value_name = "SWEEP")]
    sweeps: Vec<PathBuf>,
    #[command(flatten)]
    shape: Shape,
    #[command(flatten)]
    opening: Opening,
    #[command(flatten)]
    output: Output,
}

pub fn exec(arguments: Arguments) -> Ended {
    arguments.output.kind()?;
    let output = &arguments.output;
    arguments.opening.with(&arguments.sweeps, |lake| {
        let facts = block_on(lake.sql("SELECT * FROM sweeps"))?.map_err(query_failure)?;
        let is_for_reading = output.format.is_none() && output.output.is_none() && std::io::stdout().is_terminal();
        if is_for_reading {
            print_facts(&facts)?;
            answer_lines(lake)?.iter().for_each(|line| out!("{line}"));
        }
        let settings = Settings::of(lake)?;
        let sql = match arguments.shape.is_of_columns() {
            true => ALL_COLUMNS.to_owned(),
            false => shipped::summary(&settings.columns()),
        };
        let summary = block_on(lake.sql(&arguments.shape.of(&sql)))?.map_err(query_failure)?;
        let is_one = lake.sweeps().len() == 1 && !arguments.shape.is_of_columns();
        let summary = if is_one { summary.without(SWEEP) } else { summary };
        if is_for_reading {
            settings.shared.iter().for_each(|shared| out!("shared parameters: {shared}"));
            output.write_headed(&telling(summary)?, Headings::Short)?;
        } else {
            output.write(&summary)?;
        }
        // A table for programs has its cautions in their column.
        remarks(lake)?.iter().for_each(|remark| say!("{remark}"));
        Ok(())
    })
}

/// What `--columns` chooses from.
const ALL_COLUMNS: &str = "SELECT * FROM combinations ORDER BY sweep, started_at, combination";

/// What tells combinations apart, and what they share.
pub struct Settings {
    names: Vec<String>,
    shared: Option<String>,
}

crate::query::typed_row! {
    struct Named {
        serve_named: i64,
        bench_named: i64,
        serve_params: Option<String>,
        bench_params: Option<String>,
    }
}

impl Settings {
    pub fn of(lake: &Lake) -> Result<Self, Failure> {
        let varied = block_on(lake.varied())?.map_err(query_failure)?;
        let sql = "SELECT count(serve_name) AS serve_named, count(bench_name) AS bench_named, \
                   min(serve_params) AS serve_params, min(bench_params) AS bench_params FROM runs";
        let found: Vec<Named> =
            block_on(lake.sql(sql))?.and_then(|answer| answer.typed("settings")).map_err(query_failure)?;
        let Some(named) = found.into_iter().next() else { return Ok(Self { names: Vec::new(), shared: None }) };
        let mut names = Vec::new();
        let mut shared = Vec::new();
        let sides = [
            ("serve", named.serve_named > 0, true, named.serve_params),
            ("bench", named.bench_named > 0, false, named.bench_params),
        ];
        for (side, is_named, is_serve, params) in sides {
            let own = || varied.iter().filter(|varied| varied.is_serve == is_serve).map(|varied| varied.name.clone());
            if is_named {
                names.push(side.to_owned());
                continue;
            }
            names.extend(own());
            let params: Map<String, Json> =
                params.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            let is_same = |key: &String| !own().any(|name| name == parameter_column(column_name(key)));
            shared.extend(params.iter().filter(|(key, _)| is_same(key)).map(|(key, value)| pair(key, value)));
        }
        let mut settings = Self { names, shared: (!shared.is_empty()).then(|| shared.join(" ")) };
        settings.leave_out_what_follows(lake)?;
        Ok(settings)
    }

    /// A number of prompts that follows from the other parameters tells nothing apart.
    fn leave_out_what_follows(&mut self, lake: &Lake) -> Result<(), Failure> {
        if self.names.len() < 2 || !self.names.iter().any(|name| name == "num_prompts") {
            return Ok(());
        }
        let names: Vec<&str> = std::iter::once(SWEEP).chain(self.names.iter().map(String::as_str)).collect();
        let columns = names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT DISTINCT {columns} FROM combinations");
        let rows = block_on(lake.sql(&sql))?.and_then(|answer| answer.rows()).map_err(query_failure)?;
        let place = |name: &str| names.iter().position(|known| *known == name);
        let value = |row: usize, name: &str| place(name).map(|place| rows[row][place].to_text()).unwrap_or_default();
        self.names = words::telling(&names, rows.len(), value).into_iter().skip(1).map(str::to_owned).collect();
        Ok(())
    }

    /// The columns that tell combinations apart.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let label = self.names.is_empty().then_some("label");
        self.names.iter().map(String::as_str).chain(label)
    }

    /// As a list in SQL.
    fn columns(&self) -> String {
        self.names().map(quoted).collect::<Vec<_>>().join(", ")
    }
}

crate::query::typed_row! {
    struct Cautioned {
        label: Option<String>,
        cautions: Option<String>,
    }
}

/// What is to be said of single combinations.
pub fn remarks(lake: &Lake) -> Result<Vec<String>, Failure> {
    let apart = block_on(lake.pooled_apart())?.map_err(query_failure)?;
    let apart = apart.into_iter().map(|apart| format!("caution: {apart}"));
    let sql = "SELECT label, array_to_string(cautions, '; ') AS cautions FROM combinations WHERE cautions IS NOT NULL \
               ORDER BY sweep, started_at, combination";
    let answer = block_on(lake.sql(sql))?.map_err(query_failure)?;
    let cautioned: Vec<Cautioned> = answer.typed("cautions").map_err(query_failure)?;
    let others = cautioned.len().saturating_sub(MOST_CAUTIONS);
    let shown = cautioned.into_iter().take(MOST_CAUTIONS).map(|cautioned| {
        format!("caution: {}: {}", cautioned.label.unwrap_or_default(), cautioned.cautions.unwrap_or_default())
    });
    let more = (others > 0).then(|| {
        format!(
            "caution: {others} more combinations have cautions; column cautions of table combinations lists them all"
        )
    });
    let unbounded = block_on(lake.unbounded_percentiles())?.map_err(query_failure)?;
    let unbounded = unbounded.into_iter().map(|unbounded| format!("note: {unbounded}"));
    let steady = block_on(lake.steady_states())?.map_err(query_failure)?;
    let steady = steady.into_iter().map(|steady| format!("note: {steady}"));
    Ok(apart.chain(shown).chain(more).chain(unbounded).chain(steady).collect())
}

/// More cautions than these nobody reads.
const MOST_CAUTIONS: usize = 10;

/// The column that says the same in every row about one sweep.
const SWEEP: &str = "sweep";

/// The answer without the columns that say in every row that all is well: a reader needs the room for the numbers.
fn telling(answer: Answer) -> Result<Answer, Failure> {
    answer.columns().iter().try_fold(answer, |answer, name| {
        let Some(usual) = usual(name) else { return Ok(answer) };
        let values = answer.column(name).map_err(query_failure)?;
        let is_well = values.iter().all(|value| [usual, ""].contains(&value.to_text().as_str()));
        Ok(if is_well { answer.without(name) } else { answer })
    })
}

/// The answer without the columns that hold nothing.
pub fn without_empty(answer: Answer) -> Result<Answer, Failure> {
    answer.columns().iter().try_fold(answer, |answer, name| {
        let values = answer.column(name).map_err(query_failure)?;
        let is_empty = values.iter().all(|value| value.to_text().is_empty());
        Ok(if is_empty { answer.without(name) } else { answer })
    })
}

/// Which settings are best, in words.
fn answer_lines(lake: &Lake) -> Result<Vec<String>, Failure> {
    let answers = block_on(answers(lake))?.map_err(report::failure)?;
    let lines = answers.into_iter().flat_map(|answer| {
        let heading = answer.sweep.map(|sweep| format!("{sweep}:"));
        heading.into_iter().chain(answer.sentences)
    });
    Ok(lines.collect())
}

/// The answer and the table of combinations of a sweep, as text.
pub fn summary_table(sweep: &Path) -> Result<String, Failure> {
    let lake = Lake::open(&[sweep.to_owned()]).map_err(query_failure)?;
    let settings = Settings::of(&lake)?;
    let sql = shipped::summary(&settings.columns());
    let answer = block_on(lake.sql(&sql))?.map_err(query_failure)?;
    let table = headed_table(&telling(answer.without(SWEEP))?).map_err(query_failure)?;
    let shared = settings.shared.map(|shared| format!("shared parameters: {shared}"));
    let lines = answer_lines(&lake)?.into_iter().chain(shared).chain([table]).chain(remarks(&lake)?);
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// The start-up times of a sweep, as text: whatever the command measured.
pub fn startup_table(sweep: &Path) -> Result<String, Failure> {
    let lake = Lake::open(&[sweep.to_owned()]).map_err(query_failure)?;
    let sql = block_on(lake.startup_summary())?.map_err(query_failure)?;
    table(sweep, &sql)
}

/// The answers to a sweep's SLAs, as text.
pub fn sla_table(sweep: &Path) -> Result<String, Failure> {
    let lake = Lake::open(&[sweep.to_owned()]).map_err(query_failure)?;
    let answer = block_on(lake.sql(&shipped::slas(&lake.gpu_hour_price_sql())))?.map_err(query_failure)?;
    // The variable is one in all rows: it stands above them, and the values beside their SLAs.
    let variable = answer.column("variable").map_err(query_failure)?.first().map(Value::to_text).unwrap_or_default();
    let table = plain_table(&without_empty(answer.without(SWEEP).without("variable"))?).map_err(query_failure)?;
    Ok(format!("Highest {variable} within each SLA:\n{table}"))
}

/// The failed runs of a sweep by cause, as text.
pub fn failures_table(sweep: &Path) -> Result<String, Failure> {
    let of = "CASE count(DISTINCT label) WHEN 1 THEN min(label) ELSE count(DISTINCT label) || ' combinations' END";
    let failed = shipped::FAILED_RUNS.fill(&[]);
    let grouped = "GROUP BY error_kind, error ORDER BY count(*) DESC, error_kind, error";
    table(sweep, &format!("SELECT error_kind, count(*) AS runs, {of} AS of, error FROM ({failed}) {grouped}"))
}

fn table(sweep: &Path, sql: &str) -> Result<String, Failure> {
    let lake = Lake::open(&[sweep.to_owned()]).map_err(query_failure)?;
    let answer = block_on(lake.sql(sql))?.map_err(query_failure)?;
    plain_table(&answer).map_err(query_failure)
}

fn print_facts(facts: &Answer) -> Result<(), Failure> {
    let columns = facts.columns();
    for row in facts.rows().map_err(query_failure)? {
        for (name, value) in columns.iter().zip(&row) {
            let text = value.to_text();
            if !text.is_empty() {
                out!("{name:18} {}", printable_line(&text));
            }
        }
        out!();
    }
    Ok(())
}
