//! Who else was up while a run was measured.

use crate::record::Company;
use std::collections::{BTreeMap, BTreeSet};

/// The servers that are up, by lane, and what was seen of them by those that measure.
#[derive(Debug, Default)]
pub struct Neighbours {
    up: BTreeMap<usize, String>,
    seen: BTreeMap<usize, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    most: usize,
    beside: BTreeSet<String>,
}

impl Neighbours {
    /// A server is started. What loads a model disturbs as much as what answers.
    pub fn came(&mut self, lane: usize, server: String) {
        for (_, seen) in self.seen.iter_mut().filter(|(other, _)| **other != lane) {
            seen.beside.insert(server.clone());
        }
        self.up.insert(lane, server);
        let up: Vec<usize> = self.up.keys().copied().collect();
        for (lane, seen) in &mut self.seen {
            seen.most = seen.most.max(up.iter().filter(|other| *other != lane).count());
        }
    }

    pub fn left(&mut self, lane: usize) {
        self.up.remove(&lane);
    }

    /// A run begins.
    pub fn measure(&mut self, lane: usize) {
        let beside: Vec<&String> =
            self.up.iter().filter(|(other, _)| **other != lane).map(|(_, server)| server).collect();
        let seen = Seen { most: beside.len(), beside: beside.into_iter().cloned().collect() };
        self.seen.insert(lane, seen);
    }

    /// The run has ended; whoever was up meanwhile. Nothing of one that was never begun.
    pub fn measured(&mut self, lane: usize, gpus: &[String]) -> Company {
        let seen = self.seen.remove(&lane).unwrap_or_default();
        Company { gpus: gpus.to_vec(), neighbours: seen.most, beside: seen.beside.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_up_at_any_time_is_named_and_the_most_at_a_time_counted() {
        let mut all = Neighbours::default();
        all.came(0, "a".into());
        all.measure(0);
        all.came(1, "b".into());
        all.left(1);
        all.came(2, "c".into());
        all.measure(2);
        let company = |neighbours: usize, beside: &[&str]| Company {
            gpus: Vec::new(),
            neighbours,
            beside: beside.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(all.measured(0, &[]), company(1, &["b", "c"]));
        assert_eq!(all.measured(2, &[]), company(1, &["a"]));
        all.left(0);
        all.measure(2);
        assert_eq!(all.measured(2, &["7".to_owned()]), Company { gpus: vec!["7".into()], ..company(0, &[]) });
    }
}
