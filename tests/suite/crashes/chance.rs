//! Chance that can be had again: everything random in these tests follows from one number.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

/// SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    /// What follows from `CRASHES_SEED`, or if that is not set from a number that nobody knows beforehand; it is printed.
    pub(super) fn new() -> Self {
        let given = std::env::var_os("CRASHES_SEED").map(|seed| seed.to_str().and_then(|seed| seed.parse().ok()));
        let seed = given.map_or_else(|| RandomState::new().hash_one(0), |seed| seed.expect("CRASHES_SEED is a number"));
        eprintln!("CRASHES_SEED={seed} does the same again, as far as chance is ours");
        Self(seed)
    }

    /// Another one, for somebody who acts beside us.
    pub(super) fn split(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below this.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// So many times in a hundred.
    pub(super) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Between so many milliseconds.
    pub(super) fn ms(&mut self, from: usize, to: usize) -> Duration {
        Duration::from_millis((from + self.below(to - from)) as u64)
    }
}
