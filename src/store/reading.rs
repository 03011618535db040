//! Questions: one statement each, on a pooled connection. A caller may drop any of them half-way.
//!
//! Every question names the tenant; what belongs to another is as if it were not there.

use std::time::Duration;

use uuid::Uuid;

use super::{
    Error, Store,
    db::{Db, either, within},
    now_ms,
    rows::{Conversation, Hit, Item, Receipt, Usage},
    words::Query,
};
use crate::ids::{ConversationId, SessionId};

/// Which conversations are listed. Newest first.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this agent's.
    pub agent: Option<String>,
    /// Only those in this state.
    pub state: Option<String>,
    /// Only those begun at this time or later, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Only those begun before this time.
    pub until_ms: Option<i64>,
    /// Only those that come after this one in the list.
    pub after: Option<ConversationId>,
    /// At most so many.
    pub limit: u32,
}

/// A part of the list.
#[derive(Debug, Clone)]
pub struct Page {
    /// Conversations, newest first.
    pub conversations: Vec<Conversation>,
    /// Whether there are more.
    pub has_more: bool,
}

/// A part of what was found.
#[derive(Debug, Clone)]
pub struct SearchPage {
    /// Hits, newest first.
    pub hits: Vec<Hit>,
    /// Whether there are more.
    pub has_more: bool,
}

/// Runs a statement on the readers' pool, under the readers' timeout.
macro_rules! ask {
    ($store:expr, $pool:ident => $body:expr) => {{
        let timeout = Duration::from_millis($store.config.statement_timeout_ms);
        within(timeout, async { either!(Db, &$store.db, $pool => $body) }).await??
    }};
}

impl Store {
    /// Lists a tenant's conversations.
    pub async fn conversations(&self, tenant: &str, filter: &Filter) -> Result<Page, Error> {
        let below =
            filter.until_ms.map_or(Uuid::max(), first_at).min(filter.after.map_or(Uuid::max(), ConversationId::uuid));
        let from = filter.since_ms.map_or(Uuid::nil(), first_at);
        let mut conversations: Vec<Conversation> = ask!(self, pool => {
            sqlx::query_as(LIST)
                .bind(tenant)
                .bind(below)
                .bind(from)
                .bind(&filter.agent)
                .bind(&filter.state)
                .bind(i64::from(filter.limit) + 1)
                .fetch_all(pool)
                .await
        });
        let has_more = conversations.len() > filter.limit as usize;
        conversations.truncate(filter.limit as usize);
        Ok(Page { conversations, has_more })
    }

    /// One conversation; `None` if the tenant has none of this id.
    pub async fn conversation(&self, tenant: &str, id: ConversationId) -> Result<Option<Conversation>, Error> {
        Ok(ask!(self, pool => sqlx::query_as(ONE).bind(tenant).bind(id.uuid()).fetch_optional(pool).await))
    }

    /// Its items in order.
    pub async fn timeline(&self, id: ConversationId) -> Result<Vec<Item>, Error> {
        Ok(ask!(self, pool => sqlx::query_as(TIMELINE).bind(id.uuid()).fetch_all(pool).await))
    }

    /// Its receipts in order.
    pub async fn receipts(&self, id: ConversationId) -> Result<Vec<Receipt>, Error> {
        Ok(ask!(self, pool => sqlx::query_as(RECEIPTS).bind(id.uuid()).fetch_all(pool).await))
    }

    /// Where these words were said, newest first, from below a number on.
    pub async fn search(
        &self,
        tenant: &str,
        query: &Query,
        below: Option<i64>,
        limit: u32,
    ) -> Result<SearchPage, Error> {
        let (statement, words) = match self.db {
            Db::Pg(_) => (SEARCH_POSTGRES, query.tsquery()),
            Db::Lite(_) => (SEARCH_SQLITE, query.fts5()),
        };
        let mut hits: Vec<Hit> = ask!(self, pool => {
            sqlx::query_as(statement)
                .bind(&words)
                .bind(below.unwrap_or(i64::MAX))
                .bind(tenant)
                .bind(i64::from(limit) + 1)
                .fetch_all(pool)
                .await
        });
        let has_more = hits.len() > limit as usize;
        hits.truncate(limit as usize);
        Ok(SearchPage { hits, has_more })
    }

    /// What a tenant used per day (UTC), oldest first. Days without anything are not there.
    pub async fn usage(&self, tenant: &str, since_ms: i64, until_ms: i64) -> Result<Vec<Usage>, Error> {
        Ok(ask!(self, pool => {
            sqlx::query_as(USAGE).bind(tenant).bind(first_at(since_ms)).bind(first_at(until_ms)).fetch_all(pool).await
        }))
    }

