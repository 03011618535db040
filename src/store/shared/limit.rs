//! How much a caller may ask: the generic cell rate algorithm, which is a bucket that leaks one unit at a time, kept as one number.

use std::time::Duration;

/// So many units in so long a time; a caller that has been quiet may ask for all of them at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many, at least 1.
    pub units: u32,
    /// In which time.
    pub window: Duration,
}

/// What became of a request for units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Whether they were there.
    pub is_allowed: bool,
    /// How many there are when nothing was taken for long.
    pub limit: u32,
    /// How many are left.
    pub remaining: u32,
    /// Until all of them are there again, in milliseconds.
    pub reset_ms: u64,
    /// Until as many as were asked for will be there, in milliseconds; 0 if they were.
    pub retry_after_ms: u64,
}

impl Limit {
    /// So many a minute.
    pub const fn per_minute(units: u32) -> Self {
        Self { units, window: Duration::from_secs(60) }
    }

    /// The time in which one unit comes back, in microseconds.
    pub(super) fn unit_us(self) -> u64 {
        (micros(self.window) / u64::from(self.units.max(1))).max(1)
    }

    /// The time in which all of them do.
    pub(super) fn all_us(self) -> u64 {
        self.unit_us() * u64::from(self.units.max(1))
    }

    /// `used_us` of [`Limit::all_us`] are used, and `missing_us` too few were left.
    pub(super) fn taken(self, used_us: u64, missing_us: u64) -> Taken {
        let left = self.all_us().saturating_sub(used_us) / self.unit_us();
        Taken {
            is_allowed: missing_us == 0,
            limit: self.units.max(1),
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            reset_ms: used_us.div_ceil(1_000),
            retry_after_ms: missing_us.div_ceil(1_000),
        }
    }

    /// Takes units at `now_us` from a bucket that would be full again at `full_at_us`. Gives back when it will be full, if
    /// something was taken.
    pub(super) fn take(self, full_at_us: u64, now_us: u64, units: u32) -> (Option<u64>, Taken) {
        let full_at_us = full_at_us.max(now_us);
        let then_us = full_at_us + u64::from(units) * self.unit_us();
        let missing_us = then_us.saturating_sub(now_us + self.all_us());
        if missing_us > 0 {
            return (None, self.taken(full_at_us - now_us, missing_us));
        }
        (Some(then_us), self.taken(then_us - now_us, 0))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_unit_at_a_time() {
        let limit = Limit { units: 4, window: Duration::from_secs(4) };
        let mut full_at = 0;
        for left in (0..4).rev() {
            let (then, taken) = limit.take(full_at, 1_000, 1);
            full_at = then.expect("it is there");
            assert_eq!((taken.is_allowed, taken.remaining), (true, left));
        }
        let (none, taken) = limit.take(full_at, 1_000, 1);
        assert_eq!((none, taken.is_allowed, taken.remaining), (None, false, 0));
        assert_eq!((taken.reset_ms, taken.retry_after_ms), (4_000, 1_000));
        assert!(limit.take(full_at, 1_001_000, 1).0.is_some(), "a second later one is back");
        assert!(limit.take(full_at, 1_001_000, 2).0.is_none(), "and not two");
    }

    #[test]
    fn more_than_there_ever_are_is_refused_and_nothing_divides_by_zero() {
        assert!(!Limit::per_minute(3).take(0, 0, 4).1.is_allowed);
        assert!(Limit { units: 0, window: Duration::ZERO }.take(0, 0, 1).1.is_allowed);
    }
}
