//! `sweeplake doctor --neighbours`: how much servers disturb each other that run side by side. A combination is measured alone and in
//! company, in turn.

use super::ab::named;
use super::ending::pairs;
use super::job::{AbJob, Job, Until};
use super::places::Places;
use super::sweep::Sweep;
use crate::cli::say::out;
use crate::cli::{Ended, Failure};
use crate::compare::{CompareRequest, DEFAULT_METRICS, Judge, Reading, SIDES, Word};
use crate::params::ParamSet;
use crate::plan::{BenchPlan, Combination, Plan, Rounds, ServerPlan};
use crate::store::{Manifest, SweepKind};
use crate::sweep::Order;

/// Pairs at most: what is not seen by then disturbs little.
const MOST_PAIRS: u32 = 12;
/// A smaller difference is none.
const THRESHOLD: f64 = 0.02;

/// Measures the first combination of a sweep alone and in company, and judges what that changes.
pub fn exec(sweep: Sweep) -> Ended {
    let neighbours = sweep.places.seats.most().saturating_sub(1);
    if neighbours == 0 {
        return Err(Failure::input("--neighbours: there is room for one server only; give --slots, or more --gpus"));
    }
    let sweep = paired(sweep, neighbours)?;
    sweep.warn();
    let others = if neighbours == 1 { "1 neighbour".to_owned() } else { format!("{neighbours} neighbours") };
    out!("base: alone; candidate: beside {others} under the same load");
    let folder = sweep.run()?;
    let Job::Ab(job) = &sweep.job else { return Ok(()) };
    match pairs(job, &folder)?.word() {
        Word::Same => {
            out!("neighbours do not disturb: within {:.0} %", THRESHOLD * 100.0);
            Ok(())
        }
        Word::Unclear => {
            out!(
                "whether neighbours disturb is not clear after {MOST_PAIRS} pairs: a change of {:.0} % would not be seen",
                THRESHOLD * 100.0
            );
            Ok(())
        }
        _ => Err(Failure::work(
            "neighbours disturb: run timing-sensitive sweeps with --exclusive, with fewer --slots, or with --pin",
        )),
    }
}

/// The sweep with its first combination twice: as base and as candidate.
fn paired(sweep: Sweep, copies: usize) -> Result<Sweep, Failure> {
    let first = sweep.plan.servers.first().and_then(|server| Some((server, server.benches.first()?)));
    let (server, bench) = first.ok_or_else(|| Failure::input("--neighbours: there is no combination to measure"))?;
    let side = |name: &str| {
        let serve = ParamSet { name: named(name).name, params: server.serve.params.clone() };
        let combination = Combination::new(serve.clone(), bench.combination.bench.clone());
        ServerPlan { serve, benches: vec![BenchPlan { combination, ..bench.clone() }], ..server.clone() }
    };
    let servers = SIDES.map(side);
    let cells = vec![servers.clone().map(|server| server.benches[0].clone())];
    let request = CompareRequest {
        reading: Reading { metrics: DEFAULT_METRICS.map(str::to_owned).to_vec(), ..Reading::default() },
        judge: Judge { threshold: THRESHOLD, ..Judge::default() },
        ..CompareRequest::default()
    };
    let plan = Plan {
        servers: servers.to_vec(),
        rounds: Rounds::Mirrored(MOST_PAIRS),
        num_runs: 1,
        warmup_num_prompts: sweep.plan.warmup_num_prompts,
        warnings: sweep.plan.warnings.clone(),
    };
    let manifest = Manifest {
        candidate_serve_cmd: Some(sweep.manifest.serve_cmd.clone()),
        kind: SweepKind::Ab,
        num_runs: 1,
        rounds: MOST_PAIRS,
        serve_params: plan.servers.iter().map(|server| server.serve.to_record()).collect(),
        bench_params: vec![bench.combination.bench.to_record()],
        ..sweep.manifest.clone()
    };
    Ok(Sweep {
        job: Job::Ab(AbJob { request, until: Until::Decided, cells }),
        plan,
        order: Order::Interleaved,
        places: Places { copies, ..sweep.places.clone() },
        share: None,
        evaluation: None,
        space: None,
        manifest,
        ..sweep
    })
}
