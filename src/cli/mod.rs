//! The command line: one file for each sub-command, and the words and exit codes of every error.

mod advice;
mod bench;
mod board;
mod color;
mod command_line;
mod compact;
mod compare;
mod complete;
mod completions;
mod explain;
mod help;
mod import;
mod lake;
mod list;
mod man;
mod mv;
mod next;
mod note;
mod pager;
mod picture;
mod plot;
mod plot_pareto;
mod query;
mod report;
mod rm;
mod run;
mod say;
mod shape;
mod shell;
mod show;
mod sim;
mod sla;
mod sla_params;
mod sla_requests;
mod submit;
mod table;
mod tag;
mod terminal;
mod trend;
mod verify;
mod watch;
mod worker;

use crate::cli::say::say;
use crate::query::QueryError;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use nix::sys::signal::{SigHandler, Signal};
use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::Duration;

/// Parameter sweeps for LLM servers: run, store, query, show and compare.
#[derive(Parser)]
#[command(name = "sweeplake", version, infer_long_args = true, args_override_self = true, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 success, 1 failure, 2 invalid command line or input file, \
                        130 interrupted. Results go to stdout, everything else to stderr.")]
struct Arguments {
    /// When to use color in tables.
    #[arg(long, global = true, value_enum, default_value_t, hide_default_value = true, value_name = "WHEN")]
    color: color::Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a server with each set of parameters, under each load.
    Serve(run::serve::Arguments),
    /// Find the highest load at which each combination meets an SLA.
    #[command(name = "serve_sla", alias = "serve-sla")]
    ServeSla(run::serve_sla::Arguments),
    /// Find the frontier of a space too large to measure.
    #[command(name = "serve_tune", alias = "serve-tune")]
    ServeTune(run::serve_tune::Arguments),
    /// Measure each combination from serial to full load.
    #[command(name = "serve_workload", alias = "serve-workload")]
    ServeWorkload(run::serve_workload::Arguments),
    /// Measure how an engine starts with each set of parameters.
    Startup(run::startup::Arguments),
    /// A/B test two servers until it is clear which is better.
    Ab(run::ab::Arguments),
    /// Submit a sweep to Slurm or Kubernetes, for many nodes.
    Submit(submit::Arguments),
    /// Try the whole workflow on a simulated server (about a minute).
    Demo(run::demo::Arguments),
    /// Check a machine and a planned sweep for what distorts results.
    Doctor(run::doctor::Arguments),
    /// Write one self-contained HTML report about sweeps.
    Report(report::Arguments),
    /// Show a sweep's details and a table of its combinations.
    Show(show::Arguments),
    /// Explain what limited each run, with the evidence.
    Explain(explain::Arguments),
    /// Evaluate SLAs against stored runs, without running anything.
    Sla(sla::Arguments),
    /// Compare sweeps; exit with 1 when a gate fails.
    Compare(compare::Arguments),
    /// Tag a sweep, so that others can be compared with it.
    Tag(tag::Arguments),
    /// Attach a note to a sweep.
    Note(note::Arguments),
    /// Rename a sweep.
    Mv(mv::Arguments),
    /// Remove sweeps.
    Rm(rm::Arguments),
    /// Check all files of a lake for damage and leftovers.
    Verify(verify::Arguments),
    /// Watch a running sweep from another terminal.
    Watch(watch::Arguments),
    /// Draw performance curves of sweeps.
    Plot(plot::Arguments),
    /// Draw the Pareto frontier of sweeps, and print it.
    #[command(name = "plot_pareto", alias = "plot-pareto")]
    PlotPareto(plot_pareto::Arguments),
    /// Query sweeps with SQL.
    Query(query::Arguments),
    /// Answer parts of queries that other machines ask.
    Worker(worker::Arguments),
    /// Import results of SGLang, guidellm, AIPerf and other tools.
    Import(import::Arguments),
    /// Merge the many small files of a lake into a few large ones.
    Compact(compact::Arguments),
    /// List the sweeps of a lake.
    List(list::Arguments),
    /// Benchmark an OpenAI-compatible server, like `vllm bench serve`.
    Bench(Box<bench::Arguments>),
    /// Run a simulated LLM server: real HTTP, real time, no GPU.
    Sim(sim::Arguments),
    /// Print a script that completes commands in a shell.
    Completions(completions::Arguments),
    /// Write manual pages.
    Man(man::Arguments),
    /// End what a killed sweep left behind (started by sweeps, not by people).
    #[command(hide = true)]
    Keeper,
}

impl Command {
    /// Whether nothing is lost when the command ends at once.
    fn only_reads(&self) -> bool {
        match self {
            Self::Serve(arguments) => arguments.common.is_dry(),
            Self::Startup(arguments) => arguments.common.is_dry(),
            Self::Ab(arguments) => arguments.common.is_dry(),
            Self::ServeSla(_) | Self::ServeTune(_) | Self::ServeWorkload(_) => false,
            Self::Demo(_)
            | Self::Submit(_)
            | Self::Bench(_)
            | Self::Sim(_)
            | Self::Worker(_)
            | Self::Import(_)
            | Self::Compact(_)
            | Self::Keeper => false,
            Self::Tag(_) | Self::Note(_) | Self::Mv(_) | Self::Rm(_) | Self::Verify(_) | Self::Man(_) => false,
            _ => true,
        }
    }
}

