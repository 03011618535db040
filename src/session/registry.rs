//! Which sessions live here: permits, a count, and the way to drain them.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// The sessions of this process.
#[derive(Debug, Clone)]
pub struct Registry {
    permits: Arc<Semaphore>,
    tracker: TaskTracker,
    leaving: CancellationToken,
    draining: CancellationToken,
    max: usize,
}

/// The right to hold one session; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    /// Cancelled when the server drains.
    pub draining: CancellationToken,
    _tracked: TaskTrackerToken,
    _slot: OwnedSemaphorePermit,
}

/// Why no session may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Every place is taken.
    #[error("all session places are taken")]
    Full,
    /// Those who are here already keep the processor busy.
    #[error("speech recognition is behind")]
    Behind,
    /// The server is leaving.
    #[error("the server is restarting")]
    Draining,
}

impl Refusal {
    /// The word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Behind => "behind",
            Self::Draining => "draining",
        }
    }

    /// When to try again, in seconds.
    pub const fn retry_after_s(self) -> u32 {
        match self {
            Self::Full => 5,
            Self::Behind | Self::Draining => 2,
        }
    }
}

impl Registry {
    /// Room for `max` sessions at a time.
    pub fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self {
            permits: Arc::new(Semaphore::new(max)),
            tracker: TaskTracker::new(),
            leaving: CancellationToken::new(),
            draining: CancellationToken::new(),
            max,
        }
    }

    /// Takes a place, or says why not. Never waits.
    pub fn admit(&self) -> Result<Permit, Refusal> {
        if self.draining.is_cancelled() {
            return Err(Refusal::Draining);
        }
        let slot = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| Refusal::Full)?;
        Ok(Permit { draining: self.draining.clone(), _tracked: self.tracker.token(), _slot: slot })
    }

    /// Sessions now.
    pub fn sessions(&self) -> usize {
        self.max - self.permits.available_permits()
    }

    /// Says that the server will leave soon. Until [`Registry::drain`] everybody is still let in.
    pub fn announce(&self) {
        self.leaving.cancel();
    }

    /// Whether whoever can choose should go elsewhere.
    pub fn is_leaving(&self) -> bool {
        self.leaving.is_cancelled() || self.is_draining()
    }

    /// Whether nobody is let in any more.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Admits nobody any more, lets every session finish its reply, and waits for them at most `grace`. Says whether all
    /// of them ended.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.draining.cancel();
        self.tracker.close();
        time::timeout(grace, self.tracker.wait()).await.is_ok()
    }
}
