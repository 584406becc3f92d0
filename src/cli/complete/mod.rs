//! What a shell offers while a command is typed: the sweeps, tags, columns, metrics, tables and queries of the lakes that the line
//! names, else of `results`. Nothing is offered where a lake can't be read: a completion never prints an error.

mod offers;
mod typed;

use clap::{Arg, Command};
use clap_complete::engine::ArgValueCompleter;
use clap_complete::env::CompleteEnv;
use offers::Offers;

/// The variable by which a shell asks for completions instead of running the program.
pub const VARIABLE: &str = "SWEEPLAKE_COMPLETE";

/// Answers a shell that asks, and ends the program; returns where no shell asked.
pub fn answer(command: fn() -> Command) {
    CompleteEnv::with_factory(move || offering(command())).var(VARIABLE).complete();
}

/// The command line with what may stand for each value, by the value's name in `--help`.
fn offering(command: Command) -> Command {
    command.mut_subcommands(|subcommand| {
        let is_by_name =
            subcommand.get_arguments().any(|arg| arg.get_id() == "lake" && arg.get_value_names().is_some());
        let name = subcommand.get_name().to_owned();
        subcommand.mut_args(|arg| match offers_of(&name, &arg, is_by_name) {
            Some(offers) => arg.add(ArgValueCompleter::new(offers)),
            None => arg,
        })
    })
}

/// What is offered for an argument. Sub-commands that are told their lake by a flag take names of sweeps, the others their paths.
fn offers_of(subcommand: &str, arg: &Arg, is_by_name: bool) -> Option<Offers> {
    let name = arg.get_value_names()?.first()?.as_str();
    match name {
        "SWEEP" | "SWEEP|PATTERN" if is_by_name && subcommand != "report" => Some(Offers::Names),
        "SWEEP" | "LAKE|SWEEP" | "EXPERIMENT_DIR" => Some(Offers::Folders),
        "LAKE" | "LAKE… SQL" | "DIR" => Some(Offers::Directories),
        "COLUMN" | "COLUMN,…" | "[-]COLUMN" if subcommand == "show" => Some(Offers::Columns("combinations")),
        "COLUMN" | "COLUMN,…" | "[-]COLUMN" | "X" | "Y" | "VAR" | "VAR,…" => Some(Offers::Columns("runs")),
        "METRIC" | "METRIC,…" | "METRIC[:min|:max]" | "METRIC:max|min" | "METRIC:MS" => Some(Offers::Metrics),
        "QUERY" => Some(Offers::Queries),
        "TABLE" => Some(Offers::Tables),
        _ => None,
    }
}
