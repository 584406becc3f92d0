//! `sweeplake query`: SQL over sweeps and lakes.

use super::lake::{Opening, tell};
use super::table::Output;
use super::worker::{WorkersFlags, bytes};
use super::{Ended, Failure, block_on, query_failure, shell};
use crate::cli::say::{out, say};
use crate::query::{Grouping, Lake, NamedQuery};
use bytesize::ByteSize;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(
    after_help = "Tables: sweeps, runs, requests, telemetry, combinations, sla, sla_history, dropped, tune_history; `DESCRIBE runs` lists columns and units.\n\
                  To run a built-in query: sweeplake query LAKE --name best --param limit=500; --list shows all of them.\n\
                  SQL files in LAKE/queries/ are named queries, too: a header of comments says what they answer, and `-- Defaults: a = 1` gives\n\
                  their parameters values."
)]
pub struct Arguments {
    /// Sweeps or lakes (also s3://, gs:// and az://), followed by the SQL unless --file or --name supplies it.
    /// Without SQL, starts an interactive shell, or executes the statements on stdin.
    #[arg(required_unless_present = "list", value_name = "LAKE… SQL")]
    words: Vec<String>,
    /// Read the SQL from a file.
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    file: Option<PathBuf>,
    /// Run a query by name: a built-in one, or LAKE/queries/QUERY.sql.
    #[arg(long, value_name = "QUERY")]
    name: Option<String>,
    /// Set a parameter, {NAME} in the SQL of --name or --file. May be repeated.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    params: Vec<(String, String)>,
    /// Without SQL: keep only matching runs, as in `plot`.
    #[arg(long, value_name = "CONDITIONS", conflicts_with_all = ["file", "name"])]
    filter_by: Option<String>,
    /// Without SQL: return one row for each combination of these variables' values.
    #[arg(long, value_delimiter = ',', value_name = "VAR,…", conflicts_with_all = ["file", "name"])]
    group_by: Vec<String>,
    /// Without SQL: the values to compute for each row: 'mean(p99_e2el_ms),max(output_throughput)'.
    #[arg(long, value_name = "FUNCTION(METRIC),…", conflicts_with_all = ["file", "name"])]
    metrics: Option<String>,
    /// List the named queries with their parameters: built-in ones, and those of the lakes that are given.
    #[arg(long)]
    list: bool,
    /// Memory limit of a query (2GiB, 500MB); anything beyond it spills to temporary files. Default: three quarters of
    /// the machine's memory.
    #[arg(long, value_name = "BYTES")]
    memory_limit: Option<ByteSize>,
    /// Print the SQL to stderr before the result.
    #[arg(long)]
    show_sql: bool,
    #[command(flatten)]
    workers: WorkersFlags,
    #[command(flatten)]
    opening: Opening,
    #[command(flatten)]
    output: Output,
}

pub fn exec(arguments: Arguments) -> Ended {
    if arguments.list {
        list(&arguments);
        return Ok(());
    }
    arguments.output.kind()?;
    let (lake, sql) = question(&arguments)?;
    tell(&lake);
    let Some(sql) = sql else { return shell::run(lake, arguments.output) };
    if !arguments.params.is_empty() && arguments.name.is_none() && arguments.file.is_none() {
        return Err(Failure::input("--param: only with --name or --file"));
    }
    if arguments.show_sql {
        say!("{sql}");
    }
    let ended = block_on(async {
        let rows = lake.rows(&sql).await.map_err(query_failure)?;
        arguments.output.write_rows(rows).await
    })?;
    tell(&lake);
    ended
}

fn list(arguments: &Arguments) {
    for query in NamedQuery::known(&lakes(&arguments.words)) {
        let parameters = query.parameters.iter().map(|parameter| match &parameter.default {
            Some(default) => format!(" [--param {}={default}]", parameter.name),
            None => format!(" --param {}=…", parameter.name),
        });
        let parameters = parameters.collect::<String>();
        let from = query.file.as_deref().map(|file| format!(" ({})", file.display())).unwrap_or_default();
        out!("{}{parameters}{from}\n    {}", query.name, query.description);
    }
}

/// The lake, and what is asked; nothing, if a shell is wanted.
fn question(arguments: &Arguments) -> Result<(Lake, Option<String>), Failure> {
    let mut words = arguments.words.clone();
    let open = |words: Vec<String>| {
        let paths: Vec<PathBuf> = words.into_iter().map(PathBuf::from).collect();
        let memory_limit = arguments.memory_limit.map(bytes);
        arguments.opening.open_on(&paths, memory_limit, arguments.workers.find()?)
    };
    if let Some(grouping) = grouping(arguments) {
        let lake = open(words)?;
        let sql = block_on(grouping.sql(&lake))?.map_err(query_failure)?;
        return Ok((lake, Some(sql)));
    }
    let sql = match (&arguments.name, &arguments.file) {
        (Some(name), _) => {
            let query = NamedQuery::find(name, &lakes(&words)).map_err(query_failure)?;
            if query.file.is_some() && NamedQuery::all().iter().any(|shipped| shipped.name == *name) {
                let file = query.file.as_deref().unwrap_or(Path::new(""));
                say!("note: {}: used instead of the built-in query {name}", file.display());
            }
            query.sql(&arguments.params).map_err(query_failure)?
        }
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::input(format!("--file: {}: {error}", path.display())))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            NamedQuery::of_text(&name, &text).sql(&arguments.params).map_err(query_failure)?
        }
        // A path has no spaces, or is there.
        (None, None)
            if !words.last().is_some_and(|word| word.contains(char::is_whitespace) && !Path::new(word).exists()) =>
        {
            return Ok((open(words)?, None));
        }
        (None, None) => words.pop().unwrap_or_default(),
    };
    if words.is_empty() {
        return Err(Failure::input("no lake given; expected: sweeplake query LAKE \"SELECT …\""));
    }
    Ok((open(words)?, Some(sql)))
}

fn lakes(words: &[String]) -> Vec<PathBuf> {
    words.iter().map(PathBuf::from).collect()
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
