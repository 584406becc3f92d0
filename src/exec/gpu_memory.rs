//! What GPUs hold: a server that is gone may leave its memory taken for a while, and the next one would start with less.

use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// Drivers keep a little, and it differs from time to time.
const TOLERATED_MIB: u64 = 256;
const LIMIT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(500);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// MiB that each GPU holds; nothing where no tool tells.
pub async fn used() -> Option<Vec<u64>> {
    let mut command = Command::new("nvidia-smi");
    command.args(["--query-gpu=memory.used", "--format=csv,noheader,nounits"]).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(ANSWER_LIMIT, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    text.lines().map(|line| line.trim().parse().ok()).collect::<Option<Vec<u64>>>().filter(|gpus| !gpus.is_empty())
}

/// Waits until the GPUs hold no more than before; what they hold beyond that, where it does not come to that.
pub async fn wait_until_free(baseline: &[u64]) -> Result<(), String> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let now = used().await.unwrap_or_else(|| baseline.to_vec());
        let Some((gpu, more)) = most_above(baseline, &now) else { return Ok(()) };
        if Instant::now() > deadline {
            let seconds = LIMIT.as_secs();
            return Err(format!(
                "GPU {gpu} still held {more} MiB more than initially, {seconds} s after a server was stopped: the next server started with less"
            ));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The GPU that holds most beyond its baseline, where that is too much.
fn most_above(baseline: &[u64], now: &[u64]) -> Option<(usize, u64)> {
    let above = baseline.iter().zip(now).map(|(before, now)| now.saturating_sub(*before)).enumerate();
    above.max_by_key(|(_, more)| *more).filter(|(_, more)| *more > TOLERATED_MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gpu_that_holds_most_is_named() {
        assert_eq!(most_above(&[10, 500], &[200, 700]), None);
        assert_eq!(most_above(&[10, 500, 0], &[400, 1500, 0]), Some((1, 1000)));
        assert_eq!(most_above(&[900], &[10]), None);
    }
}
