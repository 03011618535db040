//! The Redis that nodes share: one connection that mends itself, a short timeout around every call, and a breaker.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use redis::{
    Client, Cmd, FromRedisValue, RedisError, RedisResult, ScriptInvocation,
    aio::{ConnectionManager, ConnectionManagerConfig},
    cmd,
};
use secrecy::ExposeSecret as _;
use tokio::time::{self, Instant};
use uuid::Uuid;

use super::{
    Away, BadAddress, Config, Digest, Lease, Limit, NodeInfo, Owner, Renewal, Standing, Taken,
    breaker::{Breaker, Pass},
    keys::{self, Keys},
    once::Outcome,
    scripts,
};
use crate::{ids::SessionId, telemetry::metrics};

/// Redis, from this node. Its methods mean what those of the same name on [`super::Shared`] mean.
pub(super) struct Redis {
    client: Client,
    /// Cheap to clone: every call goes over the same connection. Replaced when a connection may hang half-open.
    connection: Mutex<Option<ConnectionManager>>,
    timeout: Duration,
    breaker: Breaker,
    /// Whether it answered when it was last asked: [`UNKNOWN`], [`UP`] or [`AWAY`].
    state: AtomicU8,
    keys: Keys,
    lease: Duration,
    resume_window: Duration,
    phrase_ttl: Duration,
}

/// Neither address nor password.
impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}

impl Redis {
    pub(super) fn new(config: &Config) -> Result<Self, BadAddress> {
        Ok(Self {
            client: client(config)?,
            connection: Mutex::default(),
            timeout: Duration::from_millis(config.timeout_ms.max(1)),
            breaker: Breaker::default(),
            state: AtomicU8::new(UNKNOWN),
            keys: Keys::new(config),
            lease: config.lease(),
            resume_window: config.resume_window(),
            phrase_ttl: Duration::from_secs(config.phrase_ttl_s.max(1)),
        })
    }

    pub(super) fn is_up(&self) -> bool {
        self.state.load(Ordering::Relaxed) == UP
    }

    pub(super) async fn claim(&self, session: SessionId, node: &str, epoch: i64) -> Result<Standing, Away> {
        let mut call = scripts::CLAIM.key(self.keys.lease(session));
        call.arg(node).arg(epoch).arg(ms(self.lease));
        Ok(standing(self.run("claim", &call).await?))
    }

    pub(super) async fn release(&self, session: SessionId, node: &str, epoch: i64) -> Result<(), Away> {
        self.give_up(session, node, epoch, "lease").await
    }

    pub(super) async fn remove(&self, session: SessionId, node: &str, epoch: i64) -> Result<(), Away> {
        self.give_up(session, node, epoch, "all").await
    }

    pub(super) async fn forget(&self, session: SessionId) -> Result<(), Away> {
        let mut del = cmd("DEL");
        del.arg(self.keys.snapshot(session));
        let _was_there: i64 = self.ask("forget", &del).await?;
        Ok(())
    }

    async fn give_up(&self, session: SessionId, node: &str, epoch: i64, what: &str) -> Result<(), Away> {
        let mut call = scripts::GIVE_UP.key(self.keys.lease(session));
        call.key(self.keys.snapshot(session)).arg(node).arg(epoch).arg(what);
        let _whose: Vec<String> = self.run("release", &call).await?;
        Ok(())
    }

    pub(super) async fn owner(&self, session: SessionId) -> Result<Option<Owner>, Away> {
        let mut ask = cmd("HMGET");
        ask.arg(self.keys.lease(session)).arg("epoch").arg("node");
        let (epoch, node): (Option<i64>, Option<String>) = self.ask("owner", &ask).await?;
        Ok(epoch.zip(node).map(|(epoch, node)| Owner { node, epoch }))
    }

