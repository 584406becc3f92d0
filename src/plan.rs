//! The plan of a sweep: which servers, which combinations, which commands, in which order. Pure, so that a dry
//! run is the plan printed.

use crate::id::CombinationId;
use crate::params::{Address, BASE_URL, Command, PORT, ParamSet};
use crate::redact::Redactor;
use crate::words::describe;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;

/// What `vllm bench serve` sends without `--num-prompts`.
const DEFAULT_NUM_PROMPTS: u32 = 1000;

/// One serve parameter set × one bench parameter set.
#[derive(Clone, Debug, PartialEq)]
pub struct Combination {
    pub id: CombinationId,
    pub serve: ParamSet,
    pub bench: ParamSet,
}

impl Combination {
    pub fn new(serve: ParamSet, bench: ParamSet) -> Self {
        let id = CombinationId::of(&identity(&serve), &identity(&bench));
        Self { id, serve, bench }
    }
}

/// One benchmark command, to be run `num_runs` times against the server of its [`ServerPlan`].
#[derive(Clone, Debug)]
pub struct BenchPlan {
    pub combination: Combination,
    pub command: Command,
}

/// A setting under which a combination is measured, on top of its own parameters: `max_concurrency` 4.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    pub variable: String,
    pub value: Value,
}

/// What a run has of its own, besides the parameters of its combination.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFlags {
    /// Other prompts and arrival times.
    pub seed: Option<u32>,
    pub num_prompts: Option<u32>,
    /// SLAs: the run may end when none of them can be met any more.
    pub stop_when_missed: Vec<String>,
}

impl BenchPlan {
    /// The benchmark at a level.
    pub fn at(&self, level: &Level) -> Self {
        let set = self.combination.bench.with(&level.variable, level.value.clone());
        let only_level = ParamSet::unchanged().with(&level.variable, level.value.clone());
        Self {
            combination: Combination::new(self.combination.serve.clone(), set),
            command: self.command.with_params(&only_level),
        }
    }

    /// The benchmark with what one run of it has of its own; it is the same combination.
    pub fn with(self, flags: &RunFlags) -> Self {
        let mut own = ParamSet::unchanged();
        for (key, value) in [("seed", flags.seed), ("num_prompts", flags.num_prompts)] {
            if let Some(value) = value {
                own = own.with(key, value.into());
            }
        }
        if !flags.stop_when_missed.is_empty() {
            own = own.with("stop_when_missed", flags.stop_when_missed.clone().into());
        }
        Self { command: self.command.with_params(&own), ..self }
    }

    /// The benchmark as it is, or at a level.
    pub fn at_level(&self, level: Option<&Level>) -> Self {
        level.map_or_else(|| self.clone(), |level| self.at(level))
    }

    /// How many prompts the benchmark sends.
    pub fn num_prompts(&self) -> u32 {
        let given = self.command.flag(&["num-prompts"]).and_then(|text| text.parse().ok());
        given.unwrap_or(DEFAULT_NUM_PROMPTS)
    }

    /// The benchmark with so few prompts that it only warms the server up.
    pub fn warm_up(&self, num_prompts: u32) -> Command {
        self.command.with_params(&ParamSet::unchanged().with("num_prompts", num_prompts.into()))
    }
}

/// One start of the server, and everything that is measured on it.
#[derive(Clone, Debug)]
pub struct ServerPlan {
    /// Without secrets; the command has them.
    pub serve: ParamSet,
    pub command: Command,
    pub address: Address,
    pub benches: Vec<BenchPlan>,
}

/// How often each server is started, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounds {
    /// So many times, one after the other and again: A B C A B C.
    InTurn(u32),
    /// So many times, every second round backwards: A B B A. What changes evenly with time touches all alike.
    Mirrored(u32),
}

/// One start of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Which of the plan's servers.
    pub server: usize,
    pub round: u32,
}

