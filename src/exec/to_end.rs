//! A command that is run to its end.

use super::keeper::Keeper;
use super::process::{Group, Output, describe_exit};
use super::{Interrupt, Stop};
use crate::params::Command;
use crate::record::{ErrorKind, Failure};
use std::time::Duration;

const STOP_GRACE: Duration = Duration::from_secs(3);

/// Runs a command to its end; `name` and `kind` say what failed if it ends badly.
pub async fn run_to_end(
    command: &Command,
    name: &str,
    kind: ErrorKind,
    output: &Output,
    limit: Option<Duration>,
    keeper: &Keeper,
    interrupt: &mut Interrupt,
) -> Result<(), Stop> {
    let mut group = Group::spawn(command, output, &[], keeper)
        .map_err(|error| Failure::new(kind, format!("{name} could not be started: {error}")))?;
    let ended = tokio::select! {
        biased;
        () = interrupt.asked() => Err(Stop::Interrupted),
        () = out_of_time(limit) => {
            let message = format!("{name} did not end within {} s", limit.unwrap_or_default().as_secs_f64());
            Err(Failure::new(ErrorKind::TimedOut, message).with_log(None, group.log_tail()).into())
        }
        status = group.exited() => match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let message = format!("{name} ended with {}", describe_exit(status));
                Err(Failure::new(kind, message).with_log(status.code(), group.log_tail()).into())
            }
            Err(error) => Err(Failure::new(kind, format!("{name}: {error}")).into()),
        },
    };
    group.stop(STOP_GRACE).await;
    ended
}

async fn out_of_time(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}
