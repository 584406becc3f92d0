//! What was seen around a run, that its result does not tell.

use crate::telemetry::Samples;
use std::sync::Arc;

/// What was seen of the server and the client while a run was made; nothing of what is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Cores that the benchmark's processes kept busy, over the whole of their lives.
    pub client_cores: Option<f64>,
    /// Cores of the machine.
    pub machine_cores: Option<usize>,
    /// Requests that were running or waiting when the benchmark was started.
    pub requests_before: Option<f64>,
    /// Requests that the server finished while the benchmark ran.
    pub server_requests: Option<f64>,
    pub preemptions: Option<f64>,
    /// Prompt tokens that the prefix cache answered, of all that it was asked for.
    pub prefix_cache_hit_rate: Option<f64>,
    /// With what that is compared.
    pub usual_hits: UsualHits,
    /// What was sampled meanwhile.
    pub samples: Option<Arc<Samples>>,
    /// What disturbed the run, in words.
    pub disturbances: Vec<String>,
}

/// How many prompt tokens the prefix cache answers where nothing is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum UsualHits {
    #[default]
    Unknown,
    /// As many as in the first run on that start of the server.
    OfFirstRun(f64),
    /// None, as far as is known: the server had answered others before, and nobody could see its caches emptied.
    OfUsedServer,
}

/// A server's own requests (probes, warm-ups, a test request) and an aborted one are no traffic of others.
const OWN_ADDITIONS: f64 = 5.0;
const SHARE_OF_OTHERS: f64 = 0.02;
/// Hits beyond those of the first run come from prompts that were seen before.
const WARM: f64 = 0.1;
/// A thread that is busy for this share of its life has no time to wait for answers.
const BUSY: f64 = 0.9;

impl Observed {
    /// Notes with what the hit rate is compared. Where nothing is known, those to come are compared with this one.
    pub fn compare_hits(&mut self, usual: &mut UsualHits) {
        self.usual_hits = *usual;
        if *usual == UsualHits::Unknown {
            *usual = self.prefix_cache_hit_rate.map_or(UsualHits::Unknown, UsualHits::OfFirstRun);
        }
    }

    /// Why the prefix cache may have been warm.
    fn warm_cache(&self) -> Option<String> {
        let rate = self.prefix_cache_hit_rate?;
        let (usual, compared) = match self.usual_hits {
            UsualHits::Unknown => return None,
            UsualHits::OfFirstRun(first) => {
                (first, format!("compared with {:.0} % in the first run on this server start", first * 100.0))
            }
            UsualHits::OfUsedServer => (0.0, "and the server had answered requests before the sweep".to_owned()),
        };
        (rate > usual + WARM).then(|| {
            format!(
                "the prefix cache may have been warm: it served {:.0} % of the prompt tokens, {compared}",
                rate * 100.0
            )
        })
    }

    /// Reasons not to trust the numbers; `sent` are the requests that the benchmark says it sent.
    pub fn cautions(&self, sent: Option<f64>) -> Vec<String> {
        let mut cautions = self.disturbances.clone();
        cautions.extend(self.samples.iter().flat_map(|samples| samples.notes.iter().cloned()));
        if let Some(count) = self.requests_before.filter(|count| *count > 0.0) {
            let requests = if count == 1.0 { "request" } else { "requests" };
            cautions.push(format!("the server was already processing {count} other {requests} when the run began"));
        }
        if let Some((finished, sent)) = self.server_requests.zip(sent)
            && finished - sent > OWN_ADDITIONS.max(SHARE_OF_OTHERS * sent)
        {
            cautions.push(format!(
                "the server finished {finished} requests while the run sent only {sent}: other clients used it, too"
            ));
        }
        cautions.extend(self.warm_cache());
        if let Some(busy) = self.client_cores.filter(|busy| is_at_its_limit(*busy, self.machine_cores)) {
            cautions.push(format!("the client may have been the bottleneck: it kept {busy:.1} cores busy"));
        }
        cautions
    }
}

/// Whether a program has no time to spare: with all cores of its machine, or with the one thread that vLLM's client has.
fn is_at_its_limit(busy: f64, cores: Option<usize>) -> bool {
    let is_one_thread = (BUSY..=1.1).contains(&busy);
    is_one_thread || cores.is_some_and(|cores| busy >= BUSY * cores as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_told_only_where_it_is_unusual() {
        let usual = Observed {
            client_cores: Some(0.4),
            machine_cores: Some(8),
            requests_before: Some(0.0),
            server_requests: Some(102.0),
            prefix_cache_hit_rate: Some(0.3),
            usual_hits: UsualHits::OfFirstRun(0.25),
            ..Observed::default()
        };
        assert_eq!(usual.cautions(Some(100.0)), Vec::<String>::new());
        let of = |seen: Observed| seen.cautions(Some(100.0)).join("|");
        let busy = of(Observed { requests_before: Some(3.0), ..usual.clone() });
        assert_eq!(busy, "the server was already processing 3 other requests when the run began");
        let shared = of(Observed { server_requests: Some(160.0), ..usual.clone() });
        assert_eq!(shared, "the server finished 160 requests while the run sent only 100: other clients used it, too");
        assert!(of(Observed { prefix_cache_hit_rate: Some(0.9), ..usual.clone() }).contains("warm: it served 90 %"));
        let used = Observed { usual_hits: UsualHits::OfUsedServer, ..usual.clone() };
        assert!(of(used).contains("30 % of the prompt tokens, and the server had answered requests before"));
        assert!(of(Observed { client_cores: Some(0.97), ..usual.clone() }).contains("1.0 cores busy"));
        assert_eq!(of(Observed { client_cores: Some(2.0), ..usual.clone() }), "");
        assert!(of(Observed { client_cores: Some(7.5), ..usual }).contains("7.5 cores busy"));
        assert_eq!(Observed::default().cautions(None), Vec::<String>::new());
    }
}
