//! The one task that writes for this node's sessions: it renews their leases together, and writes the newest state of each.

use std::{mem, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use super::{
    Away, Digest, Lease, NodeInfo, Place, Shared, Snapshot, Standing,
    held::{Ending, Note, Unwritten},
};
use crate::{ids::SessionId, store::now_ms, telemetry::metrics};

/// What this node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Sessions now.
    pub sessions: usize,
    /// Whether new ones are refused.
    pub draining: bool,
}

/// The keeper's task. Dropping it ends it at once: leases run out by themselves.
#[derive(Debug)]
pub struct Running {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Running {
    /// Writes what has been put, gives the node's name back, and ends. Says whether that was done within `grace`.
    pub async fn stop(mut self, grace: Duration) -> bool {
        self.stop.cancel();
        time::timeout(grace, self.tasks.join_next()).await.is_ok()
    }
}

pub(super) fn start(shared: Shared, notes: mpsc::Receiver<Note>, load: Box<dyn Fn() -> Load + Send + Sync>) -> Running {
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    let keeper = Keeper { shared, load, since_ms: now_ms(), generation: None };
    tasks.spawn(keeper.run(notes, stop.clone()));
    Running { tasks, stop }
}

struct Keeper {
    shared: Shared,
    load: Box<dyn Fn() -> Load + Send + Sync>,
    since_ms: i64,
    /// Of the memory that we last wrote to.
    generation: Option<String>,
}

/// What is to be written for one session, taken from its slot.
struct Job {
    session: SessionId,
    serial: u64,
    epoch: i64,
    lease: bool,
    snapshot: Option<Arc<Snapshot>>,
    token: Option<Digest>,
    ending: Option<Ending>,
}

impl Keeper {
    async fn run(mut self, mut notes: mpsc::Receiver<Note>, stop: CancellationToken) {
        let mut beat_at = now();
        let desk = Arc::clone(&self.shared.inner.desk);
        while !stop.is_cancelled() {
            if beat_at <= now() {
                let is_away = self.beat().await.is_err();
                // Often enough that a Redis that comes back knows everything within seconds.
                let pause = self.shared.inner.config.lease() / BEATS_PER_LEASE;
                beat_at = now() + if is_away { pause.min(RETRY) } else { pause };
            }
            // What fails waits for the next beat.
            let has_more = self.write().await.unwrap_or(false);
            if has_more {
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Some(note) = notes.recv() => self.note(note).await,
                () = desk.wake.notified() => {}
                () = time::sleep_until(beat_at) => {}
            }
        }
        while let Ok(true) = self.write().await {}
        let _it_runs_out = self.shared.withdraw().await;
    }

    /// Says that this node is there, and renews what its sessions have.
    async fn beat(&mut self) -> Result<(), Away> {
        let load = (self.load)();
        let info = NodeInfo {
            name: self.shared.node().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sessions: load.sessions,
            draining: load.draining,
            since_ms: self.since_ms,
        };
        let generation = self.shared.announce(&info).await?;
        let earlier = self.generation.replace(generation.clone());
        if earlier.is_some_and(|earlier| earlier != generation) {
            tracing::warn!("Redis has lost everything; what lives here is written again");
            metrics::shared_reset();
        }
        let leases: Vec<(u64, Lease)> = {
            let slots = self.shared.inner.desk.slots();
            let live = slots.iter().filter(|(_, slot)| slot.ending.is_none() && !slot.lost.is_cancelled());
            live.map(|(session, slot)| (slot.serial, Lease { session: *session, epoch: slot.epoch, token: slot.token }))
                .collect()
        };
        let wanted: Vec<Lease> = leases.iter().map(|(_, lease)| *lease).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let renewals = self.shared.renew(&wanted).await?;
        for ((serial, lease), renewal) in leases.into_iter().zip(renewals) {
            if self.judge(lease.session, serial, &renewal.standing) {
                // Evicted, or flushed: the next write puts it back.
                self.put_back(
                    lease.session,
                    serial,
                    Unwritten { lease: false, snapshot: !renewal.has_snapshot, token: !renewal.has_token },
                );
            }
        }
        Ok(())
    }

