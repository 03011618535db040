//! The same within one process: where no Redis is configured, and for limits while it is away.
//!
//! Bounded: when a map is full, what was used least goes, as in a Redis with too little memory. Nothing here waits.

use std::time::Duration;

use bytes::Bytes;
use moka::{Expiry, ops::compute::Op, sync::Cache};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Config, Digest, Lease, Limit, NodeInfo, Owner, Renewal, Standing, Taken, keys, once::Outcome};
use crate::ids::SessionId;

/// One process' memory. Its methods mean what those of the same name on [`super::Shared`] mean.
pub(super) struct Local {
    leases: Map<SessionId, Owner>,
    snapshots: Map<SessionId, State>,
    /// None: it was taken.
    tokens: Map<Digest, Option<SessionId>>,
    /// When the caller may ask for everything again, in microseconds since `began`.
    limits: Map<Digest, u64>,
    once: Map<Digest, Record>,
    grants: Map<Digest, Bytes>,
    nodes: Map<String, NodeInfo>,
    generation: String,
    began: Instant,
    lease: Duration,
    resume_window: Duration,
}

/// Nothing of what is in it: some of it was said by somebody.
impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("generation", &self.generation).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
struct State {
    epoch: i64,
    revision: i64,
    bytes: Bytes,
}

#[derive(Debug, Clone)]
struct Record {
    request: Digest,
    owner: Uuid,
    answer: Option<Bytes>,
}

impl Local {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            leases: Map::new(ENTRIES_MAX, |_| 1),
            snapshots: Map::new(BYTES_MAX, |state: &State| state.bytes.len() + 64),
            tokens: Map::new(ENTRIES_MAX, |_| 1),
            limits: Map::new(ENTRIES_MAX, |_| 1),
            once: Map::new(BYTES_MAX, |record: &Record| record.answer.as_ref().map_or(0, Bytes::len) + 128),
            grants: Map::new(BYTES_MAX, |grant: &Bytes| grant.len() + 128),
            nodes: Map::new(ENTRIES_MAX, |_| 1),
            generation: Uuid::new_v4().simple().to_string(),
            began: now(),
            lease: config.lease(),
            resume_window: config.resume_window(),
        }
    }

    pub(super) fn claim(&self, session: SessionId, node: &str, epoch: i64) -> Standing {
        let mut standing = Standing::Ours;
        self.leases.change(session, |held| match held {
            Some(owner) if owner.epoch > epoch || (owner.epoch == epoch && owner.node != node) => {
                standing = Standing::Lost(owner);
                Change::Keep
            }
            _ => Change::Put(Owner { node: node.to_owned(), epoch }, self.lease),
        });
        standing
    }

    /// Whose the session is, for one who wants to write.
    fn fence(&self, session: SessionId, node: &str, epoch: i64) -> Standing {
        match self.owner(session) {
            Some(owner) if owner.epoch > epoch || (owner.epoch == epoch && owner.node != node) => Standing::Lost(owner),
            _ => Standing::Ours,
        }
    }

    pub(super) fn release(&self, session: SessionId, node: &str, epoch: i64) {
        self.leases.change(session, |held| match held {
            Some(owner) if owner.epoch > epoch || (owner.epoch == epoch && owner.node != node) => Change::Keep,
            _ => Change::Remove,
        });
    }

    pub(super) fn remove(&self, session: SessionId, node: &str, epoch: i64) {
        if self.fence(session, node, epoch) != Standing::Ours {
            return;
        }
        self.release(session, node, epoch);
        self.snapshots.change(session, |there| match there {
            Some(state) if state.epoch > epoch => Change::Keep,
            _ => Change::Remove,
        });
    }

    pub(super) fn forget(&self, session: SessionId) {
        self.snapshots.change(session, |_| Change::Remove);
    }

    pub(super) fn owner(&self, session: SessionId) -> Option<Owner> {
        self.leases.get(&session)
    }

    pub(super) fn renew(&self, node: &str, leases: &[Lease]) -> Vec<Renewal> {
        let renew = |lease: &Lease| {
            let standing = self.claim(lease.session, node, lease.epoch);
            let is_ours = standing == Standing::Ours;
            let has_snapshot = is_ours && self.snapshots.prolong(lease.session, self.resume_window);
            let has_token = is_ours && lease.token.is_some_and(|token| self.tokens.prolong(token, self.resume_window));
            Renewal { standing, has_snapshot, has_token }
        };
        leases.iter().map(renew).collect()
    }

    pub(super) fn put_snapshot(
        &self,
        session: SessionId,
        node: &str,
        epoch: i64,
        revision: i64,
        bytes: Bytes,
    ) -> Standing {
        let standing = self.fence(session, node, epoch);
        if standing == Standing::Ours {
            self.snapshots.change(session, |there| match there {
                Some(state) if (state.epoch, state.revision) > (epoch, revision) => Change::Keep,
                _ => Change::Put(State { epoch, revision, bytes }, self.resume_window),
            });
        }
        standing
    }

    pub(super) fn snapshot(&self, session: SessionId) -> Option<Bytes> {
        self.snapshots.get(&session).map(|state| state.bytes)
    }

    pub(super) fn put_token(&self, token: Digest, session: SessionId) {
        self.tokens.change(token, |there| match there {
            Some(_) => Change::Keep,
            None => Change::Put(Some(session), self.resume_window),
        });
    }

    pub(super) fn take_token(&self, token: Digest) -> Option<SessionId> {
        let mut taken = None;
        self.tokens.change(token, |there| {
            taken = there.flatten();
            taken.map_or(Change::Keep, |_| Change::Replace(None))
        });
        taken
    }

    pub(super) fn nodes(&self) -> Vec<NodeInfo> {
        let mut nodes = self.nodes.all();
        nodes.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        nodes
    }

    pub(super) fn announce(&self, node: &NodeInfo) -> String {
        self.nodes.change(node.name.clone(), |_| Change::Put(node.clone(), self.lease));
        self.generation.clone()
    }

    pub(super) fn withdraw(&self, node: &str) {
        self.nodes.change(node.to_owned(), |_| Change::Remove);
    }

    pub(super) fn take(&self, caller: Digest, limit: Limit, units: u32) -> Taken {
        let now_us = u64::try_from(now().duration_since(self.began).as_micros()).unwrap_or(u64::MAX);
        let mut taken = limit.taken(0, 0);
        self.limits.change(caller, |full_at| {
            let then = limit.take(full_at.unwrap_or_default(), now_us, units);
            taken = then.1;
            then.0.map_or(Change::Keep, |then_us| Change::Put(then_us, Duration::from_micros(then_us - now_us)))
        });
        taken
    }

    pub(super) fn begin(&self, key: Digest, request: Digest, owner: Uuid) -> Outcome {
        let mut outcome = Outcome::New;
        self.once.change(key, |record| match record {
            None => Change::Put(Record { request, owner, answer: None }, keys::RUNNING),
            Some(record) => {
                outcome = match record.answer {
                    _ if record.request != request => Outcome::Mismatch,
                    Some(answer) => Outcome::Done(answer),
                    None => Outcome::Running,
                };
                Change::Keep
            }
        });
        outcome
    }

    pub(super) fn put_grant(&self, name: Digest, grant: Bytes, ttl: Duration) {
        self.grants.change(name, |_| Change::Put(grant, ttl));
    }

    pub(super) fn grant(&self, name: Digest) -> Option<Bytes> {
        self.grants.get(&name)
    }

    pub(super) fn take_grant(&self, name: Digest) -> Option<Bytes> {
        let mut taken = None;
        self.grants.change(name, |there| {
            taken = there;
            Change::Remove
        });
        taken
    }

    pub(super) fn settle(&self, key: Digest, owner: Uuid, answer: Option<Bytes>) {
        self.once.change(key, |record| match (record, answer) {
            (Some(record), Some(answer)) if record.owner == owner => {
                Change::Put(Record { answer: Some(answer), ..record }, keys::ANSWER)
            }
            (Some(record), None) if record.owner == owner => Change::Remove,
            _ => Change::Keep,
        });
    }
}

