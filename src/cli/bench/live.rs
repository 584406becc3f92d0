//! How a run goes, on a terminal: what is done, rates, percentiles so far, and failures by kind.

use crate::cli::board::Live;
use crate::load::{Config, Extent, Glance};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// A view that changes in place; nothing elsewhere than on a terminal.
pub struct View {
    live: Option<Live>,
    all: Option<usize>,
    time: Option<Duration>,
    drawn: Option<Instant>,
}

/// Nobody reads faster.
const EVERY: Duration = Duration::from_millis(200);

impl View {
    pub fn new(config: &Config, is_hidden: bool) -> Self {
        let live = (!is_hidden && std::io::stderr().is_terminal()).then(Live::new);
        let time = match config.load.extent {
            Extent::Time(time) => Some(time),
            Extent::Prompts(_) => None,
        };
        let all = config.load.num_prompts().filter(|_| !config.dataset.has_turns());
        if let Some(live) = &live {
            live.start(all.or(time.map(|time| time.as_millis() as usize)));
        }
        Self { live, all, time, drawn: None }
    }

    pub fn show(&mut self, glance: &Glance) {
        let is_due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= EVERY);
        let Some(live) = self.live.as_mut().filter(|_| is_due) else { return };
        self.drawn = Some(Instant::now());
        live.show(&lines(glance));
        let done = match self.time {
            Some(time) => glance.elapsed.min(time).as_millis() as usize,
            None => glance.done,
        };
        let counted = self
            .all
            .map_or_else(|| format!("{} requests", glance.done), |all| format!("{}/{all} requests", glance.done));
        live.set(done, format!("{counted} · {:.0} s", glance.elapsed.as_secs_f64()));
    }

    pub fn finish(self) {
        if let Some(live) = self.live {
            live.finish();
        }
    }
}

/// What is known so far.
fn lines(glance: &Glance) -> Vec<String> {
    let seconds = glance.elapsed.as_secs_f64().max(1e-3);
    let ok = glance.done.saturating_sub(glance.failed);
    let rates = format!(
        "{:.1} req/s · {:.0} output tok/s · {} in flight",
        ok as f64 / seconds,
        glance.output_tokens as f64 / seconds,
        glance.in_flight()
    );
    let of = |name: &str, values: Option<(f64, f64)>| {
        values.map(|(median, p99)| format!("{name} median {median:.1} ms, P99 {p99:.1} ms"))
    };
    let latencies = [of("TTFT", glance.ttft_ms), of("E2E", glance.e2el_ms)];
    let latencies = latencies.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let failures = glance.failures.iter().map(|(kind, count)| format!("{} {count}", kind.as_str()));
    let failures = failures.collect::<Vec<_>>().join(" · ");
    let failures = if failures.is_empty() { failures } else { format!("failed: {failures}") };
    [rates, latencies, failures].into_iter().filter(|line| !line.is_empty()).collect()
}
