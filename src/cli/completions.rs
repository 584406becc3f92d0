//! `sweeplake completions`: the script that makes a shell ask this program what may come next.

use super::complete::VARIABLE;
use super::{Ended, Failure};
use clap_complete::Shell;
use clap_complete::env::Shells;
use std::io::Write;

#[derive(clap::Args)]
pub struct Arguments {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub fn exec(arguments: Arguments) -> Ended {
    let shells = Shells::builtins();
    let shell = shells.completer(&arguments.shell.to_string());
    let shell = shell.ok_or_else(|| Failure::input(format!("{}: not supported", arguments.shell)))?;
    let mut script = Vec::new();
    if let Shell::Bash = arguments.shell {
        // Otherwise `--metrics=p99` is three words to it, of which the program sees the last.
        script.extend_from_slice(b"COMP_WORDBREAKS=${COMP_WORDBREAKS//=}\n");
    }
    let name = env!("CARGO_PKG_NAME");
    shell.write_registration(VARIABLE, name, name, name, &mut script).map_err(Failure::work)?;
    std::io::stdout().write_all(&script).map_err(Failure::work)
}
