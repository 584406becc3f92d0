//! `sweeplake doctor`: the checks that come before a sweep, and nothing else.

use super::places::Tenancy;
use super::serve::{self, Typed};
use super::{checks, job::Job, neighbours};
use crate::cli::say::out;
use crate::cli::{Ended, Failure};
use clap::Parser;
use std::ffi::OsString;
use std::path::Path;

#[derive(clap::Args)]
#[command(
    after_help = "With --neighbours, measures how much servers disturb each other that run side by side: the first combination of the \
                  flags alone, and beside as many copies of its server as there is room for (--slots, --gpus), in turn. \
                  Without flags, checks the machine. With the flags of `serve`, also checks that sweep, without starting anything. \
                  The same checks run before each sweep. Exits with 1 if there is any finding."
)]
pub struct Arguments {
    /// Measure how much servers that run at the same time on this machine disturb each other.
    #[arg(long, requires = "flags")]
    neighbours: bool,
    /// The flags that you would pass to `sweeplake serve`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    flags: Vec<OsString>,
}

fn typed(flags: Vec<OsString>) -> Result<serve::Arguments, Failure> {
    let words = std::iter::once(OsString::from("serve")).chain(flags);
    Ok(Typed::try_parse_from(words).map_err(Failure::input)?.arguments)
}

pub fn exec(arguments: Arguments) -> Ended {
    if arguments.neighbours {
        return neighbours::exec(serve::prepare_for(typed(arguments.flags)?, Job::Serve(None), Tenancy::Copies)?);
    }
    let remarks = match arguments.flags.is_empty() {
        true => checks::of_machine(Path::new("results"), 0),
        false => {
            // It is looked at as for a dry run: programs may be on the machine that it will run on, and not on this one.
            let sweep = serve::prepare(typed(arguments.flags)?.for_looking(), Job::Serve(None))?;
            sweep.warn_of_plan();
            sweep.missing_programs().chain(sweep.remarks()).collect()
        }
    };
    remarks.iter().for_each(|remark| out!("{remark}"));
    match remarks.len() {
        0 => {
            out!("all checks passed");
            Ok(())
        }
        count => Err(Failure::work(format!("{count} finding(s) would distort the results"))),
    }
}
