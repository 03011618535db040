//! Puts conversations into a store's tables in bulk, exactly as the recorder would one by one; [`same`] says whether they are.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use floe::{
    ids::ConversationId,
    store::{
        Config, Recorder, Store,
        record::{Change, Closing, ItemRow, ReceiptRow},
        words,
    },
};
use secrecy::ExposeSecret as _;
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, Postgres, QueryBuilder, Sqlite, SqliteConnection,
    sqlite::SqliteConnectOptions,
};
use uuid::Uuid;

use crate::{
    now,
    talk::{Talk, Talks},
};

/// A connection for what the store itself has no question for.
pub(crate) enum Raw {
    Pg(PgConnection),
    Lite(SqliteConnection),
}

/// The same on either.
macro_rules! either {
    ($raw:expr, $connection:ident => $body:expr) => {
        match $raw {
            $crate::load::Raw::Pg($connection) => $body,
            $crate::load::Raw::Lite($connection) => $body,
        }
    };
}
pub(crate) use either;

impl Raw {
    pub(crate) async fn connect(config: &Config) -> anyhow::Result<Self> {
        let url = config.url.expose_secret();
        if url.is_empty() {
            let options = SqliteConnectOptions::new().filename(config.file()).foreign_keys(true);
            return Ok(Self::Lite(SqliteConnection::connect_with(&options).await?));
        }
        let mut connection = PgConnection::connect(url).await?;
        // As the store's own connections.
        connection.execute("SET plan_cache_mode = force_custom_plan").await?;
        Ok(Self::Pg(connection))
    }

    pub(crate) async fn number(&mut self, sql: &'static str) -> anyhow::Result<i64> {
        Ok(either!(self, connection => sqlx::query_scalar(sql).fetch_one(connection).await)?)
    }

    /// Whichever conversation has the most items.
    pub(crate) async fn longest(&mut self) -> anyhow::Result<ConversationId> {
        let sql = "SELECT conversation_id FROM items WHERE tenant_id = 'default' GROUP BY conversation_id \
             ORDER BY COUNT(*) DESC LIMIT 1";
        let id: Uuid = either!(self, connection => sqlx::query_scalar(sql).fetch_one(connection).await)?;
        Ok(ConversationId::of_uuid(id))
    }

    async fn lines(&mut self, sql: String, id: ConversationId) -> anyhow::Result<Vec<String>> {
        let sql = AssertSqlSafe(sql);
        Ok(either!(self, connection => sqlx::query_scalar(sql).bind(id.uuid()).fetch_all(connection).await)?)
    }
}

