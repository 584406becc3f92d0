//! What sweeps left that were killed together with their keepers.

use super::cgroup::Cgroup;
use super::mark::{Mark, marks_of};
use super::{Family, Member, Strays};
use crate::os::processes;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long keepers of sweeps that are gone may take to end what these left.
const PATIENCE: Duration = Duration::from_secs(8);
const GRACE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(100);

/// Ends what sweeps left that are gone; returns who it was. Keepers that are about to do so are waited for.
pub fn end_leftovers(is_keeper: impl Fn(&str) -> bool) -> Vec<Member> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && orphaned(&is_keeper).iter().any(|orphan| orphan.is_keeper) {
        std::thread::sleep(POLL);
    }
    let mut marks: HashMap<Mark, Vec<Member>> = HashMap::new();
    for orphan in orphaned(&is_keeper).into_iter().filter(|orphan| !orphan.is_keeper) {
        marks.entry(orphan.mark).or_default().push(orphan.member);
    }
    for mark in Cgroup::all().into_iter().filter(is_abandoned) {
        marks.entry(mark).or_default();
    }
    let mut ended = Vec::new();
    for (mark, members) in marks {
        // The number of who led it may be another's by now.
        let family = Family::of(mark, None);
        let inner = family.members(&Strays::None);
        family.end(&Strays::None, GRACE);
        ended.extend(if inner.len() > members.len() { inner } else { members });
    }
    ended.sort_by_key(|member| member.pid);
    ended
}

struct Orphan {
    mark: Mark,
    member: Member,
    is_keeper: bool,
}

/// Processes whose owners are gone.
fn orphaned(is_keeper: impl Fn(&str) -> bool) -> Vec<Orphan> {
    let mut found = Vec::new();
    for process in processes().filter(|process| !process.is_ended) {
        let Some(mark) = marks_of(process.pid).into_iter().find(is_abandoned) else { continue };
        found.push(Orphan { mark, member: Member::of(&process), is_keeper: is_keeper(&process.name) });
    }
    found
}

fn is_abandoned(mark: &Mark) -> bool {
    mark.owner.is_of_this_namespace() && !mark.owner.is_alive()
}