    /// Deletes a conversation with everything in it, for good; also what its session still writes. False if the tenant has
    /// none of this id. One statement: dropping this half-way deletes all or nothing.
    pub async fn delete(&self, tenant: &str, id: ConversationId) -> Result<bool, Error> {
        let deleted = ask!(self, pool => {
            sqlx::query(DELETE).bind(tenant).bind(id.uuid()).execute(pool).await.map(|done| done.rows_affected())
        });
        Ok(deleted > 0)
    }

    /// Takes a session over: whoever wrote for it before writes no more. Gives the new epoch; `None` if nobody knows it.
    pub async fn claim(&self, session: SessionId, node: &str) -> Result<Option<i64>, Error> {
        let epoch: Option<(i64,)> = ask!(self, pool => {
            sqlx::query_as(CLAIM).bind(session.uuid()).bind(node).bind(now_ms()).fetch_optional(pool).await
        });
        Ok(epoch.map(|(epoch,)| epoch))
    }
}

/// The lowest id that something begun at this time can have: ids are UUIDs of version 7, milliseconds first.
fn first_at(ms: i64) -> Uuid {
    let ms = u128::try_from(ms.clamp(0, (1 << 48) - 1)).unwrap_or_default();
    Uuid::from_u128(ms << 80)
}

const LIST: &str = "SELECT id, session_id, agent, language, title, state, end_reason, started_at_ms, ended_at_ms, \
         audio_in_ms, audio_out_ms \
     FROM conversations \
     WHERE tenant_id = $1 AND id < $2 AND id >= $3 AND (CAST($4 AS TEXT) IS NULL OR agent = $4) \
         AND (CAST($5 AS TEXT) IS NULL OR state = $5) \
     ORDER BY id DESC LIMIT $6";

const ONE: &str = "SELECT id, session_id, agent, language, title, state, end_reason, started_at_ms, ended_at_ms, \
         audio_in_ms, audio_out_ms \
     FROM conversations WHERE tenant_id = $1 AND id = $2";

const TIMELINE: &str = "SELECT item, position, role, kind, text, written, language, start_ms, end_ms, interrupted, response, call, \
         tool, arguments, failed, recorded_at_ms, revision \
     FROM items WHERE conversation_id = $1 AND kind <> 'deleted' ORDER BY position, item";

const RECEIPTS: &str = "SELECT response, turn, status, reason, endpoint_ms, transcript_ms, first_text_ms, first_audio_ms, \
         first_sent_ms, input_tokens, output_tokens \
     FROM receipts WHERE conversation_id = $1 ORDER BY response";

const SEARCH_POSTGRES: &str = "SELECT i.number, i.conversation_id, c.started_at_ms, i.item, i.role, i.text, i.start_ms \
     FROM items i JOIN conversations c ON c.id = i.conversation_id \
     WHERE i.lexemes @@ CAST($1 AS tsquery) AND i.number < $2 AND c.tenant_id = $3 \
     ORDER BY i.number DESC LIMIT $4";

const SEARCH_SQLITE: &str = "SELECT i.number, i.conversation_id, c.started_at_ms, i.item, i.role, i.text, i.start_ms \
     FROM items_by_words w CROSS JOIN items i ON i.number = w.rowid CROSS JOIN conversations c ON c.id = i.conversation_id \
     WHERE items_by_words MATCH $1 AND w.rowid < $2 AND c.tenant_id = $3 \
     ORDER BY w.rowid DESC LIMIT $4";

const USAGE: &str = "SELECT c.started_at_ms / 86400000 AS day, CAST(COUNT(*) AS BIGINT) AS conversations, \
         CAST(SUM(c.audio_in_ms) AS BIGINT) AS audio_in_ms, CAST(SUM(c.audio_out_ms) AS BIGINT) AS audio_out_ms, \
         CAST(COALESCE(SUM(r.replies), 0) AS BIGINT) AS replies, \
         CAST(COALESCE(SUM(r.input_tokens), 0) AS BIGINT) AS input_tokens, \
         CAST(COALESCE(SUM(r.output_tokens), 0) AS BIGINT) AS output_tokens \
     FROM conversations c LEFT JOIN ( \
         SELECT conversation_id, COUNT(*) AS replies, SUM(input_tokens) AS input_tokens, SUM(output_tokens) AS output_tokens \
         FROM receipts WHERE conversation_id >= $2 AND conversation_id < $3 GROUP BY conversation_id \
     ) r ON r.conversation_id = c.id \
     WHERE c.tenant_id = $1 AND c.id >= $2 AND c.id < $3 \
     GROUP BY c.started_at_ms / 86400000 ORDER BY day";

const DELETE: &str = "DELETE FROM conversations WHERE tenant_id = $1 AND id = $2";

const CLAIM: &str =
    "UPDATE sessions SET epoch = epoch + 1, node = $2, written_at_ms = $3 WHERE id = $1 RETURNING epoch";