/// Writes a batch in one transaction.
macro_rules! write {
    ($database:ty, $connection:expr, $talks:expr) => {{
        let talks: &[Talk] = $talks;
        let mut transaction = $connection.begin().await?;
        let mut sessions = QueryBuilder::<$database>::new("INSERT INTO sessions (id, epoch, node, written_at_ms) ");
        sessions.push_values(talks, |mut row, talk| {
            row.push_bind(talk.session.uuid()).push_bind(1_i64).push_bind(NODE).push_bind(talk.began_ms);
        });
        sessions.build().execute(&mut *transaction).await?;
        let mut conversations = QueryBuilder::<$database>::new(
            "INSERT INTO conversations (id, session_id, tenant_id, user_id, agent, language, state, end_reason, \
             started_at_ms, ended_at_ms, audio_in_ms, audio_out_ms) ",
        );
        conversations.push_values(talks, |mut row, talk| {
            let end = talk.end();
            row.push_bind(talk.id.uuid())
                .push_bind(talk.session.uuid())
                .push_bind(&talk.opening.tenant)
                .push_bind(&talk.opening.user)
                .push_bind(&talk.opening.agent)
                .push_bind(&talk.opening.language)
                .push_bind(end.map_or("live", |(_, end)| if end.lost { "lost" } else { "ended" }))
                .push_bind(end.map(|(_, end)| &end.reason))
                .push_bind(talk.began_ms)
                .push_bind(end.map(|(at_ms, _)| at_ms))
                .push_bind(end.map_or(0, |(_, end)| end.audio_in_ms))
                .push_bind(end.map_or(0, |(_, end)| end.audio_out_ms));
        });
        conversations.build().execute(&mut *transaction).await?;
        let items: Vec<_> = talks.iter().flat_map(Talk::items).collect();
        for some in items.chunks(ROWS) {
            let mut items = QueryBuilder::<$database>::new(
                "INSERT INTO items (conversation_id, tenant_id, item, epoch, revision, position, role, kind, text, written, \
                 language, start_ms, end_ms, interrupted, response, call, tool, arguments, failed, recorded_at_ms, words) ",
            );
            items.push_values(some, |mut row, (talk, revision, at_ms, item)| {
                row.push_bind(talk.id.uuid())
                    .push_bind(&talk.opening.tenant)
                    .push_bind(item.item)
                    .push_bind(1_i64)
                    .push_bind(*revision)
                    .push_bind(item.position)
                    .push_bind(&item.role)
                    .push_bind(&item.kind)
                    .push_bind(&item.text)
                    .push_bind(&item.written)
                    .push_bind(&item.language)
                    .push_bind(item.start_ms)
                    .push_bind(item.end_ms)
                    .push_bind(item.interrupted)
                    .push_bind(item.response)
                    .push_bind(item.call)
                    .push_bind(&item.tool)
                    .push_bind(&item.arguments)
                    .push_bind(item.failed)
                    .push_bind(*at_ms)
                    .push_bind(words::indexed(&item.text));
            });
            items.build().execute(&mut *transaction).await?;
        }
        let receipts: Vec<_> = talks.iter().flat_map(Talk::receipts).collect();
        for some in receipts.chunks(ROWS) {
            let mut receipts = QueryBuilder::<$database>::new(
                "INSERT INTO receipts (conversation_id, response, epoch, revision, turn, status, reason, endpoint_ms, \
                 transcript_ms, first_text_ms, first_audio_ms, first_sent_ms, input_tokens, output_tokens, recorded_at_ms) ",
            );
            receipts.push_values(some, |mut row, (talk, revision, at_ms, receipt)| {
                row.push_bind(talk.id.uuid())
                    .push_bind(receipt.response)
                    .push_bind(1_i64)
                    .push_bind(*revision)
                    .push_bind(receipt.turn)
                    .push_bind(&receipt.status)
                    .push_bind(&receipt.reason)
                    .push_bind(receipt.endpoint_ms)
                    .push_bind(receipt.transcript_ms)
                    .push_bind(receipt.first_text_ms)
                    .push_bind(receipt.first_audio_ms)
                    .push_bind(receipt.first_sent_ms)
                    .push_bind(receipt.input_tokens)
                    .push_bind(receipt.output_tokens)
                    .push_bind(*at_ms);
            });
            receipts.build().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
    }};
}

impl Talk {
    /// Its changes of a kind, with their revisions: opening it was the first.
    fn numbered(&self) -> impl Iterator<Item = (&Self, i64, i64, &Change)> {
        (2..).zip(&self.changes).map(move |(revision, (at_ms, change))| (self, revision, *at_ms, change))
    }

    fn items(&self) -> impl Iterator<Item = (&Self, i64, i64, &ItemRow)> {
        self.numbered().filter_map(|(talk, revision, at_ms, change)| match change {
            Change::Item(item) => Some((talk, revision, at_ms, &**item)),
            _ => None,
        })
    }

    fn receipts(&self) -> impl Iterator<Item = (&Self, i64, i64, &ReceiptRow)> {
        self.numbered().filter_map(|(talk, revision, at_ms, change)| match change {
            Change::Receipt(receipt) => Some((talk, revision, at_ms, receipt)),
            _ => None,
        })
    }

    fn end(&self) -> Option<(i64, &Closing)> {
        self.numbered().find_map(|(_, _, at_ms, change)| match change {
            Change::Closed(closing) => Some((at_ms, closing)),
            _ => None,
        })
    }
}

/// Loads all of them. Postgres gets its index of words afterwards, which is quicker; SQLite's grows with the rows.
pub(crate) async fn load(raw: &mut Raw, mut talks: Talks) -> anyhow::Result<()> {
    let began = now();
    let count = talks.conversations();
    match raw {
        Raw::Pg(connection) => {
            connection.execute("SET synchronous_commit = off; SET maintenance_work_mem = '512MB'").await?;
        }
        // A crash costs only this run.
        Raw::Lite(connection) => {
            connection.execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000").await.map(drop)?
        }
    }
    let index = match raw {
        Raw::Pg(connection) => {
            let index = "SELECT indexdef FROM pg_indexes WHERE indexname = 'items_by_words'";
            let index: String = sqlx::query_scalar(index).fetch_one(&mut *connection).await?;
            connection.execute("DROP INDEX items_by_words").await?;
            Some(index)
        }
        Raw::Lite(_) => None,
    };
    let (mut done, mut told) = (0, 0);
    loop {
        let batch: Vec<Talk> = talks.by_ref().take(100).collect();
        if batch.is_empty() {
            break;
        }
        match raw {
            Raw::Pg(connection) => write!(Postgres, connection, &batch),
            Raw::Lite(connection) => write!(Sqlite, connection, &batch),
        }
        done += batch.len();
        let percent = u64::try_from(done).unwrap_or_default() * 100 / count;
        if percent >= told + 10 {
            told = percent;
            eprintln!("  {percent} % loaded after {} s", began.elapsed().as_secs());
        }
    }
    println!("loaded in {} s", began.elapsed().as_secs());
    if let (Raw::Pg(connection), Some(index)) = (raw, index) {
        let began = now();
        connection.execute(AssertSqlSafe(index)).await?;
        println!("index of words built in {} s", began.elapsed().as_secs());
        let began = now();
        connection.execute("VACUUM ANALYZE").await?;
        println!("vacuumed and analysed in {} s", began.elapsed().as_secs());
    }
    Ok(())
}

/// Writes some conversations in bulk and lets the recorder write the same again, and compares every column but ids and the
/// recorder's clock. Leaves both behind.
pub(crate) async fn same(raw: &mut Raw, store: &Store, end_ms: i64) -> anyhow::Result<()> {
    let talks: Vec<Talk> = Talks::new(200, end_ms).filter(|talk| talk.end().is_some()).collect();
    match raw {
        Raw::Pg(connection) => write!(Postgres, connection, &talks),
        Raw::Lite(connection) => write!(Sqlite, connection, &talks),
    }
    let (recorder, running) = Recorder::start(store.clone()).await?;
    let mut compared = 0;
    for talk in &talks {
        let mut scribe = recorder.begin(floe::ids::SessionId::new(), talk.opening.clone());
        let mut last = 0;
        for (_, change) in &talk.changes {
            last = scribe.put(change.clone())?;
        }
        let mut progress = scribe.progress();
        let written = progress.wait_for(|progress| progress.durable_to >= last);
        tokio::time::timeout(Duration::from_secs(30), written).await.context("the recorder writes")??;
        let ours = everything(raw, talk.id).await?;
        let theirs = everything(raw, scribe.conversation()).await?;
        ensure!(ours == theirs, "loaded: {ours:#?}\nrecorded: {theirs:#?}");
        compared += ours.len();
    }
    if let Raw::Lite(connection) = raw {
        // The index of words says what the rows say.
        connection.execute("INSERT INTO items_by_words (items_by_words, rank) VALUES ('integrity-check', 1)").await?;
    }
    running.stop(Duration::from_secs(10)).await;
    println!("{compared} rows are what the recorder writes");
    Ok(())
}

async fn everything(raw: &mut Raw, id: ConversationId) -> anyhow::Result<Vec<String>> {
    let json = if matches!(raw, Raw::Pg(_)) { "json_build_array" } else { "json_array" };
    let mut rows = Vec::new();
    for (table, key, columns) in [
        (
            "conversations",
            "id",
            "tenant_id, user_id, agent, language, title, state, end_reason, ended_at_ms > 0, audio_in_ms, audio_out_ms, \
             replies, input_tokens, output_tokens",
        ),
        (
            "items",
            "conversation_id",
            "tenant_id, item, epoch, revision, position, role, kind, text, written, language, start_ms, end_ms, \
             interrupted, response, call, tool, arguments, failed, words, lexemes",
        ),
        (
            "receipts",
            "conversation_id",
            "response, epoch, revision, turn, status, reason, endpoint_ms, transcript_ms, first_text_ms, \
             first_audio_ms, first_sent_ms, input_tokens, output_tokens",
        ),
    ] {
        let sql = format!("SELECT CAST({json}({columns}) AS TEXT) FROM {table} WHERE {key} = $1 ORDER BY 1");
        rows.extend(raw.lines(sql, id).await?);
    }
    Ok(rows)
}

/// Ids of a tenant's conversations, some thousands of them.
pub(crate) async fn ids(raw: &mut Raw, tenant: &str) -> anyhow::Result<Vec<Uuid>> {
    let sql = "SELECT id FROM conversations WHERE tenant_id = $1 AND state = 'ended'";
    Ok(either!(raw, connection => sqlx::query_scalar(sql).bind(tenant).fetch_all(connection).await)?)
}

/// Whose sessions the loaded ones are.
pub(crate) const NODE: &str = "store_scale";
/// Rows of one statement: SQLite takes 32,766 parameters.
const ROWS: usize = 500;
