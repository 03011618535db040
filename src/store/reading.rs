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
    statements::{self, CLAIM, ONE, RECEIPTS, TIMELINE, USAGE},
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
        let statement = statements::list(self.config.chosen(), filter.agent.is_some(), filter.state.is_some());
        let mut conversations: Vec<Conversation> = ask!(self, pool => {
            let mut asked = sqlx::query_as(statement).bind(tenant).bind(below).bind(from).bind(i64::from(filter.limit) + 1);
            for only in [&filter.agent, &filter.state].into_iter().flatten() {
                asked = asked.bind(only);
            }
            asked.fetch_all(pool).await
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

    /// Where these words were said, newest first, from below a number on. Looks through the newest items first: no index
    /// of words knows the newest of a million hits without counting them all.
    pub async fn search(
        &self,
        tenant: &str,
        query: &Query,
        below: Option<i64>,
        limit: u32,
    ) -> Result<SearchPage, Error> {
        let below = below.unwrap_or(i64::MAX);
        let wanted = i64::from(limit) + 1;
        let mut hits = self.search_newest(tenant, query, below, wanted).await?;
        if hits.len() <= limit as usize {
            // Its words are rare, at least lately: the index of words finds all of them at once.
            hits = self.search_all(tenant, query, below, wanted).await?;
        }
        let has_more = hits.len() > limit as usize;
        hits.truncate(limit as usize);
        Ok(SearchPage { hits, has_more })
    }

    /// Looks through a tenant's newest items.
    async fn search_newest(&self, tenant: &str, query: &Query, below: i64, wanted: i64) -> Result<Vec<Hit>, Error> {
        let timeout = Duration::from_millis(self.config.statement_timeout_ms);
        let asking = async {
            match &self.db {
                Db::Pg(pool) => {
                    let asked =
                        sqlx::query_as(statements::SEARCH_NEWEST_POSTGRES).bind(tenant).bind(below).bind(wanted);
                    asked.bind(query.tsquery()).fetch_all(pool).await
                }
                Db::Lite(pool) => {
                    let pieces = query.pieces();
                    // Made of our own words: what is looked for is bound.
                    let statement = sqlx::AssertSqlSafe(statements::search_newest_sqlite(pieces.len()));
                    let mut asked = sqlx::query_as(statement).bind(tenant).bind(below).bind(wanted);
                    for piece in pieces {
                        asked = asked.bind(piece);
                    }
                    asked.fetch_all(pool).await
                }
            }
        };
        Ok(within(timeout, asking).await??)
    }

    /// Asks the index of words.
    async fn search_all(&self, tenant: &str, query: &Query, below: i64, wanted: i64) -> Result<Vec<Hit>, Error> {
        let (statement, words) = match self.db {
            Db::Pg(_) => (statements::SEARCH_ALL_POSTGRES, query.tsquery()),
            Db::Lite(_) => (statements::SEARCH_ALL_SQLITE, query.fts5()),
        };
        Ok(ask!(self, pool => {
            sqlx::query_as(statement).bind(tenant).bind(below).bind(wanted).bind(&words).fetch_all(pool).await
        }))
    }

    /// What a tenant used per day (UTC), oldest first. Days without anything are not there.
    pub async fn usage(&self, tenant: &str, since_ms: i64, until_ms: i64) -> Result<Vec<Usage>, Error> {
        Ok(ask!(self, pool => {
            sqlx::query_as(USAGE).bind(tenant).bind(first_at(since_ms)).bind(first_at(until_ms)).fetch_all(pool).await
        }))
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
pub(super) fn first_at(ms: i64) -> Uuid {
    let ms = u128::try_from(ms.clamp(0, (1 << 48) - 1)).unwrap_or_default();
    Uuid::from_u128(ms << 80)
}
