//! `sweeplake list`: the sweeps of a lake, the newest first.

use super::lake::Opening;
use super::shape::Shape;
use super::table::Output;
use super::{Ended, block_on, query_failure};
use crate::query::shipped;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// Lakes (or sweeps).
    #[arg(default_value = "results", value_name = "LAKE")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    shape: Shape,
    #[command(flatten)]
    opening: Opening,
    #[command(flatten)]
    output: Output,
}

pub fn exec(arguments: Arguments) -> Ended {
    arguments.output.kind()?;
    arguments.opening.with(&arguments.paths, |lake| {
        let sql = arguments.shape.of(&shipped::LIST.fill(&[]));
        arguments.output.write(&block_on(lake.sql(&sql))?.map_err(query_failure)?)
    })
}
