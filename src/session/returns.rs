//! Clients that come back: who has lost its socket finds its session by a token.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Attachment, missed::LeftOff};
use crate::store::shared::Digest;

/// A client that is back, with a new socket.
pub struct Return {
    /// The new socket.
    pub socket: Attachment,
    /// Where the client left off.
    pub left_off: LeftOff,
}

/// The sessions of this server that a client may come back to, by token. Cheap to clone.
#[derive(Clone, Default)]
pub struct Returns {
    waiting: Arc<Mutex<HashMap<String, Waiting>>>,
}

/// A session that waits.
#[derive(Clone)]
struct Waiting {
    sender: mpsc::Sender<Return>,
    /// Whose it is: a token alone does not open another's session.
    owner: Digest,
}

/// A session's place among them; given up when dropped.
pub struct Expected {
    returns: Returns,
    token: String,
    waiting: Waiting,
    arrivals: mpsc::Receiver<Return>,
    /// How long the session waits for its client.
    pub window: Duration,
}

impl Returns {
    /// A place for a session of this owner that waits so long for its client.
    pub fn expect(&self, window: Duration, owner: Digest) -> Expected {
        let (sender, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let waiting = Waiting { sender, owner };
        let mut expected = Expected { returns: self.clone(), token: String::new(), waiting, arrivals, window };
        expected.renew();
        expected
    }

    /// Hands a new socket to the session of this token. Gives it back if there is none, if it is another owner's, or if it is
    /// being found by another.
    pub fn send(&self, token: &str, owner: Digest, back: Return) -> Result<(), Return> {
        // A token is good for one use: whoever finds it takes it. In another's hands it is no token.
        let found = {
            let mut table = self.table();
            let is_theirs = table.get(token).is_some_and(|waiting| waiting.owner == owner);
            is_theirs.then(|| table.remove(token)).flatten()
        };
        match found {
            Some(waiting) => waiting.sender.try_send(back).map_err(|refused| refused.into_inner()),
            None => Err(back),
        }
    }

    /// Whether anybody might come back.
    pub fn is_empty(&self) -> bool {
        self.table().is_empty()
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Expected {
    /// The token by which the client finds the session: 244 random bits.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The token as others may see it.
    pub(crate) fn digest(&self) -> Digest {
        digest(&self.token)
    }

    /// Makes a new token; the one before is good no more.
    pub fn renew(&mut self) {
        let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let mut table = self.returns.table();
        table.remove(&self.token);
        table.insert(token.clone(), self.waiting.clone());
        drop(table);
        self.token = token;
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.returns.table().remove(&self.token);
    }
}

/// A token as others may see it.
pub fn digest(token: &str) -> Digest {
    Sha256::digest(token).into()
}

/// The next client that is back; never, if nobody is expected.
pub(crate) async fn arrival(expected: &mut Option<Expected>) -> Return {
    match expected {
        Some(expected) => match expected.arrivals.recv().await {
            Some(back) => back,
            // The session holds a sender itself.
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// Clients on their way to one session: one token, one client. A second one is refused.
const ARRIVALS_MAX: usize = 1;
