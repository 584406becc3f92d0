//! How many servers run at a time, and what of the machine each is given.

use super::runner::Runner;
use super::servers::ServerCommands;
use crate::cli::Failure;
use crate::exec::{Readiness, Waiting};
use crate::node::{Gpus, Pin, Presence, Seats, given, parse_gpus};
use crate::params::{Address, BASE_URL, Command, PORT, Takes};
use crate::plan::{Plan, ServerPlan};
use crate::record::engine_of;
use crate::sweep::{GPUS, Need, takes};
use crate::words::describe_set;

#[derive(clap::Args, Clone)]
pub struct PlaceFlags {
    /// GPUs to share out among servers that run at the same time: indices (0-7, 0,2,4) or UUIDs. Each server gets as many as its
    /// command says (tensor × pipeline × data parallel size), through CUDA_VISIBLE_DEVICES, HIP_VISIBLE_DEVICES or ZE_AFFINITY_MASK,
    /// and a port of its own. Default: all that this process may use.
    #[arg(long, value_name = "GPU,…", value_parser = list)]
    gpus: Option<List>,
    /// Maximum number of servers that run at the same time; default: as many as the GPUs allow, and one without GPUs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    slots: Option<u16>,
    /// GPUs of each server, where its command does not say.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    gpus_per_server: Option<u16>,
    /// Keep each server to the cores of its GPUs' NUMA node (without GPUs: to one node after the other).
    #[arg(long)]
    pin: bool,
    /// Run one server at a time, and no other sweep of sweeplake on this machine meanwhile; wait until others have ended.
    #[arg(long, conflicts_with = "slots")]
    exclusive: bool,
}

#[derive(Clone, Debug)]
struct List(Vec<String>);

fn list(text: &str) -> Result<List, String> {
    parse_gpus(text).map(List).map_err(|error| error.to_string())
}

/// Where the servers of a sweep run.
#[derive(Clone, Debug)]
pub struct Places {
    pub seats: Seats,
    pub need: Need,
    pub presence: Presence,
    /// So many copies of a server are kept busy beside the candidate of a pair.
    pub copies: usize,
    /// Why only one runs at a time, though there are GPUs for more.
    pub remark: Option<String>,
}

impl Places {
    /// One server at a time, beside other sweeps.
    pub fn one() -> Self {
        Self { seats: Seats::one(), need: Need::Each(0), presence: Presence::Shared, copies: 0, remark: None }
    }

    /// `4 servers at a time`, where it is more than one.
    pub fn text(&self, servers: usize) -> Option<String> {
        let most = self.seats.most().min(servers);
        (most > 1 && self.copies == 0).then(|| match self.seats.gpu_count() {
            0 => format!("{most} servers at a time"),
            gpus => format!("up to {most} servers at a time, on {gpus} GPUs"),
        })
    }
}

/// What a sweep runs, as far as it matters here.
pub struct Tenants<'a> {
    pub plan: &'a Plan,
    pub runner: &'a Runner,
    pub commands: &'a ServerCommands,
    pub tenancy: Tenancy,
}

/// How many servers may run at a time, if there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenancy {
    /// Those of the plan.
    Planned,
    /// Copies of them.
    Copies,
}

impl PlaceFlags {
    fn is_given(&self) -> bool {
        self.gpus.is_some() || self.slots.is_some() || self.gpus_per_server.is_some() || self.pin
    }

    /// The places of a sweep's servers. What was asked for and can't be is an error; what is only possible is done where it can be.
    pub fn places(&self, tenants: &Tenants<'_>) -> Result<Places, Failure> {
        let Runner::Servers { waiting, .. } = tenants.runner else {
            return match self.is_given() || self.exclusive {
                true => Err(Failure::input(
                    "--gpus, --slots, --gpus-per-server, --pin, --exclusive: only where sweeplake starts the servers",
                )),
                false => Ok(Places::one()),
            };
        };
        // The simulated server has no use for any.
        if !self.is_given()
            && tenants.plan.servers.iter().all(|server| engine_of(&server.command) == Some("sweeplake-sim"))
        {
            return Ok(Places { presence: self.presence(), ..Places::one() });
        }
        let gpus = given(self.gpus.as_ref().map(|list| list.0.as_slice()));
        let gpus = gpus.map_err(|error| Failure::input(format!("--gpus: {error}")))?;
        let wanted = Wanted { flags: self, tenants, waiting };
        match wanted.places(gpus) {
            Err(why) if self.is_given() => Err(Failure::Input(why)),
            Err(why) => {
                let remark = format!("one server at a time, though there are GPUs for more: {why}");
                Ok(Places { remark: Some(remark), presence: self.presence(), ..Places::one() })
            }
            Ok(places) => Ok(places),
        }
    }

    fn presence(&self) -> Presence {
        if self.exclusive { Presence::Alone } else { Presence::Shared }
    }
}

struct Wanted<'a> {
    flags: &'a PlaceFlags,
    tenants: &'a Tenants<'a>,
    waiting: &'a Waiting,
}

