//! The one connection that writes. It is in no pool: a write that takes too long is dropped *together with* its connection,
//! so a half-open transaction is closed with it and nobody ever works inside one (sqlx 0.9.0's `begin` is not safe to drop).
//!
//! A write that timed out may have been applied all the same. That is harmless: everything here can be done twice.

use std::collections::HashMap;

use sqlx::{Connection as _, Row as _};
use uuid::Uuid;

use super::{
    Error, Store,
    db::{Connection, either, within},
    desk::transact,
    jobs::{NewJob, enqueue},
    late, now_ms,
    record::{Change, Closing, Entry},
    statements::MARK_LOST,
    webhooks, words,
};
use crate::ids::ConversationId;

/// The statement of one change.
macro_rules! statement {
    ($entry:expr, $node:expr) => {{
        let entry: &Entry = $entry;
        match &entry.change {
            Change::Opened(opening) => sqlx::query(OPEN)
                .bind(entry.conversation)
                .bind(entry.session)
                .bind(&opening.tenant)
                .bind(&opening.user)
                .bind(&opening.agent)
                .bind(&opening.language)
                .bind(entry.at_ms)
                .bind(opening.consent),
            Change::Item(row) => sqlx::query(PUT_ITEM)
                .bind(entry.conversation)
                .bind(row.item)
                .bind(entry.epoch)
                .bind(entry.revision)
                .bind(row.position)
                .bind(&row.role)
                .bind(&row.kind)
                .bind(&row.text)
                .bind(&row.written)
                .bind(&row.language)
                .bind(row.start_ms)
                .bind(row.end_ms)
                .bind(row.interrupted)
                .bind(row.response)
                .bind(row.call)
                .bind(&row.tool)
                .bind(&row.arguments)
                .bind(row.failed)
                .bind(entry.at_ms)
                .bind(words::indexed(&row.text)),
            Change::Receipt(row) => sqlx::query(PUT_RECEIPT)
                .bind(entry.conversation)
                .bind(row.response)
                .bind(entry.epoch)
                .bind(entry.revision)
                .bind(row.turn)
                .bind(&row.status)
                .bind(&row.reason)
                .bind(row.endpoint_ms)
                .bind(row.transcript_ms)
                .bind(row.first_text_ms)
                .bind(row.first_audio_ms)
                .bind(row.first_sent_ms)
                .bind(row.input_tokens)
                .bind(row.output_tokens)
                .bind(entry.at_ms),
            Change::Closed(closing) => sqlx::query(CLOSE)
                .bind(entry.conversation)
                .bind(if closing.lost { "lost" } else { "ended" })
                .bind(&closing.reason)
                .bind(entry.at_ms)
                .bind(closing.audio_in_ms)
                .bind(closing.audio_out_ms),
            Change::Track(row) => sqlx::query(PUT_TRACK)
                .bind(entry.conversation)
                .bind(entry.epoch)
                .bind(&row.track)
                .bind(entry.revision)
                .bind(row.offset_ms)
                .bind(entry.at_ms)
                .bind(row.length_ms)
                .bind(row.bytes)
                .bind(row.complete)
                .bind($node),
        }
    }};
}
/// How a conversation came to its end.
struct Ending<'a> {
    /// Tells this end from another one of the same conversation.
    name: String,
    event: webhooks::Event<'a>,
    at_ms: i64,
}

impl<'a> Ending<'a> {
    fn of(entry: &Entry, closing: &'a Closing) -> Self {
        let state = if closing.lost { "lost" } else { "ended" };
        let event = webhooks::Event::Ended { state, reason: &closing.reason };
        Self { name: format!("{}.{}", entry.epoch, entry.revision), event, at_ms: entry.at_ms }
    }
}

/// What follows from the end of a conversation.
macro_rules! ended {
    ($connection:expr, $tenant:expr, $conversation:expr, $ending:expr) => {{
        let ending: &Ending<'_> = $ending;
        enqueue!($connection, &NewJob::summarise($tenant, $conversation, &ending.name));
        webhooks::announce!($connection, $tenant, $conversation, &ending.event, &ending.name, ending.at_ms);
    }};
}

