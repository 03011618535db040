//! What several nodes share, and what may be lost: who has a session, the newest state of live conversations, who is there,
//! how much was asked of us, what was asked for twice, phrases already spoken.
//!
//! One [`Shared`] over Redis, or over this process's own memory where no Redis is configured. SQL is the truth: a lease here is
//! a hint, and the epoch in SQL fences. Conversations go on whatever happens to Redis: a call waits at most
//! `redis.timeout_ms`, a Redis that does not answer is left alone for a second at a time ([`breaker`]), sessions never wait at
//! all (they put things on a [`Held`], and one task, the [`keeper`], writes them), limits go on in this process, and after a
//! flush or an empty restart everything that lives here is written again.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::{ids::SessionId, telemetry::metrics};

mod breaker;
mod held;
mod keeper;
pub mod keys;
mod limit;
mod local;
mod node;
mod once;
mod redis;
mod scripts;
mod snapshot;

pub use self::redis::look;
pub use held::Held;
pub use keeper::{Load, Running};
pub use limit::{Limit, Taken};
pub use node::NodeInfo;
pub use once::{Beginning, Begun};
pub use snapshot::{FORMAT, ITEMS_MAX, Snapshot};

use self::redis::Redis;
use held::Desk;
use local::Local;

/// What several nodes share.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Redis' address, such as `redis://:secret@localhost:6379/0` (`rediss://` for TLS, `unix:///run/redis.sock`); empty = nothing is
    /// shared with other servers. `REDIS_URL` sets it too.
    #[schemars(with = "String", extend("writeOnly" = true))]
    pub url: SecretString,
    /// What every key begins with, before a colon.
    pub prefix: String,
    /// Longest wait for Redis, in milliseconds; then things go on without it.
    pub timeout_ms: u64,
    /// How long a server that says nothing still counts as alive and as the owner of its sessions, in milliseconds.
    pub lease_ms: u64,
    /// How long a conversation whose server or connection is gone can be taken up again, in seconds: `session.resume_window_s`, which
    /// whoever composes the server fills in.
    #[serde(skip)]
    pub resume_window_s: u64,
    /// Largest state of one conversation, in bytes; older items are left out of it.
    pub snapshot_bytes_max: usize,
    /// Largest phrase of speech that is shared (`tts.cache_shared`), in bytes.
    pub phrase_bytes_max: usize,
    /// How long such a phrase is kept, in seconds.
    pub phrase_ttl_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: SecretString::default(),
            prefix: "floe".into(),
            timeout_ms: 200,
            lease_ms: 15_000,
            resume_window_s: 120,
            snapshot_bytes_max: 64 * 1024,
            phrase_bytes_max: 512 * 1024,
            phrase_ttl_s: 86_400,
        }
    }
}

impl Config {
    /// Whether anything is shared with other nodes.
    pub fn is_shared(&self) -> bool {
        !self.url.expose_secret().is_empty()
    }

    fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms.max(100))
    }

    fn resume_window(&self) -> Duration {
        Duration::from_secs(self.resume_window_s.max(1))
    }
}

/// The address is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("redis.url (REDIS_URL) is no address of a Redis server: it begins with redis://, rediss:// or unix://")]
pub struct BadAddress;

/// Redis did not answer in time, refused, or has been left alone because it did not answer before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Redis does not answer")]
pub struct Away;

/// Who has a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The node's name.
    pub node: String,
    /// The epoch it was given.
    pub epoch: i64,
}

/// What became of a lease that was claimed or renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is this node's.
    Ours,
    /// Another has it, with a higher epoch (or the same one, and came first).
    Lost(Owner),
}

/// The digest of something that must not be known to whoever reads Redis: a resume token, a caller, a text.
pub type Digest = [u8; 32];

/// What several nodes share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shared {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    node: String,
    place: Arc<Place>,
    /// Limits and repeated requests go on here while Redis is away.
    alone: Arc<Local>,
    desk: Arc<Desk>,
}

/// Where it is.
#[derive(Debug)]
enum Place {
    Redis(Redis),
    Local(Local),
}

/// The same for either place: in Redis it may fail.
macro_rules! at {
    ($shared:expr, $place:ident => $call:expr) => {
        match &*$shared.inner.place {
            Place::Redis($place) => $call.await,
            Place::Local($place) => Ok($call),
        }
    };
}

impl Shared {
    /// For one node called `node`, with the task that keeps what its sessions put here. Connects when it is first used, so a
    /// Redis that is away is no error. `load` is asked every few seconds.
    pub fn start(
        config: &Config,
        node: &str,
        load: impl Fn() -> Load + Send + Sync + 'static,
    ) -> Result<(Self, Running), BadAddress> {
        let place =
            if config.is_shared() { Place::Redis(Redis::new(config)?) } else { Place::Local(Local::new(config)) };
        let (desk, notes) = Desk::new();
        let shared = Self::at(config, node, place, desk);
        let running = keeper::start(shared.clone(), notes, Box::new(load));
        Ok((shared, running))
    }

