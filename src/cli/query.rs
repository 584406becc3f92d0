//! `sweeplake query`: SQL over sweeps and lakes.

use super::table::Output;
use super::{Ended, Failure, block_on, query_failure};
use crate::query::{Lake, NamedQuery};
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
    let (paths, sql) = question(&arguments)?;
    if arguments.show_sql {
        eprintln!("{sql}");
    }
    let lake = Lake::open(&paths).map_err(query_failure)?;
    let answer = block_on(lake.sql(&sql))?.map_err(query_failure)?;
    arguments.output.write(&answer)
}

fn list() {
    for query in NamedQuery::all() {
        let parameters = query.parameters.iter().map(|name| format!(" --param {name}=…")).collect::<String>();
        println!("{}{parameters}\n    {}", query.name, query.description);
    }
}

fn question(arguments: &Arguments) -> Result<(Vec<PathBuf>, String), Failure> {
    let mut words = arguments.words.clone();
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
    Ok((words.into_iter().map(PathBuf::from).collect(), sql))
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}
