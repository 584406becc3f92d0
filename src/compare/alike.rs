//! Whether two sweeps can be compared at all, what else differs between them, and which sweeps are equal.

use super::reading::SweepRead;
use crate::query::{NO_LOAD, flags_of};
use std::collections::{BTreeMap, BTreeSet};

/// Something that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub fact: String,
    pub base: String,
    pub candidate: String,
    pub kind: DifferenceKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifferenceKind {
    /// Numbers of different things: another load, another model, other GPUs.
    Unlike,
    /// What may be the cause of a change.
    Context,
}

/// Facts of a sweep that a reader wants to know when they differ.
const FACTS: [&str; 12] = [
    "kind",
    "serve_cmd",
    "engine",
    "engine_version",
    "host",
    "cpu",
    "gpu",
    "gpus",
    "gpu_driver",
    "gpu_clock_mhz",
    "gpu_power_limit_w",
    "git_commit",
];
/// With others of these a metric is another one.
const UNLIKE: [&str; 2] = ["gpu_count", "model_id"];

/// What differs; what one side does not say is no difference.
pub fn differences(base: &SweepRead, candidate: &SweepRead) -> Vec<Difference> {
    let of = |fact: &str, kind| {
        let (was, is) = (base.fact(fact)?, candidate.fact(fact)?);
        (was != is).then(|| Difference { fact: fact.into(), base: was.into(), candidate: is.into(), kind })
    };
    let unlike = UNLIKE.iter().filter_map(|fact| of(fact, DifferenceKind::Unlike));
    // Prompts that vary inside a sweep are part of its combinations.
    let is_single =
        |fact: &&str| [base, candidate].iter().all(|side| side.fact(fact).is_some_and(|text| !text.contains(',')));
    let prompts = Some("num_prompts").filter(is_single).and_then(|fact| of(fact, DifferenceKind::Unlike));
    let unlike = unlike.chain(prompts);
    let context = FACTS.iter().filter_map(|fact| of(fact, DifferenceKind::Context));
    load_differences(base, candidate).into_iter().chain(unlike).chain(context).collect()
}

/// Flags of the benchmarks' commands that are not the same.
fn load_differences(base: &SweepRead, candidate: &SweepRead) -> Vec<Difference> {
    let flags = |sweep: &SweepRead| sweep.fact("bench_cmd").and_then(flags_of);
    let (Some(was), Some(is)) = (flags(base), flags(candidate)) else { return Vec::new() };
    let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let of = |name: &&String| {
        let text = |flags: &BTreeMap<String, String>| flags.get(*name).cloned().unwrap_or_else(|| NOT_GIVEN.into());
        let (base, candidate) = (text(&was), text(&is));
        let is_load = !NO_LOAD.contains(&name.as_str());
        let kind = if is_load { DifferenceKind::Unlike } else { DifferenceKind::Context };
        let flag = format!("--{}", name.replace('_', "-"));
        // Where results go tells nothing of them.
        let is_shown = is_load || ["model", "tokenizer", "seed", "endpoint"].contains(&name.as_str());
        (base != candidate && is_shown).then_some(Difference { fact: flag, base, candidate, kind })
    };
    names.iter().filter_map(of).collect()
}

const NOT_GIVEN: &str = "(not given)";

/// Facts that make a sweep a copy of another: the same commands, engine and machine.
pub const FINGERPRINT: [&str; 8] =
    ["kind", "serve_cmd", "bench_cmd", "engine_version", "host", "gpu", "gpu_driver", "git_commit"];

pub fn fingerprint(sweep: &SweepRead) -> String {
    FINGERPRINT.map(|fact| sweep.fact(fact).unwrap_or_default()).join("\0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(facts: &[(&str, &str)]) -> SweepRead {
        let facts = facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        SweepRead { facts: facts.collect(), ..SweepRead::default() }
    }

    fn unlike(base: &[(&str, &str)], candidate: &[(&str, &str)]) -> Vec<String> {
        let all = differences(&sweep(base), &sweep(candidate)).into_iter();
        all.filter(|one| one.kind == DifferenceKind::Unlike).map(|one| one.fact).collect()
    }

    #[test]
    fn another_load_is_another_thing_however_it_is_quoted() {
        let command = |text: &'static str| [("bench_cmd", text)];
        let one = command("vllm bench serve --dataset-path 'data one.json' --port 8000");
        assert_eq!(unlike(&one, &command("vllm bench serve --dataset-path 'data two.json'")), ["--dataset-path"]);
        assert_eq!(unlike(&one, &command("vllm bench serve --dataset_path='data one.json' --port 9")), [""; 0]);
        assert_eq!(
            unlike(&command("b --random-input-len 128"), &command("b --random-input-len 256")),
            ["--random-input-len"]
        );
        // What is not known is no difference.
        assert_eq!(unlike(&one, &[]), [""; 0]);
        assert_eq!(unlike(&[("gpu_count", "1")], &[("gpu_count", "2")]), ["gpu_count"]);
        assert_eq!(unlike(&[("gpu_count", "1")], &[]), [""; 0]);
    }
}