    /// For a process that serves nobody yet: nothing is shared, and nothing that sessions put here is kept.
    pub fn alone(config: &Config) -> Self {
        Self::at(config, "alone", Place::Local(Local::new(config)), Desk::new().0)
    }

    fn at(config: &Config, node: &str, place: Place, desk: Arc<Desk>) -> Self {
        let (place, alone, config) = (Arc::new(place), Arc::new(Local::new(config)), config.clone());
        Self { inner: Arc::new(Inner { config, node: node.to_owned(), place, alone, desk }) }
    }

    /// The same memory as another node sees it, for a process that stands for several. Nothing that is held there is kept.
    #[must_use]
    pub fn seen_from(&self, node: &str) -> Self {
        let Inner { config, place, alone, .. } = &*self.inner;
        let (place, alone, desk) = (Arc::clone(place), Arc::clone(alone), Desk::new().0);
        Self { inner: Arc::new(Inner { config: config.clone(), node: node.to_owned(), place, alone, desk }) }
    }

    /// This node's name.
    pub fn node(&self) -> &str {
        &self.inner.node
    }

    /// Whether other nodes see what is put here: there is a Redis, and it answered when it was last asked.
    pub fn is_shared(&self) -> bool {
        matches!(&*self.inner.place, Place::Redis(redis) if redis.is_up())
    }

    /// Whether a Redis is configured and does not answer.
    pub fn is_away(&self) -> bool {
        matches!(&*self.inner.place, Place::Redis(redis) if !redis.is_up())
    }

    // ── Sessions. Never wait.

    /// This node has `session` with the right to write `epoch`, which SQL gave it. Says so to the others and keeps saying it,
    /// with what is put on the [`Held`], until that is dropped. Never waits; replaces an earlier one of the same session.
    pub fn hold(&self, session: SessionId, epoch: i64) -> Held {
        Held::new(Arc::clone(&self.inner.desk), session, epoch)
    }

    // ── Leases. Each call waits at most `redis.timeout_ms`.

    /// Claims a session for this node, now. A claim with a lower epoch than the one that is there changes nothing.
    pub async fn claim(&self, session: SessionId, epoch: i64) -> Result<Standing, Away> {
        let node = self.node();
        at!(self, place => place.claim(session, node, epoch))
    }

    /// Gives up a session, if this node has it with this epoch.
    pub async fn release(&self, session: SessionId, epoch: i64) -> Result<(), Away> {
        let node = self.node();
        at!(self, place => place.release(session, node, epoch))
    }

    /// Who has a session, if anybody has said so lately.
    pub async fn session_owner(&self, session: SessionId) -> Result<Option<Owner>, Away> {
        at!(self, place => place.owner(session))
    }

    /// Renews leases, and with each the time that the session's state and resume token still have. A lease that is gone (Redis
    /// was flushed, or we were asleep) is made again, unless somebody has claimed the session meanwhile.
    pub async fn renew(&self, leases: &[Lease]) -> Result<Vec<Renewal>, Away> {
        let node = self.node();
        at!(self, place => place.renew(node, leases))
    }

    // ── The state of live conversations.

    /// Writes the state of a conversation, if nobody with a higher epoch has the session and none newer is there.
    pub async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<Standing, Away> {
        let Some(bytes) = snapshot.encode(self.inner.config.snapshot_bytes_max) else {
            metrics::shared_dropped("snapshot");
            return Ok(Standing::Ours);
        };
        let node = self.node();
        at!(self, place => place.put_snapshot(snapshot.session, node, snapshot.epoch, snapshot.revision, bytes.into()))
    }

    /// The newest state of a conversation. None if there is none, or it was written by a version that this one cannot read:
    /// then SQL has what was said.
    pub async fn snapshot(&self, session: SessionId) -> Result<Option<Snapshot>, Away> {
        let bytes = at!(self, place => place.snapshot(session))?;
        Ok(bytes.and_then(|bytes| Snapshot::decode(&bytes)).filter(|snapshot| snapshot.session == session))
    }

    /// The conversation is over: its state goes, and the lease, unless somebody else has the session by now.
    pub async fn remove(&self, session: SessionId, epoch: i64) -> Result<(), Away> {
        let node = self.node();
        at!(self, place => place.remove(session, node, epoch))
    }

    /// Forgets the state of a conversation, whoever has its session.
    pub async fn forget(&self, session: SessionId) -> Result<(), Away> {
        at!(self, place => place.forget(session))
    }

    /// Lets whoever shows the token of this digest take up `session`, once, within the resume window. A token that was taken
    /// once is not revived by being put again.
    pub async fn put_resume_token(&self, token: Digest, session: SessionId) -> Result<(), Away> {
        at!(self, place => place.put_token(token, session))
    }

