//! What to type where something is wrong. Errors below tell facts; which flags set them only this module knows.

use crate::exec::ResetUnknown;
use crate::import::ToldError;
use crate::load::LoadError;
use crate::plan::PlanError;
use crate::plot::{PlotError, Role};
use crate::query::{COSTS, QueryError};
use crate::record::Change;
use crate::space::SpaceError;
use crate::store::StoreError;
use crate::sweep::CourseError;

/// What is wrong with a sweep's folder or a lake.
pub fn of_store(error: &StoreError) -> String {
    match error {
        StoreError::BadName { .. } => format!("-e/--experiment-name: {error}"),
        StoreError::Exists { .. } => {
            format!("{error}; add --resume to continue it, or choose another -e/--experiment-name")
        }
        StoreError::Occupied { .. } => format!("{error}; choose another -e/--experiment-name"),
        StoreError::NothingToResume { .. } => format!("--resume: {error}"),
        StoreError::Shared { .. } => format!("--resume: {error}; go on with --join instead"),
        StoreError::NotShared { .. } => {
            format!("--join: {error}; resume it on one machine with --resume, or choose another -e/--experiment-name")
        }
        StoreError::ResumeWhich { .. } => format!("--resume needs -e/--experiment-name NAME: {error}"),
        StoreError::Changed { path, changes } => {
            let changes: Vec<String> = changes.iter().map(|change| as_flag(change).to_string()).collect();
            format!(
                "--resume: {path}: conditions have changed since the sweep started; runs from before and after must not mix:\n  {changes}\n\
                 Restore the conditions, or pass --accept-changes to continue with the runs kept apart; to start over, choose another \
                 -e/--experiment-name or run `sweeplake rm {path}` first",
                path = path.display(),
                changes = changes.join("\n").replace('\n', "\n  ")
            )
        }
        StoreError::NotInLake { .. } => format!("{error}; use --lake to name the lake that contains it"),
        _ => error.to_string(),
    }
}

/// What is given by a flag, by the flag's name.
fn as_flag(change: &Change) -> Change {
    let is_flag = change.what.ends_with("_cmd") || ["warmup_num_prompts", "base_url"].contains(&change.what.as_str());
    match is_flag {
        true => Change { what: format!("--{}", change.what.replace('_', "-")), ..change.clone() },
        false => change.clone(),
    }
}

/// What is wrong with a query.
pub fn of_query(error: &QueryError) -> String {
    match error {
        QueryError::Store(error) => of_store(error),
        QueryError::NoColumn { column, .. } if COSTS.iter().any(|(name, _)| column.starts_with(name)) => {
            format!("no column `{column}`: costs are known where a price is given (--gpu-hour-price, --prices)")
        }
        QueryError::NoWorkers { .. } => format!("{error}; start one with `sweeplake worker --listen ADDRESS LAKE`"),
        QueryError::WrongToken { .. } => format!("{error}; set SWEEPLAKE_TOKEN to the worker's"),
        QueryError::BadToken => format!("SWEEPLAKE_TOKEN: {error}"),
        QueryError::NotBuilt => format!("{error}; build it with `cargo install sweeplake --features distributed`"),
        QueryError::NoNamedQuery { .. } => format!("--name: {error}; --list shows all queries"),
        QueryError::MissingParameter { query, parameter } => format!("query `{query}` needs --param {parameter}=VALUE"),
        QueryError::UnknownParameter { .. } => format!("--param: {error}"),
        QueryError::BadMetric { .. } => format!("--metrics: {error}"),
        QueryError::BadFilter { .. } => format!("--filter-by: {error}"),
        QueryError::OutOfMemory(_) => format!("{error}; see --memory-limit"),
        QueryError::LeftOut { .. } => format!("--strict: {error}"),
        _ => error.to_string(),
    }
}