/// One entry, with the same statements on either database.
macro_rules! one {
    ($connection:expr, $node:expr, $entry:expr, $from:expr, $fence:expr) => {{
        let entry: &Entry = $entry;
        let fence: &mut HashMap<(Uuid, i64), bool> = $fence;
        if let Change::Opened(_) = &entry.change {
            sqlx::query(OPEN_SESSION)
                .bind(entry.session)
                .bind(entry.epoch)
                .bind($node)
                .bind(entry.at_ms)
                .execute($connection)
                .await?;
            fence.remove(&(entry.session, entry.epoch));
        }
        let known = fence.get(&(entry.session, entry.epoch)).copied();
        let is_owner = match known {
            Some(known) => known,
            None => {
                // Also holds the row until the commit: a claim waits, and is not overtaken by this write.
                let touched = sqlx::query(FENCE)
                    .bind(entry.session)
                    .bind(entry.epoch)
                    .bind(now_ms())
                    .execute($connection)
                    .await?
                    .rows_affected();
                fence.insert((entry.session, entry.epoch), touched > 0);
                touched > 0
            }
        };
        if is_owner {
            let changed = statement!(entry, $node).fetch_optional(&mut *$connection).await?;
            // In the same transaction: a conversation that has ended has its jobs.
            if let (Change::Closed(closing), Some(row)) = (&entry.change, changed) {
                let tenant: String = row.try_get("tenant_id")?;
                let ending = Ending::of(entry, closing);
                ended!($connection, &tenant, ConversationId::of_uuid(entry.conversation), &ending);
            }
            Verdict::Kept
        } else if let Change::Track(_) = &entry.change {
            // The file is there, and belongs to this epoch alone: nobody else's row is touched, and whoever deletes the
            // conversation must know of it.
            let kept = statement!(entry, $node).execute($connection).await?.rows_affected() > 0;
            if kept && $from == From::Spool { Verdict::Late } else { Verdict::Fenced }
        } else if let (From::Spool, Some(item)) = ($from, late::asked(entry)) {
            let place: late::Place = sqlx::query_as(late::PLACE)
                .bind(entry.conversation)
                .bind(entry.epoch)
                .bind(item)
                .fetch_one(&mut *$connection)
                .await?;
            match late::added(entry, place) {
                Some(entry) => {
                    statement!(&entry, $node).execute($connection).await?;
                    Verdict::Late
                }
                None => Verdict::Fenced,
            }
        } else {
            Verdict::Fenced
        }
    }};
}
/// What became of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is in the database.
    Kept,
    /// Another owns the session by now, or the conversation was deleted: nothing was touched.
    Fenced,
    /// Another owns the session by now, and it had been acknowledged: it was added beside what the other writes.
    Late,
    /// The database refuses this very content.
    Refused,
}

/// Where entries come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// Straight from their sessions: nobody was told that they are durable.
    Session,
    /// From the spool: they are durable as far as anybody knows, and stay so even if another owns the session by now.
    Spool,
}

/// Writes batches.
pub(super) struct Pen {
    store: Store,
    node: String,
    connection: Option<Connection>,
}

impl Pen {
    /// A pen of this server. Connects when it first writes.
    pub(super) fn new(store: Store, node: String) -> Self {
        Self { store, node, connection: None }
    }

    /// Writes all of them in one transaction, or none: an error means that all are to be tried again.
    pub(super) async fn write(&mut self, entries: &[Entry], from: From) -> Result<Vec<Verdict>, Error> {
        match self.attempt(entries, from).await {
            Err(error) if error.is_about_content() => self.write_singly(entries, from).await,
            other => other,
        }
    }

