//! The plan of a sweep: which servers, which combinations, which commands, in which order. Pure, so that a dry
//! run is the plan printed.

use crate::id::CombinationId;
use crate::params::{Address, Command, ParamSet};
use crate::redact::Redactor;
use crate::words::{describe, nearest_name};
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
    pub serve_params: Vec<ParamSet>,
    pub bench_params: Vec<ParamSet>,
    pub link_vars: Vec<Link>,
    pub rounds: Rounds,
    pub num_runs: u32,
    pub warmup_num_prompts: u32,
    /// Takes out of what is kept what only the commands may hold.
    pub redactor: Redactor,
}

/// `--link-vars SERVE=BENCH`: only combinations in which both have the same value are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub serve: String,
    pub bench: String,
}

#[derive(Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    #[error("{text:?} is not of the form SERVE_KEY=BENCH_KEY")]
    BadLink { text: String },
    #[error("no {side} parameter set has the key {key:?}{}", did_you_mean(nearest))]
    UnknownLink { side: &'static str, key: String, nearest: Option<String> },
    #[error("no combination is left: the linked values are never equal")]
    NothingLinked,
    #[error("{word:?} is not a port number in: {command}")]
    BadPort { word: String, command: String },
}

impl Link {
    /// Parses `a=b,c=d`.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, PlanError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| Self::parse(part).ok_or_else(|| PlanError::BadLink { text: part.into() })).collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let (serve, bench) = text.split_once('=')?;
        let (serve, bench) = (serve.trim(), bench.trim());
        let is_key = |key: &str| !key.is_empty() && !key.contains('=');
        (is_key(serve) && is_key(bench)).then(|| Self { serve: serve.into(), bench: bench.into() })
    }

    fn holds(&self, serve: &ParamSet, bench: &ParamSet) -> bool {
        matches!((serve.get(&self.serve), bench.get(&self.bench)), (Some(left), Some(right)) if is_same(left, right))
    }
}

/// Whether two values are one: 8 and 8.0 are.
fn is_same(left: &Value, right: &Value) -> bool {
    left == right || left.as_f64().zip(right.as_f64()).is_some_and(|(left, right)| left == right)
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
    /// Lays out the Cartesian product; servers without a combination are not started.
    pub fn new(request: &PlanRequest) -> Result<Self, PlanError> {
        check_links(request)?;
        let mut warnings = Vec::new();
        let mut seen = HashSet::new();
        let mut servers = Vec::new();
        for serve in &request.serve_params {
            let command = request.serve_cmd.with_params(serve);
            let address = Address::of_server(&command)
                .map_err(|word| PlanError::BadPort { word, command: command.redacted(&request.redactor).quoted() })?;
            let kept = serve.redacted(&request.redactor);
            let mut benches = Vec::new();
            for bench in &request.bench_params {
                if !request.link_vars.iter().all(|link| link.holds(serve, bench)) {
                    continue;
                }
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
        if servers.is_empty() {
            return Err(PlanError::NothingLinked);
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

fn check_links(request: &PlanRequest) -> Result<(), PlanError> {
    for link in &request.link_vars {
        check_link("serve", &link.serve, &request.serve_params)?;
        check_link("bench", &link.bench, &request.bench_params)?;
    }
    Ok(())
}

fn check_link(side: &'static str, key: &str, sets: &[ParamSet]) -> Result<(), PlanError> {
    if sets.iter().any(|set| set.get(key).is_some()) {
        return Ok(());
    }
    let keys = sets.iter().flat_map(|set| set.params.keys()).map(String::as_str);
    Err(PlanError::UnknownLink { side, key: key.into(), nearest: nearest_name(key, keys) })
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

/// Benchmarks that send to another place than the server that is started for them.
fn misdirected(servers: &[ServerPlan]) -> Option<String> {
    let pairs = servers.iter().flat_map(|server| server.benches.iter().map(move |bench| (server, bench)));
    for (server, bench) in pairs {
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

    fn request(serve: Value, bench: Value, links: &str) -> PlanRequest {
        PlanRequest {
            serve_cmd: Command::parse("--serve-cmd", "vllm serve m").unwrap(),
            bench_cmd: Command::parse("--bench-cmd", "vllm bench serve").unwrap(),
            serve_params: sets(serve),
            bench_params: sets(bench),
            link_vars: Link::parse_list(links).unwrap(),
            rounds: Rounds::InTurn(1),
            num_runs: 3,
            warmup_num_prompts: 0,
            redactor: Redactor::new([0; 32]),
        }
    }

    #[test]
    fn the_product_keeps_one_server_for_each_serve_set() {
        let plan = Plan::new(&request(json!([{"a": 1}, {"a": 2}]), json!([{"b": 1}, {"b": 2}, {"b": 3}]), "")).unwrap();
        assert_eq!((plan.servers.len(), plan.num_combinations(), plan.total_runs()), (2, 6, 18));
        assert_eq!(plan.servers[1].benches[2].command.quoted(), "vllm bench serve --b 3");
        assert_eq!(plan.servers[1].command.quoted(), "vllm serve m --a 2");
    }

    #[test]
    fn rounds_go_over_all_servers_before_the_next_begins() {
        let mut wanted = request(json!([{"a": 1}, {"a": 2}]), json!([{}]), "");
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
    fn links_keep_equal_pairs_and_start_no_idle_server() {
        let bench = json!([{"c": 1}, {"c": 2}]);
        let plan = Plan::new(&request(json!([{"a": 1}, {"a": 2}, {"a": 3}]), bench.clone(), "a=c")).unwrap();
        assert_eq!((plan.servers.len(), plan.num_combinations()), (2, 2));
        let error = Plan::new(&request(json!([{"a": 7}]), bench, "a=c")).unwrap_err();
        assert_eq!(error, PlanError::NothingLinked);
    }

    #[test]
    fn a_link_to_nowhere_names_the_nearest_key() {
        let error = Plan::new(&request(json!([{"max_num_seqs": 1}]), json!([{"c": 1}]), "max_num_seq=c")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no serve parameter set has the key \"max_num_seq\"; did you mean \"max_num_seqs\"?"
        );
        assert!(Link::parse_list("a=b=c").is_err() && Link::parse_list("a").is_err());
    }

    #[test]
    fn what_is_given_twice_runs_once_and_is_said() {
        let plan = Plan::new(&request(json!([{"a": 1}, {"a": "1"}]), json!([{"b": 1}, {"b": 1}]), "")).unwrap();
        assert_eq!((plan.servers.len(), plan.num_combinations()), (1, 1));
        assert_eq!(plan.warnings.len(), 3);
    }

    #[test]
    fn a_benchmark_that_sends_elsewhere_is_noticed() {
        let mut wanted = request(json!([{"port": 8001}]), json!([{}]), "");
        assert_eq!(Plan::new(&wanted).unwrap().warnings.len(), 1);
        wanted.bench_cmd = Command::parse("--bench-cmd", "vllm bench serve --port 8001").unwrap();
        assert!(Plan::new(&wanted).unwrap().warnings.is_empty());
    }
}