/// What is wrong with a chart that was asked for.
pub fn of_plot(error: &PlotError) -> String {
    match error {
        PlotError::Query(error) if error.to_string().contains("GROUP BY") => {
            "a chart computes its own means over repeats, so its expressions cannot contain aggregates; for other aggregates use \
             plot --from 'SELECT …'"
                .to_owned()
        }
        PlotError::Query(error) => of_query(error),
        PlotError::NoSuchRun { .. } => format!("{error}; `sweeplake query SWEEP 'SELECT run_id, label, run_number FROM runs'` lists them"),
        PlotError::TooManyRuns { .. } => format!("{error}; choose with --run ID or --filter-by"),
        PlotError::NothingSampled => format!("{error} (--sample-interval, --save-detailed)"),
        PlotError::NoRoom => format!("{error}; change --font-size, --width, --height or --fig-height, or draw fewer panels"),
        PlotError::NoSuchLabel { .. } => format!("--label, --unit: {error}"),
        PlotError::NotANumber { role, .. } => {
            let flag = match role {
                Role::X => "--var-x",
                Role::Y => "--var-y",
                Role::Binned => "--bin-by",
                Role::Objective => "--x, --y",
                Role::UserCount => "--user-count-var",
                Role::GpuCount => "--gpu-count-var",
            };
            format!("{flag}: {error} (--curve-by, --row-by, --col-by)")
        }
        PlotError::FilteredAway { .. } => format!("--filter-by: {error}"),
        PlotError::AllDegraded { .. } => {
            format!("{error}; `sweeplake query SWEEP --name request_failures` shows why they failed")
        }
        PlotError::BadSize { .. } => format!("{error}; change --fig-dpi or --fig-height"),
        PlotError::NoValues { .. } => {
            format!("{error} (--user-count-var, --gpu-count-var, `sweeplake import --set gpu_count=N`)")
        }
        _ => error.to_string(),
    }
}

/// What is wrong with what was told of an import.
pub fn of_told(error: &ToldError) -> String {
    let flag = match error {
        ToldError::BadPattern { .. } | ToldError::NoGroups | ToldError::NoMatch { .. } => "--set-from-path",
        ToldError::NotImported { .. } => "--repeats-of",
        _ => "--set",
    };
    format!("{flag}: {error}")
}

/// What is wrong with a plan.
pub fn of_plan(error: &PlanError) -> String {
    format!("--serve-cmd: {error}")
}

/// What is wrong with what was said of the combinations.
pub fn of_space(error: &SpaceError) -> String {
    match error {
        SpaceError::Query(error) => of_query(error),
        SpaceError::BadLink { .. } | SpaceError::UnknownLink { .. } => format!("--link-vars: {error}"),
        SpaceError::In { text, source } => format!("{text:?}: {}", of_query(source)),
        SpaceError::SampleTooLarge { .. } => format!("--sample: {error}; allow them with --max-combinations"),
        SpaceError::TooMany(_) => format!("--sample-method: {error}; use random or lhs"),
        SpaceError::TooLarge { .. } => format!(
            "{error}; narrow them with --where, draw some with --sample N, or allow them with --max-combinations"
        ),
        SpaceError::SetTwice { .. } => format!("{error}; remove one of them (--serve-grid, --bench-grid)"),
        _ => error.to_string(),
    }
}

/// A server whose caches nobody knows how to reset.
pub fn of_reset(error: &ResetUnknown) -> String {
    format!(
        "--serve-cmd: {error}; specify how with --after-bench-cmd (use `--after-bench-cmd true` if there is nothing to reset)"
    )
}

/// What is wrong with a load.
pub fn of_load(error: &LoadError) -> String {
    match error {
        LoadError::BadUrl { reason, .. } if reason.contains("certificate") => {
            format!("--base-url: {error}; --insecure accepts any certificate")
        }
        LoadError::BadUrl { .. } => format!("--base-url: {error}"),
        LoadError::NoModel { reason, .. } if reason.contains("certificate") => {
            format!("{error}; SSL_CERT_FILE adds a certificate authority, --insecure accepts any certificate")
        }
        LoadError::NoModel { .. } => format!("{error}; is the server running? --model names a model without asking"),
        LoadError::BadDataset { .. } => format!("--dataset-path: {error}"),
        LoadError::BeyondContext { .. } => format!("{error}; shorten prompts or responses (--input-len, --output-len)"),
        LoadError::Endless => format!("--duration: {error}"),
        LoadError::TooFewFiles { .. } => format!("{error}; raise it with `ulimit -Hn`, or lower --max-concurrency"),
        LoadError::NotReady { .. } | LoadError::Io(_) => error.to_string(),
    }
}

/// Why a search could not go on, with what to do about it.
pub fn of_course(error: &CourseError) -> String {
    match error {
        CourseError::NotReported { metric, nearest } => {
            let hint = nearest.as_ref().map_or(".".to_owned(), |name| format!("; did you mean `{name}`?"));
            format!("the benchmark does not report `{metric}`{hint} The run is kept; fix the name and use --resume")
        }
        CourseError::NoHighestRate => format!("{error}; set --sla-max"),
        CourseError::NothingBetween { min, max } => {
            format!("--sla-min {min} is above the highest value to try, {max}")
        }
        CourseError::NoLevels => error.to_string(),
    }
}
