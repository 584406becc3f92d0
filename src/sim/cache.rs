//! The prefix cache: which blocks of prompt tokens have been computed before. Holds at most as many blocks as
//! the KV cache and forgets the least recently used. (A real engine shares the memory between cached and
//! running blocks; here the two are counted apart.)

use std::collections::{BTreeMap, HashMap};

#[derive(Debug)]
pub struct PrefixCache {
    capacity: usize,
    clock: u64,
    used_at: HashMap<u64, u64>,
    by_age: BTreeMap<u64, u64>,
}

impl PrefixCache {
    pub fn new(capacity: usize) -> Self {
        Self { capacity, clock: 0, used_at: HashMap::new(), by_age: BTreeMap::new() }
    }

    /// How many of the leading blocks are known.
    pub fn hits(&mut self, blocks: &[u64]) -> usize {
        let known = blocks.iter().take_while(|block| self.used_at.contains_key(block)).count();
        blocks[..known].iter().for_each(|block| self.touch(*block));
        known
    }

    pub fn insert(&mut self, blocks: &[u64]) {
        blocks.iter().for_each(|block| self.touch(*block));
        while self.used_at.len() > self.capacity {
            match self.by_age.pop_first() {
                Some((_, oldest)) => self.used_at.remove(&oldest),
                None => return,
            };
        }
    }

    pub fn clear(&mut self) {
        self.used_at.clear();
        self.by_age.clear();
    }

    fn touch(&mut self, block: u64) {
        self.clock += 1;
        if let Some(before) = self.used_at.insert(block, self.clock) {
            self.by_age.remove(&before);
        }
        self.by_age.insert(self.clock, block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_leading_blocks_hit_and_the_oldest_is_forgotten() {
        let mut cache = PrefixCache::new(3);
        cache.insert(&[1, 2, 3]);
        assert_eq!(cache.hits(&[1, 2, 9, 3]), 2);
        cache.insert(&[4]);
        assert_eq!(cache.hits(&[1, 2]), 2);
        assert_eq!(cache.hits(&[3]), 0);
        cache.clear();
        assert_eq!(cache.hits(&[1]), 0);
    }
}