/// Everything a sweep will do.
#[derive(Clone, Debug)]
pub struct Plan {
    pub servers: Vec<ServerPlan>,
    pub rounds: Rounds,
    /// Runs of each combination on each start of its server.
    pub num_runs: u32,
    pub warmup_num_prompts: u32,
    pub warnings: Vec<String>,
}

/// What a plan is made of.
#[derive(Clone, Debug)]
pub struct PlanRequest {
    pub serve_cmd: Command,
    pub bench_cmd: Command,
    /// Each server's parameters, with those of its loads.
    pub servers: Vec<(ParamSet, Vec<ParamSet>)>,
    pub rounds: Rounds,
    pub num_runs: u32,
    pub warmup_num_prompts: u32,
    /// Takes out of what is kept what only the commands may hold.
    pub redactor: Redactor,
}

/// Every load on every server.
pub fn every_pair(serve: &[ParamSet], bench: &[ParamSet]) -> Vec<(ParamSet, Vec<ParamSet>)> {
    serve.iter().map(|serve| (serve.clone(), bench.to_vec())).collect()
}

#[derive(Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    #[error("{word:?} is not a port number in: {command}")]
    BadPort { word: String, command: String },
}

impl Rounds {
    pub fn count(self) -> u32 {
        match self {
            Self::InTurn(count) | Self::Mirrored(count) => count,
        }
    }

    fn is_backwards(self, round: u32) -> bool {
        matches!(self, Self::Mirrored(_)) && round % 2 == 1
    }
}

impl Plan {
    /// Lays out servers and loads; servers without a combination are not started.
    pub fn new(request: &PlanRequest) -> Result<Self, PlanError> {
        let mut warnings = Vec::new();
        let mut seen = HashSet::new();
        let mut servers = Vec::new();
        for (serve, benches_of) in &request.servers {
            let command = request.serve_cmd.with_params(serve);
            let address = Address::of_server(&command)
                .map_err(|word| PlanError::BadPort { word, command: command.redacted(&request.redactor).quoted() })?;
            let kept = serve.redacted(&request.redactor);
            let mut benches = Vec::new();
            for bench in benches_of {
                let combination = Combination::new(kept.clone(), bench.redacted(&request.redactor));
                if seen.insert(combination.id.clone()) {
                    benches.push(BenchPlan { command: request.bench_cmd.with_params(bench), combination });
                } else {
                    warnings
                        .push(format!("duplicate combination, run only once: {}", describe(&kept, &combination.bench)));
                }
            }
            if !benches.is_empty() {
                servers.push(ServerPlan { serve: kept, command, address, benches });
            }
        }
        warnings.extend(misdirected(&servers));
        Ok(Self {
            servers,
            rounds: request.rounds,
            num_runs: request.num_runs,
            warmup_num_prompts: request.warmup_num_prompts,
            warnings,
        })
    }

    /// All starts of servers, in their order.
    pub fn starts(&self) -> impl Iterator<Item = Start> + use<> {
        let (servers, rounds) = (self.servers.len(), self.rounds);
        (0..rounds.count()).flat_map(move |round| {
            (0..servers).map(move |index| {
                let server = if rounds.is_backwards(round) { servers - 1 - index } else { index };
                Start { server, round }
            })
        })
    }

    /// All combinations, in the order in which they are run.
    pub fn combinations(&self) -> Vec<Combination> {
        let benches = self.servers.iter().flat_map(|server| &server.benches);
        benches.map(|bench| bench.combination.clone()).collect()
    }

    pub fn num_combinations(&self) -> usize {
        self.servers.iter().map(|server| server.benches.len()).sum()
    }

    /// The number of measured runs.
    pub fn total_runs(&self) -> usize {
        self.num_combinations() * self.num_runs as usize * self.rounds.count() as usize
    }
}

/// Names differ, so that a set that is given twice under two names is measured twice.
fn identity(set: &ParamSet) -> serde_json::Map<String, serde_json::Value> {
    let mut params = set.params.clone();
    if let Some(name) = &set.name {
        params.insert(crate::params::BENCHMARK_NAME.into(), name.clone().into());
    }
    params
}