    pub(super) async fn renew(&self, node: &str, leases: &[Lease]) -> Result<Vec<Renewal>, Away> {
        let mut renewals = Vec::with_capacity(leases.len());
        for some in leases.chunks(RENEWALS_MAX) {
            let mut call = scripts::RENEW.prepare_invoke();
            call.arg(node).arg(ms(self.lease)).arg(ms(self.resume_window));
            for lease in some {
                let token = lease.token.map_or_else(String::new, |token| self.keys.token(token));
                call.key(self.keys.lease(lease.session)).key(self.keys.snapshot(lease.session)).key(token);
                call.arg(lease.epoch);
            }
            let answers: Vec<(String, String, bool, bool)> = self.run("renew", &call).await?;
            renewals.extend(answers.into_iter().map(|(epoch, node, has_snapshot, has_token)| {
                let owner = epoch.parse().ok().map(|epoch| Owner { node, epoch });
                Renewal { standing: owner.map_or(Standing::Ours, Standing::Lost), has_snapshot, has_token }
            }));
        }
        Ok(renewals)
    }

    pub(super) async fn put_snapshot(
        &self,
        session: SessionId,
        node: &str,
        epoch: i64,
        revision: i64,
        state: Bytes,
    ) -> Result<Standing, Away> {
        let mut call = scripts::PUT_SNAPSHOT.key(self.keys.lease(session));
        call.key(self.keys.snapshot(session)).arg(node).arg(epoch).arg(revision);
        call.arg(&state[..]).arg(ms(self.resume_window));
        Ok(standing(self.run("snapshot", &call).await?))
    }

    pub(super) async fn snapshot(&self, session: SessionId) -> Result<Option<Bytes>, Away> {
        let mut ask = cmd("HGET");
        ask.arg(self.keys.snapshot(session)).arg("state");
        let state: Option<Vec<u8>> = self.ask("snapshot", &ask).await?;
        Ok(state.map(Bytes::from))
    }

    pub(super) async fn put_token(&self, token: Digest, session: SessionId) -> Result<(), Away> {
        let mut ask = cmd("SET");
        ask.arg(self.keys.token(token)).arg(session.to_string()).arg("NX").arg("PX").arg(ms(self.resume_window));
        let _was_new: Option<String> = self.ask("token", &ask).await?;
        Ok(())
    }

    pub(super) async fn take_token(&self, token: Digest) -> Result<Option<SessionId>, Away> {
        let call = scripts::TAKE_TOKEN.key(self.keys.token(token));
        let session: Option<String> = self.run("token", &call).await?;
        Ok(session.and_then(|session| session.parse().ok()))
    }

    pub(super) async fn nodes(&self) -> Result<Vec<NodeInfo>, Away> {
        let mut ask = cmd("ZRANGE");
        ask.arg(self.keys.nodes()).arg(0).arg(-1);
        let mut names: Vec<String> = self.ask("nodes", &ask).await?;
        names.sort_unstable();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut ask = cmd("MGET");
        ask.arg(names.iter().map(|name| self.keys.node(name)).collect::<Vec<_>>());
        let nodes: Vec<Option<Vec<u8>>> = self.ask("nodes", &ask).await?;
        Ok(nodes.into_iter().flatten().filter_map(|json| serde_json::from_slice(&json).ok()).collect())
    }

    pub(super) async fn announce(&self, node: &NodeInfo) -> Result<String, Away> {
        let mut call = scripts::ANNOUNCE.key(self.keys.generation());
        call.key(self.keys.node(&node.name)).key(self.keys.nodes());
        call.arg(Uuid::new_v4().simple().to_string()).arg(ms(keys::GENERATION));
        call.arg(serde_json::to_vec(node).unwrap_or_default()).arg(&node.name).arg(ms(self.lease));
        self.run("announce", &call).await
    }

    pub(super) async fn withdraw(&self, node: &str) -> Result<(), Away> {
        let mut ask = cmd("DEL");
        let _was_there: i64 = self.ask("withdraw", ask.arg(self.keys.node(node))).await?;
        let mut ask = cmd("ZREM");
        let _was_there: i64 = self.ask("withdraw", ask.arg(self.keys.nodes()).arg(node)).await?;
        Ok(())
    }

    pub(super) async fn take(&self, caller: Digest, limit: Limit, units: u32) -> Result<Taken, Away> {
        let mut call = scripts::TAKE.key(self.keys.limit(caller));
        call.arg(limit.unit_us() * u64::from(units)).arg(limit.all_us());
        let (used_us, missing_us): (u64, u64) = self.run("limit", &call).await?;
        Ok(limit.taken(used_us, missing_us))
    }

