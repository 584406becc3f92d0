//! Equal sweeps of a lake: what they differ by is what a change must exceed.

use super::alike::{FINGERPRINT, fingerprint};
use super::noise::SweepRuns;
use super::reading::SweepRead;
use crate::query::{Lake, QueryError};
use std::collections::BTreeMap;

/// Sweeps of a lake that tell how much equal ones differ.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Equal to those of the base, and to those of the candidate.
    pub of_sides: [Vec<SweepRead>; 2],
    /// Groups of equal sweeps of other builds and machines.
    pub far: Vec<Vec<SweepRead>>,
}

impl History {
    /// From the sweeps of a lake; those that are compared themselves are no history.
    pub fn of(all: Vec<SweepRead>, base: &[SweepRead], candidate: &[SweepRead]) -> Self {
        let is_compared = |sweep: &SweepRead| base.iter().chain(candidate).any(|other| is_same(other, sweep));
        let mut groups: BTreeMap<String, Vec<SweepRead>> = BTreeMap::new();
        for sweep in all.into_iter().filter(|sweep| !is_compared(sweep) && is_whole(sweep)) {
            groups.entry(fingerprint(&sweep)).or_default().push(sweep);
        }
        let mut take = |side: &[SweepRead]| {
            let own = side.first().filter(|first| is_told(first)).map(fingerprint);
            own.and_then(|own| groups.remove(&own)).unwrap_or_default()
        };
        // Where both are equal, the history is the base's.
        let of_sides = [take(base), take(candidate)];
        let far = groups.into_values().filter(|group| group.len() > 1 && is_told(&group[0])).collect();
        Self { of_sides, far }
    }

    /// Of one metric.
    pub fn of_metric(&self, metric: usize) -> ([Vec<SweepRuns>; 2], Vec<Vec<SweepRuns>>) {
        let of = |group: &[SweepRead]| group.iter().map(|sweep| sweep.metrics[metric].clone()).collect::<Vec<_>>();
        let far = self.far.iter().map(|group| of(group)).collect();
        ([of(&self.of_sides[0]), of(&self.of_sides[1])], far)
    }
}

crate::query::typed_row! {
    struct Candidate {
        sweep: String,
        print: String,
    }
}

/// At most so many sweeps of a build, the newest, and so many builds.
const MOST_EQUAL: usize = 30;
const MOST_GROUPS: usize = 30;

/// The names of the sweeps of a lake that have an equal one, or are equal to one of these.
pub async fn names_of_equal(lake: &Lake, compared: &[SweepRead]) -> Result<Vec<String>, QueryError> {
    let print = FINGERPRINT.map(|fact| format!("coalesce(CAST({fact} AS VARCHAR), '')")).join(" || '\0' || ");
    let sql = format!(
        "SELECT sweep, {print} AS print FROM sweeps WHERE state = 'completed' AND serve_cmd IS NOT NULL \
         AND bench_cmd IS NOT NULL ORDER BY started_at DESC, sweep"
    );
    let all: Vec<Candidate> = lake.sql(&sql).await?.typed("compare: equal sweeps")?;
    let own: Vec<String> = compared.iter().map(fingerprint).collect();
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    all.into_iter().for_each(|one| groups.entry(one.print).or_default().push(one.sweep));
    let (near, far): (Vec<_>, Vec<_>) = groups.into_iter().partition(|(print, _)| own.contains(print));
    let far = far.into_iter().filter(|(_, group)| group.len() > 1).take(MOST_GROUPS);
    Ok(near.into_iter().chain(far).flat_map(|(_, group)| group.into_iter().take(MOST_EQUAL)).collect())
}

/// One sweep, seen twice: by its folder, which both say.
fn is_same(left: &SweepRead, right: &SweepRead) -> bool {
    match (left.fact("folder"), right.fact("folder")) {
        (Some(left), Some(right)) => {
            let absolute = |path: &str| std::path::absolute(path).unwrap_or_else(|_| path.into());
            absolute(left) == absolute(right)
        }
        _ => left.name == right.name,
    }
}

/// A sweep that ended well.
fn is_whole(sweep: &SweepRead) -> bool {
    sweep.fact("state") == Some("completed")
}

/// A sweep whose commands are known: others can't be told to be equal.
fn is_told(sweep: &SweepRead) -> bool {
    sweep.fact("serve_cmd").is_some() && sweep.fact("bench_cmd").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(name: &str, version: &str, state: &str) -> SweepRead {
        let facts =
            [("serve_cmd", "s"), ("bench_cmd", "b"), ("engine_version", version), ("state", state), ("folder", name)];
        let facts = facts.map(|(fact, value)| (fact.to_owned(), value.to_owned())).into();
        SweepRead { name: name.into(), facts, ..SweepRead::default() }
    }

    #[test]
    fn equal_sweeps_are_those_of_one_build_that_ended_well() {
        let all = ["a", "b", "c", "d"].map(|name| sweep(name, "1", "completed")).into_iter();
        let all = all.chain([sweep("e", "2", "completed"), sweep("f", "1", "failed"), sweep("g", "2", "completed")]);
        let all = all.chain(["h", "i"].map(|name| sweep(name, "3", "completed")));
        let history = History::of(all.collect(), &[sweep("a", "1", "completed")], &[sweep("e", "2", "completed")]);
        let names = |group: &[SweepRead]| group.iter().map(|sweep| sweep.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&history.of_sides[0]), ["b", "c", "d"]);
        assert_eq!(names(&history.of_sides[1]), ["g"]);
        assert_eq!(history.far.iter().map(|group| names(group)).collect::<Vec<_>>(), [["h", "i"]]);
    }
}
