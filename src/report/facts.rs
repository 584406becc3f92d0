//! What was measured and on what, and how to do it again.

use super::ReportError;
use crate::query::{Lake, QueryError, shipped};
use crate::store::{Manifest, Sweep, SweepKind};
use chrono::{DateTime, Local, Utc};

crate::query::typed_row! {
    struct Measured {
        sweep: String,
        models: Option<String>,
        runs: i64,
        failed: i64,
        degraded: i64,
        combinations: i64,
    }
}

/// A sweep's facts.
pub struct Facts {
    pub name: String,
    pub rows: Vec<(&'static str, String)>,
    pub commands: Vec<(&'static str, String)>,
    /// The command that measures it again, and the files that it reads.
    pub reproduce: Option<String>,
    pub files: Vec<(&'static str, String)>,
}

pub async fn facts(lake: &Lake) -> Result<Vec<Facts>, ReportError> {
    let measured = shipped::MEASURED.rows::<Measured>(lake, &[]).await?;
    let of = |sweep: &Sweep| measured.iter().find(|measured| measured.sweep == sweep.name);
    lake.sweeps().iter().map(|sweep| facts_of(sweep, of(sweep))).collect()
}

fn facts_of(sweep: &Sweep, measured: Option<&Measured>) -> Result<Facts, ReportError> {
    let mut rows = Vec::new();
    if let Some(Measured { models, runs, failed, degraded, combinations, .. }) = measured {
        rows.extend(models.clone().map(|models| ("Model", models)));
        let degraded = if *degraded > 0 { format!(", {degraded} degraded by failed requests") } else { String::new() };
        rows.push(("Runs", format!("{runs} of {combinations} combinations, {failed} failed{degraded}")));
    }
    let state = sweep.state().map_err(QueryError::from)?;
    rows.push(("State", state.as_str().to_owned()));
    let mut commands = Vec::new();
    let manifest = sweep.manifest().map_err(QueryError::from)?;
    if let Some(manifest) = manifest.as_deref() {
        rows.extend(circumstances(manifest));
        commands.push(("Server", manifest.serve_cmd.clone()));
        commands.push(("Benchmark", manifest.bench_cmd.clone()));
        commands.extend(manifest.after_bench_cmd.clone().map(|command| ("After each run", command)));
    }
    let notes = manifest.iter().flat_map(|manifest| &manifest.notes);
    rows.extend(notes.map(|note| ("Note", note.text.clone())));
    rows.push(("Folder", sweep.location()));
    let (reproduce, files) =
        manifest.as_deref().and_then(reproduce).map_or((None, Vec::new()), |(command, files)| (Some(command), files));
    commands.retain(|(_, command)| !command.is_empty());
    Ok(Facts { name: sweep.name.clone(), rows, commands, reproduce, files })
}

fn circumstances(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let time = |time: DateTime<Utc>| time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string();
    let mut rows = vec![("Started", time(manifest.started_at))];
    if manifest.kind == SweepKind::Import {
        rows.extend(manifest.origin.clone().map(|origin| ("Imported from", origin)));
        return rows;
    }
    let environment = &manifest.environment;
    if let Some(finished_at) = manifest.finished_at {
        let seconds = (finished_at - manifest.started_at).num_seconds();
        rows.push(("Took", if seconds < 0 { "unknown: the clock was set back".into() } else { lasted(seconds) }));
    }
    let engine =
        [environment.engine.as_deref().unwrap_or("unknown"), environment.engine_version.as_deref().unwrap_or("")];
    rows.push(("Engine", engine.join(" ")));
    rows.push(("Host", environment.host.clone()));
    rows.push(("CPU", format!("{} × {}", environment.cpu_cores, environment.cpu)));
    let gpus: Vec<&str> = environment.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    rows.push(("GPUs", if gpus.is_empty() { "none found".into() } else { counted(&gpus) }));
    rows.extend(environment.gpus.first().and_then(|gpu| gpu.driver.clone()).map(|driver| ("Driver", driver)));
    rows.extend(environment.git_commit.clone().map(|commit| ("Git commit", commit)));
    rows
}

fn lasted(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// `8 × H100` of eight alike.
fn counted(names: &[&str]) -> String {
    let alike = names.chunk_by(PartialEq::eq);
    alike.map(|alike| format!("{} × {}", alike.len(), alike[0])).collect::<Vec<_>>().join(", ")
}

/// The flag that takes SLAs.
fn sla_flag(kind: SweepKind) -> &'static str {
    match kind {
        SweepKind::Serve => "--sla",
        SweepKind::ServeTune => "--constraints",
        _ => "--sla-params",
    }
}

/// The command of a sweep, and its parameter files. Secrets are stored as `***` and have to be put in again.
fn reproduce(manifest: &Manifest) -> Option<(String, Vec<(&'static str, String)>)> {
    let mut words = vec!["sweeplake".to_owned(), manifest.kind.as_str().into()];
    let mut add = |flag: &str, value: &str| words.extend([flag.to_owned(), value.to_owned()]);
    let bench = match manifest.kind {
        SweepKind::Import => return None,
        SweepKind::Startup => {
            add("--startup-cmd", &manifest.bench_cmd);
            ("--startup-params", "startup.json", &manifest.bench_params)
        }
        kind => {
            match (&manifest.base_url, &manifest.candidate_serve_cmd) {
                (Some(url), _) => add("--bench-only", &format!("--base-url={url}")),
                (None, Some(candidate)) if kind == SweepKind::Ab => {
                    add("--base-serve-cmd", &manifest.serve_cmd);
                    add("--candidate-serve-cmd", candidate);
                }
                _ => add("--serve-cmd", &manifest.serve_cmd),
            }
            add("--bench-cmd", &manifest.bench_cmd);
            ("--bench-params", "bench.json", &manifest.bench_params)
        }
    };
    if let Some(command) = &manifest.after_bench_cmd {
        add("--after-bench-cmd", command);
    }
    let files = [
        ("--serve-params", "serve.json", &manifest.serve_params),
        bench,
        (sla_flag(manifest.kind), "sla.json", &manifest.sla_params),
    ];
    let files = files.into_iter().filter(|(_, _, sets)| sets.iter().any(|set| !set.is_empty()));
    let files: Vec<(&str, &'static str, String)> =
        files.map(|(flag, name, sets)| (flag, name, serde_json::to_string_pretty(sets).unwrap_or_default())).collect();
    files.iter().for_each(|(flag, name, _)| add(flag, name));
    if !manifest.link_vars.is_empty() {
        add("--link-vars", &manifest.link_vars);
    }
    manifest.space.chunks(2).for_each(|pair| add(&pair[0], pair.get(1).map_or("", String::as_str)));
    if let Some(variable) = &manifest.variable {
        add(if manifest.kind == SweepKind::ServeSla { "--sla-variable" } else { "--workload-var" }, variable);
    }
    if manifest.warmup_num_prompts > 0 {
        add("--warmup-num-prompts", &manifest.warmup_num_prompts.to_string());
    }
    add("--num-runs", &manifest.num_runs.to_string());
    words.extend(manifest.sought.iter().cloned());
    let command = shlex::try_join(words.iter().map(String::as_str)).ok()?;
    Some((command, files.into_iter().map(|(_, name, text)| (name, text)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_gpus_are_told_shortly() {
        assert_eq!([59, 61, 7325].map(lasted), ["59 s", "1 min 1 s", "2 h 2 min"]);
        assert_eq!(counted(&["H100", "H100", "L4"]), "2 × H100, 1 × L4");
    }
}