    /// Writes for up to [`BATCH`] sessions, and says whether there may be more. What fails is wanted again.
    async fn write(&self) -> Result<bool, Away> {
        let jobs = self.jobs();
        let has_more = jobs.len() == BATCH;
        let done = stream::iter(jobs).map(async |job| (self.job(&job).await, job)).buffer_unordered(AT_A_TIME);
        tokio::pin!(done);
        let mut is_away = false;
        while let Some((standing, job)) = done.next().await {
            match standing {
                Ok(standing) => {
                    if job.ending.is_some() {
                        self.clear(job.session, job.serial);
                    } else {
                        self.judge(job.session, job.serial, &standing);
                    }
                }
                Err(Away) => {
                    is_away = true;
                    let unwritten =
                        Unwritten { lease: job.lease, snapshot: job.snapshot.is_some(), token: job.token.is_some() };
                    self.put_back(job.session, job.serial, unwritten);
                }
            }
        }
        if is_away { Err(Away) } else { Ok(has_more) }
    }

    /// Takes what is to be written.
    fn jobs(&self) -> Vec<Job> {
        let mut slots = self.shared.inner.desk.slots();
        let wanting = slots.iter_mut().filter(|(_, slot)| {
            slot.ending.is_some() || (slot.unwritten != Unwritten::default() && !slot.lost.is_cancelled())
        });
        let job = |(session, slot): (&SessionId, &mut super::held::Slot)| {
            let unwritten = mem::take(&mut slot.unwritten);
            Job {
                session: *session,
                serial: slot.serial,
                epoch: slot.epoch,
                lease: unwritten.lease,
                snapshot: slot.snapshot.clone().filter(|_| unwritten.snapshot),
                token: slot.token.filter(|_| unwritten.token),
                ending: slot.ending,
            }
        };
        wanting.take(BATCH).map(job).collect()
    }

    async fn job(&self, job: &Job) -> Result<Standing, Away> {
        if job.ending != Some(Ending::Over) {
            if job.lease
                && let lost @ Standing::Lost(_) = self.shared.claim(job.session, job.epoch).await?
            {
                return Ok(lost);
            }
            if let Some(snapshot) = &job.snapshot
                && let lost @ Standing::Lost(_) = self.shared.put_snapshot(snapshot).await?
            {
                return Ok(lost);
            }
            if let Some(token) = job.token {
                self.shared.put_resume_token(token, job.session).await?;
            }
        }
        match job.ending {
            Some(Ending::Over) => self.shared.remove(job.session, job.epoch).await?,
            Some(Ending::Released) => self.shared.release(job.session, job.epoch).await?,
            None => {}
        }
        Ok(Standing::Ours)
    }

    async fn note(&self, note: Note) {
        match (note, &*self.shared.inner.place) {
            (Note::Phrase(key, speech), Place::Redis(redis)) => {
                let _spoken_again_then = redis.put_phrase(key, speech).await;
            }
            (Note::Phrase(..), Place::Local(_)) => {}
            (Note::Forget { key, owner, is_alone }, _) => {
                let _it_runs_out = self.shared.finish(key, owner, is_alone, None).await;
            }
        }
    }

    /// Tells a session that it belongs to another node. Whether it is ours.
    fn judge(&self, session: SessionId, serial: u64, standing: &Standing) -> bool {
        let Standing::Lost(owner) = standing else { return true };
        if let Some(slot) = self.shared.inner.desk.slots().get(&session).filter(|slot| slot.serial == serial)
            && !slot.lost.is_cancelled()
        {
            tracing::info!(%session, epoch = owner.epoch, "another node goes on with the session");
            metrics::shared_taken_over();
            slot.lost.cancel();
        }
        false
    }

    fn put_back(&self, session: SessionId, serial: u64, unwritten: Unwritten) {
        let mut slots = self.shared.inner.desk.slots();
        if let Some(slot) = slots.get_mut(&session).filter(|slot| slot.serial == serial) {
            slot.unwritten.lease |= unwritten.lease;
            slot.unwritten.snapshot |= unwritten.snapshot && slot.snapshot.is_some();
            slot.unwritten.token |= unwritten.token && slot.token.is_some();
        }
    }

    fn clear(&self, session: SessionId, serial: u64) {
        let mut slots = self.shared.inner.desk.slots();
        if slots.get(&session).is_some_and(|slot| slot.serial == serial) {
            slots.remove(&session);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "when leases are renewed")]
fn now() -> Instant {
    Instant::now()
}

/// How often a lease is renewed while it would last.
const BEATS_PER_LEASE: u32 = 4;

/// Between two attempts while Redis is away.
const RETRY: Duration = Duration::from_secs(1);

/// Sessions written for at once.
const BATCH: usize = 64;

/// Calls at a time.
const AT_A_TIME: usize = 16;
