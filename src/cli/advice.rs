//! What to type where something is wrong. Errors below tell facts; which flags set them only this module knows.

use crate::record::Change;
use crate::store::StoreError;

/// What is wrong with a sweep's folder or a lake.
pub fn of_store(error: &StoreError) -> String {
    match error {
        StoreError::BadName { .. } => format!("-e/--experiment-name: {error}"),
        StoreError::Exists { .. } => {
            format!("{error}; add --resume to go on with it, or choose another -e/--experiment-name")
        }
        StoreError::Occupied { .. } => format!("{error}; choose another -e/--experiment-name"),
        StoreError::NothingToResume { .. } => format!("--resume: {error}"),
        StoreError::ResumeWhich { .. } => format!("--resume needs -e/--experiment-name NAME: {error}"),
        StoreError::Changed { path, changes } => {
            let changes: Vec<String> = changes.iter().map(|change| as_flag(change).to_string()).collect();
            format!(
                "--resume: {path}: was made under other conditions; runs of both must not mix:\n  {changes}\n\
                 Use the same, or --accept-changes to go on and keep the runs apart; to start over, another -e/--experiment-name, or \
                 first `sweeplake rm {path}`",
                path = path.display(),
                changes = changes.join("\n").replace('\n', "\n  ")
            )
        }
        StoreError::NotInLake { .. } => format!("{error}; --lake names the lake that it lies in"),
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
