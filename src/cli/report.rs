//! `sweeplake report`: one HTML file about one or more sweeps.

use super::{Ended, Failure, block_on, plot, query_failure};
use crate::query::Lake;
use crate::report::{ReportError, render};
use crate::store::{REPORT, write_bytes_atomically};
use chrono::Local;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    /// Sweeps (or lakes).
    #[arg(required = true, value_name = "SWEEP")]
    sweeps: Vec<PathBuf>,
    /// Default: report.html in the (first) sweep's folder.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The page's title.
    #[arg(long)]
    title: Option<String>,
}

pub fn exec(arguments: Arguments) -> Ended {
    let path = arguments.output.unwrap_or_else(|| arguments.sweeps[0].join(REPORT));
    write(&arguments.sweeps, arguments.title, &path)?;
    println!("{}", path.display());
    Ok(())
}

/// Writes the report of sweeps to a file.
pub fn write(sweeps: &[PathBuf], title: Option<String>, path: &Path) -> Result<(), Failure> {
    let lake = Lake::open(sweeps).map_err(query_failure)?;
    let names = lake.sweeps().iter().map(|sweep| sweep.name.as_str()).collect::<Vec<_>>().join(", ");
    let title = title.unwrap_or_else(|| format!("Sweep {names}"));
    let html = block_on(render(&lake, &title, Local::now()))?.map_err(failure)?;
    write_bytes_atomically(path, html.as_bytes()).map_err(Failure::input)
}

fn failure(error: ReportError) -> Failure {
    match error {
        ReportError::Query(error) => query_failure(error),
        ReportError::Plot(error) => plot::plot_failure(error),
        ReportError::Template(_) => Failure::work(error),
    }
}