/// A map whose entries have an end each, and change in one step.
struct Map<K, V>(Cache<K, Entry<V>>);

#[derive(Debug, Clone)]
struct Entry<V> {
    value: V,
    ends: Instant,
}

/// What becomes of an entry.
enum Change<V> {
    /// It stays as it is.
    Keep,
    /// This one, for so long.
    Put(V, Duration),
    /// This one, until the old one's end.
    Replace(V),
    /// None.
    Remove,
}

/// Gives memory back at the end; whether an entry still counts is asked of the entry itself.
struct AtItsEnd;

impl<K, V> Expiry<K, Entry<V>> for AtItsEnd {
    fn expire_after_create(&self, _: &K, entry: &Entry<V>, _: std::time::Instant) -> Option<Duration> {
        Some(entry.ends.duration_since(now()))
    }

    fn expire_after_update(
        &self,
        _: &K,
        entry: &Entry<V>,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ends.duration_since(now()))
    }
}

impl<K, V> Map<K, V>
where
    K: std::hash::Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn new(capacity: u64, weigh: impl Fn(&V) -> usize + Send + Sync + 'static) -> Self {
        let weigher = move |_: &K, entry: &Entry<V>| u32::try_from(weigh(&entry.value)).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(capacity).weigher(weigher).expire_after(AtItsEnd).build())
    }

    fn get(&self, key: &K) -> Option<V> {
        self.0.get(key).filter(|entry| entry.ends > now()).map(|entry| entry.value)
    }

    fn all(&self) -> Vec<V> {
        self.0.iter().filter(|(_, entry)| entry.ends > now()).map(|(_, entry)| entry.value).collect()
    }

    /// Changes an entry; nobody else does meanwhile.
    fn change(&self, key: K, change: impl FnOnce(Option<V>) -> Change<V>) {
        let now = now();
        let _outcome = self.0.entry(key).and_compute_with(|there| {
            let there = there.map(moka::Entry::into_value).filter(|entry| entry.ends > now);
            let ends = there.as_ref().map_or(now, |entry| entry.ends);
            match change(there.map(|entry| entry.value)) {
                Change::Keep => Op::Nop,
                Change::Put(value, ttl) => Op::Put(Entry { value, ends: now + ttl }),
                Change::Replace(value) => Op::Put(Entry { value, ends }),
                Change::Remove => Op::Remove,
            }
        });
    }

    /// Gives an entry this long from now; says whether there is one.
    fn prolong(&self, key: K, ttl: Duration) -> bool {
        let mut is_there = false;
        self.change(key, |there| {
            is_there = there.is_some();
            there.map_or(Change::Keep, |value| Change::Put(value, ttl))
        });
        is_there
    }
}

#[expect(clippy::disallowed_methods, reason = "when an entry ends")]
fn now() -> Instant {
    Instant::now()
}

/// Entries of each kind.
const ENTRIES_MAX: u64 = 100_000;

/// Bytes of all states of conversations, again of all answers to named requests, and again of all grants.
const BYTES_MAX: u64 = 32 * 1024 * 1024;
