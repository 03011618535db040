//! How often a client may send: one bucket of tokens per kind of message.

/// A bucket that fills steadily and is emptied by messages. Knows no clock: the time comes in.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    per_s: u64,
    /// Thousandths of a token, so that one millisecond's share is a whole number.
    capacity_milli: u64,
    level_milli: u64,
    last_ms: Option<u64>,
}

impl Bucket {
    /// A full bucket: `burst` messages at once, `per_s` a second in the long run.
    pub(super) const fn new(per_s: u64, burst: u64) -> Self {
        Self { per_s, capacity_milli: burst * 1000, level_milli: burst * 1000, last_ms: None }
    }

    /// Takes one token; false if there is none.
    pub(super) fn take(&mut self, now_ms: u64) -> bool {
        let passed_ms = now_ms.saturating_sub(self.last_ms.unwrap_or(now_ms));
        self.last_ms = Some(now_ms);
        self.level_milli =
            self.level_milli.saturating_add(passed_ms.saturating_mul(self.per_s)).min(self.capacity_milli);
        let enough = self.level_milli >= 1000;
        if enough {
            self.level_milli -= 1000;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut bucket = Bucket::new(10, 3);
        assert_eq!([bucket.take(0), bucket.take(0), bucket.take(0), bucket.take(0)], [true, true, true, false]);
        assert!(!bucket.take(99));
        assert!(bucket.take(100));
        assert!(!bucket.take(100));
        assert!((0..3).all(|_| bucket.take(60_000)), "it fills up again");
        assert!(!bucket.take(60_000), "but never above its size");
    }
}
