//! `sweeplake list`: the sweeps of a lake, the newest first.

use super::table::Output;
use super::{Ended, block_on, query_failure};
use crate::query::Lake;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(default_value = "results", value_name = "LAKE")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    output: Output,
}

const SQL: &str = include_str!("../../queries/list.sql");

pub fn exec(arguments: Arguments) -> Ended {
    let lake = Lake::open(&arguments.paths).map_err(query_failure)?;
    let answer = block_on(lake.sql(SQL))?.map_err(query_failure)?;
    arguments.output.write(&answer)
}
