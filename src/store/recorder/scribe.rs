//! The session's end of the recorder.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::{BYTES_MAX, Progress, Queued, Recorder};
use crate::{
    ids::{ConversationId, SessionId},
    store::{
        now_ms,
        record::{Change, Closing, Entry, Opening},
    },
    telemetry::metrics,
};

/// Hands over the records of one session, in order, and never waits. Dropping it without [`Change::Closed`] leaves the
/// conversation marked as lost.
#[derive(Debug)]
pub struct Scribe {
    recorder: Recorder,
    conversation: ConversationId,
    session: Uuid,
    epoch: i64,
    revision: i64,
    opening: Opening,
    /// The revision that opened the conversation; 0 if that was refused and must be tried again.
    opened_at: i64,
    is_closed: bool,
    progress: Arc<watch::Sender<Progress>>,
}

/// The recorder's queue is full, or it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the recorder takes no more records")]
pub struct Refused;

/// The epoch of a session that begins: nobody can have claimed it yet.
const FIRST_EPOCH: i64 = 1;

impl Recorder {
    /// A new conversation of a new session.
    pub fn begin(&self, session: SessionId, opening: Opening) -> Scribe {
        self.go_on(Claim { session, epoch: FIRST_EPOCH, conversation: ConversationId::new(), opening })
    }

    /// A conversation that goes on, of a session that was claimed ([`Store::claim`](crate::store::Store::claim)) for it.
    pub fn go_on(&self, claim: Claim) -> Scribe {
        let mut scribe = Scribe {
            recorder: self.clone(),
            conversation: claim.conversation,
            session: claim.session.uuid(),
            epoch: claim.epoch,
            revision: 0,
            opening: claim.opening,
            opened_at: 0,
            is_closed: false,
            progress: Arc::new(watch::Sender::new(Progress::default())),
        };
        // Refused: the first record tries again.
        let _refused = scribe.open();
        scribe
    }
}

/// The right to go on with a conversation.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Its session.
    pub session: SessionId,
    /// The epoch that the claim gave.
    pub epoch: i64,
    /// Which conversation.
    pub conversation: ConversationId,
    /// How it began.
    pub opening: Opening,
}

impl Scribe {
    /// The conversation's id.
    pub fn conversation(&self) -> ConversationId {
        self.conversation
    }

    /// The session that writes.
    pub fn session(&self) -> SessionId {
        SessionId::of_uuid(self.session)
    }

    /// The right with which it writes.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// How the conversation began.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// How far the records have come.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Hands over a change. Gives back its revision, by which [`Scribe::progress`] speaks of it.
    pub fn put(&mut self, change: Change) -> Result<i64, Refused> {
        // The opening itself was lost: without it nothing of this session has a place.
        if self.progress.borrow().lost_to >= self.opened_at {
            self.opened_at = 0;
        }
        if self.opened_at == 0 {
            self.open()?;
        }
        self.is_closed |= matches!(change, Change::Closed(_));
        self.send(change)
    }

    fn open(&mut self) -> Result<(), Refused> {
        self.opened_at = self.send(Change::Opened(self.opening.clone()))?;
        Ok(())
    }

    fn send(&mut self, mut change: Change) -> Result<i64, Refused> {
        change.clean();
        let bytes = u64::try_from(change.bytes()).unwrap_or(u64::MAX);
        let queued_bytes = &self.recorder.load.queued_bytes;
        let entry = Entry {
            conversation: self.conversation.uuid(),
            session: self.session,
            epoch: self.epoch,
            revision: self.revision + 1,
            at_ms: now_ms(),
            change,
        };
        if queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > BYTES_MAX {
            queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            metrics::records("unqueued", 1);
            return Err(Refused);
        }
        let queued = Queued { entry, bytes, progress: Arc::clone(&self.progress) };
        match self.recorder.queue.try_send(queued) {
            Ok(()) => {
                self.revision += 1;
                Ok(self.revision)
            }
            Err(mpsc::error::TrySendError::Full(_) | mpsc::error::TrySendError::Closed(_)) => {
                queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                metrics::records("unqueued", 1);
                Err(Refused)
            }
        }
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        if !self.is_closed {
            let closing = Closing { lost: true, reason: "dropped".to_owned(), ..Closing::default() };
            let _too_late = self.put(Change::Closed(closing));
        }
    }
}
