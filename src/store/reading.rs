//! Questions: one statement each, on a pooled connection. A caller may drop any of them half-way.
//!
//! Every question names whose rows are meant ([`Scope`]); what belongs to another is as if it were not there.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

use super::{
    Error, Reach, Scope, Store,
    db::{Db, either, within},
    now_ms,
    record::ReceiptRow,
    rows::{Conversation, Hit, Item, Track, Usage},
    statements::{
        self, CLAIM, ERASED, Filters, IS_RARE_POSTGRES, RECEIPTS, SEARCH_ALL_POSTGRES, SEARCH_ALL_SQLITE,
        SEARCH_FEW_POSTGRES, TIMELINE, TO_ERASE, TRACKS,
    },
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
pub(super) use ask;

impl Store {
    /// Lists conversations.
    pub async fn conversations(&self, scope: Scope<'_>, filter: &Filter) -> Result<Page, Error> {
        let nothing = Page { conversations: Vec::new(), has_more: false };
        let user = match scope.reach {
            Reach::Tenant => None,
            Reach::User(user) => Some(user),
            // Whoever may see one conversation knows its name.
            Reach::One(_) | Reach::Nothing => return Ok(nothing),
        };
        let below =
            filter.until_ms.map_or(Uuid::max(), first_at).min(filter.after.map_or(Uuid::max(), ConversationId::uuid));
        let from = filter.since_ms.map_or(Uuid::nil(), first_at);
        let by = Filters { user: user.is_some(), agent: filter.agent.is_some(), state: filter.state.is_some() };
        let statement = statements::list(self.config.chosen(), by);
        let mut conversations: Vec<Conversation> = ask!(self, pool => {
            let mut asked =
                sqlx::query_as(statement).bind(scope.tenant).bind(below).bind(from).bind(i64::from(filter.limit) + 1);
            for only in [user, filter.agent.as_deref(), filter.state.as_deref()].into_iter().flatten() {
                asked = asked.bind(only);
            }
            asked.fetch_all(pool).await
        });
        let has_more = conversations.len() > filter.limit as usize;
        conversations.truncate(filter.limit as usize);
        Ok(Page { conversations, has_more })
    }

    /// One conversation; `None` if there is none of this id within the scope.
    pub async fn conversation(&self, scope: Scope<'_>, id: ConversationId) -> Result<Option<Conversation>, Error> {
        let (statement, user) = match scope.reach {
            Reach::Tenant => (statements::ONE, None),
            Reach::User(user) => (statements::ONE_OF_USER, Some(user)),
            Reach::One(one) if one == id => (statements::ONE, None),
            Reach::One(_) | Reach::Nothing => return Ok(None),
        };
        Ok(ask!(self, pool => {
            let asked = sqlx::query_as(statement).bind(scope.tenant).bind(id.uuid());
            match user {
                Some(user) => asked.bind(user).fetch_optional(pool).await,
                None => asked.fetch_optional(pool).await,
            }
        }))
    }

    /// Its items in order. Whoever asks was given the conversation by [`Store::conversation`], which asks whose it is.
    pub async fn timeline(&self, id: ConversationId) -> Result<Vec<Item>, Error> {
        Ok(ask!(self, pool => sqlx::query_as(TIMELINE).bind(id.uuid()).fetch_all(pool).await))
    }

    /// Its receipts in order. As for [`Store::timeline`].
    pub async fn receipts(&self, id: ConversationId) -> Result<Vec<ReceiptRow>, Error> {
        Ok(ask!(self, pool => sqlx::query_as(RECEIPTS).bind(id.uuid()).fetch_all(pool).await))
    }

    /// Its files of sound, in order. As for [`Store::timeline`].
    pub async fn tracks(&self, id: ConversationId) -> Result<Vec<Track>, Error> {
        Ok(ask!(self, pool => sqlx::query_as(TRACKS).bind(id.uuid()).fetch_all(pool).await))
    }

    /// Conversations that were deleted and whose files this node is to erase; at most so many.
    pub async fn to_erase(&self, node: &str, limit: u32) -> Result<Vec<ConversationId>, Error> {
        let ids: Vec<(Uuid,)> = ask!(self, pool => {
            sqlx::query_as(TO_ERASE).bind(node).bind(i64::from(limit)).fetch_all(pool).await
        });
        Ok(ids.into_iter().map(|(id,)| ConversationId::of_uuid(id)).collect())
    }

    /// This node has erased the files of a deleted conversation.
    pub async fn erased(&self, node: &str, id: ConversationId) -> Result<(), Error> {
        ask!(self, pool => sqlx::query(ERASED).bind(node).bind(id.uuid()).execute(pool).await.map(drop));
        Ok(())
    }

    /// Where these words were said, newest first, from below a number on. Looks through a tenant's newest items first: no
    /// index of words knows the newest of a million hits without counting them all. Of a user, everything is looked through.
    pub async fn search(
        &self,
        scope: Scope<'_>,
        query: &Query,
        below: Option<i64>,
        limit: u32,
    ) -> Result<SearchPage, Error> {
        let below = below.unwrap_or(i64::MAX);
        let wanted = i64::from(limit) + 1;
        let mut hits = match scope.reach {
            Reach::Tenant => {
                let newest = self.search_newest(scope.tenant, query, below, wanted).await?;
                if newest.len() <= limit as usize {
                    // Its words are rare, at least lately: the index of words finds all of them at once.
                    self.search_all(scope.tenant, query, below, wanted).await?
                } else {
                    newest
                }
            }
            Reach::User(user) => self.search_user(scope.tenant, user, query, below, wanted).await?,
            Reach::One(_) | Reach::Nothing => Vec::new(),
        };
        let has_more = hits.len() > limit as usize;
        hits.truncate(limit as usize);
        Ok(SearchPage { hits, has_more })
    }

    /// Looks through a user's items.
    async fn search_user(
        &self,
        tenant: &str,
        user: &str,
        query: &Query,
        below: i64,
        wanted: i64,
    ) -> Result<Vec<Hit>, Error> {
        let timeout = Duration::from_millis(self.config.statement_timeout_ms);
        let asking = async {
            match &self.db {
                Db::Pg(pool) => {
                    let asked = sqlx::query_as(statements::SEARCH_USER_POSTGRES).bind(tenant).bind(below).bind(wanted);
                    asked.bind(query.tsquery()).bind(user).fetch_all(pool).await
                }
                Db::Lite(pool) => {
                    let pieces = query.pieces();
                    // Made of our own words: what is looked for is bound.
                    let statement = sqlx::AssertSqlSafe(statements::search_user_sqlite(pieces.len()));
                    let mut asked = sqlx::query_as(statement).bind(tenant).bind(below).bind(wanted).bind(user);
                    for piece in pieces {
                        asked = asked.bind(piece);
                    }
                    asked.fetch_all(pool).await
                }
            }
        };
        Ok(within(timeout, asking).await??)
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
        let timeout = Duration::from_millis(self.config.statement_timeout_ms);
        let asking = async {
            match &self.db {
                Db::Pg(pool) => {
                    let words = query.tsquery();
                    let few = rare(pool, tenant, below, query.whole_tsquery()).await?;
                    let statement = few.as_ref().map_or(SEARCH_ALL_POSTGRES, |_| SEARCH_FEW_POSTGRES);
                    let asked = sqlx::query_as(statement).bind(tenant).bind(below).bind(wanted).bind(words);
                    match few {
                        Some(few) => asked.bind(few),
                        None => asked,
                    }
                    .fetch_all(pool)
                    .await
                }
                Db::Lite(pool) => {
                    let asked = sqlx::query_as(SEARCH_ALL_SQLITE).bind(tenant).bind(below).bind(wanted);
                    asked.bind(query.fts5()).fetch_all(pool).await
                }
            }
        };
        Ok(within(timeout, asking).await??)
    }

    /// What was used per day (UTC), oldest first. Days without anything are not there.
    pub async fn usage(&self, scope: Scope<'_>, since_ms: i64, until_ms: i64) -> Result<Vec<Usage>, Error> {
        let (statement, user) = match scope.reach {
            Reach::Tenant => (statements::USAGE, None),
            Reach::User(user) => (statements::USAGE_OF_USER, Some(user)),
            Reach::One(_) | Reach::Nothing => return Ok(Vec::new()),
        };
        let (from, below) = (first_at(since_ms), first_at(until_ms));
        Ok(ask!(self, pool => {
            let asked = sqlx::query_as(statement).bind(scope.tenant).bind(from).bind(below);
            match user {
                Some(user) => asked.bind(user).fetch_all(pool).await,
                None => asked.fetch_all(pool).await,
            }
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

/// These words, if there are any and they are rare.
async fn rare(pool: &PgPool, tenant: &str, below: i64, words: Option<String>) -> Result<Option<String>, sqlx::Error> {
    let Some(words) = words else { return Ok(None) };
    let asked = sqlx::query_scalar(IS_RARE_POSTGRES).bind(tenant).bind(below).bind(&words);
    let is_rare: bool = asked.fetch_one(pool).await?;
    Ok(is_rare.then_some(words))
}

/// The lowest id that something begun at this time can have: ids are UUIDs of version 7, milliseconds first.
pub(super) fn first_at(ms: i64) -> Uuid {
    let ms = u128::try_from(ms.clamp(0, (1 << 48) - 1)).unwrap_or_default();
    Uuid::from_u128(ms << 80)
}
