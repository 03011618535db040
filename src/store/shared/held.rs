//! What this node's sessions want kept, and the end of it that they hold.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Digest, Snapshot};
use crate::{ids::SessionId, telemetry::metrics};

/// One session that this node has. Nothing here waits: the keeper writes it in its time, the newest state only. Dropping it
/// gives up the lease and leaves state and resume token for whoever goes on with the conversation; [`Held::end`] takes
/// them along.
#[derive(Debug)]
pub struct Held {
    desk: Arc<Desk>,
    session: SessionId,
    epoch: i64,
    serial: u64,
    lost: CancellationToken,
    is_over: bool,
}

impl Held {
    pub(super) fn new(desk: Arc<Desk>, session: SessionId, epoch: i64) -> Self {
        let (serial, lost) = (desk.serial.fetch_add(1, Ordering::Relaxed), CancellationToken::new());
        let slot = Slot {
            serial,
            epoch,
            snapshot: None,
            token: None,
            unwritten: Unwritten { lease: true, snapshot: false, token: false },
            lost: lost.clone(),
            ending: None,
        };
        if let Some(earlier) = desk.slots().insert(session, slot) {
            earlier.lost.cancel();
        }
        desk.wake.notify_one();
        Self { desk, session, epoch, serial, lost, is_over: false }
    }

    /// The session.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The epoch with which this node has it.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// The conversation as it now stands. A state that has not been written yet is replaced.
    pub fn put_snapshot(&self, mut snapshot: Snapshot) {
        snapshot.trim();
        self.change(|slot| {
            slot.snapshot = Some(Arc::new(snapshot));
            slot.unwritten.snapshot = true;
        });
    }

    /// The digest of the token by which the client may take up this session elsewhere. An earlier token stays good for what is
    /// left of its resume window.
    pub fn put_resume_token(&self, token: Digest) {
        self.change(|slot| {
            slot.token = Some(token);
            slot.unwritten.token = true;
        });
    }

    /// Cancelled once another node has the session, with a higher epoch: what this one still writes is refused.
    pub fn taken_over(&self) -> &CancellationToken {
        &self.lost
    }

    /// The conversation is over: nobody is to go on with it.
    pub fn end(mut self) {
        self.is_over = true;
    }

    fn change(&self, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.desk.slots().get_mut(&self.session).filter(|slot| slot.serial == self.serial) {
            change(slot);
        }
        self.desk.wake.notify_one();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let ending = if self.is_over { Ending::Over } else { Ending::Released };
        self.change(|slot| slot.ending = Some(ending));
        self.desk.clear();
    }
}

/// What is wanted, by session: as many entries as there are sessions, and [`ENDED_MAX`] that have ended and wait for Redis;
/// of further ones nothing is said any more, and their keys run out.
#[derive(Debug)]
pub(super) struct Desk {
    slots: Mutex<HashMap<SessionId, Slot>>,
    serial: AtomicU64,
    /// Something is to be written.
    pub(super) wake: Notify,
    notes: mpsc::Sender<Note>,
}

/// One session.
#[derive(Debug)]
pub(super) struct Slot {
    /// Tells this [`Held`] from an earlier one of the same session.
    pub(super) serial: u64,
    pub(super) epoch: i64,
    pub(super) snapshot: Option<Arc<Snapshot>>,
    pub(super) token: Option<Digest>,
    pub(super) unwritten: Unwritten,
    pub(super) lost: CancellationToken,
    pub(super) ending: Option<Ending>,
}

/// What Redis does not have yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Unwritten {
    pub(super) lease: bool,
    pub(super) snapshot: bool,
    pub(super) token: bool,
}

/// How a session left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Somebody else may go on with it.
    Released,
    /// Nobody may.
    Over,
}

/// Something to write that belongs to no session.
#[derive(Debug)]
pub(super) enum Note {
    /// A phrase.
    Phrase(Digest, Bytes),
    /// A named request was not answered.
    Forget { key: Digest, owner: Uuid, is_alone: bool },
}

impl Desk {
    /// An empty one, and where the keeper reads notes: [`NOTES_MAX`]; further ones are dropped, which costs a phrase spoken
    /// again or a name that stays taken for some minutes.
    pub(super) fn new() -> (Arc<Self>, mpsc::Receiver<Note>) {
        let (notes, queue) = mpsc::channel(NOTES_MAX);
        (Arc::new(Self { slots: Mutex::default(), serial: AtomicU64::new(1), wake: Notify::new(), notes }), queue)
    }

    pub(super) fn slots(&self) -> MutexGuard<'_, HashMap<SessionId, Slot>> {
        // Whoever panicked while holding it had changed one field: all of them are whole.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, note: Note) {
        if self.notes.try_send(note).is_err() {
            metrics::shared_dropped("note");
        }
    }

    /// Forgets about ended sessions when too many of them wait.
    fn clear(&self) {
        let mut slots = self.slots();
        let ended = slots.values().filter(|slot| slot.ending.is_some());
        if ended.count() > ENDED_MAX {
            slots.retain(|_, slot| slot.ending.is_none());
            metrics::shared_dropped("ending");
        }
    }
}

/// Sessions that have ended while Redis was away.
const ENDED_MAX: usize = 1_024;

/// Notes on their way.
const NOTES_MAX: usize = 64;