    pub(super) async fn begin(&self, key: Digest, request: Digest, owner: Uuid) -> Result<Outcome, Away> {
        let mut call = scripts::BEGIN.key(self.keys.once(key));
        call.arg(keys::hex(request)).arg(owner.simple().to_string()).arg(ms(keys::RUNNING));
        let (outcome, answer): (String, Option<Vec<u8>>) = self.run("begin", &call).await?;
        Ok(match (outcome.as_str(), answer) {
            ("new", _) => Outcome::New,
            ("mismatch", _) => Outcome::Mismatch,
            (_, Some(answer)) => Outcome::Done(answer.into()),
            (_, None) => Outcome::Running,
        })
    }

    pub(super) async fn settle(&self, key: Digest, owner: Uuid, answer: Option<Bytes>) -> Result<(), Away> {
        let mut call = scripts::SETTLE.key(self.keys.once(key));
        call.arg(owner.simple().to_string());
        if let Some(answer) = answer {
            call.arg(&answer[..]).arg(ms(keys::ANSWER));
        }
        let _was_ours: i64 = self.run("settle", &call).await?;
        Ok(())
    }

    pub(super) async fn put_grant(&self, name: Digest, grant: Bytes, ttl: Duration) -> Result<(), Away> {
        let mut ask = cmd("SET");
        ask.arg(self.keys.grant(name)).arg(&grant[..]).arg("PX").arg(ms(ttl));
        self.ask("grant", &ask).await
    }

    pub(super) async fn grant(&self, name: Digest) -> Result<Option<Bytes>, Away> {
        let mut ask = cmd("GET");
        let grant: Option<Vec<u8>> = self.ask("grant", ask.arg(self.keys.grant(name))).await?;
        Ok(grant.map(Bytes::from))
    }

    pub(super) async fn take_grant(&self, name: Digest) -> Result<Option<Bytes>, Away> {
        let mut ask = cmd("GETDEL");
        let grant: Option<Vec<u8>> = self.ask("grant", ask.arg(self.keys.grant(name))).await?;
        Ok(grant.map(Bytes::from))
    }

    pub(super) async fn phrase(&self, key: Digest) -> Result<Option<Bytes>, Away> {
        let mut ask = cmd("GET");
        let speech: Option<Vec<u8>> = self.ask("phrase", ask.arg(self.keys.phrase(key))).await?;
        Ok(speech.map(Bytes::from))
    }

    pub(super) async fn put_phrase(&self, key: Digest, speech: Bytes) -> Result<(), Away> {
        let mut ask = cmd("SET");
        ask.arg(self.keys.phrase(key)).arg(&speech[..]).arg("PX").arg(ms(self.phrase_ttl));
        self.ask("phrase", &ask).await
    }

    /// Runs a script.
    async fn run<T: FromRedisValue>(&self, what: &'static str, call: &ScriptInvocation<'_>) -> Result<T, Away> {
        self.call(what, |mut connection| async move { call.invoke_async(&mut connection).await }).await
    }

    /// Sends a command.
    async fn ask<T: FromRedisValue>(&self, what: &'static str, ask: &Cmd) -> Result<T, Away> {
        self.call(what, |mut connection| async move { ask.query_async(&mut connection).await }).await
    }

    /// Every call: not at all while Redis is left alone, and never longer than the timeout. What timed out may be done yet:
    /// each script compares before it writes.
    async fn call<T, F: Future<Output = RedisResult<T>>>(
        &self,
        what: &'static str,
        call: impl FnOnce(ConnectionManager) -> F,
    ) -> Result<T, Away> {
        let Some(pass) = self.breaker.pass(now()) else {
            metrics::shared_call(what, "left_alone");
            return Err(Away);
        };
        let answer = match self.connection(&pass) {
            Ok(connection) => time::timeout(self.timeout, call(connection)).await,
            Err(error) => Ok(Err(error)),
        };
        match answer {
            Ok(Ok(answer)) => {
                pass.answered();
                self.judge(true, "");
                metrics::shared_call(what, "answered");
                Ok(answer)
            }
            // It is there, and does not want to: out of memory, read-only, no right to. What can be done, is.
            Ok(Err(error)) if !is_absence(&error) => {
                pass.answered();
                self.judge(true, "");
                tracing::debug!(what, category = error.category(), "Redis refuses");
                metrics::shared_call(what, "refused");
                Err(Away)
            }
            Ok(Err(error)) => {
                pass.failed(now());
                self.judge(false, error.category());
                metrics::shared_call(what, "failed");
                Err(Away)
            }
            Err(_elapsed) => {
                pass.failed(now());
                self.judge(false, "no answer in time");
                metrics::shared_call(what, "timed_out");
                Err(Away)
            }
        }
    }

