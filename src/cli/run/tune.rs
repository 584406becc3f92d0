//! What a tune starts from, and what it says when it ends.

use crate::cli::picture::{plot_failure, write_usual};
use crate::cli::say::say;
use crate::cli::table::plain_table;
use crate::cli::{Failure, block_on, query_failure};
use crate::id::column_name;
use crate::params::{Command, ParamSet};
use crate::plan::Plan;
use crate::plot::tune_charts;
use crate::query::{Answer, Lake, NO_LOAD, Value, literal, quoted};
use crate::store::{TUNE_FIGURES, figure_name};
use crate::sweep::Goals;
use crate::sweep::tune::{Known, TuneOptions};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a lake knows of combinations like those of a plan: the same commands, but for what is tuned.
pub fn known(
    lake: &Path,
    own_name: Option<&str>,
    commands: [&Command; 2],
    plan: &Plan,
    goals: &Goals,
) -> Result<Vec<Known>, Failure> {
    let lake = Lake::open(&[PathBuf::from(lake)]).map_err(query_failure)?;
    let has = block_on(lake.sql("SELECT * FROM combinations LIMIT 0"))?.map_err(query_failure)?.columns();
    let metrics: BTreeSet<&String> = goals.metrics().collect();
    let means: Vec<String> = metrics.iter().map(|name| format!("{name}_mean")).collect();
    if !means.iter().all(|mean| has.contains(mean)) {
        return Ok(Vec::new());
    }
    let columns = means.iter().map(|mean| quoted(mean)).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT sweeps.serve_cmd, sweeps.bench_cmd, serve_params, bench_params, {columns} FROM combinations \
         JOIN sweeps ON combinations.sweep = sweeps.sweep WHERE failed_runs = 0 AND degraded_runs = 0 AND sweeps.sweep <> {}",
        literal(own_name.unwrap_or_default())
    );
    let answer = block_on(lake.sql(&sql))?.map_err(query_failure)?;
    let tuned = tuned_keys(plan);
    let own = commands.map(|command| flags_of(command, &ParamSet::unchanged()));
    let like = |row: Vec<Value>| known_of(row, commands, &own, &tuned, &metrics);
    Ok(answer.rows().map_err(query_failure)?.into_iter().filter_map(like).collect())
}

/// The parameters of a plan's combinations: those that are tuned, and what follows from them.
fn tuned_keys(plan: &Plan) -> BTreeSet<String> {
    let benches = plan.servers.iter().flat_map(|server| &server.benches).map(|bench| &bench.combination);
    let keys = benches.flat_map(|of| of.serve.params.keys().chain(of.bench.params.keys()));
    keys.map(|key| column_name(key)).collect()
}

/// A command's flags with the parameters of a set, by name.
fn flags_of(command: &Command, set: &ParamSet) -> BTreeMap<String, String> {
    command.with_params(set).flags()
}

fn known_of(
    row: Vec<Value>,
    commands: [&Command; 2],
    own: &[BTreeMap<String, String>; 2],
    tuned: &BTreeSet<String>,
    metrics: &BTreeSet<&String>,
) -> Option<Known> {
    let mut sets = Vec::new();
    for side in 0..2 {
        // Of a server that somebody else runs only the address is known.
        let text = row.get(side)?.to_text();
        let is_remote = side == 0 && text.is_empty() && commands[0].program().contains("://");
        let command = if is_remote { commands[0].clone() } else { Command::parse("command", &text).ok()? };
        let params: Map<String, Json> = serde_json::from_str(&row.get(side + 2)?.to_text()).unwrap_or_default();
        let set = ParamSet { name: None, params };
        let theirs = flags_of(&command, &set);
        let counts = |name: &&String| !tuned.contains(*name) && !NO_LOAD.contains(&name.as_str());
        let differs = |name: &String| theirs.get(name) != own[side].get(name);
        let names: BTreeSet<&String> = theirs.keys().chain(own[side].keys()).collect();
        let is_other = names.iter().filter(|name| counts(name)).any(|name| differs(name));
        if is_other || program_words(&command) != program_words(commands[side]) {
            return None;
        }
        let values = theirs.into_iter().filter(|(name, _)| tuned.contains(name));
        sets.push(ParamSet {
            name: None,
            params: values.map(|(name, text)| (name, crate::params::scalar(&text))).collect(),
        });
    }
    let bench = sets.pop()?;
    let values = metrics.iter().zip(row.get(4..)?);
    let metrics =
        values.map(|(name, value)| Some(((*name).clone(), Json::from(value.as_f64()?)))).collect::<Option<_>>()?;
    Some(Known { serve: sets.pop()?, bench, metrics })
}

