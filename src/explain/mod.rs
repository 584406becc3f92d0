//! Why a run was as it was: rules over what was measured around it, each with its evidence.

mod facts;
mod rules;

pub use facts::Facts;
pub use rules::{Finding, RULES, Rule, Verdict};

use crate::query::{Filter, Lake, QueryError, Value};
use std::collections::{HashMap, HashSet};

/// Which runs are explained.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The beginnings of run IDs; without any, all runs.
    pub runs: Vec<String>,
    pub filter_by: String,
}

/// A run, and what the rules say of it.
pub struct Explained {
    pub facts: Facts,
    pub findings: Vec<(&'static Rule, Finding)>,
    /// Rules that could not be judged, with what would have to be known.
    pub unknown: Vec<(&'static Rule, &'static str)>,
}

crate::query::typed_row! {
    struct Pace {
        sweep: String,
        run_id: String,
        early_tpot_ms: Option<f64>,
        late_tpot_ms: Option<f64>,
        requests: i64,
    }
}

crate::query::typed_row! {
    struct Throttled {
        sweep: String,
        run_id: String,
        metric: String,
        share: f64,
    }
}

/// How fast tokens came to the first and to the later requests of each run.
const PACE: &str = "SELECT sweep, run_id, median(tpot_ms) FILTER (WHERE place <= greatest(5, requests / 10)) AS early_tpot_ms, \
    median(tpot_ms) FILTER (WHERE place > requests / 2) AS late_tpot_ms, max(requests) AS requests FROM \
    (SELECT sweep, run_id, tpot_ms, row_number() OVER (PARTITION BY sweep, run_id ORDER BY start_s, request_index) AS place, \
    count(*) OVER (PARTITION BY sweep, run_id) AS requests FROM requests WHERE tpot_ms IS NOT NULL) GROUP BY sweep, run_id";

/// For what share of the samples power or heat held the clocks down, on the GPU where that was most.
const THROTTLED: &str = "SELECT sweep, run_id, metric, max(share) AS share FROM (SELECT sweep, run_id, metric, avg(value) AS share \
    FROM telemetry WHERE source = 'gpu' AND metric IN ('throttled_by_power', 'throttled_by_heat', 'throttled_by_hardware') \
    AND value IS NOT NULL GROUP BY sweep, run_id, metric, device) GROUP BY sweep, run_id, metric";

/// Judges runs by all rules. Their repeats are looked at whether or not they are meant.
pub async fn explain(lake: &Lake, request: &Request) -> Result<Vec<Explained>, QueryError> {
    let all = facts(lake).await?;
    let filter = Filter::parse(&request.filter_by, &lake.columns("runs").await?)?;
    let kept = lake.sql(&format!("SELECT run_id FROM runs WHERE {}", filter.to_sql())).await?.column("run_id")?;
    let kept: HashSet<String> = kept.iter().map(Value::to_text).collect();
    let is_meant = |facts: &&Facts| {
        let is_named = request.runs.iter().any(|run| facts.run_id().starts_with(run.as_str()));
        kept.contains(facts.run_id()) && (request.runs.is_empty() || is_named)
    };
    Ok(all.iter().filter(is_meant).map(|facts| explained(facts, &all)).collect())
}

fn explained(facts: &Facts, all: &[Facts]) -> Explained {
    let is_sibling = |other: &&Facts| other.run_id() != facts.run_id() && other.key() == facts.key();
    let facts = Facts { siblings: all.iter().filter(is_sibling).map(Facts::as_sibling).collect(), ..facts.clone() };
    let (mut findings, mut unknown) = (Vec::new(), Vec::new());
    for rule in &RULES {
        match (rule.judge)(&facts) {
            Verdict::Applies(finding) => findings.push((rule, finding)),
            Verdict::Unknown(what) => unknown.push((rule, what)),
            Verdict::Not => {}
        }
    }
    Explained { facts, findings, unknown }
}

async fn facts(lake: &Lake) -> Result<Vec<Facts>, QueryError> {
    let sql = "SELECT * FROM runs WHERE status IN ('completed', 'degraded') ORDER BY sweep, started_at";
    let answer = lake.sql(sql).await?;
    let columns = answer.columns();
    let paces: Vec<Pace> = lake.sql(PACE).await?.typed("explain")?;
    let paces: HashMap<(String, String), Pace> =
        paces.into_iter().map(|pace| ((pace.sweep.clone(), pace.run_id.clone()), pace)).collect();
    let throttled: Vec<Throttled> = lake.sql(THROTTLED).await?.typed("explain")?;
    let facts = answer.rows()?.into_iter().map(|row| {
        let values: HashMap<String, Value> = columns.iter().cloned().zip(row).collect();
        let mut facts = Facts::of(values);
        let sweep = facts.text("sweep").unwrap_or_default();
        if let Some(pace) =
            paces.get(&(sweep.clone(), facts.run_id().to_owned())).filter(|pace| pace.requests >= FEWEST)
        {
            facts.early_tpot_ms = pace.early_tpot_ms;
            facts.late_tpot_ms = pace.late_tpot_ms;
        }
        let is_own = |throttled: &&Throttled| {
            throttled.sweep == sweep && throttled.run_id == facts.run_id() && throttled.share > 0.0
        };
        let own = throttled.iter().filter(is_own);
        facts.throttled_by = own.map(|throttled| (throttled.metric.clone(), throttled.share)).collect();
        facts
    });
    Ok(facts.collect())
}

/// Of fewer requests nothing is said of the first and the later ones.
const FEWEST: i64 = 20;
