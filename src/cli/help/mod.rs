//! What `--help` adds to the flags themselves: sub-commands in groups, flags under headings, examples, and a short form for `-h`.

mod examples;
mod headings;

use clap::builder::StyledStr;
use clap::{Arg, Command};
use examples::examples_of;
use headings::heading_of;
use std::fmt::Write;

/// The sub-commands, by what they are for.
pub const GROUPS: [(&str, &[&str]); 6] = [
    ("Run", &["serve", "serve_sla", "serve_tune", "serve_workload", "startup", "ab", "submit", "demo"]),
    ("Query", &["query", "show", "explain", "list", "sla"]),
    ("Look", &["report", "plot", "plot_pareto", "watch"]),
    ("Compare", &["compare", "tag", "note"]),
    ("Keep", &["import", "compact", "verify", "mv", "rm"]),
    ("Tools", &["doctor", "bench", "sim", "worker", "completions", "man"]),
];

/// The command line as it presents itself.
pub fn dressed(command: Command) -> Command {
    let groups = grouped(&command);
    let command = command.mut_subcommands(|subcommand| {
        let examples = examples_of(subcommand.get_name());
        let more = subcommand.get_after_help().map(ToString::to_string);
        let name = subcommand.get_name().to_owned();
        let subcommand =
            subcommand.mut_args(|arg| hidden_where_refused(&name, short_and_long(under_heading(&name, arg))));
        match examples {
            None => subcommand,
            Some(examples) => {
                let texts = [Some(examples), more].into_iter().flatten();
                subcommand.after_long_help(texts.collect::<Vec<_>>().join("\n\n"))
            }
        }
    });
    command.mut_args(short_and_long).help_template(format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}{{after-help}}"
    ))
}

/// The list of sub-commands.
fn grouped(command: &Command) -> String {
    let mut text = String::new();
    for (group, names) in GROUPS {
        let _ = writeln!(text, "{group}:");
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {name:14}  {about}");
        }
        text.push('\n');
    }
    text
}

fn under_heading(subcommand: &str, arg: Arg) -> Arg {
    let is_empty = arg.get_default_values().first().is_some_and(|value| value.is_empty());
    let arg = if is_empty { arg.hide_default_value(true) } else { arg };
    match (arg.is_positional(), heading_of(subcommand, arg.get_id().as_str())) {
        (false, Some(heading)) if arg.get_help_heading().is_none() => arg.help_heading(heading),
        _ => arg,
    }
}

/// What flags that several sub-commands share say where they are for `serve` alone.
const SERVE_ONLY: &str = "(serve only";

/// A flag that a sub-command refuses is not in its help.
fn hidden_where_refused(subcommand: &str, arg: Arg) -> Arg {
    let is_of_serve = |text: Option<&StyledStr>| text.is_some_and(|text| text.to_string().contains(SERVE_ONLY));
    let is_refused = subcommand != "serve" && (is_of_serve(arg.get_help()) || is_of_serve(arg.get_long_help()));
    if is_refused { arg.hide(true) } else { arg }
}