/// `sweeplake query … | head` is no error: as in other tools, the signal of a closed pipe ends the program.
#[expect(unsafe_code, reason = "a signal gets its default action")]
fn end_quietly_when_the_reader_goes() {
    // SAFETY: the default action is no handler of ours.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}

/// How a command can end other than well.
#[derive(Debug)]
enum Failure {
    /// The command line or an input file is wrong.
    Input(String),
    /// The work itself failed.
    Work(String),
    Interrupted,
}

type Ended = Result<(), Failure>;

impl Failure {
    fn input(error: impl Display) -> Self {
        Self::Input(error.to_string())
    }

    fn work(error: impl Display) -> Self {
        Self::Work(error.to_string())
    }

    /// What is said of it.
    fn message(&self) -> &str {
        match self {
            Self::Input(message) | Self::Work(message) => message,
            Self::Interrupted => "interrupted",
        }
    }
}

/// The command line as it presents itself.
fn presented() -> clap::Command {
    help::dressed(Arguments::command())
}

/// Runs the program and tells its exit code.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    complete::answer(presented);
    let typed = presented().try_get_matches_from(command_line::normalized(arguments));
    let arguments = match typed.and_then(|typed| Arguments::from_arg_matches(&typed)) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    color::choose(arguments.color);
    if arguments.command.only_reads() {
        end_quietly_when_the_reader_goes();
    }
    let ended = match arguments.command {
        Command::Serve(arguments) => run::serve::exec(arguments),
        Command::ServeSla(arguments) => run::serve_sla::exec(arguments),
        Command::ServeTune(arguments) => run::serve_tune::exec(arguments),
        Command::ServeWorkload(arguments) => run::serve_workload::exec(arguments),
        Command::Startup(arguments) => run::startup::exec(arguments),
        Command::Submit(arguments) => submit::exec(arguments),
        Command::Ab(arguments) => run::ab::exec(arguments),
        Command::Demo(arguments) => run::demo::exec(arguments),
        Command::Doctor(arguments) => run::doctor::exec(arguments),
        Command::Report(arguments) => report::exec(arguments),
        Command::Show(arguments) => show::exec(arguments),
        Command::Explain(arguments) => explain::exec(arguments),
        Command::Sla(arguments) => sla::exec(arguments),
        Command::Compare(arguments) => compare::exec(arguments),
        Command::Tag(arguments) => tag::exec(arguments),
        Command::Note(arguments) => note::exec(arguments),
        Command::Mv(arguments) => mv::exec(arguments),
        Command::Rm(arguments) => rm::exec(arguments),
        Command::Verify(arguments) => verify::exec(arguments),
        Command::Watch(arguments) => watch::exec(arguments),
        Command::Plot(arguments) => plot::exec(arguments),
        Command::PlotPareto(arguments) => plot_pareto::exec(arguments),
        Command::Query(arguments) => query::exec(arguments),
        Command::Worker(arguments) => worker::exec(arguments),
        Command::Import(arguments) => import::exec(arguments),
        Command::Compact(arguments) => compact::exec(arguments),
        Command::List(arguments) => list::exec(arguments),
        Command::Bench(arguments) => bench::exec(*arguments),
        Command::Sim(arguments) => sim::exec(arguments),
        Command::Completions(arguments) => completions::exec(arguments),
        Command::Man(arguments) => man::exec(arguments),
        Command::Keeper => {
            crate::exec::keep(std::io::stdin().lock());
            Ok(())
        }
    };
    let (message, code) = match ended {
        Ok(()) if say::is_result_lost() => (Some("the result could not be written to stdout".to_owned()), 1),
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Input(message)) => (Some(message), 2),
        Err(Failure::Work(message)) => (Some(message), 1),
        Err(Failure::Interrupted) => (None, 130),
    };
    if let Some(message) = message.filter(|message| !message.is_empty()) {
        say!("error: {message}");
    }
    ExitCode::from(code)
}

/// A query that is wrong is an input; one that broke is work that failed.
fn query_failure(error: QueryError) -> Failure {
    let text = advice::of_query(&error);
    if error.is_input() { Failure::Input(text) } else { Failure::Work(text) }
}

/// What can be a number of seconds, a rate or a factor: everything else overflows somewhere.
const SENSIBLE: RangeInclusive<f64> = 1e-9..=1e9;

/// A number greater than zero, for a flag.
fn positive_number(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if SENSIBLE.contains(&number) => Ok(number),
        Ok(number) if number > 0.0 => Err(out_of_range()),
        _ => Err("expected a number greater than 0".into()),
    }
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number == 0.0 || SENSIBLE.contains(&number) => Ok(number),
        Ok(number) if number > 0.0 => Err(out_of_range()),
        _ => Err("expected a number greater than or equal to 0".into()),
    }
}

fn out_of_range() -> String {
    format!("expected a number from {:e} to {:e}", SENSIBLE.start(), SENSIBLE.end())
}

/// What a thread has for the expressions of a query, which call themselves for each operator.
const STACK: usize = 16 << 20;

/// Runs an asynchronous command on this thread's runtime.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.thread_stack_size(STACK).enable_all().build().map_err(Failure::work)?;
    let value = runtime.block_on(future);
    // A read that hangs has been given up, and its thread with it.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(value)
}
