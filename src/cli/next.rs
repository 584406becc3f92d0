//! What to type next, as it works when it is pasted.

use super::board::METRICS;
use super::show::Settings;
use super::{Failure, block_on, query_failure};
use crate::exec::find_program;
use crate::params::Command;
use crate::query::{Lake, quoted};
use crate::store::SweepKind;
use std::path::Path;

/// The name by which this program can be started from here: its own name where the shell finds it, else its path as typed.
pub fn program() -> String {
    let own = std::env::current_exe().ok();
    let name = env!("CARGO_PKG_NAME");
    let found = find_program(&Command::new([name]));
    let is_own = |path: &Path| own.as_deref().is_some_and(|own| crate::files::is_same_place(path, own));
    if found.as_deref().is_some_and(is_own) {
        return name.to_owned();
    }
    let typed = std::env::args().next().filter(|typed| typed.contains('/') && is_own(Path::new(typed)));
    let path = typed.or_else(|| own.map(|own| own.to_string_lossy().into_owned()));
    path.map_or_else(|| name.to_owned(), |path| Command::new([path]).quoted())
}

/// A path from here, as a shell reads it.
pub fn quoted_path(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| path.strip_prefix(here).ok()).filter(|rest| !rest.as_os_str().is_empty());
    Command::new([relative.unwrap_or(path).to_string_lossy()]).quoted()
}

/// A report, a first query, and what else fits a sweep of the kind.
pub fn commands(folder: &Path, kind: SweepKind) -> Result<Vec<String>, Failure> {
    let (program, sweep) = (program(), quoted_path(folder));
    let lake = Lake::open(&[folder.to_owned()]).map_err(query_failure)?;
    let known = block_on(lake.sql("SELECT * FROM combinations LIMIT 0"))?.map_err(query_failure)?.columns();
    // Throughput, and the latency that the progress shows last.
    let means =
        [0, 2].map(|index| METRICS[index].iter().map(|name| format!("{name}_mean")).find(|name| known.contains(name)));
    let means: Vec<String> = means.into_iter().flatten().collect();
    let own: Vec<String> = Settings::of(&lake)?.names().map(in_sql).collect();
    let mut commands = vec![format!("{program} report {sweep} --open")];
    let query = |sql: String| format!("{program} query {sweep} {}", Command::new([sql]).quoted());
    match kind {
        SweepKind::ServeTune => {
            commands.push(query("SELECT * FROM tune_history WHERE is_on_frontier ORDER BY step".into()));
        }
        SweepKind::ServeSla => commands.push(query("SELECT * FROM sla_history ORDER BY value".into())),
        _ => {
            let columns =
                own.iter().map(String::as_str).chain(means.iter().map(String::as_str)).collect::<Vec<_>>().join(", ");
            let order = means.first().map(|mean| format!(" ORDER BY {mean} DESC")).unwrap_or_default();
            commands.push(query(format!("SELECT {columns} FROM combinations{order}")));
        }
    }
    if kind == SweepKind::Serve && known.iter().any(|name| name == "tokens_per_user_mean") {
        commands.push(format!("{program} plot_pareto {sweep}"));
    }
    Ok(commands)
}

/// A column as people type it: quoted where SQL asks for that.
fn in_sql(name: &str) -> String {
    let is_plain = |(index, letter): (usize, char)| {
        letter == '_' || letter.is_ascii_lowercase() || (index > 0 && letter.is_ascii_digit())
    };
    if name.chars().enumerate().all(is_plain) { name.to_owned() } else { quoted(name) }
}