/// What is run, and of what: the words before the first flag.
fn program_words(command: &Command) -> Vec<String> {
    let words = command.words.iter().take_while(|word| !word.starts_with('-'));
    let name =
        |word: &String| Path::new(word).file_name().map_or(word.clone(), |name| name.to_string_lossy().into_owned());
    words.enumerate().map(|(index, word)| if index == 0 { name(word) } else { word.clone() }).collect()
}

/// The frontier of a tune, as text.
pub fn tune_table(folder: &Path, tune: &TuneOptions) -> Result<String, Failure> {
    let lake = Lake::open(&[folder.to_owned()]).map_err(query_failure)?;
    let ask = |sql: &str| -> Result<Answer, Failure> { block_on(lake.sql(sql))?.map_err(query_failure) };
    let known = ask("SELECT * FROM tune_history LIMIT 0")?.columns();
    let columns = tune.goals.objectives.iter().flat_map(|goal| {
        let name = &goal.metric;
        [name.clone(), format!("predicted_low.{name}"), format!("predicted_high.{name}")]
    });
    // Of few points there is no model.
    let columns: Vec<String> = columns.filter(|name| known.contains(name)).map(|name| quoted(&name)).collect();
    let columns = columns.join(", ");
    let order =
        tune.goals.objectives.first().map(|goal| format!(" ORDER BY {}", quoted(&goal.metric))).unwrap_or_default();
    let frontier = ask(&format!("SELECT label, {columns}, step FROM tune_history WHERE is_on_frontier{order}"))?;
    let counts = ask(
        "SELECT count(step) AS measured, count(*) AS of, count(*) FILTER (WHERE is_on_frontier) AS best, \
         count(*) FILTER (WHERE status = 'failed') AS failed, count(*) FILTER (WHERE NOT is_feasible) AS infeasible FROM tune_history",
    )?;
    let count = |name: &str| counts.numbers(name).ok().and_then(|all| all.first().copied().flatten()).unwrap_or(0.0);
    let mut head = format!(
        "{} of {} combinations were measured; {} are on the frontier",
        count("measured"),
        count("of"),
        count("best")
    );
    for (name, what) in [("infeasible", "miss the constraints"), ("failed", "failed")] {
        if count(name) > 0.0 {
            head = format!("{head}; {} {what}", count(name));
        }
    }
    if count("best") == 0.0 {
        return Ok(format!("{head}\nnothing that was measured keeps the constraints"));
    }
    let note = "predicted_low, predicted_high: where the model expects the true value with 95 % probability";
    let note = columns.contains("predicted_low").then(|| note.to_owned());
    let table = plain_table(&frontier).map_err(query_failure)?;
    Ok([head, table].into_iter().chain(note).collect::<Vec<_>>().join("\n"))
}

/// Draws what a tune found and believes.
pub fn draw(folder: &Path) -> Result<(), Failure> {
    let lake = Lake::open(&[folder.to_owned()]).map_err(query_failure)?;
    let charts = block_on(tune_charts(&lake))?.map_err(plot_failure)?;
    for chart in &charts {
        write_usual(&folder.join(TUNE_FIGURES).join(figure_name(&chart.name, &[])), &chart.figure)?;
    }
    say!("charts: {}", folder.join(TUNE_FIGURES).display());
    Ok(())
}