impl Wanted<'_> {
    fn places(&self, gpus: Gpus) -> Result<Places, String> {
        let (count, plan) = (gpus.all.len(), self.tenants.plan);
        let slots = self.flags.slots.map_or(count.max(1), usize::from);
        let slots = if self.flags.exclusive { 1 } else { slots };
        let need = self.flags.gpus_per_server.map_or(Need::AsSaid, |count| Need::Each(count.into()));
        // A single GPU is nobody's to share out, unless that was asked for.
        let is_shared_out = count > 1 || (count == 1 && self.flags.gpus.is_some());
        let gpus = if is_shared_out { gpus } else { Gpus::none() };
        if is_shared_out {
            plan.servers
                .iter()
                .enumerate()
                .try_for_each(|(index, server)| self.check_gpus(server, need.of(plan, index), count))?;
        }
        let least = (0..plan.servers.len()).filter_map(|server| need.of(plan, server)).min();
        let by_gpus = least.filter(|_| is_shared_out).and_then(|least| count.checked_div(least));
        let slots = slots.min(by_gpus.unwrap_or(slots)).max(1);
        let slots = match self.tenants.tenancy {
            Tenancy::Planned => slots.min(plan.servers.len().max(1)),
            Tenancy::Copies => slots,
        };
        if slots > 1 {
            self.check_side_by_side()?;
        }
        let pin = if self.flags.pin { Pin::ToNode } else { Pin::Nowhere };
        Ok(Places {
            seats: Seats::new(gpus, slots, pin),
            need,
            presence: self.flags.presence(),
            copies: 0,
            remark: None,
        })
    }

    /// A server must say how many GPUs it takes, and may not choose them itself.
    fn check_gpus(&self, server: &ServerPlan, need: Option<usize>, count: usize) -> Result<(), String> {
        let called =
            || if server.serve.is_unchanged() { String::new() } else { format!(" ({})", describe_set(&server.serve)) };
        let Some(need) = need else {
            return Err(format!(
                "how many GPUs a server takes is not known from its command{}; say it with --gpus-per-server",
                called()
            ));
        };
        if need > count {
            return Err(format!(
                "a server{} takes {need} GPUs, and there are {count}; give more with --gpus, or leave it out",
                called()
            ));
        }
        let chosen = server.command.env.iter().find(|(name, _)| name.ends_with("_VISIBLE_DEVICES"));
        if let Some((name, _)) = chosen {
            return Err(format!("--serve-cmd sets {name} itself; leave it out, and name the GPUs with --gpus"));
        }
        let program = server.command.program().rsplit('/').next().unwrap_or_default();
        if CONTAINERS.contains(&program) && !server.command.has(GPUS) {
            return Err(format!(
                "--serve-cmd: {program} does not hand on which GPUs a server gets; write {GPUS} where they belong, such as \
                 --gpus '\"device={GPUS}\"'"
            ));
        }
        Ok(())
    }

    /// Of several servers at a time each must be reached at its own address.
    fn check_side_by_side(&self) -> Result<(), String> {
        let plan = self.tenants.plan;
        for (server, bench) in
            plan.servers.iter().flat_map(|server| server.benches.iter().map(move |bench| (server, bench)))
        {
            let command = &bench.command;
            let is_open = command.has(BASE_URL) || command.has(PORT);
            if !is_open && takes(command) == Takes::Nothing {
                return Err(format!(
                    "--bench-cmd: write {BASE_URL} or {PORT} where the address of the server belongs: each of several servers has \
                     its own"
                ));
            }
            let is_led_astray = Address::of_benchmark(command).is_ok_and(|to| !to.is_same_place(&server.address));
            if !is_open && takes(command) == Takes::Port && is_led_astray {
                return Err(format!(
                    "--bench-cmd sends elsewhere than to the server at {}; with a router in between, run one server at a time \
                     (--slots 1)",
                    server.address
                ));
            }
        }
        let ready = match &self.waiting.until {
            Readiness::Command(command) => Some(("--ready-cmd", command)),
            _ => None,
        };
        if matches!(&self.waiting.until, Readiness::Url(url) if url.is_elsewhere()) {
            return Err(String::from(
                "--ready-url names one server, and several run at a time; give a path, such as /health",
            ));
        }
        let after = self.tenants.commands.after_bench.as_ref().map(|command| ("--after-bench-cmd", command));
        for (flag, command) in ready.into_iter().chain(after) {
            if !is_indifferent(command) && !command.has(BASE_URL) && !command.has(PORT) {
                return Err(format!(
                    "{flag}: write {BASE_URL} or {PORT} where the address of the server belongs: each of several servers has its own"
                ));
            }
        }
        Ok(())
    }
}

/// Programs that start others in an environment of their own.
const CONTAINERS: [&str; 7] = ["docker", "podman", "nerdctl", "apptainer", "singularity", "srun", "ssh"];

/// A command that does nothing to any server.
fn is_indifferent(command: &Command) -> bool {
    matches!(command.program(), "true" | ":" | "sleep")
}