    /// One by one, to find those that the database refuses.
    async fn write_singly(&mut self, entries: &[Entry], from: From) -> Result<Vec<Verdict>, Error> {
        let mut verdicts = Vec::with_capacity(entries.len());
        for entry in entries {
            match self.attempt(std::slice::from_ref(entry), from).await {
                Ok(one) => verdicts.extend(one),
                Err(error) if error.is_about_content() => {
                    tracing::error!(%error, revision = entry.revision, "the database refuses a record");
                    verdicts.push(Verdict::Refused);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(verdicts)
    }

    async fn attempt(&mut self, entries: &[Entry], from: From) -> Result<Vec<Verdict>, Error> {
        let timeout = self.store.config.write_timeout();
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => within(timeout, self.store.connect()).await??,
        };
        let written = within(timeout, apply(&mut connection, &self.node, entries, from)).await;
        match written {
            Ok(Ok(verdicts)) => {
                self.connection = Some(connection);
                if entries.iter().any(|entry| matches!(entry.change, Change::Closed(_))) {
                    self.store.wake();
                }
                Ok(verdicts)
            }
            // Dropped here, and closed with that.
            Ok(Err(error)) => Err(error),
            Err(elapsed) => Err(elapsed),
        }
    }

    /// Marks what a server of this name left behind when it ended without a word: conversations that were live before this
    /// server began.
    pub(super) async fn mark_lost(&mut self, before_ms: i64) -> Result<u64, Error> {
        let (store, node) = (&self.store, &self.node);
        let marked = transact!(store, tx => {
            let rows = sqlx::query(MARK_LOST).bind(node).bind(before_ms).fetch_all(&mut *tx).await?;
            let marked = rows.len() as u64;
            let event = webhooks::Event::Ended { state: "lost", reason: "server_lost" };
            let ending = Ending { name: format!("lost.{before_ms}"), event, at_ms: now_ms() };
            for row in rows {
                let (id, tenant): (Uuid, String) = (row.try_get("id")?, row.try_get("tenant_id")?);
                ended!(tx, &tenant, ConversationId::of_uuid(id), &ending);
            }
            marked
        })?;
        store.wake();
        Ok(marked)
    }

    /// Lets go of the connection in good order.
    pub(super) async fn close(self) {
        let Some(connection) = self.connection else { return };
        let closing = async { either!(Connection, connection, connection => connection.close().await) };
        let _closed = within(self.store.config.write_timeout(), closing).await;
    }
}

async fn apply(connection: &mut Connection, node: &str, entries: &[Entry], from: From) -> Result<Vec<Verdict>, Error> {
    let mut verdicts = Vec::with_capacity(entries.len());
    match connection {
        Connection::Pg(connection) => {
            let mut transaction = connection.begin().await?;
            let mut fence = HashMap::new();
            for entry in entries {
                verdicts.push(one!(&mut *transaction, node, entry, from, &mut fence));
            }
            transaction.commit().await?;
        }
        Connection::Lite(connection) => {
            // Takes the write lock at once: a transaction that begins by reading could be refused in the middle.
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let mut fence = HashMap::new();
            for entry in entries {
                verdicts.push(one!(&mut *transaction, node, entry, from, &mut fence));
            }
            transaction.commit().await?;
        }
    }
    Ok(verdicts)
}

const OPEN_SESSION: &str =
    "INSERT INTO sessions (id, epoch, node, written_at_ms) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING";

const FENCE: &str = "UPDATE sessions SET written_at_ms = $3 WHERE id = $1 AND epoch = $2";

const OPEN: &str = "INSERT INTO conversations (id, session_id, tenant_id, user_id, agent, language, state, started_at_ms, consent) \
     VALUES ($1, $2, $3, $4, $5, $6, 'live', $7, $8) \
     ON CONFLICT (id) DO UPDATE SET state = 'live', end_reason = NULL, ended_at_ms = NULL, \
         consent = COALESCE(excluded.consent, conversations.consent)";

const PUT_ITEM: &str = "INSERT INTO items (conversation_id, item, epoch, revision, position, role, kind, text, written, language, \
         start_ms, end_ms, interrupted, response, call, tool, arguments, failed, recorded_at_ms, words, \
         tenant_id) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
         (SELECT tenant_id FROM conversations WHERE id = $1)) \
     ON CONFLICT (conversation_id, item) DO UPDATE SET epoch = excluded.epoch, revision = excluded.revision, \
         position = excluded.position, role = excluded.role, kind = excluded.kind, text = excluded.text, \
         written = excluded.written, language = excluded.language, start_ms = excluded.start_ms, end_ms = excluded.end_ms, \
         interrupted = excluded.interrupted, response = excluded.response, call = excluded.call, tool = excluded.tool, \
         arguments = excluded.arguments, failed = excluded.failed, recorded_at_ms = excluded.recorded_at_ms, \
         words = excluded.words \
     WHERE (excluded.epoch, excluded.revision) > (items.epoch, items.revision)";

const PUT_RECEIPT: &str = "INSERT INTO receipts (conversation_id, response, epoch, revision, turn, status, reason, endpoint_ms, \
         transcript_ms, first_text_ms, first_audio_ms, first_sent_ms, input_tokens, output_tokens, recorded_at_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
     ON CONFLICT (conversation_id, response) DO NOTHING";

const CLOSE: &str = "UPDATE conversations SET state = $2, end_reason = $3, ended_at_ms = $4, audio_in_ms = $5, audio_out_ms = $6 \
     WHERE id = $1 AND state <> 'ended' RETURNING tenant_id";

const PUT_TRACK: &str = "INSERT INTO recordings (conversation_id, part, track, revision, offset_ms, started_at_ms, length_ms, bytes, \
         complete, node) \
     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 FROM conversations WHERE id = $1 \
     ON CONFLICT (conversation_id, part, track) DO UPDATE SET revision = excluded.revision, length_ms = excluded.length_ms, \
         bytes = excluded.bytes, complete = excluded.complete \
     WHERE excluded.revision > recordings.revision";