/// The first sentence for `-h`, all of it for `--help`.
fn short_and_long(arg: Arg) -> Arg {
    let Some(help) = arg.get_help().map(ToString::to_string) else { return arg };
    match help.split_once(". ") {
        Some((first, _)) if arg.get_long_help().is_none() => arg.help(first.to_owned()).long_help(help),
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Arguments;
    use clap::CommandFactory;
    use std::collections::BTreeSet;

    /// What a flag can take, in words that mean something.
    const VALUES: &[&str] = &[
        "[-]COLUMN",
        "ADDRESS",
        "BACKEND",
        "BYTES",
        "CI",
        "COLUMN",
        "COLUMN,…",
        "COMMAND",
        "CONDITION",
        "CONDITIONS",
        "DIR",
        "DIR|URL",
        "DISTRIBUTION",
        "DPI",
        "DURATION",
        "DURATION|RUNS",
        "FACTOR",
        "FILE",
        "FILE|SQL",
        "FORMAT",
        "FROM,TO",
        "FUNCTION(METRIC),…",
        "GATE",
        "HOST",
        "HOST:PORT,…",
        "ID",
        "INCHES",
        "JSON",
        "KEY",
        "KEY=VALUE",
        "KIND",
        "LAKE",
        "LOAD",
        "METRIC",
        "METRIC,…",
        "GPU,…",
        "WHEN-IDLE",
        "I/N",
        "METRIC:max|min",
        "METRIC:MS",
        "METHOD",
        "MODE",
        "MS",
        "MS,…",
        "METRIC[:min|:max]",
        "N",
        "N,…",
        "NAME",
        "NAME,…",
        "NAME=SQL",
        "NAME=VALUE",
        "NAME=VALUES",
        "NUMBER",
        "ORDER",
        "PALETTE",
        "PATH",
        "PERCENT,…",
        "PLACE",
        "POINTER",
        "POINTS",
        "PORT",
        "PREFIX",
        "QUERY",
        "RATE",
        "RATE,…",
        "RATIO",
        "REGEX",
        "RESULT",
        "SCALE",
        "SECONDS",
        "SECONDS|PERCENT",
        "SEED",
        "SHARE",
        "SIZES",
        "SLA",
        "SPACING",
        "SQL",
        "STRATEGY",
        "STYLE",
        "SWEEP|PATTERN",
        "TABLE",
        "TEXT",
        "THEME",
        "TOKENS",
        "URL",
        "USD",
        "VAR",
        "WHAT",
        "X",
        "Y",
        "VAR%SIZE,…",
        "VAR,…",
        "VAR=TEXT",
        "VAR=UNIT",
        "VAR=VAR,…",
        "WHEN",
    ];

    fn all() -> Command {
        let mut command = dressed(Arguments::command());
        command.build();
        command
    }

    fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
        command
            .get_arguments()
            .filter(|arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str()))
    }

    #[test]
    fn every_sub_command_is_in_one_group_and_has_examples() {
        let command = all();
        let named: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let known: Vec<&str> =
            command.get_subcommands().filter(|command| !command.is_hide_set()).map(Command::get_name).collect();
        let known: Vec<&str> = known.into_iter().filter(|name| *name != "help").collect();
        assert_eq!(named.len(), known.len());
        assert_eq!(named.iter().collect::<BTreeSet<_>>(), known.iter().collect());
        for name in named {
            let own = command.find_subcommand(name).unwrap();
            // The list of sub-commands fits 80 columns.
            let about = own.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(about.chars().count() <= 80 - 18, "{name}: {about}");
            let long = own.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            // A terminal that broke them would spoil them.
            let own = &long[..long.find("\n\n").unwrap_or(long.len())];
            assert!(own.lines().all(|line| line.chars().count() <= 80), "{name}: {own}");
            let examples = long.lines().filter(|line| line.starts_with("  sweeplake ")).count();
            assert!(long.starts_with("Examples:\n") && (1..=3).contains(&examples), "{name}: {long}");
        }
    }

    #[test]
    fn every_flag_has_a_sentence_a_value_that_means_something_and_no_empty_default() {
        let command = all();
        let all: Vec<(String, &Arg)> = command
            .get_subcommands()
            .filter(|command| command.get_name() != "help")
            .flat_map(|command| {
                flags(command).map(move |arg| (format!("{} {}", command.get_name(), arg.get_id()), arg))
            })
            .collect();
        let help = |arg: &Arg| arg.get_help().map(ToString::to_string).unwrap_or_default();
        let is_told =
            |arg: &Arg| help(arg).split_whitespace().count() > 1 && !help(arg).starts_with(char::is_lowercase);
        let of = |is_wrong: &dyn Fn(&Arg) -> bool| -> Vec<&str> {
            all.iter().filter(|(_, arg)| is_wrong(arg)).map(|(what, _)| what.as_str()).collect()
        };
        assert_eq!(of(&|arg| !is_told(arg)), Vec::<&str>::new(), "no sentence");
        let takes_a_value = |arg: &Arg| arg.get_action().takes_values() && !arg.is_positional();
        let is_known = |name: &str| VALUES.contains(&name);
        let names = |arg: &Arg| arg.get_value_names().unwrap_or_default().iter().all(|name| is_known(name));
        assert_eq!(of(&|arg| takes_a_value(arg) && !names(arg)), Vec::<&str>::new(), "a value's name says nothing");
        let is_empty = |arg: &Arg| arg.get_default_values().iter().any(|value| value.is_empty());
        assert_eq!(
            of(&|arg| is_empty(arg) && !arg.is_hide_default_value_set()),
            Vec::<&str>::new(),
            "an empty default"
        );
    }

    #[test]
    fn long_lists_of_flags_have_headings() {
        let command = all();
        let long = command.get_subcommands().filter(|command| flags(command).count() > 12);
        let bare = long.flat_map(|command| {
            let bare = flags(command)
                .filter(|arg| !arg.is_positional() && !arg.is_global_set() && arg.get_help_heading().is_none());
            bare.map(move |arg| format!("{} {}", command.get_name(), arg.get_id()))
        });
        assert_eq!(bare.collect::<Vec<_>>(), Vec::<String>::new());
    }
}