    /// The connection. Who tries after a pause gets a new one: the old one may be half-open, and would stay so for minutes.
    fn connection(&self, pass: &Pass<'_>) -> RedisResult<ConnectionManager> {
        let mut place = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = place.as_ref().filter(|_| !pass.is_trial) {
            return Ok(connection.clone());
        }
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(self.timeout))
            // The breaker says when to try again.
            .set_number_of_retries(0)
            .set_concurrency_limit(IN_FLIGHT_MAX);
        let connection = ConnectionManager::new_lazy_with_config(self.client.clone(), config)?;
        *place = Some(connection.clone());
        Ok(connection)
    }

    /// Notes whether it is there; says so once.
    fn judge(&self, is_up: bool, why: &str) {
        if is_up {
            if self.state.swap(UP, Ordering::Relaxed) != UP {
                tracing::info!("Redis is there");
                metrics::shared_up(true);
            }
            return;
        }
        // One lost call does not make it away, unless it has never been there.
        let is_away = self.breaker.is_open() || self.state.load(Ordering::Relaxed) == UNKNOWN;
        if is_away && self.state.swap(AWAY, Ordering::Relaxed) != AWAY {
            tracing::warn!(why, "Redis is away; conversations go on, and limits count in this process alone");
            metrics::shared_up(false);
        }
    }
}

/// What a Redis server says of itself, for a person. Changes nothing there.
pub async fn look(config: &Config) -> Result<String, String> {
    let client = client(config).map_err(|error| error.to_string())?;
    let asking = async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        cmd("INFO").arg("server").query_async::<String>(&mut connection).await
    };
    let info = match time::timeout(LOOK_TIMEOUT, asking).await {
        Err(_elapsed) => return Err("does not answer".to_owned()),
        // Not the text of the error: it may hold the address.
        Ok(Err(error)) => return Err(error.category().to_owned()),
        Ok(Ok(info)) => info,
    };
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("of an unknown version");
    Ok(format!("Redis {}", version.trim()))
}

fn client(config: &Config) -> Result<Client, BadAddress> {
    Client::open(config.url.expose_secret()).map_err(|_| BadAddress)
}

/// Whether the server was not reached, or cannot do anything yet; otherwise it has answered.
fn is_absence(error: &RedisError) -> bool {
    use redis::{ErrorKind, ServerErrorKind};
    match error.kind() {
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::BusyLoading
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::TryAgain
        ),
        ErrorKind::UnexpectedReturnType => false,
        _ => true,
    }
}

/// The other owner that a script names, if there is one.
fn standing(answer: Vec<String>) -> Standing {
    let mut answer = answer.into_iter();
    match (answer.next().and_then(|epoch| epoch.parse().ok()), answer.next()) {
        (Some(epoch), Some(node)) => Standing::Lost(Owner { node, epoch }),
        _ => Standing::Ours,
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[expect(clippy::disallowed_methods, reason = "when to leave Redis alone, and for how long")]
fn now() -> Instant {
    Instant::now()
}

const UNKNOWN: u8 = 0;
const UP: u8 = 1;
const AWAY: u8 = 2;

/// Leases renewed in one step: a Redis does nothing else meanwhile.
const RENEWALS_MAX: usize = 64;

/// Calls on the connection at a time; further ones wait for their turn, within their timeout.
const IN_FLIGHT_MAX: usize = 128;

/// Longest wait for a connection. A call that waits for it gives up sooner.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Longest wait of `floe doctor`.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
