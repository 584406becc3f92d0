//! Which work a machine tries to get next, among what nobody seemed to have when it last asked, and when it is worth asking again.

use rand::seq::IteratorRandom;
use std::time::Duration;

/// More than these are not drawn from.
const MOST_DRAWN_FROM: usize = 4096;

/// Asking all the time would keep the store from those who work.
const PAUSE: u32 = 4;

/// In the order of the work where few machines want it; where many do, they part ways.
#[derive(Clone, Debug)]
pub struct Draw {
    /// Among so many the next one is drawn.
    window: usize,
    /// How long asking what others have took the last time.
    asking: Duration,
    /// How long claims in vain have taken since.
    wasted: Duration,
}

impl Default for Draw {
    fn default() -> Self {
        Self { window: 1, asking: Duration::ZERO, wasted: Duration::ZERO }
    }
}

impl Draw {
    /// The place of the next one among those that wait.
    pub fn place(&self, waiting: usize) -> Option<usize> {
        (0..waiting.min(self.window)).choose(&mut rand::rng())
    }

    /// What was drawn was nobody's. The window opens fast and closes slowly, so that in a crowd most claims are won.
    pub fn won(&mut self) {
        self.window = (self.window - (self.window / 8).max(1)).max(1);
    }

    /// What was drawn is another's; it took so long to learn that.
    pub fn in_vain(&mut self, took: Duration) {
        self.window = (2 * self.window).min(MOST_DRAWN_FROM);
        self.wasted += took;
    }

    pub fn asked(&mut self, took: Duration) {
        (self.asking, self.wasted) = (took, Duration::ZERO);
    }

    /// How long to wait where all that is left is others', if asking cost nothing for so long.
    pub fn pause(&self, usual: Duration) -> Duration {
        usual.max(PAUSE * self.asking)
    }

    /// Whether claims in vain have cost as much as asking does. So never more than twice the time is spent that whoever knew when to ask
    /// would spend, however long asking takes.
    pub fn is_out_of_date(&self) -> bool {
        !self.wasted.is_zero() && self.wasted >= self.asking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_again_costs_no_more_than_what_was_in_vain() {
        let (asking, claim) = (Duration::from_secs(20), Duration::from_millis(100));
        let mut draw = Draw::default();
        assert!(!draw.is_out_of_date());
        draw.asked(asking);
        let in_vain = (1..).find(|_| {
            draw.in_vain(claim);
            draw.is_out_of_date()
        });
        assert_eq!(in_vain, Some(200));
        draw.asked(asking);
        assert!(!draw.is_out_of_date());
    }

    #[test]
    fn who_is_alone_keeps_the_order_and_a_crowd_parts() {
        let mut draw = Draw::default();
        assert_eq!((draw.place(9), draw.place(0)), (Some(0), None));
        (0..20).for_each(|_| draw.in_vain(Duration::ZERO));
        let places: std::collections::BTreeSet<_> = (0..200).filter_map(|_| draw.place(100_000)).collect();
        assert!(places.len() > 150 && places.iter().all(|place| *place < MOST_DRAWN_FROM));
        (0..100).for_each(|_| draw.won());
        assert_eq!(draw.place(9), Some(0));
    }
}