    /// Takes a resume token: the session it is good for, and never again.
    pub async fn take_resume_token(&self, token: Digest) -> Result<Option<SessionId>, Away> {
        at!(self, place => place.take_token(token))
    }

    // ── Who is there.

    /// The nodes that have said something within `redis.lease_ms`, by name.
    pub async fn nodes(&self) -> Result<Vec<NodeInfo>, Away> {
        at!(self, place => place.nodes())
    }

    /// Says that this node is there. Gives back the generation of the memory: another one means that all was lost.
    pub async fn announce(&self, node: &NodeInfo) -> Result<String, Away> {
        at!(self, place => place.announce(node))
    }

    /// Says that this node goes.
    pub async fn withdraw(&self) -> Result<(), Away> {
        let node = self.node();
        at!(self, place => place.withdraw(node))
    }

    // ── Limits and repeated requests: while Redis is away they go on in this process.

    /// Takes `units` from what a caller may ask, if that much is left.
    pub async fn take(&self, caller: Digest, limit: Limit, units: u32) -> Taken {
        let taken: Result<Taken, Away> = at!(self, place => place.take(caller, limit, units));
        taken.unwrap_or_else(|Away| {
            metrics::shared_fallback("limit");
            self.inner.alone.take(caller, limit, units)
        })
    }

    /// Begins to answer a request that its caller has named, or says what became of it when it was first made. `key` names it,
    /// `request` is what it asks.
    pub async fn begin(&self, key: Digest, request: Digest) -> Beginning {
        let owner = uuid::Uuid::new_v4();
        let begun: Result<once::Outcome, Away> = at!(self, place => place.begin(key, request, owner));
        let (outcome, is_alone) = match begun {
            Ok(outcome) => (outcome, false),
            Err(Away) => {
                metrics::shared_fallback("idempotency");
                (self.inner.alone.begin(key, request, owner), true)
            }
        };
        match outcome {
            once::Outcome::New => Beginning::New(Begun::new(self.clone(), key, request, owner, is_alone)),
            once::Outcome::Running => Beginning::Running,
            once::Outcome::Done(answer) => Beginning::Done(answer),
            once::Outcome::Mismatch => Beginning::Mismatch,
        }
    }

    async fn finish(&self, key: Digest, owner: uuid::Uuid, is_alone: bool, answer: Option<Bytes>) -> Result<(), Away> {
        if is_alone {
            self.inner.alone.settle(key, owner, answer);
            return Ok(());
        }
        at!(self, place => place.settle(key, owner, answer))
    }

    // ── Grants: what a ticket or a client secret opens, for a while.

    /// Leaves a grant for every node.
    pub async fn put_grant(&self, name: Digest, grant: Bytes, ttl: Duration) -> Result<(), Away> {
        at!(self, place => place.put_grant(name, grant, ttl))
    }

    /// Leaves a grant for this node alone, while Redis is away. Under a name of its own: what timed out may be there yet.
    pub fn put_grant_here(&self, name: Digest, grant: Bytes, ttl: Duration) {
        metrics::shared_fallback("grant");
        self.inner.alone.put_grant(name, grant, ttl);
    }

    /// Reads a grant, which stays.
    pub async fn grant(&self, name: Digest) -> Result<Option<Bytes>, Away> {
        if let Some(grant) = self.inner.alone.grant(name) {
            return Ok(Some(grant));
        }
        at!(self, place => place.grant(name))
    }

    /// Takes a grant: whoever gets it is the only one, on all nodes.
    pub async fn take_grant(&self, name: Digest) -> Result<Option<Bytes>, Away> {
        if let Some(grant) = self.inner.alone.take_grant(name) {
            return Ok(Some(grant));
        }
        at!(self, place => place.take_grant(name))
    }

    // ── Phrases already spoken.

    /// A phrase that some node has spoken before. Quick to say no: a Redis that does not answer costs at most its timeout.
    pub async fn phrase(&self, key: Digest) -> Option<Bytes> {
        let Place::Redis(redis) = &*self.inner.place else { return None };
        let found = redis.phrase(key).await;
        metrics::shared_phrase(matches!(found, Ok(Some(_))));
        found.ok().flatten()
    }

    /// Shares a phrase. Never waits: if the keeper has too much to do, or the phrase is too large, it is not shared.
    pub fn put_phrase(&self, key: Digest, speech: Bytes) {
        if speech.len() > self.inner.config.phrase_bytes_max || matches!(&*self.inner.place, Place::Local(_)) {
            return;
        }
        self.inner.desk.note(held::Note::Phrase(key, speech));
    }
}

/// One lease to renew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Of which session.
    pub session: SessionId,
    /// With which epoch.
    pub epoch: i64,
    /// The resume token whose time is to be renewed with it.
    pub token: Option<Digest>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// Whose the session is.
    pub standing: Standing,
    /// Whether the conversation's state is there.
    pub has_snapshot: bool,
    /// Whether the resume token is there, taken or not.
    pub has_token: bool,
}
