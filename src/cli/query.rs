//! `sweeplake query`: SQL over sweeps and lakes.

use super::table::Output;
use super::{Ended, Failure, block_on, query_failure};
use crate::query::{Grouping, Lake, NamedQuery};
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(
    after_help = "Tables: sweeps, runs, requests, combinations, sla, sla_history. `DESCRIBE runs` lists columns.\n\
                  A query that ships: sweeplake query LAKE --name best --param sla=500; --list tells all."
)]
pub struct Arguments {
    /// Sweeps and lakes, and behind them the SQL (unless it is given with --file or --name).
    #[arg(required_unless_present = "list", value_name = "LAKE… SQL")]
    words: Vec<String>,
    /// Read the SQL from a file.
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    file: Option<PathBuf>,
    /// Ask a query that ships.
    #[arg(long, value_name = "QUERY")]
    name: Option<String>,
    /// A parameter of that query; may be given again.
    #[arg(long = "param", value_name = "NAME=VALUE", requires = "name", value_parser = parameter)]
    params: Vec<(String, String)>,
    /// Without SQL: keep only these runs, as in `plot`.
    #[arg(long, value_name = "CONDITIONS", conflicts_with_all = ["file", "name"])]
    filter_by: Option<String>,
    /// Without SQL: a row for each combination of these variables' values.
    #[arg(long, value_delimiter = ',', value_name = "VAR,…", conflicts_with_all = ["file", "name"])]
    group_by: Vec<String>,
    /// Without SQL: the numbers of each row: 'mean(p99_e2el_ms),max(output_throughput)'.
    #[arg(long, value_name = "FUNCTION(METRIC),…", conflicts_with_all = ["file", "name"])]
    metrics: Option<String>,
    /// List the queries that ship, with their parameters.
    #[arg(long)]
    list: bool,
    /// Print the SQL before the answer, to stderr.
    #[arg(long)]
    show_sql: bool,
    #[command(flatten)]
    output: Output,
}

pub fn exec(arguments: Arguments) -> Ended {
    if arguments.list {
        list();
        return Ok(());
    }
    let (lake, sql) = question(&arguments)?;
    if arguments.show_sql {
        eprintln!("{sql}");
    }
    let answer = block_on(lake.sql(&sql))?.map_err(query_failure)?;
    arguments.output.write(&answer)
}

fn list() {
    for query in NamedQuery::all() {
        let parameters = query.parameters.iter().map(|name| format!(" --param {name}=…")).collect::<String>();
        println!("{}{parameters}\n    {}", query.name, query.description);
    }
}

fn question(arguments: &Arguments) -> Result<(Lake, String), Failure> {
    let mut words = arguments.words.clone();
    let open = |words: Vec<String>| {
        let paths: Vec<PathBuf> = words.into_iter().map(PathBuf::from).collect();
        Lake::open(&paths).map_err(query_failure)
    };
    if let Some(grouping) = grouping(arguments) {
        let lake = open(words)?;
        let sql = block_on(grouping.sql(&lake))?.map_err(query_failure)?;
        return Ok((lake, sql));
    }
    let sql = match (&arguments.name, &arguments.file) {
        (Some(name), _) => {
            NamedQuery::find(name).and_then(|query| query.sql(&arguments.params)).map_err(query_failure)?
        }
        (None, Some(path)) => std::fs::read_to_string(path)
            .map_err(|error| Failure::input(format!("--file: {}: {error}", path.display())))?,
        (None, None) if words.len() < 2 => {
            return Err(Failure::input("give the SQL behind the lake: sweeplake query LAKE \"SELECT …\""));
        }
        (None, None) => words.pop().unwrap_or_default(),
    };
    Ok((open(words)?, sql))
}

/// The question that flags ask without SQL.
fn grouping(arguments: &Arguments) -> Option<Grouping> {
    let is_asked = arguments.filter_by.is_some() || !arguments.group_by.is_empty() || arguments.metrics.is_some();
    is_asked.then(|| Grouping {
        filter_by: arguments.filter_by.clone().unwrap_or_default(),
        group_by: arguments.group_by.clone(),
        metrics: arguments.metrics.clone().unwrap_or_default(),
    })
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}
