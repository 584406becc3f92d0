//! `sweeplake query`: SQL over sweeps and lakes.

use super::table::Output;
use super::{Ended, Failure, block_on, query_failure};
use crate::query::Lake;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Tables: sweeps, runs, requests, combinations. `DESCRIBE runs` lists columns.")]
pub struct Arguments {
    /// Sweeps and lakes, and behind them the SQL (unless it is given with --file).
    #[arg(required = true, value_name = "LAKE… SQL")]
    words: Vec<String>,
    /// Read the SQL from a file.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

pub fn exec(arguments: Arguments) -> Ended {
    let (paths, sql) = split(arguments.words, arguments.file)?;
    let lake = Lake::open(&paths).map_err(query_failure)?;
    let answer = block_on(lake.sql(&sql))?.map_err(query_failure)?;
    arguments.output.write(&answer)
}

fn split(mut words: Vec<String>, file: Option<PathBuf>) -> Result<(Vec<PathBuf>, String), Failure> {
    let sql = match file {
        Some(path) => std::fs::read_to_string(&path)
            .map_err(|error| Failure::input(format!("--file: {}: {error}", path.display())))?,
        None if words.len() < 2 => {
            return Err(Failure::input("give the SQL behind the lake: sweeplake query LAKE \"SELECT …\""));
        }
        None => words.pop().unwrap_or_default(),
    };
    Ok((words.into_iter().map(PathBuf::from).collect(), sql))
}
