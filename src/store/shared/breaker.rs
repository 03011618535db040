//! Leaves a Redis alone that does not answer, so that nobody waits for it: after [`FAILURES_MAX`] failures in a row for
//! [`PAUSE`], then one call tries.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Failures in a row after which nobody asks any more.
pub(super) const FAILURES_MAX: u32 = 5;

/// How long.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Whether Redis is asked.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Nobody asks before this.
    closed_until: Option<Instant>,
    /// Somebody is trying.
    is_trying: bool,
}

/// The right to ask once. Dropped without a word (whoever asked is gone), it changes nothing.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    /// The first after a pause.
    pub(super) is_trial: bool,
}

impl Breaker {
    /// Whether Redis may be asked at `now`.
    pub(super) fn pass(&self, now: Instant) -> Option<Pass<'_>> {
        let mut state = self.state();
        let is_trial = state.closed_until.is_some();
        if is_trial && (state.is_trying || state.closed_until > Some(now)) {
            return None;
        }
        state.is_trying = is_trial;
        Some(Pass { breaker: self, is_trial })
    }

    /// Whether nobody asks at the moment.
    pub(super) fn is_open(&self) -> bool {
        self.state().closed_until.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// It answered, even if only to refuse.
    pub(super) fn answered(self) {
        *self.breaker.state() = State::default();
    }

    /// It did not.
    pub(super) fn failed(self, now: Instant) {
        let mut state = self.breaker.state();
        state.failures = state.failures.saturating_add(1);
        if self.is_trial || state.failures >= FAILURES_MAX {
            state.closed_until = Some(now + PAUSE);
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_trial {
            self.breaker.state().is_trying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn five_failures_in_a_row_close_the_door_and_one_trial_opens_it() {
        let (breaker, start) = (Breaker::default(), start());
        for _ in 1..FAILURES_MAX {
            breaker.pass(start).unwrap().failed(start);
        }
        breaker.pass(start).unwrap().answered();
        for _ in 0..FAILURES_MAX {
            breaker.pass(start).expect("an answer in between counts from the beginning").failed(start);
        }
        assert!(breaker.pass(start).is_none() && breaker.is_open());
        let later = start + PAUSE;
        let trial = breaker.pass(later).expect("after the pause somebody tries");
        assert!(trial.is_trial);
        assert!(breaker.pass(later).is_none(), "one at a time");
        trial.failed(later);
        assert!(breaker.pass(later).is_none(), "and if that fails, another pause");
        let later = later + PAUSE;
        drop(breaker.pass(later).expect("a trial that is given up"));
        breaker.pass(later).expect("lets another one try").answered();
        assert!(!breaker.is_open());
        assert!(breaker.pass(later).is_some_and(|pass| !pass.is_trial));
    }
}
