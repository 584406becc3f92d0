//! `sweeplake show`: a sweep's facts and its combinations.

use super::table::{Output, plain_table};
use super::{Ended, Failure, block_on, query_failure};
use crate::query::{Answer, FAILURES, Lake, SLAS, SUMMARY};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(required = true, value_name = "SWEEP")]
    sweeps: Vec<PathBuf>,
    #[command(flatten)]
    output: Output,
}

pub fn exec(arguments: Arguments) -> Ended {
    let lake = Lake::open(&arguments.sweeps).map_err(query_failure)?;
    let (facts, summary) = block_on(async { (lake.sql("SELECT * FROM sweeps").await, lake.sql(SUMMARY).await) })?;
    if arguments.output.format.is_none() && arguments.output.output.is_none() && std::io::stdout().is_terminal() {
        print_facts(&facts.map_err(query_failure)?);
    }
    let summary = summary.map_err(query_failure)?;
    let is_one = lake.sweeps().len() == 1;
    arguments.output.write(&if is_one { summary.without(SWEEP) } else { summary })
}

/// The column that says the same in every row about one sweep.
const SWEEP: &str = "sweep";

/// The table of combinations of a sweep, as text.
pub fn summary_table(sweep: &Path) -> Result<String, Failure> {
    Ok(plain_table(&answer(sweep, SUMMARY)?.without(SWEEP)))
}

/// The start-up times of a sweep, as text: whatever the command measured.
pub fn startup_table(sweep: &Path) -> Result<String, Failure> {
    let lake = Lake::open(&[sweep.to_owned()]).map_err(query_failure)?;
    let sql = block_on(lake.startup_summary())?.map_err(query_failure)?;
    table(sweep, &sql)
}

/// The answers to a sweep's SLAs, as text.
pub fn sla_table(sweep: &Path) -> Result<String, Failure> {
    table(sweep, SLAS)
}

/// The table of failed runs of a sweep, as text.
pub fn failures_table(sweep: &Path) -> Result<String, Failure> {
    table(sweep, &format!("SELECT serve, bench, run_number, error_kind, error FROM ({FAILURES})"))
}

fn table(sweep: &Path, sql: &str) -> Result<String, Failure> {
    Ok(plain_table(&answer(sweep, sql)?))
}

fn answer(sweep: &Path, sql: &str) -> Result<Answer, Failure> {
    let lake = Lake::open(&[sweep.to_owned()]).map_err(query_failure)?;
    block_on(lake.sql(sql))?.map_err(query_failure)
}

fn print_facts(facts: &Answer) {
    let columns = facts.columns();
    for row in facts.rows() {
        for (name, value) in columns.iter().zip(&row) {
            let text = value.to_text();
            if !text.is_empty() {
                println!("{name:18} {text}");
            }
        }
        println!();
    }
}