/// Benchmarks that send to another place than the server that is started for them.
fn misdirected(servers: &[ServerPlan]) -> Option<String> {
    let pairs = servers.iter().flat_map(|server| server.benches.iter().map(move |bench| (server, bench)));
    // What is sent to a placeholder is sent to its server.
    for (server, bench) in pairs.filter(|(_, bench)| !bench.command.has(PORT) && !bench.command.has(BASE_URL)) {
        match Address::of_benchmark(&bench.command) {
            Ok(target) if target.is_same_place(&server.address) => {}
            Ok(target) => {
                return Some(format!(
                    "the benchmark sends requests to {target}, but the server listens at {}: is there a router in between?",
                    server.address
                ));
            }
            Err(word) => return Some(format!("the benchmark's port, {word:?}, is not a number")),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sets(value: Value) -> Vec<ParamSet> {
        let items = value.as_array().unwrap().clone();
        items.into_iter().map(|item| ParamSet { name: None, params: item.as_object().unwrap().clone() }).collect()
    }

    fn request(serve: Value, bench: Value) -> PlanRequest {
        PlanRequest {
            serve_cmd: Command::parse("--serve-cmd", "vllm serve m").unwrap(),
            bench_cmd: Command::parse("--bench-cmd", "vllm bench serve").unwrap(),
            servers: every_pair(&sets(serve), &sets(bench)),
            rounds: Rounds::InTurn(1),
            num_runs: 3,
            warmup_num_prompts: 0,
            redactor: Redactor::new([0; 32]),
        }
    }

    #[test]
    fn the_product_keeps_one_server_for_each_serve_set() {
        let plan = Plan::new(&request(json!([{"a": 1}, {"a": 2}]), json!([{"b": 1}, {"b": 2}, {"b": 3}]))).unwrap();
        assert_eq!((plan.servers.len(), plan.num_combinations(), plan.total_runs()), (2, 6, 18));
        assert_eq!(plan.servers[1].benches[2].command.quoted(), "vllm bench serve --b 3");
        assert_eq!(plan.servers[1].command.quoted(), "vllm serve m --a 2");
    }

    #[test]
    fn rounds_go_over_all_servers_before_the_next_begins() {
        let mut wanted = request(json!([{"a": 1}, {"a": 2}]), json!([{}]));
        let order = |wanted: &PlanRequest| {
            let plan = Plan::new(wanted).unwrap();
            let starts: Vec<(u32, usize)> = plan.starts().map(|start| (start.round, start.server)).collect();
            (starts, plan.total_runs())
        };
        wanted.rounds = Rounds::InTurn(2);
        assert_eq!(order(&wanted), (vec![(0, 0), (0, 1), (1, 0), (1, 1)], 12));
        wanted.rounds = Rounds::Mirrored(3);
        assert_eq!(order(&wanted).0, [(0, 0), (0, 1), (1, 1), (1, 0), (2, 0), (2, 1)]);
    }

    #[test]
    fn what_is_given_twice_runs_once_and_is_said() {
        let plan = Plan::new(&request(json!([{"a": 1}, {"a": "1"}]), json!([{"b": 1}, {"b": 1}]))).unwrap();
        assert_eq!((plan.servers.len(), plan.num_combinations()), (1, 1));
        assert_eq!(plan.warnings.len(), 3);
    }

    #[test]
    fn a_benchmark_that_sends_elsewhere_is_noticed() {
        let mut wanted = request(json!([{"port": 8001}]), json!([{}]));
        assert_eq!(Plan::new(&wanted).unwrap().warnings.len(), 1);
        wanted.bench_cmd = Command::parse("--bench-cmd", "vllm bench serve --port 8001").unwrap();
        assert!(Plan::new(&wanted).unwrap().warnings.is_empty());
    }
}
